"""The known examples of all acquirers' signatures, by provider and kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ALL: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "acquirers.json").read_text("utf-8"))


def vectors(provider: str = "", kind: str = "") -> list[dict[str, Any]]:
    return [one for one in ALL if provider in ("", one["provider"]) and kind in ("", one["kind"])]


def name_of(vector: dict[str, Any]) -> str:
    return f"{vector['provider']}-{vector['name']}"
