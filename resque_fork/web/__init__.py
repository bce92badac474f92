"""The dashboard: what operators look at and act on, in a browser.

`dashboard` puts it together. Each noun has a module with its pages and actions; `guard` lets
requests in and `access` says who may do what; `ask` is a request as pages see it, `search` looks
through long lists, `show` makes HTML of what was found. Nothing here works in proportion to the
length of a list.
"""

from .access import ALL, NOTHING, READ
from .dashboard import dashboard

__all__ = ["ALL", "NOTHING", "READ", "dashboard"]
