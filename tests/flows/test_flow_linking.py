"""From nothing to a proven connection: what is made, what is left alone, and how the hook's address changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import sqlalchemy as sa
from kopilka_testing import SilentBell, StandingClock, hook_body, settle
from linking_world import Stage, settings_for, stage_at

from config.settings import load_settings
from flows import linking, linking_hook, linking_survey, online_check
from flows.linking_compare import Finding
from flows.runtime import Runtime, build_runtime, prepare
from flows.settle import SetupIncomplete

pytestmark = pytest.mark.slow

NEVER_S = 0.4


@pytest.fixture(scope="module")
def both_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_at(tmp_path_factory.mktemp("linking")) as stage:
        yield stage


@pytest.fixture
def stage(both_servers: Stage) -> Stage:
    both_servers.crm("POST", "/sim/reset", {})
    both_servers.shut()
    return both_servers


@pytest.fixture
def product(
    stage: Stage, environment: dict[str, str], clock: StandingClock, tmp_path: Path
) -> Iterator[Callable[..., Runtime]]:
    """Builds the product on this stage, its web side open; keyword arguments replace names of the rules file."""
    built: list[Runtime] = []

    def build(**names: str) -> Runtime:
        given = settings_for(stage, environment, tmp_path, oauth=False, **names)
        rt = build_runtime(load_settings(given, dotenv=None), bell=SilentBell(), clock=clock)
        built.append(rt)
        prepare(rt)
        stage.open(rt)
        return rt

    yield build
    for rt in built:
        rt.db.close()


def linked(rt: Runtime) -> linking_hook.Rotated:
    found = linking.survey(rt)
    assert not linking.plan(rt, found).troubles
    linking.make(rt, found)
    return linking.connect_hook(rt)


def by_code(findings: list[Finding]) -> dict[str, Finding]:
    return {one.code: one for one in findings}


def test_a_new_account_is_brought_to_the_rules_and_a_hook_proves_it(
    product: Callable[..., Runtime], stage: Stage
) -> None:
    rt = product()
    found = linking.survey(rt)
    planned = linking.plan(rt, found)

    linking.make(rt, found)
    done = linking.connect_hook(rt)

    assert {spec.name for spec in planned.contact_fields} >= {"Бонусы: баланс", "Сегмент карты"}
    assert len(planned.segments) == 3
    assert done.is_verified
    assert done.trip.is_read_back
    assert done.trip.hook_ms is not None
    again = linking.plan(rt, linking.survey(rt))
    assert again.is_empty
    assert {one.level for one in online_check.examine(rt)} == {"ok"}


def test_linking_again_makes_nothing_twice_and_leaves_one_hook_and_one_deal(
    product: Callable[..., Runtime], stage: Stage
) -> None:
    rt = product()
    first = linked(rt)
    fields = len(stage.api("GET", "/contacts/custom_fields?limit=250")["_embedded"]["custom_fields"])
    before = stage.hooks()[0]["destination"]

    second = linked(rt)

    assert second.is_verified
    assert second.removed == 1
    assert len(stage.api("GET", "/contacts/custom_fields?limit=250")["_embedded"]["custom_fields"]) == fields
    assert first.trip.deal_id == second.trip.deal_id
    (hook,) = stage.hooks()
    assert hook["destination"] != before
    assert hook["destination"] == rt.settings.public_url + rt.hook_path()


def test_the_old_address_is_answered_for_two_hours_and_then_no_more(
    product: Callable[..., Runtime], stage: Stage, clock: StandingClock
) -> None:
    rt = product()
    linked(rt)
    old = stage.hooks()[0]["destination"]
    linked(rt)
    clock.forward(minutes=90)
    soon = requests.post(old, data=hook_body(1), timeout=5)
    clock.forward(minutes=31)

    late = requests.post(old, data=hook_body(2), timeout=5)

    assert (soon.status_code, late.status_code) == (204, 404)
    assert requests.post(stage.hooks()[0]["destination"], data=hook_body(2), timeout=5).status_code == 204


def test_where_no_hook_comes_the_old_one_stays_and_the_new_one_goes(
    product: Callable[..., Runtime], stage: Stage
) -> None:
    rt = product()
    linked(rt)
    before = stage.hooks()
    stage.crm("POST", "/sim/faults", {"hook_lost": 1.0})

    done = linking.connect_hook(rt, within_s=NEVER_S)

    assert (done.is_verified, done.kept_old) == (False, True)
    assert stage.hooks() == before
    assert before[0]["destination"] == rt.settings.public_url + rt.hook_path()
    assert any("отвечает: дело в дороге" in mend for mend in done.trip.mends)


def test_where_our_web_process_is_away_the_mend_says_so(product: Callable[..., Runtime], stage: Stage) -> None:
    rt = product()
    stage.shut()
    found = linking.survey(rt)
    linking.make(rt, found)

    done = linking.connect_hook(rt, within_s=NEVER_S)

    assert (done.is_verified, done.kept_old) == (False, False)
    assert len(stage.hooks()) == 1, "there was no other: this one works once the address is reachable"
    assert any("отвечает не kopilka web (статус 502)" in mend for mend in done.trip.mends)
    assert any("https" in mend for mend in done.trip.mends)


def test_a_link_that_died_between_subscribing_and_proof_is_cleaned_up_by_the_next(
    product: Callable[..., Runtime], stage: Stage
) -> None:
    rt = product()
    linked(rt)
    with rt.db.begin() as tx:
        generation = linking_hook.linking.add_hook_path(tx, now=rt.now())
    stage.api(
        "POST",
        "/webhooks",
        {"destination": stage.public_url + rt.hook_paths.path(generation), "settings": ["add_lead"]},
    )
    assert "amocrm-hook-stale" in by_code(online_check.examine(rt))

    done = linked(rt)

    assert done.removed == 2
    assert len(stage.hooks()) == 1
    assert by_code(online_check.examine(rt))["amocrm-hook"].level == "ok"


def test_a_hook_that_lost_its_answer_is_not_made_twice(product: Callable[..., Runtime], stage: Stage) -> None:
    rt = product()
    found = linking.survey(rt)
    linking.make(rt, found)
    stage.crm("POST", "/sim/faults", {"apply_then_drop": 1.0})
    with pytest.raises(linking_hook.ConnectorError):
        linking.connect_hook(rt)
    stage.crm("POST", "/sim/faults", {"reset": True})

    assert linked(rt).is_verified
    assert len(stage.hooks()) == 1


def test_the_probe_deal_is_lost_from_the_start_and_gives_nobody_points(
    product: Callable[..., Runtime], stage: Stage
) -> None:
    rt = product()
    done = linked(rt)

    settle(rt)

    deal = stage.api("GET", f"/leads/{done.trip.deal_id}")
    assert deal["status_id"] == 143
    assert deal["name"].startswith("Проверка Копилки")
    with rt.db.begin() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM orders")).scalar_one() == 0
        assert tx.execute(sa.text("SELECT count(*) FROM inbox WHERE state <> 'done'")).scalar_one() == 0


def test_a_probe_deal_that_was_deleted_is_made_anew(product: Callable[..., Runtime], stage: Stage) -> None:
    rt = product()
    first = linked(rt)
    stage.crm("POST", "/sim/reset", {})

    second = linked(rt)

    assert second.is_verified
    assert first.trip.is_read_back


def test_names_that_lead_nowhere_are_told_with_the_nearest_and_nothing_is_made(
    product: Callable[..., Runtime], stage: Stage
) -> None:
    rt = product(
        **{"paid_status: Оплачен ": "paid_status: Оплачено ", "refund_status: Возврат": "refund_status: Возвраты"}
    )

    planned = linking.plan(rt, linking.survey(rt))

    texts = [one.text for one in planned.troubles]
    assert "в воронке «Интернет-магазин» нет этапа «Оплачено»; есть похожее «Оплачен»" in texts
    assert "в воронке «Интернет-магазин» нет этапа «Возвраты»; есть похожее «Возврат»" in texts
    assert [one.mend for one in planned.troubles] == ["впишите paid_status: Оплачен", "впишите refund_status: Возврат"]
    assert stage.hooks() == []


def test_a_funnel_renamed_while_the_plan_was_read_stops_the_making(
    product: Callable[..., Runtime], stage: Stage
) -> None:
    rt = product()
    found = linking.survey(rt)
    linking.plan(rt, found)
    renamed = build_renamed(rt)

    with pytest.raises(SetupIncomplete, match="нет воронки"):
        linking.make(renamed, found)
    assert stage.hooks() == []


def build_renamed(rt: Runtime) -> Runtime:
    """The simulator renames no funnels, so the rules' side of the same mismatch is renamed."""
    import dataclasses

    assert rt.file.amocrm is not None
    names = dataclasses.replace(rt.file.amocrm, pipeline="Прежняя воронка")
    return dataclasses.replace(rt, file=dataclasses.replace(rt.file, amocrm=names))


def test_a_field_of_another_type_is_in_the_way_and_nothing_is_made(
    product: Callable[..., Runtime], stage: Stage
) -> None:
    rt = product()
    stage.api("POST", "/contacts/custom_fields", [{"name": "Бонусы: баланс", "type": "text"}])
    stage.api("POST", "/leads/custom_fields", [{"name": "Можно списать", "type": "numeric"}] * 2)

    troubles = by_code(list(linking.plan(rt, linking.survey(rt)).troubles))

    assert "его тип текст, а нужен число" in troubles["amocrm-field-type"].text
    assert "переименуйте" in troubles["amocrm-field-type"].mend
    assert "несколько" in troubles["amocrm-field-ambiguous"].text


def test_a_field_with_nearly_the_same_name_is_offered(product: Callable[..., Runtime], stage: Stage) -> None:
    rt = product()
    stage.api("POST", "/contacts/custom_fields", [{"name": "Бонусный баланс", "type": "numeric"}])

    missing = [
        one for one in linking.plan(rt, linking.survey(rt)).advice if one.rule == "amocrm.fields.contact.balance"
    ]

    assert "есть похожее «Бонусный баланс»" in missing[0].text
    assert "впишите balance: Бонусный баланс" in missing[0].mend


def test_fields_are_not_made_where_the_owner_forbids_it(product: Callable[..., Runtime]) -> None:
    rt = product(**{"create_missing_fields: true ": "create_missing_fields: no "})

    planned = linking.plan(rt, linking.survey(rt))

    assert planned.contact_fields == planned.lead_fields == ()
    assert {one.code for one in planned.troubles} == {"amocrm-field-missing"}


@pytest.mark.parametrize(
    ("mode", "code"),
    [("disabled", "amocrm-customers-disabled"), ("periodicity", "amocrm-customers")],
)
def test_customers_in_another_mode_are_told(
    product: Callable[..., Runtime], stage: Stage, mode: str, code: str
) -> None:
    rt = product()
    asked = {"mode": "segments", "is_enabled": False} if mode == "disabled" else {"mode": mode, "is_enabled": True}
    stage.api("PATCH", "/customers/mode", asked)

    assert code in by_code(online_check.examine(rt))
    assert linking.plan(rt, linking.survey(rt)).segments == []


def test_a_hook_that_is_gone_disabled_or_too_narrow_is_told_and_mended(
    product: Callable[..., Runtime], stage: Stage
) -> None:
    rt = product()
    linked(rt)
    destination = stage.hooks()[0]["destination"]
    stage.api("POST", "/webhooks", {"destination": destination, "settings": ["add_lead", "status_lead"]})
    narrow = by_code(online_check.examine(rt))["amocrm-hook-events"]
    stage.api("DELETE", "/webhooks", {"destination": destination})
    gone = by_code(online_check.examine(rt))["amocrm-hook-missing"]

    linking.keep_hook(rt)

    assert "на 2 из 8 событий" in narrow.text
    assert "«удалена сделка»" in narrow.text
    assert gone.mend == "kopilka amocrm link"
    assert by_code(online_check.examine(rt))["amocrm-hook"].level == "ok"


def test_a_disabled_hook_is_told(product: Callable[..., Runtime], stage: Stage) -> None:
    rt = product()
    linked(rt)
    found = linking_survey.read(rt)
    assert found.hooks is not None
    import dataclasses

    off = dataclasses.replace(found, hooks=[dataclasses.replace(one, is_disabled=True) for one in found.hooks])

    (finding,) = linking_hook.findings(rt, off)

    assert finding.code == "amocrm-hook-disabled"
    assert finding.level == "error"


def test_a_user_who_is_no_admin_and_a_renamed_account_are_told(product: Callable[..., Runtime]) -> None:
    import dataclasses

    from flows import linking_compare

    rt = product()
    found = linking_survey.read(rt)
    assert found.user is not None
    changed = dataclasses.replace(
        found,
        user=dataclasses.replace(found.user, is_admin=False),
        account=dataclasses.replace(found.account, subdomain="newname"),
    )

    codes = by_code(linking_compare.compare(rt, changed))

    assert "не администратор" in codes["amocrm-user-not-admin"].text
    assert codes["amocrm-account-renamed"].mend.startswith("впишите account: newname")


def test_another_account_behind_the_same_rules_is_refused(product: Callable[..., Runtime]) -> None:
    rt = product()
    with rt.db.begin() as tx:
        linking.linking.save_account_id(tx, 1)

    with pytest.raises(linking_survey.OtherAccount):
        linking.survey(rt)
    assert "amocrm-other-account" in by_code(online_check.examine(rt))


def test_the_secret_of_the_hook_is_in_no_finding(product: Callable[..., Runtime], stage: Stage) -> None:
    rt = product()
    linked(rt)
    stage.api("POST", "/webhooks", {"destination": stage.hooks()[0]["destination"], "settings": ["add_lead"]})

    told = repr(online_check.examine(rt)) + repr(linking.plan(rt, linking.survey(rt)))

    assert urlsplit(stage.hooks()[0]["destination"]).path.rpartition("/")[2] not in told


def test_two_links_at_once_leave_one_hook_that_works(product: Callable[..., Runtime], stage: Stage) -> None:
    rt = product()
    linking.make(rt, linking.survey(rt))

    def rotate(_: int) -> bool:
        return linking.connect_hook(rt, within_s=10).is_verified

    with ThreadPoolExecutor(2) as pool:
        verified = list(pool.map(rotate, range(2)))

    assert any(verified)
    (hook,) = stage.hooks()
    assert hook["destination"] == rt.settings.public_url + rt.hook_path()
    assert requests.post(hook["destination"], data=hook_body(1), timeout=5).status_code == 204


def test_a_forged_address_is_refused_without_a_look_at_the_database(product: Callable[..., Runtime]) -> None:
    rt = product()
    right = rt.hook_paths.path(3).rpartition("/")[2]
    secret = right.partition(".")[2]

    for name in ("", ".", "3.", f"03.{secret}", f"4.{secret}", secret, f"3.{secret}x", f"-3.{secret}", f"٣.{secret}"):
        assert rt.hook_paths.generation_of(name) is None
    assert rt.hook_paths.generation_of(right) == 3
    assert not rt.hook_paths.is_known(right), "a generation that nobody has made"
