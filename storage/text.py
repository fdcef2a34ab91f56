"""Text from outside, made fit to be stored. Owns nothing but that; knows no table."""

from __future__ import annotations


def storable(text: str, *, chars_max: int) -> str:
    """At most `chars_max` characters, without the two things that JSON allows and PostgreSQL has no place for: NUL and
    one half of a surrogate pair (an emoji that a phone cut in two)."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:chars_max]
