"""Every section of the rules of points: what it becomes, what it is when not written, and its secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields as fields_of

import pytest

from config.model import MailConfig, ProgrammeFile
from config.programme import CheckResult
from loyalty.programme import Programme
from loyalty.rules import (
    ActionReward,
    AdjustmentRules,
    BirthdayGift,
    BurnRules,
    Duration,
    Exclusions,
    HolidayGift,
    Limits,
    MethodRate,
    Multiplier,
    RateStep,
    RedeemRules,
    RefundRules,
    SegmentPolicy,
    SegmentRule,
    WelcomeRules,
)

Check = Callable[..., CheckResult]
Read = Callable[..., ProgrammeFile]


def test_rates_are_read(read: Read) -> None:
    accrual = read().programme.accrual

    assert (accrual.rate_bps, accrual.base, accrual.min_order_kopecks) == (300, "order_total", 30_000)
    assert accrual.earn_on == ("payment", "stage")
    assert accrual.expire_idle == Duration(18, "months")
    assert accrual.exclude == Exclusions(
        ("Алкоголь", "Доставка", "Подарочные сертификаты"), "yes_half", discounted=True
    )
    assert accrual.steps == (RateStep(250_050, 400), RateStep(500_000, 500), RateStep(1_000_000, 700))
    assert accrual.by_method == (MethodRate("cash", 600), MethodRate("credit", 0), MethodRate("sbp", 500))
    assert accrual.multipliers == (
        Multiplier("Выходные", 20_000, group="week", weekdays=(5, 6)),
        Multiplier(
            "Летняя палатка",
            12_500,
            first_day="2026-06-01",
            last_day="2026-08-31",
            categories=("Палатки", "Спальники"),
            segments=("regular", "vip"),
        ),
        Multiplier("Счастливые часы", 15_000, group="day", from_time="09:00", until_time="12:00"),
    )


def test_spending_refunds_and_welcome_are_read(read: Read) -> None:
    file = read()

    assert file.programme.welcome == WelcomeRules(200, False, Duration(7, "days"), Duration(90, "days"), "signup")
    assert file.programme.redeem == RedeemRules(
        max_share_bps=3_000,
        min_points=50,
        max_points=5_000,
        exclude=Exclusions(("Доставка", "Подарочные сертификаты"), "yes"),
        confirm="pin",
        confirm_from_points=1_000,
        hold=Duration(45, "minutes"),
        crm_hold=Duration(5, "days"),
    )
    assert file.redeem_pin is not None
    assert file.redeem_pin.get_secret_value() == "407193"
    assert file.programme.refund == RefundRules("only_pending", return_redeemed=False, grace=Duration(14, "days"))


def test_burning_gifts_and_limits_are_read(read: Read) -> None:
    programme = read().programme

    assert programme.burn == BurnRules(
        (Duration(30, "days"), Duration(7, "days"), Duration(1, "days")), "10:30", 20, "burn"
    )
    days = Duration(7, "days")
    assert programme.gifts.birthday == BirthdayGift(500, Duration(3, "days"), days, days)
    assert programme.gifts.holidays == (
        HolidayGift("Високосный день", "02-29", 29, Duration(1, "months")),
        HolidayGift("Новый год", "12-25", 300, Duration(20, "days"), ("regular", "vip")),
        HolidayGift("Юбилей магазина", "2026-09-01", 100),
    )
    assert programme.gifts.actions == (
        ActionReward("profile", "Анкета", 100, once=True),
        ActionReward("review", "Отзыв", 50, Duration(1, "days"), Duration(60, "days"), per_day=3),
    )
    assert programme.limits == Limits(3, 2, 5_000, 6_000, 20_000, days)
    assert programme.adjustments == AdjustmentRules(1_000, 3_000, None)


def test_segments_are_read_from_the_lowest_to_those_filled_by_hand(read: Read) -> None:
    programme = read().programme

    assert programme.segments == (
        SegmentRule("start", "Стартовый", 1),
        SegmentRule("regular", "Постоянный", 3, 1_500_000, 500, 4_000),
        SegmentRule("vip", "VIP", 6, 6_000_000, 900, 5_000),
        SegmentRule("friends", "Друзья", None, rate_bps=1_000, is_manual=True),
    )
    assert programme.segment_policy == SegmentPolicy(Duration(365, "days"), "any", "never", Duration(30, "days"))


def test_mail_and_the_fields_of_the_deal_are_read(read: Read) -> None:
    file = read()

    assert file.mail is not None
    assert file.mail.password is not None
    assert file.mail == MailConfig(
        "smtp.sportgory.ru", 2525, "tls", "Клуб", "bonus@sportgory.ru", "bonus@sportgory.ru", file.mail.password
    )
    assert file.mail.password.get_secret_value() == "post"
    assert file.amocrm is not None
    assert file.amocrm.lead_fields == {
        "redeem": "Списать бонусов",
        "allowed": "Можно списать",
        "total": "К оплате с бонусами",
        "accrued": "Начислено за сделку",
        "redeem_code": "Код списания",
        "payment_status": "Оплата",
        "paid": "Оплачено",
        "refunded": "Возвращено",
        "acquirer": "Эквайринг",
        "paid_on": "Дата оплаты",
        "payment_link": "Ссылка на оплату",
    }
    assert file.amocrm.contact_fields["nearest_burn"] == "Сгорит"
    assert file.amocrm.contact_fields["birthday"] == "День рождения"


def test_mail_has_the_port_of_its_security(check: Check, changed: Callable[..., str]) -> None:
    for security, port in (("none", 25), ("starttls", 587), ("tls", 465)):
        section = f"mail: {{host: 127.0.0.1, security: {security}, from: bonus@shop.ru}}\nacquirers:\n"
        mail = check(changed(("acquirers:\n", section))).programme_file.mail
        assert mail == MailConfig("127.0.0.1", port, security, "", "bonus@shop.ru")


def test_a_password_that_no_mail_server_takes_is_told_without_being_shown(
    check: Check, shop_env: dict[str, str], changed: Callable[..., str]
) -> None:
    section = "mail: {host: smtp.shop.ru, from: bonus@shop.ru, username: bonus, password: env:MAIL_PASSWORD}\n"
    text = changed(("acquirers:\n", f"{section}acquirers:\n"))

    for is_loaded in (True, False):
        result = check(text, {**shop_env, "MAIL_PASSWORD": "парольчик"}, secrets_required=is_loaded)
        assert [(one.code, one.severity) for one in result.problems] == [("mail-password", "error")]
        assert "парольчик" not in result.render()


def test_a_senders_national_domain_is_kept_as_mail_servers_want_it(check: Check, changed: Callable[..., str]) -> None:
    section = 'mail: {host: smtp.shop.ru, from: "Клуб <bonus@почта.рф>"}\nacquirers:\n'

    mail = check(changed(("acquirers:\n", section))).programme_file.mail

    assert (mail.sender_name, mail.sender_address) == ("Клуб", "bonus@xn--80a1acny.xn--p1ai")


def test_without_its_secret_a_checked_file_lacks_the_pin_and_the_mail(check: Check, read: Read, full_text: str) -> None:
    read()

    result = check(full_text, {}, secrets_required=False)

    assert result.errors == 0
    assert result.programme_file is not None
    assert (result.programme_file.mail, result.programme_file.redeem_pin) == (None, None)


def test_the_old_words_for_debt_have_their_meaning(check: Check, changed: Callable[..., str]) -> None:
    meaning = {"allow": "allow", "forbid": "within_balance", "only_pending": "only_pending"}

    for word, debt in meaning.items():
        file = check(changed(("negative_balance: allow", f"negative_balance: {word}"))).programme_file
        assert file.programme.refund.debt == debt


@pytest.mark.parametrize("text", ["2", "x2", "X2", "×2", "2x", "х2", "2.0", "2,00"])
def test_a_multiplier_may_be_written_in_many_ways(check: Check, changed: Callable[..., str], text: str) -> None:
    line = f'multipliers: [{{title: Два, times: "{text}"}}]\n  rate: 10%  '

    assert check(changed(("rate: 10%  ", line))).programme_file.programme.accrual.multipliers[0].times_bps == 20_000


def test_every_rule_that_is_not_written_has_the_default_of_the_rules(check: Check, changed: Callable[..., str]) -> None:
    written = changed(
        (
            "segments:\n",
            "redeem: {max_share: 30%}\nburn: {order: soonest_first}\ngifts:\n  birthday: {points: 5}\nsegments:\n",
        ),
        (
            "card:\n",
            "segment_rules: {any_or_all: any}\nlimits: {period: 30 days}\nadjustments: {max_points: 5000}\ncard:\n",
        ),
    )

    programme = check(written).programme_file.programme

    assert programme.redeem == RedeemRules(3_000)
    assert programme.refund == RefundRules()
    assert programme.burn == BurnRules()
    assert programme.gifts.birthday == BirthdayGift(5)
    assert programme.segment_policy == SegmentPolicy()
    assert programme.limits == Limits()
    assert programme.adjustments == AdjustmentRules()


def test_every_section_survives_storing(read: Read) -> None:
    programme = read().programme
    stored = json.loads(json.dumps(programme.to_data()))

    assert Programme.from_data(stored) == programme
    for name in (field.name for field in fields_of(Programme)):
        assert getattr(Programme.from_data(stored), name) == getattr(programme, name)


def test_the_pin_is_no_part_of_the_rules(read: Read) -> None:
    file = read()

    assert "407193" not in json.dumps(file.programme.to_data())
    assert "407193" not in repr(file)


def test_a_programme_of_gifts_alone_needs_no_source_of_orders(check: Check) -> None:
    text = "version: 1\nprogramme: {name: Клуб, timezone: Europe/Moscow}\naccrual: {rate: 0%}\n"

    assert check(text + "welcome: {points: 100, on: signup}\n").problems == ()


def test_an_owner_who_wrote_nothing_about_burning_is_not_warned(check: Check, changed: Callable[..., str]) -> None:
    assert check(changed(("expire_after: 60 days", "expire_after: 5 days"))).problems == ()
    assert check(changed(("segments:\n", "burn: {notify_at: 9:30}\nsegments:\n"))).problems == ()


@pytest.mark.parametrize("key", ["pin", "pim", "pinn", "pin_code", "PIN"])
@pytest.mark.parametrize("breakage", ["", "\n\tx: 1"])
def test_a_pin_in_the_file_is_shown_nowhere(check: Check, changed: Callable[..., str], key: str, breakage: str) -> None:
    result = check(changed(("segments:\n", f"redeem:\n  max_share: 30%\n  {key}: 864209{breakage}\nsegments:\n")))

    assert result.errors
    assert "864209" not in result.render() + json.dumps(result.to_data()) + repr(result)
