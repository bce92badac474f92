"""One target under atheris, which ends the process: TARGET, and options of libFuzzer."""

from __future__ import annotations

import sys

try:
    import atheris
except ImportError:
    sys.exit("fuzz: it needs atheris: pip install atheris")

with atheris.instrument_imports(include=["resque_fork", "json", "_strptime"]):
    from .targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
