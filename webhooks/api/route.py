"""One line of the API's table: an address with what it asks, answers, takes and refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from flows.access import Scope
    from flows.refusals import Denied

Method = Literal["GET", "POST", "PUT"]


@dataclass(frozen=True)
class Route:
    """`asks` is the body of a POST or PUT and the query of a GET. `has_key`: it changes something, so it needs an
    Idempotency-Key. `refusals` are those of its use case; what any call may meet is not listed."""

    method: Method
    path: str
    scope: Scope
    title: str
    text: str
    view: Callable[..., BaseModel]
    answer: type[BaseModel]
    asks: type[BaseModel] | None = None
    status: int = 200
    has_key: bool = True
    refusals: tuple[type[Denied], ...] = ()

    @property
    def name(self) -> str:
        """Stable and unique: OpenAPI's operationId."""
        return f"{self.view.__module__.rsplit('.', 1)[-1]}_{self.view.__name__}"

    @property
    def is_write(self) -> bool:
        return self.method != "GET" and self.has_key

    @property
    def has_body(self) -> bool:
        return self.method != "GET"
