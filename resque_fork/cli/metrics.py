"""``metrics``: the numbers as Prometheus reads them."""

from __future__ import annotations

from ..errors import RedisUnavailable
from ..metrics.collect import down
from ..metrics.text import exposition
from .app import App, pass_app
from .command import command
from .output import echo


@command()
@pass_app
def metrics(app: App) -> None:
    """Print all numbers in the text format of Prometheus.

    If Redis does not answer, that is resque_up 0 alone, and the exit status is 1.
    """
    try:
        text = exposition(app.resque.metrics())
    except RedisUnavailable:
        echo(exposition(down()).rstrip("\n"))
        raise
    echo(text.rstrip("\n"))
