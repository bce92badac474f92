"""What ``manage.py check`` says: jobs that cannot be loaded, and with --deploy more."""

from __future__ import annotations

import traceback
from typing import Any

from django.core import checks

from ...client.default import default_resque
from ...errors import ResqueError
from ...store.connecting import ping
from .setting_up import load_jobs

TAG = "resque_fork"


def register_all() -> None:
    """Have Django run them."""
    checks.register(jobs_load, TAG)
    checks.register(redis_answers, TAG, deploy=True)
    checks.register(jobs_are_queued, TAG, deploy=True)


def jobs_load(**context: Any) -> list[Any]:
    """A worker imports the jobs of all apps, and does not start if it cannot."""
    try:
        load_jobs()
    except Exception as error:  # an application's module may raise anything
        told = "".join(traceback.format_exception_only(error)).strip()
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [
            checks.Error(
                f"The jobs of an app cannot be loaded: {told}",
                hint=f"See {where.filename}, line {where.lineno}.",
                id="resque_fork.E001",
            )
        ]
    return []


def redis_answers(**context: Any) -> list[Any]:
    """Jobs can be queued."""
    try:
        ping(default_resque().server)
    except ResqueError as error:
        hint = 'It is named by RESQUE_FORK["REDIS"] or the variable RESQUE_REDIS.'
        return [checks.Error(str(error), hint=hint, id="resque_fork.E002")]
    return []


def jobs_are_queued(**context: Any) -> list[Any]:
    """Inline jobs are for tests."""
    if not default_resque().inline:
        return []
    return [
        checks.Warning(
            "Jobs are performed where they are enqueued, and no worker gets any.",
            hint='Remove RESQUE_FORK["INLINE"] or the variable RESQUE_INLINE.',
            id="resque_fork.W001",
        )
    ]
