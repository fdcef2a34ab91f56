"""Our hook in the account: a fresh secret address, the proof that hooks arrive there, the end of the old one.

Until a hook has come through the new address the old one stays subscribed and answered. The proof is a deal of our
own, «Проверка Копилки», which is lost from its first moment and is used again the next time: amoCRM deletes no deals
by its API, so one is all that is ever left.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from connector.amocrm import installing
from connector.amocrm.hooks import parse_hook
from connector.errors import ConnectorError, NotFound
from connector.http import HttpClient
from flows import deals
from flows.connect import hook_events
from flows.hook_paths import PREFIX
from flows.linking_compare import Finding
from storage import linking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connector.amocrm.account import Subscription
    from connector.amocrm.client import AmoCrm
    from flows.linking_survey import Survey
    from flows.runtime import Runtime

PROBE = "Проверка Копилки"
PROBE_ENTRY = "probe_deal"
HOOK_WITHIN_S = 30.0
LOOK_EVERY_S = 0.05
HOOKS_READ = 200
EVENT_WORDS = {
    "add_lead": "создана сделка",
    "update_lead": "изменена сделка",
    "delete_lead": "удалена сделка",
    "restore_lead": "восстановлена сделка",
    "status_lead": "смена этапа сделки",
    "delete_contact": "удалён контакт",
    "update_contact": "изменён контакт",
    "update_task": "изменена задача",
    "delete_task": "удалена задача",
}


@dataclass(frozen=True)
class Ours:
    """A subscription to an address of this installation; `generation` None: not one of our secrets."""

    subscription: Subscription
    generation: int | None


@dataclass(frozen=True)
class RoundTrip:
    """`hook_ms` None: no hook came in time, and `mends` say what to look at. `is_read_back`: the deal says what we
    wrote."""

    deal_id: int
    hook_ms: int | None
    is_read_back: bool
    mends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rotated:
    """`is_verified`: hooks arrive. `removed`: old addresses that were unsubscribed. `kept_old`: the new address was
    given up because nothing came, the old one works on."""

    trip: RoundTrip
    is_verified: bool
    removed: int
    kept_old: bool


def ours(rt: Runtime, hooks: Sequence[Subscription]) -> list[Ours]:
    """Those subscriptions that lead to this installation, by the address and by the secret in it."""
    start = rt.settings.public_url + PREFIX
    found = []
    for hook in hooks:
        generation = rt.hook_paths.generation_of(urlsplit(hook.destination).path.rpartition("/")[2])
        if generation is not None or hook.destination.startswith(start):
            found.append(Ours(hook, generation))
    return found


def findings(rt: Runtime, survey: Survey) -> list[Finding]:
    """What is wrong with our subscription. Raises DatabaseAway."""
    link = "kopilka amocrm link"
    if survey.hooks is None:
        mend = "вебхуки через API бывают не во всех тарифах, нужны права администратора"
        return [Finding("error", "amocrm-hooks-closed", "amoCRM не показывает нам вебхуки аккаунта", mend)]
    mine, right = ours(rt, survey.hooks), rt.settings.public_url + rt.hook_path()
    current = next((one.subscription for one in mine if one.subscription.destination == right), None)
    found = []
    if current is None:
        text = "вебхук подписан на прежний адрес" if mine else "вебхук не подписан: о сделках мы не узнаем"
        found.append(Finding("error", "amocrm-hook-missing", text, link))
    elif current.is_disabled:
        text = "amoCRM отключила наш вебхук: так бывает после ста неудачных доставок за два часа"
        found.append(
            Finding("error", "amocrm-hook-disabled", text, f"проверьте, что kopilka web отвечает, затем {link}")
        )
    events = hook_events(rt)
    lacks = [] if current is None else [one for one in events if one not in current.settings]
    if lacks:
        words = ", ".join(f"«{EVENT_WORDS.get(one, one)}»" for one in lacks)
        text = f"вебхук подписан на {len(events) - len(lacks)} из {len(events)} событий: не хватает {words}"
        found.append(Finding("warning", "amocrm-hook-events", text, link))
    stale = len(mine) - (current is not None)
    if stale and current is not None:
        text = f"остались подписки на прежние адреса: {stale}"
        found.append(Finding("warning", "amocrm-hook-stale", text, f"{link} уберёт их"))
    return found or [Finding("ok", "amocrm-hook", f"Вебхук подписан на {len(events)} событий из {len(events)}")]


def subscribe_again(rt: Runtime, crm: AmoCrm) -> None:
    """The full list of events at the address in use: mends a subscription that is gone, disabled or too narrow."""
    crm.subscribe(rt.settings.public_url + rt.hook_path(), hook_events(rt))


def rotate(rt: Runtime, crm: AmoCrm, pipeline_id: int, *, within_s: float = HOOK_WITHIN_S) -> Rotated:
    """Subscribes a fresh address, proves it, takes the old ones away. Raises ConnectorError, DatabaseAway."""
    before = ours(rt, crm.webhooks())
    with rt.db.begin() as tx:
        generation = linking.add_hook_path(tx, now=rt.now())
    destination = rt.settings.public_url + rt.hook_paths.path(generation)
    try:
        crm.subscribe(destination, hook_events(rt))
        trip = round_trip(rt, crm, pipeline_id, generation=generation, within_s=within_s)
    except ConnectorError:
        _give_up(rt, crm, generation, destination)
        raise
    is_verified = trip.hook_ms is not None
    if not is_verified and any(not one.subscription.is_disabled for one in before):
        _give_up(rt, crm, generation, destination)
        return Rotated(trip, is_verified=False, removed=0, kept_old=True)
    with rt.db.begin() as tx:
        is_in_use = linking.settle_hook_path(tx, generation, now=rt.now())
    rt.hook_paths.look_again()
    if not is_in_use:  # another link has finished meanwhile: its address is the newer one
        _unsubscribed(crm, destination)
        return Rotated(trip, is_verified=is_verified, removed=0, kept_old=True)
    # Read again: a link that ran beside this one may have subscribed since. A newer address is its to keep.
    older = [one for one in ours(rt, crm.webhooks()) if one.generation is None or one.generation < generation]
    removed = sum(_unsubscribed(crm, one.subscription.destination) for one in older)
    return Rotated(trip, is_verified=is_verified, removed=removed, kept_old=False)


def round_trip(
    rt: Runtime,
    crm: AmoCrm,
    pipeline_id: int,
    *,
    generation: int,
    within_s: float,
    sleep: Callable[[float], None] = time.sleep,
) -> RoundTrip:
    """Writes our deal, waits until a hook names it and one has come through this generation's address, reads it
    back."""
    with rt.db.begin() as tx:
        after_id = linking.last_inbox_id(tx)
    name = f"{PROBE} {rt.now():%d.%m.%Y %H:%M:%S} {generation}"
    began = time.monotonic()
    deal_id = _written(rt, crm, name, pipeline_id)
    hook_ms = None
    while hook_ms is None and time.monotonic() - began < within_s:
        if _has_come(rt, deal_id, after_id, generation):
            hook_ms = round((time.monotonic() - began) * 1000)
        else:
            sleep(LOOK_EVERY_S)
    deal = crm.deals([deal_id]).get(deal_id)
    mends = _mends(rt) if hook_ms is None else ()
    return RoundTrip(deal_id, hook_ms, is_read_back=deal is not None and deal.name == name, mends=mends)


def _written(rt: Runtime, crm: AmoCrm, name: str, pipeline_id: int) -> int:
    """Renames our deal, or makes one if there is none. Looked for before it is made: an attempt may have died."""
    known = rt.directory.recall(PROBE_ENTRY)
    deal_id = None if known is None else known.get("deal_id")
    deal = crm.deals([deal_id]).get(deal_id) if isinstance(deal_id, int) else None
    if deal is None or deal.is_deleted:
        deal_id = installing.find_probe(crm, PROBE)
    if deal_id is not None:
        try:
            installing.rename_probe(crm, deal_id, name)
        except NotFound:  # deleted by hand a moment ago
            deal_id = None
    if deal_id is None:
        deal_id = installing.create_probe(crm, name, pipeline_id)
    rt.directory.put(PROBE_ENTRY, {"deal_id": deal_id})
    return deal_id


def _has_come(rt: Runtime, deal_id: int, after_id: int, generation: int) -> bool:
    with rt.db.begin() as tx:
        paths = {one.generation: one for one in linking.hook_paths(tx)}
        come = linking.hooks_after(tx, deals.HOOK_SOURCE, after_id=after_id, limit=HOOKS_READ)
    path = paths.get(generation)
    if path is None or path.first_hook_at is None:
        return False
    return any(
        (entity.kind, entity.id) == ("deal", deal_id) for _, body in come for entity in parse_hook(body).entities
    )


def _mends(rt: Runtime) -> tuple[str, ...]:
    """What to look at when nothing came, beginning with what we see ourselves."""
    url = rt.settings.public_url
    mends = []
    if not url.startswith("https://"):
        mends.append(f"PUBLIC_URL={url}: amoCRM нужен адрес https, видимый из интернета")
    mends.append(_own_door(url))
    mends.append("откройте этот адрес с телефона без Wi-Fi: снаружи его могут закрывать брандмауэр или nginx")
    mends.append(f"nginx должен пропускать POST на {PREFIX}… без изменений и отвечать быстрее 2 секунд")
    return tuple(mends)


def _own_door(url: str) -> str:
    try:
        with closing(HttpClient()) as http:
            status = http.send("GET", f"{url}/healthz", route="/healthz").status
    except ConnectorError:
        return f"с этой машины {url} не отвечает: запустите kopilka web и проверьте имя и nginx"
    if status != 200:
        return f"по адресу {url} отвечает не kopilka web (статус {status}): проверьте PUBLIC_URL и nginx"
    return f"с этой машины {url} отвечает: дело в дороге от amoCRM до него"


def _give_up(rt: Runtime, crm: AmoCrm, generation: int, destination: str) -> None:
    with rt.db.begin() as tx:
        linking.retire_hook_path(tx, generation, now=rt.now())
    rt.hook_paths.look_again()
    try:
        _unsubscribed(crm, destination)
    except ConnectorError:  # the next link takes it away with the other old ones
        return


def _unsubscribed(crm: AmoCrm, destination: str) -> bool:
    try:
        crm.unsubscribe(destination)
    except NotFound:
        return False
    return True
