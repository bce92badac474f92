"""The application, on a host that knows `redis.test`, but not while a file `silent` is there."""

import os
import socket
import time

import jobs  # noqa: F401

resolve = socket.getaddrinfo
SILENT = os.path.join(os.getcwd(), "silent")


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    """Like that of the system it blocks, and no signal ends it."""
    if host != "redis.test" or flags & socket.AI_NUMERICHOST:
        return resolve(host, port, family, type, proto, flags)
    while os.path.exists(SILENT):
        time.sleep(0.01)
    return resolve("127.0.0.1", port, family, type, proto, flags)


socket.getaddrinfo = getaddrinfo
