"""A process of its own: prints each Python file below its directory that changes, one a line.

The library that it uses has threads, and a process with threads should not fork.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Print until stdout is closed. Leaves with a sentence if files cannot be watched."""
    from watchfiles import PythonFilter, watch

    try:
        for changes in watch(os.curdir, watch_filter=PythonFilter()):
            files = sorted(os.path.relpath(path) for _, path in changes)
            os.write(1, b"".join(os.fsencode(file) + b"\n" for file in files))
    except BrokenPipeError:
        return
    except Exception as error:  # whatever the library raises
        sys.exit(f"Files cannot be watched: {error}")


if __name__ == "__main__":
    main()
