"""A mistake in the rules file, and how it is shown to a person or to a program.

Owns the printed form: place, code, the line before, the line itself, carets, what is wrong, how to mend it.
Must not print a source line that was not masked: it is given `Source`, whose lines have already lost their secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from loyalty.wording import PluralForms, plural

MAX_SHOWN = 50  # problems printed in full; a broken file may have thousands
MAX_LINE_CHARS = 160  # longer source lines are shown as a window around the mistake
CONTEXT_CHARS = 60  # of the window, before the mistake

Severity = Literal["error", "warning"]
_SEVERITY_WORDS: dict[Severity, str] = {"error": "ошибка", "warning": "внимание"}


@dataclass(frozen=True)
class Span:
    """A place in the file; line and column count from 1, length in characters."""

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True)
class Problem:
    """One mistake, with its place and its cure."""

    code: str
    severity: Severity
    line: int
    column: int
    length: int
    message: str
    fix: str = ""


@dataclass(frozen=True)
class Source:
    """The file as it may be shown: every secret in `lines` is stars, lines that no problem shows are empty."""

    path: str
    lines: tuple[str, ...]


def error_at(span: Span, code: str, message: str, fix: str = "") -> Problem:
    return Problem(code, "error", span.line, span.column, span.length, message, fix)


def shown_lines(problems: Sequence[Problem]) -> frozenset[int]:
    """The line numbers that `render` will print of a report in file order."""
    return frozenset(line for one in problems[:MAX_SHOWN] for line in (one.line - 1, one.line))


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda one: (one.line, one.column, one.severity, one.code)))


def count(problems: Iterable[Problem], severity: Severity) -> int:
    return sum(1 for problem in problems if problem.severity == severity)


def render(problems: Sequence[Problem], source: Source) -> str:
    """The whole report, its last line being the summary."""
    parts = [render_one(problem, source) + "\n" for problem in problems[:MAX_SHOWN]]
    if len(problems) > MAX_SHOWN:
        parts.append(f"… и ещё {len(problems) - MAX_SHOWN}, покажем после исправления этих.\n")
    return "\n".join([*parts, summary(problems)])


def render_one(problem: Problem, source: Source) -> str:
    word = _SEVERITY_WORDS[problem.severity]
    head = f"{source.path}:{problem.line}:{problem.column}: {word} [{problem.code}]"
    if not 1 <= problem.line <= len(source.lines) or not source.lines[problem.line - 1].strip():
        fix = [f"  = как исправить: {problem.fix}"] if problem.fix else []
        return "\n".join([head, f"  = {problem.message}", *fix])
    return "\n".join([head, *_excerpt(problem, source)])


def summary(problems: Sequence[Problem]) -> str:
    errors = _counted(count(problems, "error"), ("ошибка", "ошибки", "ошибок"))
    warnings = _counted(count(problems, "warning"), ("предупреждение", "предупреждения", "предупреждений"))
    return f"Найдено: {errors}, {warnings}. Действующие правила не изменены."


def to_data(problems: Sequence[Problem], source: Source) -> dict[str, Any]:
    """The report for a program: plain JSON data, without source lines."""
    return {
        "path": source.path,
        "errors": count(problems, "error"),
        "warnings": count(problems, "warning"),
        "problems": [
            {
                "code": problem.code,
                "severity": problem.severity,
                "line": problem.line,
                "column": problem.column,
                "length": problem.length,
                "message": problem.message,
                "fix": problem.fix,
            }
            for problem in problems
        ],
    }


def _excerpt(problem: Problem, source: Source) -> list[str]:
    width = len(str(problem.line))
    line = source.lines[problem.line - 1]
    cut = max(0, problem.column - 1 - CONTEXT_CHARS) if len(line) > MAX_LINE_CHARS else 0
    shown = _shown(line, cut)
    before = max(0, min(problem.column - 1 - cut, len(shown)))
    padding = "".join("\t" if char == "\t" else " " for char in shown[:before])
    carets = "^" * max(1, min(problem.length, len(shown) - before))
    rows = [f"  {problem.line:>{width}} | {shown}", f"  {'':>{width}} | {padding}{carets} {problem.message}"]
    if problem.line > 1:
        rows.insert(0, f"  {problem.line - 1:>{width}} | {_shown(source.lines[problem.line - 2], cut)}".rstrip())
    if problem.fix:
        rows.append(f"  {'':>{width}} = как исправить: {problem.fix}")
    return rows


def _shown(line: str, cut: int) -> str:
    """Control characters would drive the reader's terminal; they become dots of the same width."""
    window = line[cut : cut + MAX_LINE_CHARS]
    return "".join(char if char.isprintable() or char == "\t" else "·" for char in window).rstrip()


def _counted(number: int, forms: PluralForms) -> str:
    return f"{number} {plural(number, forms)}"
