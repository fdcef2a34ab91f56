"""Mistakes in the rules of points for the golden tests: name → (old, new) pairs applied to the right file."""

from __future__ import annotations

Mistakes = dict[str, list[tuple[str, str]]]

RATES: Mistakes = {
    "min_order_unit": [("rate: 10%  ", "min_order: 500\n  rate: 10%  ")],
    "sale_choice": [("rate: 10%  ", "exclude: {items_on_sale: yes_halv}\n  rate: 10%  ")],
    "category_twice": [("rate: 10%  ", "exclude: {categories: [Доставка, Доставка]}\n  rate: 10%  ")],
    "step_twice": [("rate: 10%  ", "steps: [{from: 5000 RUB, rate: 5%}, {from: 5000 RUB, rate: 7%}]\n  rate: 10%  ")],
    "step_without_rate": [("rate: 10%  ", "steps: [{from: 5000 RUB}]\n  rate: 10%  ")],
    "method_twice": [("rate: 10%  ", "by_method: [{method: cash, rate: 5%}, {method: cash, rate: 7%}]\n  rate: 10%  ")],
    "method_in_russian": [("rate: 10%  ", "by_method: [{method: наличные, rate: 5%}]\n  rate: 10%  ")],
    "times_as_percent": [("rate: 10%  ", "multipliers: [{title: Выходные, times: 200%}]\n  rate: 10%  ")],
    "times_lowers": [("rate: 10%  ", "multipliers: [{title: Выходные, times: 0.5}]\n  rate: 10%  ")],
    "times_too_exact": [("rate: 10%  ", "multipliers: [{title: Выходные, times: 1.125}]\n  rate: 10%  ")],
    "weekday": [("rate: 10%  ", "multipliers: [{title: Выходные, times: 2, weekdays: [sut]}]\n  rate: 10%  ")],
    "day_in_russian": [("rate: 10%  ", "multipliers: [{title: Июнь, times: 2, first_day: 01.06.2026}]\n  rate: 10%  ")],
    "day_that_is_not": [("rate: 10%  ", "multipliers: [{title: Июнь, times: 2, last_day: 2026-06-31}]\n  rate: 10%  ")],
    "days_backwards": [
        (
            "rate: 10%  ",
            "multipliers:\n    - {title: Июнь, times: 2, first_day: 2026-06-30, last_day: 2026-06-01}\n  rate: 10%  ",
        )
    ],
    "hours_over_midnight": [
        ("rate: 10%  ", 'multipliers: [{title: Ночь, times: 2, from: "22:00", until: "02:00"}]\n  rate: 10%  ')
    ],
    "hour_that_is_not": [("rate: 10%  ", 'multipliers: [{title: Ночь, times: 2, until: "24:00"}]\n  rate: 10%  ')],
    "multiplier_twice": [
        ("rate: 10%  ", "multipliers: [{title: Ночь, times: 2}, {title: Ночь, times: 3}]\n  rate: 10%  ")
    ],
    "multiplier_of_excluded_goods": [
        (
            "rate: 10%  ",
            "exclude: {categories: [Доставка]}\n"
            "  multipliers: [{title: Июнь, times: 2, categories: [Палатки, Доставка]}]\n  rate: 10%  ",
        )
    ],
    "step_rate_drops": [
        ("rate: 10%  ", "steps: [{from: 5000 RUB, rate: 7%}, {from: 100 RUB, rate: 12%}]\n  rate: 10%  ")
    ],
    "multiplier_unknown_segment": [
        ("rate: 10%  ", "multipliers: [{title: Свои, times: 2, segments: [start, reguler]}]\n  rate: 10%  ")
    ],
}

SPENDING: Mistakes = {
    "redeem_misspelt": [("segments:\n", "redeem: {max_shere: 30%}\nsegments:\n")],
    "redeem_without_share": [("segments:\n", "redeem: {min_points: 100}\nsegments:\n")],
    "redeem_limits_crossed": [
        ("segments:\n", "redeem: {max_share: 30%, min_points: 500, max_points: 100}\nsegments:\n")
    ],
    "redeem_half_sale": [("segments:\n", "redeem: {max_share: 30%, exclude: {items_on_sale: yes_half}}\nsegments:\n")],
    "redeem_hold_zero": [("segments:\n", "redeem: {max_share: 30%, hold: 0 minutes}\nsegments:\n")],
    "pin_is_not_named": [("segments:\n", "redeem: {max_share: 30%, confirm: pin}\nsegments:\n")],
    "pin_in_file": [("segments:\n", "redeem: {max_share: 30%, confirm: pin, pin: 4321}\nsegments:\n")],
    "pin_env_missing": [("segments:\n", "redeem: {max_share: 30%, confirm: pin, pin: env:REDEEM_PIN}\nsegments:\n")],
    "pin_of_letters": [
        ("segments:\n", "redeem: {max_share: 30%, confirm: pin, pin: env:YOOKASSA_SECRET}\nsegments:\n")
    ],
    "code_undeliverable": [("segments:\n", "redeem: {max_share: 30%, confirm: code}\nsegments:\n")],
    "pin_nobody_asks": [("segments:\n", "redeem: {max_share: 30%, pin: env:CASHIER_CODE}\nsegments:\n")],
    "confirm_from_of_nothing": [("segments:\n", "redeem: {max_share: 30%, confirm_from_points: 500}\nsegments:\n")],
    "confirm_from_above_most": [
        (
            "segments:\n",
            "redeem:\n  {max_share: 30%, max_points: 100, confirm: pin, pin: env:CASHIER_CODE,\n"
            "   confirm_from_points: 500}\nsegments:\n",
        )
    ],
    "share_of_nothing": [("segments:\n", "redeem: {max_share: 0%}\nsegments:\n")],
    "period_without_limit": [("segments:\n", "limits: {points_per_day: 100, period: 7 days}\nsegments:\n")],
    "limit_within_a_smaller_one": [
        ("segments:\n", "limits: {points_per_order: 100, points_per_period: 50}\nsegments:\n")
    ],
    "debt_choice": [("negative_balance: allow", "negative_balance: forbidden")],
    "take_back_is_no_choice": [("take_back_accrued: true", "take_back_accrued: no")],
    "limit_zero": [("segments:\n", "limits: {accruals_per_day: 0}\nsegments:\n")],
    "limit_misspelt": [("segments:\n", "limits: {acruals_per_day: 3}\nsegments:\n")],
    "adjustments_crossed": [("segments:\n", "adjustments: {max_points: 50000}\nsegments:\n")],
}

BURNING: Mistakes = {
    "notice_in_hours": [("segments:\n", "burn: {notify_before: [12 hours]}\nsegments:\n")],
    "notice_twice": [("segments:\n", "burn: {notify_before: [7 days, 7 дней]}\nsegments:\n")],
    "notice_hour": [("segments:\n", 'burn: {notify_at: "25:00"}\nsegments:\n')],
    "burn_order": [("segments:\n", "burn: {order: oldest_first}\nsegments:\n")],
    "notice_too_early": [("expire_after: 60 days", "expire_after: 21 days\nburn: {order: soonest_first}")],
    "gift_without_notice": [
        (
            "segments:\n",
            "burn: {notify_before: [7 days, 3 days]}\ngifts: {birthday: {points: 5, valid: 2 days}}\nsegments:\n",
        )
    ],
    "nothing_burns": [("segments:\n", "burn: {without_notice: postpone}\nsegments:\n")],
    "gift_ends_early": [
        ("segments:\n", "gifts: {birthday: {points: 500, give_before: 7 days, valid: 5 days}}\nsegments:\n")
    ],
    "birthday_in_hours": [
        ("segments:\n", "gifts: {birthday: {points: 500, birthday_known_for: 48 hours}}\nsegments:\n")
    ],
    "holiday_that_is_not": [
        ("segments:\n", "gifts: {holidays: [{name: Лишний день, date: 02-30, points: 5}]}\nsegments:\n")
    ],
    "holiday_not_in_this_year": [
        ("segments:\n", "gifts: {holidays: [{name: Лишний день, date: 2027-02-29, points: 5}]}\nsegments:\n")
    ],
    "holiday_in_russian": [
        ("segments:\n", "gifts: {holidays: [{name: 8 Марта, date: 08.03, points: 5}]}\nsegments:\n")
    ],
    "holiday_named_title": [
        ("segments:\n", "gifts: {holidays: [{title: 8 Марта, date: 03-08, points: 5}]}\nsegments:\n")
    ],
    "holiday_twice": [
        (
            "segments:\n",
            "gifts:\n  holidays:\n    - {name: 8 Марта, date: 03-08, points: 5}\n"
            "    - {name: 8 Марта, date: 03-09, points: 5}\nsegments:\n",
        )
    ],
    "holiday_unknown_segment": [
        ("segments:\n", "gifts: {holidays: [{name: 8 Марта, date: 03-08, points: 5, segments: [gold]}]}\nsegments:\n")
    ],
    "action_once_a_day": [
        (
            "segments:\n",
            "gifts: {actions: [{code: form, title: Анкета, points: 5, once: yes, per_day: 3}]}\nsegments:\n",
        )
    ],
    "action_code": [("segments:\n", "gifts: {actions: [{code: Отзыв, title: Отзыв, points: 50}]}\nsegments:\n")],
    "action_twice": [
        (
            "segments:\n",
            "gifts:\n  actions:\n    - {code: review, title: Отзыв, points: 50}\n"
            "    - {code: review, title: Анкета, points: 50}\nsegments:\n",
        )
    ],
}

SEGMENTS: Mistakes = {
    "first_segment": [("when: {orders: 1}", "when: {orders: 2}")],
    "segment_order": [("when: {orders: 3}", "when: {orders: 1}")],
    "segment_code_twice": [("code: regular", "code: start")],
    "segment_title_twice": [("title: Постоянный", "title: Стартовый")],
    "segment_without_when": [(", when: {orders: 3}", "")],
    "segment_when_empty": [("when: {orders: 3}", "when: {}")],
    "segment_spent_unit": [("when: {orders: 3}", "when: {spent: 15000}")],
    "segment_spent_is_less": [
        ("when: {orders: 1}", "when: {orders: 1, spent: 20000 RUB}"),
        ("when: {orders: 3}", "when: {orders: 3, spent: 15000 RUB}"),
    ],
    "segment_manual_with_when": [("when: {orders: 3}", "manual: yes, when: {orders: 3}")],
    "segment_rate_drops": [("title: Постоянный,", "title: Постоянный, rate: 5.5%,")],
    "segment_share_without_redeem": [("title: Постоянный,", "title: Постоянный, max_share: 50%,")],
    "segment_match": [("card:\n", "segment_rules: {any_or_all: every}\ncard:\n")],
    "segment_window_zero": [("card:\n", "segment_rules: {window: 0 days}\ncard:\n")],
}

LINKS: Mistakes = {
    "mail_host": [("acquirers:\n", 'mail: {host: "smtp://shop.ru", from: bonus@shop.ru}\nacquirers:\n')],
    "mail_from": [("acquirers:\n", "mail: {host: smtp.shop.ru, from: Клуб}\nacquirers:\n")],
    "mail_host_with_two_dots": [("acquirers:\n", "mail: {host: smtp..shop.ru, from: bonus@shop.ru}\nacquirers:\n")],
    "mail_from_with_two_dots": [
        ("acquirers:\n", 'mail: {host: smtp.shop.ru, from: "Клуб <a..b@shop.ru>"}\nacquirers:\n')
    ],
    "mail_from_of_no_domain": [("acquirers:\n", "mail: {host: smtp.shop.ru, from: bonus@-shop-.ru}\nacquirers:\n")],
    "mail_username_in_russian": [
        (
            "acquirers:\n",
            "mail: {host: smtp.shop.ru, from: bonus@shop.ru, username: бонус, password: env:YOOKASSA_SECRET}\n"
            "acquirers:\n",
        )
    ],
    "mail_without_username": [
        (
            "acquirers:\n",
            "mail: {host: smtp.shop.ru, from: bonus@shop.ru, password: env:YOOKASSA_SECRET}\nacquirers:\n",
        )
    ],
    "mail_password_in_file": [
        (
            "acquirers:\n",
            "mail: {host: smtp.shop.ru, from: bonus@shop.ru, username: bonus, password: hunter2}\nacquirers:\n",
        )
    ],
    "mail_open_password": [
        (
            "acquirers:\n",
            "mail:\n  {host: smtp.shop.ru, security: none, from: bonus@shop.ru, username: bonus,\n"
            "   password: env:YOOKASSA_SECRET}\nacquirers:\n",
        )
    ],
    "refund_stage_is_the_paid_one": [("paid_status: Оплачен", "paid_status: Оплачен\n  refund_status: оплачен")],
    "code_without_field": [
        ("segments:\n", "redeem: {max_share: 30%, confirm: pin, pin: env:CASHIER_CODE}\nsegments:\n"),
        ("    contact:\n", "    lead: {redeem: Списать бонусов}\n    contact:\n"),
    ],
    "lead_field_twice": [
        ("    contact:\n", "    lead: {redeem: Списать бонусов, allowed: Списать бонусов}\n    contact:\n")
    ],
}

BOTS: Mistakes = {
    "purchases_of_nobody": [("  customers: yes", "  customers: no\n  purchases: yes")],
    "bonus_points_of_nobody": [("  customers: yes", "  customers: no\n  bonus_points: yes")],
    "bot_of_no_segment": [("  customers: yes", "  segment_bots: [{segment: vipp, bot: 501}]\n  customers: yes")],
    "bot_twice": [
        ("  customers: yes", "  segment_bots: [{segment: vip, bot: 501}, {segment: vip, bot: 502}]\n  customers: yes")
    ],
    "bot_by_name": [("  customers: yes", "  segment_bots: [{segment: vip, bot: Поздравить}]\n  customers: yes")],
}

PAYMENT_LINKS: Mistakes = {
    "links_without_bank": [
        ("acquirers:\n", "payment_links: {acquirer: cloudpayments, return_url: https://shop.ru/}\nacquirers:\n")
    ],
    "links_bank_cannot": [
        ("acquirers:\n", "payment_links: {acquirer: sber, return_url: https://shop.ru/}\nacquirers:\n")
    ],
    "links_address": [("acquirers:\n", "payment_links: {acquirer: tbank, return_url: http://shop.ru/}\nacquirers:\n")],
    "links_vat": [
        (
            "acquirers:\n",
            "payment_links:\n  acquirer: tbank\n  return_url: https://shop.ru/\n"
            "  receipt: {tax_system: usn_income, vat: 20%}\nacquirers:\n",
        )
    ],
}

EVERY: Mistakes = {**RATES, **SPENDING, **BURNING, **SEGMENTS, **LINKS, **PAYMENT_LINKS, **BOTS}
