"""The failures of the launcher. Every one ends with a line, in Russian, that says how to mend it."""

from __future__ import annotations


class ServiceError(Exception):
    """An embedded server could not be used; ``mend`` is the advice for the person at the terminal."""

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(f"{problem}\nКак исправить: {mend}")
        self.problem = problem
        self.mend = mend


class BinariesNotFoundError(ServiceError):
    """Neither an installed server nor the wheel's server can be executed here."""


class FolderInUseError(ServiceError):
    """Another living process works on the same folder."""


class FolderUnusableError(ServiceError):
    """The folder of a server's data is damaged, foreign or out of reach."""


class ServerNotStartedError(ServiceError):
    """The server exited or stayed silent while starting; ``reason`` is what it wrote into its log."""

    def __init__(self, problem: str, mend: str, *, reason: str) -> None:
        super().__init__(problem, mend)
        self.reason = reason
