"""A terminal for a program, as a shell gives it one."""

from __future__ import annotations

import os
import sys

# Makes the terminal on stdin the controlling one of a new session, and becomes the program.
BEGIN = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """`theirs` is the program's stdin: start `command` with it and ``start_new_session=True``."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()

    def command(self, *program: str) -> list[str]:
        return [sys.executable, "-c", BEGIN, *program]

    def press_ctrl_c(self) -> None:
        os.write(self.ours, b"\x03")

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)
