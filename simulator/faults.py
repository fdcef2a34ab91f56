"""Faults on request, with seeded chance. Owns what can go wrong and how often; not how an answer looks."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

ALIASES = {
    "duplicates": "hook_duplicates",
    "callback_duplicates": "hook_duplicates",
    "disorder": "hook_shuffle",
    "shuffle": "hook_shuffle",
    "callback_delay_s": "hook_delay_s",
    "callback_lost": "hook_lost",
    "lost": "hook_lost",
}
NAUGHTY = {"hook_duplicates": [1, 3], "hook_shuffle": True}
CALM = {"hook_duplicates": [1, 1], "hook_shuffle": False}
SHUFFLE_WITHIN_S = 0.6


@dataclass
class Profile:
    """Probabilities are 0..1. `unauthorized`, `drop_token_answer` and `drop_bonus_answer` count down to nothing;
    `bonus_status` is what every move of bonus points is refused with, 0 for none."""

    error_500: float = 0.0
    error_429: float = 0.0
    apply_then_drop: float = 0.0
    slow_s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    forbidden_html_s: float = 0.0
    unauthorized: int = 0
    drop_token_answer: int = 0
    drop_bonus_answer: int = 0
    bonus_status: int = 0
    hook_duplicates: list[int] = field(default_factory=lambda: [1, 1])
    hook_shuffle: bool = False
    hook_delay_s: float = 0.0
    hook_lost: float = 0.0
    hook_without_account_id: bool = False
    naughty: bool = False


class Faults:
    """The current profile and its dice. Thread-safe."""

    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self._dice = random.Random(seed)
        self._profile = Profile()
        self._forbidden_until = 0.0

    def show(self) -> dict[str, Any]:
        """The profile; `forbidden_html_s` is what is left of it."""
        with self._lock:
            left_s = max(0.0, round(self._forbidden_until - time.monotonic(), 1))
            return {**asdict(self._profile), "forbidden_html_s": left_s}

    def change(self, wanted: dict[str, Any]) -> None:
        """Sets the given keys, keeps the others. `{"reset": true}` begins from a calm profile.

        Raises ValueError on a key or value it does not know.
        """
        values = {ALIASES.get(key, key): value for key, value in wanted.items() if key != "reset"}
        if "naughty" in values:
            values = {**(NAUGHTY if values["naughty"] else CALM), **values}
        with self._lock:
            profile = Profile() if wanted.get("reset") else self._profile
            known = asdict(profile)
            for key, value in values.items():
                if key not in known:
                    raise ValueError(f"нет такой неисправности: {key}")
                known[key] = _as(known[key], value)
            self._profile = Profile(**known)
            if wanted.get("reset"):
                self._forbidden_until = 0.0
            if "forbidden_html_s" in values:
                self._forbidden_until = time.monotonic() + self._profile.forbidden_html_s

    def forbidden(self) -> bool:
        with self._lock:
            return time.monotonic() < self._forbidden_until

    def happens(self, name: str) -> bool:
        """Rolls the dice for a probability of the profile."""
        with self._lock:
            return self._dice.random() < float(getattr(self._profile, name))

    def delay_s(self) -> float:
        """How long this request has to wait."""
        with self._lock:
            chance, seconds = self._profile.slow_s
            return seconds if self._dice.random() < chance else 0.0

    def spend(self, name: str) -> bool:
        """True and one less, while a counter lasts."""
        with self._lock:
            left = int(getattr(self._profile, name))
            if left > 0:
                setattr(self._profile, name, left - 1)
            return left > 0

    def copies(self) -> int:
        """How many times an event is sent."""
        with self._lock:
            low, high = self._profile.hook_duplicates
            return self._dice.randint(int(low), int(high))

    def lag_s(self, *, shuffle: bool | None = None) -> float:
        """How long an event waits before its first sending; a random lag is what puts events out of order."""
        with self._lock:
            shuffled = self._profile.hook_shuffle if shuffle is None else shuffle
            lag_s = self._profile.hook_delay_s
            return lag_s + (self._dice.uniform(0, SHUFFLE_WITHIN_S) if shuffled else 0.0)

    def loses(self) -> bool:
        """Whether an event is never sent. Without the fault no dice are thrown, so that runs stay as they were."""
        with self._lock:
            return self._profile.hook_lost > 0 and self._dice.random() < self._profile.hook_lost

    def toss(self) -> bool:
        with self._lock:
            return self._dice.random() < 0.5

    @property
    def bonus_status(self) -> int:
        return self._profile.bonus_status

    @property
    def naughty(self) -> bool:
        return self._profile.naughty

    @property
    def without_account_id(self) -> bool:
        return self._profile.hook_without_account_id


def _as(old: Any, value: Any) -> Any:
    """The value in the type of the field. Raises ValueError."""
    if isinstance(old, list):
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError("ждём пару чисел")
        return [type(old[0])(item) for item in value]
    try:
        return type(old)(value)
    except TypeError as error:
        raise ValueError(str(error)) from error
