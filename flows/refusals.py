"""Why a request of a person or a program is not done: a refusal knows its code, its HTTP status, its Russian words.

A refusal changes nothing: the transaction that raised it is rolled back, so the same request may be sent again once
its reason is mended. The one exception says so by `is_kept`.
"""

from __future__ import annotations

from typing import ClassVar


class Denied(Exception):
    """`code` is stable and English, `title` and `hint` are for people. `details` may be shown to the caller.
    `is_kept`: what the refused request did stands, so a repetition gets this very answer."""

    code = "denied"
    status = 422
    is_kept = False
    title = "Запрос отклонён"
    hint = ""

    def __init__(self, detail: str = "", **details: object) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.details = details


class MemberNotFound(Denied):
    code, status = "member_not_found", 404
    title, hint = "Участник не найден", "POST /api/v1/members создаст карту"


class SeveralMembers(Denied):
    code, status = "several_members", 409
    title, hint = "Этому адресу соответствуют несколько участников", "уточните по номеру карты или объедините их"


class MemberExists(Denied):
    code, status = "member_exists", 409
    title, hint = "Участник с таким телефоном или адресом уже есть", "найдите его: GET /api/v1/members"


class BadPhone(Denied):
    code, status = "bad_phone", 422
    title, hint = "Номер телефона не подходит", "напишите номер полностью, например +7 916 123-45-67"


class BadEmail(Denied):
    code, status = "bad_email", 422
    title, hint = "Адрес почты не подходит", "напишите адрес вида name@shop.ru"


class BadBirthday(Denied):
    code, status = "bad_birthday", 422
    title, hint = "День рождения ещё не наступил", "укажите дату рождения вида 1990-05-20"


class OrderNotFound(Denied):
    code, status = "order_not_found", 404
    title, hint = "Заказ не найден", "проверьте номер заказа"


class OrderOfAnother(Denied):
    code, status = "order_of_another_member", 409
    title, hint = "Заказ записан на другого участника", "проверьте, кто покупает"


class OrderDiffers(Denied):
    code, status = "order_differs", 409
    title, hint = "Заказ уже оплачен с другим составом", "для возврата есть POST /api/v1/orders/{id}/refunds"


class OrderNotPaid(Denied):
    code, status = "order_not_paid", 409
    title, hint = "Заказ ещё не оплачен", "сначала POST /api/v1/orders/{id}/paid"


class BadReturn(Denied):
    code, status = "bad_return", 422
    title, hint = "Возврат больше, чем было куплено", "проверьте номера строк, количество и сумму"


class BadOrder(Denied):
    code, status = "bad_order", 422
    title, hint = "Состав заказа противоречив", "проверьте суммы и количество"


class PaidInFuture(Denied):
    code, status = "paid_in_future", 422
    title, hint = "Оплата из будущего", "проверьте часы программы или не передавайте paid_at"


class PointsOutOfRange(Denied):
    code, status = "points_out_of_range", 422
    title, hint = "Столько баллов на счёт не поместится", "проверьте сумму заказа и цену балла в правилах"


class RedeemRefused(Denied):
    """`code` says why nothing can be spent; `words` are its Russian titles."""

    status = 422
    title, hint = "Списать баллы нельзя", "POST /api/v1/quotes скажет, сколько можно"
    words: ClassVar[dict[str, str]] = {
        "redeem_off": "Оплаты баллами в правилах нет",
        "nothing_eligible": "В заказе нет товаров, которые оплачивают баллами",
        "no_points": "У участника нет доступных баллов, или доля заказа меньше балла",
        "below_minimum": "Списывают не меньше минимума из правил",
        "over_maximum": "Столько списать нельзя",
    }

    def __init__(self, code: str, detail: str = "", **details: object) -> None:
        self.code = code
        self.title = self.words.get(code, self.title)
        super().__init__(detail, **details)


class RedemptionLimit(Denied):
    code = "daily_limit"
    title, hint = "Сегодня баллы уже списывали столько раз, сколько разрешено", "попробуйте завтра"


class TooManyCodes(Denied):
    code, status = "too_many_codes", 429
    title, hint = "Слишком много кодов за последний час", "подождите час и создайте новый резерв"


class HoldNotFound(Denied):
    code, status = "hold_not_found", 404
    title, hint = "Резерв не найден", "создайте новый: POST /api/v1/holds"


class HoldClosed(Denied):
    code, status = "hold_closed", 409
    title, hint = "Резерв уже закрыт", "создайте новый: POST /api/v1/holds"


class HoldUnconfirmed(Denied):
    code, status = "hold_unconfirmed", 409
    title, hint = "Списание не подтверждено", "POST /api/v1/holds/{id}/confirm с кодом покупателя"


class WrongCode(Denied):
    """The try was counted."""

    code, status, is_kept = "wrong_code", 422, True
    title, hint = "Код не подошёл", "спросите код у покупателя ещё раз"


class CodeNotDeliverable(Denied):
    code, status = "code_not_deliverable", 422
    title = "Код некуда отправить"
    hint = "нужны адрес почты участника и раздел mail; после правки файла правил перезапустите kopilka web"


class AdjustmentLimit(Denied):
    code, status = "adjustment_limit", 403
    title, hint = "Больше, чем разрешено исправлять вручную", "попросите владельца: adjustments в файле правил"


class AdjustmentTooLarge(Denied):
    code, status = "not_enough_points", 422
    title, hint = "У участника нет столько доступных баллов", "спишите не больше доступного"


class ActionUnknown(Denied):
    code, status = "action_unknown", 422
    title, hint = "Такого поощрения нет в правилах", "допишите его в gifts.actions файла правил"


class ActionLimit(Denied):
    code, status = "action_limit", 409
    title, hint = "Это поощрение участник уже получил", "предел задан в gifts.actions"


class MergeRefused(Denied):
    code, status = "merge_refused", 409
    title, hint = "Объединить этих участников нельзя", "проверьте номера участников"


class SegmentUnknown(Denied):
    code, status = "segment_unknown", 422
    title, hint = "Такого сегмента нет в правилах", "допишите его в segments файла правил"


class LinksOff(Denied):
    code, status = "payment_links_off", 409
    title, hint = "Ссылки на оплату не настроены", "опишите payment_links в файле правил: kopilka check"


class OrderIsPaid(Denied):
    code, status = "order_is_paid", 409
    title, hint = "Платить больше нечего", "заказ оплачен; что за него начислено: GET /api/v1/orders/{order}"


class LinkRefused(Denied):
    code, status = "link_refused", 422
    title, hint = "Банк не создал ссылку на оплату", "исправьте то, что назвал банк, и повторите запрос"


class BankAway(Denied):
    code, status = "bank_away", 503
    title, hint = "Банк не ответил", "повторите тот же запрос: второй платёж не создастся"
