"""The account compared with the rules file and with our hook, as a list of findings. Changes nothing there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.errors import AccountUnpaid, Blocked, ConnectorError, NeedsReauth, RateLimited, Refused
from flows import linking_compare, linking_hook, linking_survey
from flows.keys import CannotOpen
from flows.linking_compare import Finding

if TYPE_CHECKING:
    from flows.runtime import Runtime

LINK = "kopilka amocrm link"


def examine(rt: Runtime) -> list[Finding]:
    """Every mismatch with its nearest name and its mend; one finding when amoCRM cannot be asked. Raises
    DatabaseAway."""
    if rt.crm is None:
        return [Finding("warning", "amocrm-not-configured", "amoCRM не настроена", "заполните раздел amocrm")]
    try:
        found = linking_survey.read(rt)
    except linking_survey.OtherAccount as failure:
        return [_other_account(failure)]
    except ConnectorError as failure:
        return [_unasked(failure)]
    except CannotOpen:
        mend = f"верните прежний SECRET_KEY или {LINK}"
        return [Finding("error", "amocrm-key", "доступ к amoCRM зашифрован другим ключом", mend)]
    return [*linking_compare.compare(rt, found), *linking_hook.findings(rt, found)]


def _other_account(failure: linking_survey.OtherAccount) -> Finding:
    text = f"доступ ведёт в другой аккаунт (номер {failure.found}), база заведена с аккаунтом {failure.known}"
    mend = "верните прежний доступ; для другого магазина заведите отдельную базу"
    return Finding("error", "amocrm-other-account", text, mend, "amocrm.account")


def _unasked(failure: ConnectorError) -> Finding:
    """Why amoCRM could not be asked."""
    if isinstance(failure, NeedsReauth):
        mend = f"{LINK}; баллы и карты тем временем работают"
        return Finding("error", "amocrm-no-access", "amoCRM не принимает наш доступ", mend, "amocrm")
    if isinstance(failure, AccountUnpaid):
        return Finding("error", "amocrm-unpaid", "аккаунт amoCRM не оплачен", "оплатите его; мы подождём")
    if isinstance(failure, Blocked):
        text = "amoCRM закрылась от нас: слишком много запросов с этого адреса"
        return Finding("warning", "amocrm-blocked", text, "подождите несколько минут; если часто, пишите в поддержку")
    if isinstance(failure, RateLimited):
        return Finding("warning", "amocrm-busy", "очередь запросов к amoCRM занята работой", "повторите через минуту")
    if isinstance(failure, Refused) or not failure.retryable:
        return Finding("error", "amocrm-refused", f"amoCRM ответила отказом: {failure}", "проверьте account и права")
    return Finding("warning", "amocrm-unreachable", "amoCRM не отвечает", "проверьте сеть и повторите")
