"""What the web tests share: the real server as a value, a dead database, one sample of a metrics page."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from prometheus_client.parser import text_string_to_metric_families

DEAD_DATABASE = "postgresql://nobody:nothing@127.0.0.1:1/nowhere"


class StartServer(Protocol):
    def __call__(self, **settings: str) -> Server: ...


@dataclass
class Server:
    """`kopilka web` as its user runs it."""

    url: str
    port: int
    log: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def metric(text: str, name: str, **labels: str) -> float:
    """One sample of a metrics page, which must parse as a whole."""
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return float(found[0])
