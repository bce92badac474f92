"""Work that may block for long, such as looking up a name, is done in a child process.

The child does that one thing, reports the result and exits. It performs no job and is not
watched: the caller is told its pid, and reaps it when SIGCHLD comes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

from . import process
from .loop import Loop


def run(
    loop: Loop,
    work: Callable[[], Any],
    wait: Callable[[], None],
    fds: Iterable[int] = (),
    started: Callable[[int], object] = lambda pid: None,
) -> Any:
    """What `work` returns, or raises, in a child; meanwhile `wait` is called again and again.

    `wait` lets the loop go on once. If it raises, the child is killed. The child closes `fds`,
    which are the parent's; `started` is told its pid. If no child can be made, or it ends
    without an answer, the work is done here.
    """
    try:
        import pickle  # not for every worker: it costs memory, and so makes every fork slower

        reader, writer = os.pipe()
    except (ImportError, OSError):  # no descriptor is left, not even to import a module
        return work()
    parent = os.getpid()

    def main() -> None:  # signals stay blocked: only KILL ends this child
        process.close_inherited_fds([*fds, reader])
        os.setsid()
        process.die_with_parent(parent)
        answer = pickle.dumps(_answer(work))
        with open(writer, "wb") as file:
            file.write(answer)

    try:
        pid = process.fork(main)
    except OSError:  # no process, no memory
        process.close(reader)
        return work()
    finally:
        process.close(writer)
    started(pid)
    answer = _heard(loop, pid, reader, wait)
    try:
        value, error, cause = pickle.loads(answer)
    # Half an answer or none, or an error that cannot be built anew from what it says of itself.
    except Exception:
        return work()
    if error is not None:
        raise error from cause
    return value


def _answer(work: Callable[[], Any]) -> tuple[Any, Exception | None, BaseException | None]:
    """What came of it: a value, or an error and its cause."""
    try:
        return work(), None, None
    # Whatever is wrong with the work is the parent's business.
    except Exception as error:
        return None, error, error.__cause__


def _heard(loop: Loop, pid: int, reader: int, wait: Callable[[], None]) -> bytes:
    """All that the child writes until its end."""
    pieces: list[bytes] = []
    loop.watch(reader, lambda: pieces.append(process.read(reader, 65536)))
    try:
        while not pieces or pieces[-1]:
            wait()
    finally:
        loop.forget(reader)
        process.close(reader)
        if process.reap(pid) is None:  # once reaped, its pid may be another's
            process.kill(pid, signal.SIGKILL)
    return b"".join(pieces)
