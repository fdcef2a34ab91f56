"""The sections of the owner's rules as frozen values.

Owns their shape and defaults; a default is what a stored version written before the rule existed means. It decides
nothing.

Units: `*_bps` basis points (10 % = 1000, x2 = 20000), `*_kopecks` integer kopecks, `*_points` integer points.
Dates are ISO text (`2026-03-08`), yearly ones `MM-DD`, times of day `HH:MM`, all in the programme's zone.
Source: the specification of points, sections 5.1-5.4 and 5.11; the draft of the rules file, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DurationUnit = Literal["minutes", "hours", "days", "months"]
OnSale = Literal["no", "yes_half", "yes"]
Confirm = Literal["none", "code", "pin"]


@dataclass(frozen=True)
class Duration:
    """A span as the owner wrote it: «14 days» counts calendar days of the programme's zone, «300 minutes» real time."""

    count: int
    unit: DurationUnit

    @property
    def is_zero(self) -> bool:
        return self.count == 0


NO_DELAY = Duration(0, "days")


@dataclass(frozen=True)
class Exclusions:
    """Goods that take no part. `on_sale`: `no` they are like others, `yes_half` they earn half the rate, `yes` they are
    out; for redemption `yes_half` is not offered. `discounted`: any line with a discount of its own is out."""

    categories: tuple[str, ...] = ()
    on_sale: OnSale = "no"
    discounted: bool = False


@dataclass(frozen=True)
class RateStep:
    """Orders whose goods cost at least `from_kopecks` earn at this rate instead of the base rate."""

    from_kopecks: int
    rate_bps: int


@dataclass(frozen=True)
class MethodRate:
    """The rate of one way of paying; it stands above every other rate, so 0 % means «this way earns nothing»."""

    method: str
    rate_bps: int


@dataclass(frozen=True)
class Multiplier:
    """Raises the rate while it is in force: best of its `group`, groups multiply each other.

    In force when every condition that is given holds: the day is between the two dates (both included), its weekday is
    listed (0 = Monday), the local time is within [from_time, until_time), the member's segment and the line's category
    are listed.
    """

    title: str
    times_bps: int
    group: str = ""
    first_day: str | None = None
    last_day: str | None = None
    weekdays: tuple[int, ...] = ()
    from_time: str | None = None
    until_time: str | None = None
    categories: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()


@dataclass(frozen=True)
class AccrualRules:
    """Base accrual: `floor(money * rate_bps / 10000 / point_value)` once per order.

    `earn_on`: which facts make an order earn. `payment` is money the acquirer confirmed; `stage` is the CRM's paid
    stage, which stands in (for the deal's price) only while no payment of the order is known.
    `base`: money paid, or goods before points were taken off. `expire_idle`: all of a member's points end this long
    after his last kept order, whatever `expire_after` says.
    """

    rate_bps: int
    earn_on: tuple[Literal["payment", "stage"], ...] = ("payment", "stage")
    activate_after: Duration = NO_DELAY
    expire_after: Duration | None = None
    base: Literal["paid_money", "order_total"] = "paid_money"
    exclude: Exclusions = field(default_factory=Exclusions)
    steps: tuple[RateStep, ...] = ()
    by_method: tuple[MethodRate, ...] = ()
    multipliers: tuple[Multiplier, ...] = ()
    min_order_kopecks: int = 0
    expire_idle: Duration | None = None


@dataclass(frozen=True)
class WelcomeRules:
    """Fixed points: `first_payment` with the member's first kept order (`with_base` says whether that order also earns
    the base rate), `signup` when the member is made."""

    points: int
    with_base: bool = True
    activate_after: Duration = NO_DELAY
    expire_after: Duration | None = None
    on: Literal["first_payment", "signup"] = "first_payment"


@dataclass(frozen=True)
class RedeemRules:
    """Spending: at most `max_share_bps` of the eligible goods, at least `min_points`, at most `max_points` an order.

    `confirm` is asked from `confirm_from_points` points on. `hold` is how long points are reserved for the site, the
    till and the bot, `crm_hold` how long for a deal of the CRM.
    """

    max_share_bps: int
    min_points: int = 1
    max_points: int | None = None
    exclude: Exclusions = field(default_factory=Exclusions)
    confirm: Confirm = "none"
    confirm_from_points: int = 1
    hold: Duration = Duration(30, "minutes")
    crm_hold: Duration = Duration(3, "days")


@dataclass(frozen=True)
class RefundRules:
    """`debt`: what happens when points of a returned order are spent already. `allow`: they become a debt within the
    fairness bound; `within_balance`: only what is there is taken; `only_pending`: only points not yet available.
    Returned redeemed points live at least `grace` more."""

    debt: Literal["allow", "within_balance", "only_pending"] = "allow"
    return_redeemed: bool = True
    grace: Duration = Duration(30, "days")


@dataclass(frozen=True)
class BurnRules:
    """Notices before points end; `postpone` prolongs points whose owner could not be told."""

    notify_before: tuple[Duration, ...] = (Duration(30, "days"), Duration(7, "days"), Duration(1, "days"))
    notify_at: str = "12:00"
    notify_from_points: int = 1
    without_notice: Literal["postpone", "burn"] = "postpone"


@dataclass(frozen=True)
class BirthdayGift:
    """Given `give_before` the birthday and good for `valid`, to those whose birthday we knew `known_for` before it."""

    points: int
    give_before: Duration = NO_DELAY
    valid: Duration = Duration(30, "days")
    known_for: Duration = NO_DELAY


@dataclass(frozen=True)
class HolidayGift:
    """Given on `date` (MM-DD every year, or one YYYY-MM-DD) to the listed segments, to all when none is listed."""

    title: str
    date: str
    points: int
    valid: Duration = Duration(30, "days")
    segments: tuple[str, ...] = ()


@dataclass(frozen=True)
class ActionReward:
    """Points for something other than buying, granted by a program or a person: a review, a filled form."""

    code: str
    title: str
    points: int
    activate_after: Duration = NO_DELAY
    expire_after: Duration | None = None
    per_day: int | None = None
    once: bool = False


@dataclass(frozen=True)
class GiftRules:
    birthday: BirthdayGift | None = None
    holidays: tuple[HolidayGift, ...] = ()
    actions: tuple[ActionReward, ...] = ()


@dataclass(frozen=True)
class SegmentRule:
    """A business segment. A member is in the highest one whose conditions he meets; `min_orders` and
    `min_spent_kopecks` are joined by the policy's `match`. `is_manual`: only a person puts members in. Rate and share:
    None means the base ones."""

    code: str
    title: str
    min_orders: int | None = 1
    min_spent_kopecks: int | None = None
    rate_bps: int | None = None
    max_share_bps: int | None = None
    is_manual: bool = False


@dataclass(frozen=True)
class SegmentPolicy:
    """`window`: orders older than this do not count (None: all count). `downgrade`: `never`, or `after_window`, once
    the conditions have not been met for `grace`."""

    window: Duration | None = None
    match: Literal["any", "all"] = "any"
    downgrade: Literal["never", "after_window"] = "after_window"
    grace: Duration = NO_DELAY


@dataclass(frozen=True)
class Limits:
    """What one member may do; above it an order earns nothing more, a redemption is refused, each with a reason."""

    accruals_per_day: int | None = None
    redemptions_per_day: int | None = None
    points_per_order: int | None = None
    points_per_day: int | None = None
    points_per_period: int | None = None
    period: Duration = Duration(30, "days")


@dataclass(frozen=True)
class AdjustmentRules:
    """Corrections by hand: the most points in one, the most one person may give in a day, days before they end."""

    max_points: int = 5_000
    max_points_per_day: int = 20_000
    expire_after: Duration | None = Duration(180, "days")


@dataclass(frozen=True)
class PointWords:
    """Russian plural forms: 1 балл, 2 балла, 5 баллов."""

    one: str = "балл"
    few: str = "балла"
    many: str = "баллов"
