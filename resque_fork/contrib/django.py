"""A Django project as the application of a worker: ``--require=resque_fork.contrib.django``.

Sets Django up by DJANGO_SETTINGS_MODULE, and imports the module ``jobs`` of each
installed app that has one. Connections to databases and caches are closed before a
worker forks; a job finds none that is broken or too old.
"""

from __future__ import annotations

import os

import django
from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.db import close_old_connections, connections
from django.utils.module_loading import autodiscover_modules

from ..errors import SettingsError
from ..job.hooks import after_fork
from ..job.reservation import Reservation
from ..system.closers import closers


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


def _set_up() -> None:
    if apps.ready:  # the application has done it
        return
    name = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if not (name or settings.configured):
        raise SettingsError(
            "DJANGO_SETTINGS_MODULE is not set: set it to the module with the project's settings, "
            "such as mysite.settings"
        )
    try:
        django.setup()
    except ModuleNotFoundError as error:
        if whose := _named_by_settings(name, error.name or ""):
            raise SettingsError(
                f"{whose}, but there is no module {error.name}: it is neither in {os.getcwd()} "
                "nor installed"
            ) from None
        raise


def _named_by_settings(name: str, missing: str) -> str:
    """What names a module that is missing; empty if it is imported by code."""
    if f"{name}.".startswith(f"{missing}."):
        return f"DJANGO_SETTINGS_MODULE is {name}"
    for entry in settings.INSTALLED_APPS if settings.configured else ():
        if f"{entry}.".startswith(f"{missing}."):
            return f"INSTALLED_APPS of {name} has {entry}"
    return ""


_set_up()
closers.add(close_connections)
autodiscover_modules("jobs")
