"""The owner's rules as one frozen value, and its lossless form as plain JSON data.

Owns the whole of a programme; its sections are `rules.py`. Does not read files (that is `config/`) and decides nothing
about a member. A stored rule version must stay readable for years: `from_data` fills what did not exist then from
defaults.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from loyalty.rules import (
    NO_DELAY,
    AccrualRules,
    AdjustmentRules,
    BurnRules,
    Duration,
    DurationUnit,
    GiftRules,
    Limits,
    PointWords,
    RedeemRules,
    RefundRules,
    SegmentPolicy,
    SegmentRule,
    WelcomeRules,
)

__all__ = [
    "NO_DELAY",
    "AccrualRules",
    "Duration",
    "DurationUnit",
    "PointWords",
    "Programme",
    "SegmentRule",
    "WelcomeRules",
]


@dataclass(frozen=True)
class Programme:
    """All rules that decide about points. Nothing here is a secret and nothing here names a foreign system."""

    name: str
    timezone: str
    accrual: AccrualRules
    point_value_kopecks: int = 100
    point_words: PointWords = field(default_factory=PointWords)
    welcome: WelcomeRules | None = None
    redeem: RedeemRules | None = None
    refund: RefundRules = field(default_factory=RefundRules)
    burn: BurnRules = field(default_factory=BurnRules)
    gifts: GiftRules = field(default_factory=GiftRules)
    segments: tuple[SegmentRule, ...] = ()
    segment_policy: SegmentPolicy = field(default_factory=SegmentPolicy)
    limits: Limits = field(default_factory=Limits)
    adjustments: AdjustmentRules = field(default_factory=AdjustmentRules)

    @property
    def word_forms(self) -> tuple[str, str, str]:
        return self.point_words.one, self.point_words.few, self.point_words.many

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data; `from_data` is its inverse."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Programme:
        """Rebuilds a stored version. Raises KeyError or TypeError if `data` is not a programme."""
        programme: Programme = _rebuilt(cls, data)
        return programme


def _rebuilt(kind: Any, data: Any) -> Any:
    """JSON data as a value of this annotated kind: dataclasses, tuples and optional values of them."""
    if data is None or kind is NoneType:
        return data
    if get_origin(kind) in (UnionType, Union):
        kinds = [one for one in get_args(kind) if one is not NoneType]
        return _rebuilt(kinds[0], data) if len(kinds) == 1 else data
    if get_origin(kind) is tuple:
        return tuple(_rebuilt(get_args(kind)[0], item) for item in data)
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(data, dict):
            raise TypeError(f"{kind.__name__} is not made of {type(data).__name__}")
        hints = _hints(kind)
        return kind(**{name: _rebuilt(hints.get(name, Any), value) for name, value in data.items()})
    return data


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
