"""Rules file against account: what is missing, of another kind, or nearly the same; each with the mend.

Owns the words that `kopilka amocrm link`, `check --online` and `doctor` show. Asks nobody and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from connector.errors import FieldAmbiguous, FieldTypeMismatch
from flows.linking_survey import missing_segments, plain, specs, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from connector.amocrm.fields import FieldSpec, Owner
    from flows.linking_survey import Survey
    from flows.runtime import Runtime

Level = Literal["ok", "warning", "error"]

LOOKALIKE = 0.6
KNOWN_SHOWN = 12
BIRTHDAY_TYPES = ("birthday", "date", "text")
WHOSE: tuple[tuple[Owner, str, str], ...] = (("contacts", "contact", "контакта"), ("leads", "lead", "сделки"))
TYPE_WORDS = {
    "numeric": "число",
    "text": "текст",
    "textarea": "текст",
    "url": "ссылка",
    "checkbox": "флажок",
    "date": "дата",
    "date_time": "дата и время",
    "birthday": "день рождения",
    "select": "список",
    "multiselect": "мультисписок",
    "multitext": "телефон или почта",
    "monetary": "деньги",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was compared. `rule`: where the rules file says it, empty when it does not. `like`: the name in
    the account that is most like the one that was not found."""

    level: Level
    code: str
    text: str
    mend: str = ""
    rule: str = ""
    like: str = ""


def compare(rt: Runtime, survey: Survey) -> list[Finding]:
    """Rules file against account: one finding for each thing that is wrong, and one for each group that is right."""
    return [
        *_account_findings(rt, survey),
        *_pipeline_findings(rt, survey),
        *_field_findings(rt, survey),
        *_birthday_findings(rt, survey),
        *_customer_findings(rt, survey),
    ]


def type_words(type_: str) -> str:
    """amoCRM's word for a field's type, in Russian."""
    return TYPE_WORDS.get(type_, type_)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one; None when none is."""
    by_plain = {plain(one): one for one in known}
    found = get_close_matches(plain(name), by_plain, n=1, cutoff=LOOKALIKE)
    return by_plain[found[0]] if found else None


def _account_findings(rt: Runtime, survey: Survey) -> list[Finding]:
    account, named = survey.account, rt.crm_names.account
    found = []
    if account.subdomain and account.subdomain.casefold() != named.casefold():
        found.append(
            Finding(
                "warning",
                "amocrm-account-renamed",
                f"аккаунт теперь называется {account.subdomain}, а в правилах {named}",
                f"впишите account: {account.subdomain}; до того мы сами ходим по новому адресу",
                "amocrm.account",
            )
        )
    user = survey.user
    if user is not None and not (user.is_admin and user.is_active):
        why = "не администратор" if user.is_active else "отключён"
        found.append(
            Finding(
                "error",
                "amocrm-user-not-admin",
                f"пользователь, от имени которого мы работаем, {why}: создать поля и подписать вебхук он не может",
                "выдайте доступ от имени администратора, лучше отдельного служебного: kopilka amocrm link --new-access",
                "amocrm",
            )
        )
    return found or [Finding("ok", "amocrm-account", f"Аккаунт {account.subdomain}, доступ администратора")]


def _pipeline_findings(rt: Runtime, survey: Survey) -> list[Finding]:
    names = rt.crm_names
    pipeline = next((one for one in survey.pipelines if one.name == names.pipeline), None)
    if pipeline is None:
        known = [one.name for one in survey.pipelines]
        return [_absent("pipeline", f"нет воронки «{names.pipeline}»", names.pipeline, known, "amocrm.pipeline")]
    stages = [title for _, title in pipeline.statuses]
    wanted = [("amocrm.paid_status", names.paid_status), ("amocrm.refund_status", names.refund_status)]
    found = [
        _absent("status", f"в воронке «{pipeline.name}» нет этапа «{name}»", name, stages, rule)
        for rule, name in wanted
        if name is not None and name not in stages
    ]
    return found or [Finding("ok", "amocrm-pipeline", f"Воронка «{pipeline.name}» и её этапы найдены по именам")]


def _absent(what: str, text: str, name: str, known: Sequence[str], rule: str) -> Finding:
    like = nearest(name, known)
    shown = ", ".join(known[:KNOWN_SHOWN])
    if like is None:
        return Finding("error", f"amocrm-{what}-missing", f"{text}; есть: {shown}", f"впишите имя в {rule}", rule)
    key = rule.rpartition(".")[2]
    text, mend = f"{text}; есть похожее «{like}»", f"впишите {key}: {like}"
    return Finding("error", f"amocrm-{what}-missing", text, mend, rule, like)


def _field_findings(rt: Runtime, survey: Survey) -> list[Finding]:
    found, wanted = [], 0
    for owner, key_of_owner, whose in WHOSE:
        for key, spec in specs(rt, owner).items():
            wanted += 1
            trouble = _field_trouble(rt, survey, owner, key, spec, whose, f"amocrm.fields.{key_of_owner}.{key}")
            found += [trouble] if trouble is not None else []
    return found or [Finding("ok", "amocrm-fields", f"Поля amoCRM: {wanted} из {wanted} найдены")]


def _field_trouble(
    rt: Runtime, survey: Survey, owner: Owner, key: str, spec: FieldSpec, whose: str, rule: str
) -> Finding | None:
    existing = survey.fields[owner]
    match = state_of(existing, key, spec)
    if isinstance(match, FieldTypeMismatch):
        words = type_words(match.actual_type)
        text = f"поле {whose} «{match.name}» есть (id {match.field_id}), но его тип {words}, а нужен {_type(spec)}"
        mend = f"amoCRM не меняет тип поля: переименуйте его или впишите другое имя в {rule}"
        return Finding("error", "amocrm-field-type", text, mend, rule)
    if isinstance(match, FieldAmbiguous):
        ids = ", ".join(str(one) for one in match.field_ids)
        text = f"полей {whose} «{spec.name}» несколько: id {ids}"
        return Finding("error", "amocrm-field-ambiguous", text, "оставьте одно, остальные переименуйте", rule)
    if match == "found":
        return None
    named = {plain(one.name) for one in specs(rt, owner).values()}  # what serves for another is not meant here
    free = [one.name for one in existing if one.type in (spec.type, *spec.other_types) and plain(one.name) not in named]
    like = nearest(spec.name, free) or ""
    text = f"поля {whose} «{spec.name}» ({_type(spec)}) нет" + (f"; есть похожее «{like}»" if like else "")
    or_like = f"; если нужно похожее, впишите {key}: {like}" if like else ""
    if rt.crm_names.create_missing_fields:
        return Finding("warning", "amocrm-field-missing", text, f"kopilka amocrm link создаст его{or_like}", rule, like)
    mend = f"создайте его или разрешите amocrm.create_missing_fields{or_like}"
    return Finding("error", "amocrm-field-missing", text, mend, rule, like)


def _type(spec: FieldSpec) -> str:
    return type_words(spec.type)


def _birthday_findings(rt: Runtime, survey: Survey) -> list[Finding]:
    """The field that people fill in: it is never created."""
    name, rule = rt.crm_names.contact_fields.get("birthday"), "amocrm.fields.contact.birthday"
    if name is None:
        return []
    field = next((one for one in survey.fields["contacts"] if one.name.casefold() == name.casefold()), None)
    if field is None:
        dates = [one.name for one in survey.fields["contacts"] if one.type in BIRTHDAY_TYPES]
        like = nearest(name, dates) or ""
        text = f"поля контакта «{name}» нет" + (f"; есть похожее «{like}»" if like else "")
        mend = f"впишите birthday: {like}" if like else f"создайте поле типа «день рождения» или уберите {rule}"
        return [Finding("warning", "amocrm-birthday-missing", f"{text}: дней рождения не узнаем", mend, rule, like)]
    if field.type not in BIRTHDAY_TYPES:
        words = type_words(field.type)
        text = f"поле контакта «{name}» (id {field.id}) хранит не дату: его тип {words}"
        return [Finding("warning", "amocrm-field-type", text, "создайте поле типа «день рождения»", rule)]
    return []


def _customer_findings(rt: Runtime, survey: Survey) -> list[Finding]:
    if not rt.crm_names.customers:
        return []
    rule, mode = "amocrm.customers", survey.account.customers_mode
    if survey.segments is not None:
        missing = missing_segments(rt, survey)
        if not missing:
            return [Finding("ok", "amocrm-segments", "Сегменты покупателей найдены по именам")]
        likes = [nearest(title, survey.segments) for title in missing]
        shown = ", ".join(
            f"«{title}»" + (f" (есть похожий «{like}»)" if like else "")
            for title, like in zip(missing, likes, strict=True)
        )
        mend = "kopilka amocrm link создаст их"
        text = f"нет сегментов покупателей: {shown}"
        return [Finding("warning", "amocrm-segments-missing", text, mend, rule, next(filter(None, likes), ""))]
    if mode == "unavailable":
        text, mend = "в тарифе аккаунта нет покупателей", "впишите customers: no или смените тариф"
        return [Finding("error", "amocrm-customers-unavailable", text, mend, rule)]
    if mode == "disabled":
        text = "покупатели в аккаунте выключены"
        mend = "включите их в amoCRM в режиме сегментации или впишите customers: no"
        return [Finding("error", "amocrm-customers-disabled", text, mend, rule)]
    if mode in ("periodicity", "dynamic"):
        return [Finding("ok", "amocrm-customers", "Покупатели в режиме периодичности: ведём даты и покупки")]
    text = f"покупатели работают в другом режиме ({mode or 'неизвестен'}): сегментов в нём нет"
    mend = "включите в amoCRM режим сегментации, если нужны сегменты"
    return [Finding("warning", "amocrm-customers-mode", text, mend, rule)]
