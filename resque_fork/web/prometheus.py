"""The numbers as Prometheus scrapes them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from ..client.resque import Resque
from ..errors import RedisUnavailable, ResqueError
from ..metrics.collect import down
from ..metrics.text import exposition

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def metrics(resque: Resque) -> Callable[[Request], Response]:
    """An endpoint. Without Redis it answers that: Prometheus reads nothing of an error."""

    def answer(request: Request) -> Response:
        try:
            text = exposition(resque.metrics())
        except RedisUnavailable:
            text = exposition(down())
        except ResqueError as error:
            return Response(f"{error}\n", 500, media_type="text/plain")
        return Response(text.encode("utf-8", "backslashreplace"), media_type=TEXT)

    return answer
