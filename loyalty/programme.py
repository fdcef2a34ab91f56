"""The owner's rules as frozen values, and their lossless form as plain JSON data.

Owns the shape of a programme. Does not read files (that is `config/`) and decides nothing about a member.
A stored rule version must stay readable for years: `from_data` fills fields that did not exist then from defaults.

Units: `*_bps` basis points (10 % = 1000), `*_kopecks` integer kopecks, `*_points` integer points.
Source of the rules: the specification of points, sections 5.1 (units, rounding) and 5.2 (lots).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

DurationUnit = Literal["minutes", "hours", "days", "months"]


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
class AccrualRules:
    """Base accrual: `floor(money * rate_bps / 10000 / point_value)` once per order.

    `earn_on`: which facts make an order earn. `payment` is money the acquirer confirmed; `stage` is the CRM's paid
    stage, which stands in (for the deal's price) only while no payment of the order is known.
    """

    rate_bps: int
    earn_on: tuple[Literal["payment", "stage"], ...] = ("payment", "stage")
    activate_after: Duration = NO_DELAY
    expire_after: Duration | None = None


@dataclass(frozen=True)
class WelcomeRules:
    """Fixed points while the member has at least one kept order; `with_base` says whether that order also earns the
    base rate (preset «added») or not (preset «instead»)."""

    points: int
    with_base: bool = True
    activate_after: Duration = NO_DELAY
    expire_after: Duration | None = None


@dataclass(frozen=True)
class SegmentRule:
    """A business segment. A member is in the last segment of the list whose `min_orders` kept orders he has."""

    code: str
    title: str
    min_orders: int = 1


@dataclass(frozen=True)
class PointWords:
    """Russian plural forms: 1 балл, 2 балла, 5 баллов."""

    one: str = "балл"
    few: str = "балла"
    many: str = "баллов"


@dataclass(frozen=True)
class Programme:
    """All rules that decide about points. Nothing here is a secret and nothing here names a foreign system."""

    name: str
    timezone: str
    accrual: AccrualRules
    point_value_kopecks: int = 100
    point_words: PointWords = field(default_factory=PointWords)
    welcome: WelcomeRules | None = None
    segments: tuple[SegmentRule, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data; `from_data` is its inverse."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Programme:
        """Rebuilds a stored version. Raises KeyError or TypeError if `data` is not a programme."""
        accrual = dict(data["accrual"])
        return cls(
            name=data["name"],
            timezone=data["timezone"],
            point_value_kopecks=data["point_value_kopecks"],
            point_words=PointWords(**data["point_words"]),
            accrual=AccrualRules(**{**accrual, "earn_on": tuple(accrual["earn_on"]), **_durations(accrual)}),
            welcome=_welcome(data.get("welcome")),
            segments=tuple(SegmentRule(**segment) for segment in data.get("segments", [])),
        )


def _welcome(section: dict[str, Any] | None) -> WelcomeRules | None:
    return None if section is None else WelcomeRules(**{**section, **_durations(section)})


def _durations(section: dict[str, Any]) -> dict[str, Duration | None]:
    names = ("activate_after", "expire_after")
    return {name: None if section.get(name) is None else Duration(**section[name]) for name in names if name in section}
