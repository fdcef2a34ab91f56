"""The first import of a running shop: people and purchases that amoCRM holds become members and their history.

Three steps, each taken up where it was stopped: reading (`crm_import_reading.py`) writes nothing but what it has read;
the preview says what would change; writing (`crm_import_writing.py`) makes members and orders. Nobody is welcomed,
nobody is written to, and the past earns nothing: points owed for it come with `import balances`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flows import crm_import_preview, crm_import_reading, crm_import_writing
from flows.jobs import LEASE, Progress, Run
from flows.settle import SetupIncomplete
from storage import crm_import as storage
from storage import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flows.crm_import_preview import Preview
    from flows.runtime import Runtime
    from storage.crm_import import Reject

JOB = "crm_import"
READ_LIFE = timedelta(hours=12)
"""What was read longer ago is read anew: deals go on being won."""

READY, OVER = "ready", "over"
READING = crm_import_reading.PHASES
WRITING = crm_import_writing.PHASES
TITLES = {**crm_import_reading.TITLES, **crm_import_writing.TITLES}


class ImportRunning(Exception):
    """Another process imports, or was killed a moment ago: its claim runs out at `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__("an import is running")
        self.until = until


class OtherOptions(Exception):
    """An import that was begun with other options is half written: it must be finished first."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class ReadLongAgo(Exception):
    """What was read and shown is no more so: the next run reads anew."""


@dataclass(frozen=True)
class Asked:
    """What the owner wants. `pipelines`: names of further funnels whose won deals are purchases."""

    pipelines: tuple[str, ...] = ()
    all_contacts: bool = False
    push: bool = True

    def stored(self) -> dict[str, Any]:
        return {"pipelines": sorted(self.pipelines), "all": self.all_contacts, "push": self.push}


@dataclass(frozen=True)
class Step:
    """How far it is. `is_guess`: nobody knows the total, it is judged by the ids."""

    phase: str
    done: int
    total: int | None
    is_guess: bool


class CrmImport:
    """One import in this process's hands. Whoever stops it calls `pause`."""

    def __init__(self, rt: Runtime, run: Run, asked: Asked) -> None:
        self._rt = rt
        self._run = run
        self._asked = asked

    @property
    def phase(self) -> str:
        return str(self._run.progress.place["phase"])

    @property
    def counts(self) -> Mapping[str, int]:
        return self._run.counts

    @property
    def read_from(self) -> datetime:
        return datetime.fromisoformat(self._run.progress.place["read_from"])

    def read(self) -> Iterator[Step]:
        """Reads what is not read yet. Raises ConnectorError, SetupIncomplete, JobLost."""
        while self.phase in READING:
            phase = self.phase
            for is_guess in crm_import_reading.read(
                self._run, phase, self._asked.pipelines, all_contacts=self._asked.all_contacts
            ):
                yield self._step(phase, is_guess=is_guess)
            self._next_phase((*READING, READY))

    def preview(self) -> Preview:
        """What writing would change."""
        return crm_import_preview.preview(self._rt, self.read_from, push=self._asked.push)

    def write(self) -> Iterator[Step]:
        """Writes what is not written yet. Raises ReadLongAgo, JobLost, DatabaseAway."""
        if self.phase == READY:
            if self._rt.now() - self.read_from > READ_LIFE:
                raise ReadLongAgo
            self._enter(WRITING[0])
        while self.phase in WRITING:
            phase = self.phase
            for _ in crm_import_writing.write(self._run, phase, push=self._asked.push):
                yield self._step(phase, is_guess=False)
            self._next_phase((*WRITING, OVER))
        self._rt.bell.ring("outbox", 0)
        self._rt.bell.ring("inbox", 0)

    def rejects(self) -> Iterator[Reject]:
        """All that was left out or not taken as it is, namesakes by phone among them."""
        yield from crm_import_preview.rejects(self._rt)

    def finish(self) -> None:
        """Forgets what was read; the next import begins anew."""
        self._run.piece(self._emptied)
        now = self._rt.now()
        words = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        with self._rt.db.begin() as tx:
            jobs.finish(tx, JOB, held=self._run.held, due_at=now, now=now, result=words)

    def pause(self) -> None:
        """Whoever comes next need not wait for the lease."""
        with self._rt.db.begin() as tx:
            jobs.pause(tx, JOB, held=self._run.held)

    def _emptied(self, tx: Any) -> Progress:
        storage.empty(tx)
        return self._run.progress

    def _step(self, phase: str, *, is_guess: bool) -> Step:
        progress = self._run.progress
        return Step(phase, progress.done, progress.total, is_guess)

    def _next_phase(self, phases: Sequence[str]) -> None:
        self._enter(phases[phases.index(self.phase) + 1])

    def _enter(self, phase: str) -> None:
        kept = {name: self._run.progress.place[name] for name in ("asked", "read_from")}
        self._run.piece(lambda _tx: Progress(place={**kept, "phase": phase}, counts=self._run.counts))


def begin(rt: Runtime, asked: Asked, *, anew: bool = False) -> CrmImport:
    """Takes the import up where it was left, or begins a new one. `anew`: what was read is read again. Raises
    ImportRunning, OtherOptions, SetupIncomplete."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена: заполните раздел amocrm файла правил")
    now = rt.now()
    with rt.db.begin() as tx:
        jobs.plan(tx, {JOB: now}, latest={}, lease_max=now + 2 * LEASE)
        job = jobs.take(tx, JOB, now=now, until=now + LEASE, at_once=True)
        if job is None:
            until = next(one.leased_until for one in jobs.all_jobs(tx) if one.name == JOB)
            raise ImportRunning(until or now)
    run = Run(rt, job, now=now)
    place = run.progress.place
    if place.get("phase") in (*WRITING, OVER):
        if place["asked"] != asked.stored():
            with rt.db.begin() as tx:
                jobs.pause(tx, JOB, held=run.held)
            raise OtherOptions(_words(place["asked"]))
        return CrmImport(rt, run, asked)
    stored = asked.stored()
    is_same = place.get("asked", {}).get("pipelines") == stored["pipelines"] and place["asked"]["all"] == stored["all"]
    is_old = "read_from" in place and now - datetime.fromisoformat(place["read_from"]) > READ_LIFE
    if anew or not is_same or is_old:
        fresh = {"phase": READING[0], "asked": stored, "read_from": now.isoformat()}

        def forget(tx: Any) -> Progress:
            storage.empty(tx)
            return Progress(place=fresh)

        run.piece(forget)
    elif place["asked"] != stored:
        run.piece(lambda _tx: run.progress.plus(place={**place, "asked": stored}))
    return CrmImport(rt, run, asked)


def _words(stored: Mapping[str, Any]) -> str:
    """The options of an import that was begun, as one types them."""
    parts = [f"--pipeline «{name}»" for name in stored["pipelines"]]
    parts += ["--all-contacts"] if stored["all"] else []
    parts += [] if stored["push"] else ["--no-push"]
    return " ".join(parts) or "без параметров"
