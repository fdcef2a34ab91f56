"""One call of the API as its handlers see it: who calls, and under which key. Knows nothing of HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.idempotency import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from flows.access import Caller
    from flows.idempotency import Claimed
    from flows.runtime import Runtime


@dataclass(frozen=True)
class Call:
    """`claimed` is the key of a write, None for a read; `status` what its answer will say."""

    rt: Runtime
    caller: Caller
    status: int
    claimed: Claimed | None = None

    @property
    def key(self) -> str:
        """Names what this request does, the same at every repetition."""
        if self.claimed is None:
            raise LookupError("a read has no key")
        return self.claimed.key

    def answer(self, told: BaseModel) -> Answer:
        return Answer(self.status, told.model_dump_json().encode())

    def sealing(self, tell: Callable[[Any], BaseModel]) -> Callable[[Any, Any], None]:
        """For a use case that must not be done twice: keeps the answer in its own transaction."""
        claimed = self.claimed
        if claimed is None:
            raise LookupError("a read has nothing to seal")
        return lambda tx, result: claimed.seal(tx, self.answer(tell(result)))
