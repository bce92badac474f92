"""The same application, as one that has set up Django and its parts."""

from __future__ import annotations

import django
from django.conf import settings

from . import app as app

settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.admin"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
