"""How a job speaks to its test: through FIFOs in the directory where its worker was started.

What it tells goes to `box`, one JSON object a line. It waits for a byte from `gate`.
"""

import json
import os

HERE = os.getcwd()


def tell(what, **more):
    """Write one line: far below PIPE_BUF, so lines of several processes are never mixed up."""
    line = json.dumps({"what": what, "pid": os.getpid(), "parent": os.getppid(), **more}) + "\n"
    box = os.open(os.path.join(HERE, "box"), os.O_WRONLY)
    os.write(box, line.encode())
    os.close(box)


def wait_at_gate():
    gate = os.open(os.path.join(HERE, "gate"), os.O_RDONLY)
    try:
        return os.read(gate, 1)
    finally:
        os.close(gate)
