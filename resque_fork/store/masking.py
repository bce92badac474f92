"""A Redis URL as it may be shown."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from .options import OPTIONS, REFUSED, SECRET

HARMLESS = {*OPTIONS, *REFUSED} - {*SECRET, "credential_provider"}

MASK = "***"


def without_secrets(url: str) -> str:
    """The URL with everything replaced that may be a secret; any other text is masked too.

    Secrets are the password, a user without a password, and every option that is not known to
    be harmless. A login that should have been encoded may contain any character: everything
    up to the last @ counts as the login.
    """
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    shown = re.sub(r"([?&;#])([^=&;?#]*)=([^&;]*)", _option, rest)
    login, at, place = shown.rpartition("@")
    if scheme == "unix" and rest.startswith("/"):
        return scheme + separator + shown  # a path, without a login
    if at:
        return scheme + separator + _login(login) + at + place
    if "@" in rest or rest.startswith(":"):
        # an option has swallowed the @, or it was forgotten
        user, colon, _ = shown.partition("?")[0].partition(":")
        if colon and not re.match(r"[^:]*:\d*(/|\?|$)", shown):
            return scheme + separator + user + ":" + MASK
    return scheme + separator + shown


def _login(text: str) -> str:
    user, colon, _ = text.partition(":")
    return f"{user}:{MASK}" if colon else MASK


def _option(found: re.Match[str]) -> str:
    before, name, value = found.groups()
    known = unquote_plus(name).removeprefix("sentinel_")
    if known in HARMLESS and "@" not in unquote_plus(value):
        return found[0]
    return f"{before}{name}={MASK}"
