"""The `openssl` command as an independent judge of a signature. The one place of this package that starts a process and
touches files (a private temporary folder): somebody else's program must say yes, not only ours."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TIMEOUT_S = 20.0

_REFUSED = (2, 4)
"""Exit codes of `openssl cms -verify`: cannot be read, does not verify. 1 is an option that it does not know."""
# Dates have checks of their own with better words; a pass certificate is for no purpose that openssl knows.
_FIXED = ["cms", "-verify", "-binary", "-inform", "DER", "-in", "signature", "-content", "manifest.json"]
_LEISURE = ["-out", "content", "-purpose", "any", "-no_check_time"]
_ONLY_GIVEN = ["-CAfile", "ca.pem", "-no-CApath", "-no-CAstore"]


@dataclass(frozen=True)
class Judgement:
    """`absent`: there is no openssl; `unable`: it could not do it. `text`: its own last words."""

    verdict: Literal["accepted", "refused", "unable", "absent"]
    text: str = ""


def judge(manifest: bytes, signature: bytes, *, ca_pem: bytes | None) -> Judgement:
    """Whether openssl accepts the detached signature, and its chain up to these roots if they are given."""
    command = shutil.which("openssl")
    if command is None:
        return Judgement("absent")
    with tempfile.TemporaryDirectory(prefix="kopilka-verify-") as name:
        folder = Path(name)
        (folder / "manifest.json").write_bytes(manifest)
        (folder / "signature").write_bytes(signature)
        if ca_pem is not None:
            (folder / "ca.pem").write_bytes(ca_pem)
        chain = ["-noverify"] if ca_pem is None else _ONLY_GIVEN
        return _run([command, *_FIXED, *_LEISURE, *chain], folder)


def _run(command: list[str], folder: Path) -> Judgement:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as failure:
        return Judgement("unable", type(failure).__name__)
    if done.returncode == 0:
        return Judgement("accepted")
    lines = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
    return Judgement("refused" if done.returncode in _REFUSED else "unable", lines[-1] if lines else "")
