"""The processes of this host's workers: found by who they are, and not by their pid alone."""

from __future__ import annotations

import contextlib

import psutil

from ..errors import ResqueError
from ..store.workers import WorkerId
from ..system.identity import Identity
from .site import Site
from .worker_report import WorkerReport

GONE_ALREADY = "The process of {} is gone already: resque-fork prune rescues its job."
NOT_OURS = "The process of {} belongs to another user: run this command as that user, or as root."


def check_registered(site: Site, worker: str) -> None:
    if not site.workers.exists(worker) and worker not in site.workers.heartbeats():
        raise ResqueError(f"No worker is registered as {worker}: see resque-fork list.")


def is_elsewhere(site: Site, worker: str) -> bool:
    """Whether it is a worker of resque-fork that runs on another host."""
    check_registered(site, worker)
    parts, identity = WorkerId.parse(worker), Identity.from_fields(site.workers.process(worker))
    return identity is not None and not WorkerReport(site).is_here(parts, identity)


def process_of(site: Site, worker: str) -> psutil.Process:
    """Its process. Raises ResqueError if it is not certain which that is."""
    check_registered(site, worker)
    parts = WorkerId.parse(worker)
    identity = Identity.from_fields(site.workers.process(worker))
    if identity is None or parts.pid is None:
        raise ResqueError(
            f"{worker} is not a worker of resque-fork, so its process cannot be identified."
        )
    if not WorkerReport(site).is_here(parts, identity):
        raise ResqueError(f"{worker} runs on another host: run this command there.")
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(parts.pid)  # from here on psutil notices if the pid is used again
        if Identity.of(parts.pid) == identity:
            return process
    raise ResqueError((GONE_ALREADY if identity.has_exited(parts.pid) else NOT_OURS).format(worker))
