"""Connections of Django's: none is shared by processes, and no job gets one that is stale."""

from __future__ import annotations

from django.core.cache import caches
from django.db import close_old_connections, connections

from ...job.hooks import after_fork
from ...job.reservation import Reservation
from ...system.closers import closers


def close_connections() -> None:
    """Close all connections of this process to databases, pooled ones too, and to caches."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
    caches.close_all()


@after_fork
def leave_no_stale_connection(reservation: Reservation) -> None:
    """With ``--jobs-per-fork`` the job before may have left one that is broken or too old."""
    close_old_connections()


closers.add(close_connections)
