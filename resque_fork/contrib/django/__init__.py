"""A Django project as the application of a worker, and jobs as part of a Django project.

``--require=resque_fork.contrib.django`` sets Django up by DJANGO_SETTINGS_MODULE, and imports
the module ``jobs`` of each installed app that has one. In INSTALLED_APPS it is an app, with the
settings RESQUE_FORK, the command ``manage.py resque_fork``, and checks.

Either way connections to databases and caches are closed before a worker forks, and a job
finds none that is broken or too old.
"""

from .connections import close_connections, leave_no_stale_connection
from .on_commit import enqueue_on_commit
from .setting_up import load_jobs, set_up

__all__ = ["close_connections", "enqueue_on_commit", "leave_no_stale_connection", "load_jobs"]

set_up()
