"""A small process between us and one server: the server never outlives whoever asked for it.

Run by path (``python -I -S guard.py PARENT_PID IDENTITY STOP -- SERVER ARGS...``), so it imports only the standard
library and must stay quick to start. IDENTITY is ``uid:gid`` or ``-``; STOP is ``signal:seconds,...``, tried in order
before SIGKILL. Standard input is a pipe whose other end only the parent holds: its end means "stop the server", be it
asked for or caused by kill -9 of the parent. Standard output carries one line: the server's pid. Standard error is
the server's log. Must not read the environment, open files or know which server it runs.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
# A forked copy of the parent may keep the pipe open, so the parent's pid is looked at as well.
_PARENT_CHECK_S = 0.5
_EXEC_FAILED = 127


def main(arguments: list[str]) -> int:
    """Run one server until it ends or the parent goes; return the server's exit code."""
    parent_pid, identity, stop_plan = int(arguments[0]), arguments[1], arguments[2]
    stages = [(int(number), float(seconds)) for number, seconds in (part.split(":") for part in stop_plan.split(","))]
    wake_up = _wake_up_pipe()
    server_pid = _launch(arguments[4:], identity, death_signal=stages[0][0])
    sys.stdout.write(f"{server_pid}\n")
    sys.stdout.flush()

    status = _watch(server_pid, parent_pid, wake_up)
    if status is None:
        status = _stop(server_pid, stages, wake_up)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _wake_up_pipe() -> int:
    """A descriptor that becomes readable on SIGCHLD and on any polite request to end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for polite in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(polite, lambda *_: _asked_to_end.append(True))
    return reader


_asked_to_end: list[bool] = []


def _launch(server: list[str], identity: str, *, death_signal: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
    guard_pid = os.getpid()
    server_pid = os.fork()
    if server_pid:
        return server_pid
    try:
        for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.umask(0o077)
        if identity != "-":
            uid, gid = (int(part) for part in identity.split(":"))
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        # After setuid, which would clear it. This is the belt for a guard that is itself killed with -9; the guard
        # has one thread, so "death of the parent thread" is the death of the guard.
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() == guard_pid:
            os.execv(server[0], server)  # noqa: S606 - a shell is what we do not want here
    except OSError as failure:
        sys.stderr.write(f"guard: cannot execute {server[0]}: {failure}\n")
        sys.stderr.flush()
    os._exit(_EXEC_FAILED)


def _watch(server_pid: int, parent_pid: int, wake_up: int) -> int | None:
    """Wait status of a server that ended by itself, or None when it has to be stopped."""
    while True:
        status = _ended(server_pid)
        if status is not None:
            return status
        if _asked_to_end or os.getppid() != parent_pid:
            return None
        readable, _, _ = select.select([0, wake_up], [], [], _PARENT_CHECK_S)
        if wake_up in readable:
            os.read(wake_up, 4096)
        if 0 in readable and not os.read(0, 4096):
            return None


def _stop(server_pid: int, stages: list[tuple[int, float]], wake_up: int) -> int:
    for number, patience_s in stages:
        os.kill(server_pid, number)
        deadline = time.monotonic() + patience_s
        while (left_s := deadline - time.monotonic()) > 0:
            status = _ended(server_pid)
            if status is not None:
                return status
            if select.select([wake_up], [], [], left_s)[0]:
                os.read(wake_up, 4096)
    os.kill(server_pid, signal.SIGKILL)
    return os.waitpid(server_pid, 0)[1]


def _ended(server_pid: int) -> int | None:
    pid, status = os.waitpid(server_pid, os.WNOHANG)
    return status if pid else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
