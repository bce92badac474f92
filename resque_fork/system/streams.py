"""What children write to stdout and stderr is passed on to the worker's own.

A job must not fail, nor wait for ever, because the worker's output takes nothing: its reader is
gone or does not read, or the disk is full. So children write into pipes that the worker reads.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
import sys

from . import process
from .loop import WRITABLE, Loop, Timer, new_poll

log = logging.getLogger("resque_fork")

PIPE_BYTES = 65536  # that a pipe holds
CHUNK = 4096  # what a pipe that says it is writable takes without blocking
CHUNKS_AT_ONCE = 16  # before the worker looks at what else has happened
MOST_WAITING = 4 * PIPE_BYTES  # bytes that wait for a reader
STUCK_SECONDS = 5.0  # for a reader that reads nothing; from then on nothing is kept for it


class Stream:
    """One pipe serves all children, one after the other; `fd` is the worker's own stream.

    While that takes nothing, nothing is read for some seconds: the child waits, the worker does
    not. Then what children write is dropped until somebody reads again.
    """

    def __init__(self, loop: Loop, fd: int, name: str) -> None:
        self._loop = loop
        self._fd = fd
        self._name = name
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._chunk = PIPE_BYTES if _is_file(fd) else CHUNK
        self._room = new_poll()
        self._room.register(fd, select.POLLOUT)
        self._waiting = b""  # for room
        self._dropping = False
        self._said = False  # that something was dropped
        self._stuck: Timer | None = None
        loop.fds.add(self._reader)
        loop.watch(self._reader, self._pass_on)

    def drain(self) -> None:
        """Take in what is in the pipe; not more, since somebody may go on writing."""
        taken = 0
        while taken < PIPE_BYTES and (data := self._read()):
            taken += len(data)
            self._write(data)

    def reopened(self) -> None:
        """The worker's own stream is another now: what is wrong with it has not been said."""
        self._said = False

    def close(self) -> None:
        self.drain()
        while self._waiting and self._room.poll(0):
            self._write(b"")
        self._flow()
        self._loop.forget(self._reader)
        self._loop.fds.discard(self._reader)
        process.close(self._reader)
        process.close(self.writer)

    def _note(self, data: bytes) -> None:
        """Something that was written."""

    def _pass_on(self) -> None:
        for _ in range(CHUNKS_AT_ONCE):
            data = self._read()
            if not data:
                return
            self._write(data)
            if self._waiting:
                return

    def _read(self) -> bytes:
        try:
            data = process.read(self._reader, self._chunk)
        except BlockingIOError:
            return b""
        self._note(data)
        return data

    def _write(self, data: bytes) -> None:
        """Pass on what waits, and then `data`, as far as there is room; the rest waits."""
        if self._dropping:
            return
        self._waiting += data
        try:
            while self._waiting and self._room.poll(0):
                written = process.write(self._fd, self._waiting[: self._chunk])
                self._waiting = self._waiting[written:]
        except BlockingIOError:  # whoever shares it with us has made it so
            pass
        except OSError as error:
            self._waiting = b""
            self._say(str(error.strerror))
        if len(self._waiting) > MOST_WAITING:
            self._waiting = self._waiting[:MOST_WAITING]
            self._say("nobody reads it")
        if self._waiting:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        if self._stuck is None:
            self._loop.forget(self._reader)
            self._loop.watch(self._fd, self._resume, WRITABLE)
            self._stuck = self._loop.after(STUCK_SECONDS, self._give_up)

    def _resume(self) -> None:
        """There is room, or there never will be, which writing tells."""
        if self._dropping:
            self._dropping = False
            self._loop.forget(self._fd)
            return
        waiting = len(self._waiting)
        self._write(b"")
        if not self._waiting:
            self._flow()
        elif len(self._waiting) < waiting and self._stuck is not None:
            self._stuck.cancel()
            self._stuck = self._loop.after(STUCK_SECONDS, self._give_up)

    def _flow(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        self._loop.forget(self._fd)
        self._loop.watch(self._reader, self._pass_on)

    def _give_up(self) -> None:
        """Nothing was read for too long. It is still watched for room."""
        self._stuck = None
        self._waiting = b""
        self._dropping = True
        self._say("nobody reads it")
        self._loop.watch(self._reader, self._pass_on)

    def _say(self, why: str) -> None:
        if not self._said:
            self._said = True
            log.warning(
                "What jobs write to %s is dropped, because the worker cannot pass it on: %s. "
                "Jobs go on, and this is said once",
                self._name,
                why,
            )


class HarmlessOutput:
    """``with harmless_output: ...`` lets hooks in the worker print, even if nobody can read it.

    What they print is flushed, so that no child inherits and repeats it.
    """

    def __init__(self) -> None:
        self._state = new_poll()
        for fd in (1, 2):
            self._state.register(fd, select.POLLOUT)
        self._saved: dict[int, int] = {}

    def __enter__(self) -> None:
        for fd, events in self._state.poll(0):
            if events & (select.POLLERR | select.POLLHUP):
                with contextlib.suppress(OSError):  # no descriptor: then as it is
                    self._saved[fd] = os.dup(fd)
                    null = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(null, fd)
                    process.close(null)

    def __exit__(self, *error: object) -> None:
        takes = {fd for fd, events in self._state.poll(0) if events & select.POLLOUT}
        for fd, stream in ((1, sys.stdout), (2, sys.stderr)):
            if fd in takes:
                with contextlib.suppress(Exception):  # it may be closed, or anything else
                    stream.flush()
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
            process.close(saved)
        self._saved.clear()


def _is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False
