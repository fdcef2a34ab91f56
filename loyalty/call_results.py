"""What a manager wrote when he closed a task of a call list: the code with which it begins, and the words.

Pure. A code that is not certain is no code: the words are kept and a person reads them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

ResultCode = Literal[1, 2, 3, 4, 5]

BUYS, LATER, REFUSES, NO_ANSWER, NO_MORE_CALLS = 1, 2, 3, 4, 5
CODE_WORDS: dict[int, str] = {
    BUYS: "купит",
    LATER: "перезвонить",
    REFUSES: "отказ",
    NO_ANSWER: "не дозвонились",
    NO_MORE_CALLS: "не звонить больше",
}
AGAIN = frozenset({LATER, NO_ANSWER})
"""Results after which the buyer is called once more."""

CODES_LINE = ", ".join(f"{code} {words}" for code, words in CODE_WORDS.items())
WORDS_MAX = 500

# No digit follows it, as in «15», «5.12» or «5:30», and it is no ordinal: «5-й», «5го».
_CODE = re.compile(
    r"[\s\"'«(#№]*(?P<code>[1-5])(?!\d)(?![.,:/-]\s?\d)(?!-?(?:й|ый|ой|я|ая|е|ое|го|ого|му|ому|м|ым|х|ых|ти)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CallResult:
    """`code` None: the words begin with none. `words` are what he wrote, cut to WORDS_MAX."""

    code: ResultCode | None
    words: str


def read_result(text: str) -> CallResult:
    """«5 - просил не звонить» is code 5. Any text may come: empty, huge, of another meaning."""
    found = _CODE.match(text[:WORDS_MAX])
    words = text.strip()[:WORDS_MAX]
    return CallResult(None if found is None else cast("ResultCode", int(found["code"])), words)
