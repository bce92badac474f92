"""The app for INSTALLED_APPS: ``"resque_fork.contrib.django"``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.signals import setting_changed

from . import checks
from .configuration import configuration


class ResqueForkConfig(AppConfig):
    """Follows RESQUE_FORK, and has itself checked by ``manage.py check``."""

    name = "resque_fork.contrib.django"
    label = "resque_fork"
    verbose_name = "resque-fork"

    def ready(self) -> None:
        configuration.apply()
        setting_changed.connect(configuration.on_change)
        checks.register_all()
