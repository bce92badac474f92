"""Django set up where nobody else has done it, and the jobs of its apps."""

from __future__ import annotations

import os

import django
from django.apps import apps
from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from ...errors import SettingsError


def load_jobs() -> None:
    """Import the module ``jobs`` of each installed app that has one."""
    autodiscover_modules("jobs")


def set_up() -> None:
    """Set Django up by DJANGO_SETTINGS_MODULE.

    Does nothing if that is done, or is being done: the apps of a project may import this.
    Raises SettingsError for settings that are not there.
    """
    if apps.ready or apps.loading:
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
