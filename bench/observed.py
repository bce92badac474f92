"""The application of `bench.app`, in a worker that notes which functions each job enters.

It writes a file for each job in the parent, ``parent-7``, and one for each child, ``child-7``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from . import app as app  # declares the jobs
from .entered import FOLDER, Entered

ONE_JOB = "work_one_job"  # the worker's method: each call of it begins a job
PAUSE = 0.05  # seconds
HEADROOM = 4 * 1024**2  # bytes


class Observer(Entered):
    """A profile function that runs in the parent, and in each child from the fork on."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._parent = self._pid = os.getpid()
        self._jobs = 0

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        pid = os.getpid()
        if pid != self._pid:
            self._pid = pid
            self._begin_child()
        if pid == self._parent:
            if event == "call" and frame.f_code.co_name == ONE_JOB:
                self._end_job()
        elif event == "c_call" and arg is os._exit:
            self._end_child()
        super().__call__(frame, event, arg)

    def _begin_child(self) -> None:
        self.take()
        # Raise the peak of memory, so that the notes taken here never count as the job's growth.
        _ = b"." * HEADROOM

    def _end_job(self) -> None:
        # A child has ended, so the handler of SIGCHLD has run. If it interrupted this function,
        # the interpreter did not report it.
        handler = getattr(signal.getsignal(signal.SIGCHLD), "__code__", None)
        if handler is not None:
            self.note(handler)
        self._write("parent")
        self._jobs += 1

    def _end_child(self) -> None:
        self._write("child")
        time.sleep(PAUSE)  # so that the parent always reads the report before the child ends

    def _write(self, who: str) -> None:
        (self._folder / f"{who}-{self._jobs}").write_text(json.dumps(self.take()))


sys.setprofile(Observer(Path(os.environ[FOLDER])))
