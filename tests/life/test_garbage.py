"""Whatever is pushed to a queue, a real worker accounts for it, and goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from resque_fork.wire.keys import to_text

from .harness import Running, Stage, bytes_in, until

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(text, inside, max_size=4),
    max_leaves=8,
)
nearly_jobs = st.builds(
    lambda item: json.dumps(item, ensure_ascii=False).encode(),
    st.fixed_dictionaries(
        {}, optional={"class": st.just("nothing") | values, "args": values, "x": values}
    ),
)
jobs = st.builds(
    lambda args: json.dumps({"class": "nothing", "args": args}).encode(),
    st.lists(st.integers() | text | st.dictionaries(text, st.integers(), max_size=2), max_size=4),
)


@st.composite
def damaged(draw: Any) -> bytes:
    """A job with some bytes changed, cut out or put in."""
    raw: bytes = draw(jobs)
    start = draw(st.integers(0, len(raw)))
    return raw[:start] + draw(st.binary(max_size=3)) + raw[start + draw(st.integers(0, 3)) :]


garbage = st.binary(max_size=300) | nearly_jobs | damaged() | jobs
queues = st.binary(min_size=1, max_size=12) | text.filter(bool).map(str.encode)


@pytest.mark.parametrize("options", [(), ("--jobs-per-fork", "20")], ids=["fork", "jobs_per_fork"])
def test_nothing_pushed_ends_a_worker_or_is_dropped(stage: Stage, options: tuple[str, ...]) -> None:
    """Performed and failed together are all that was pushed, by the very same worker."""
    # queues whose names begin with a dot are hidden from a star, as in Ruby
    worker = stage.work("--max-payload", "1K", *options, queues="*,.*").until_idle()

    @settings(
        max_examples=25,
        phases=[Phase.generate],  # a worker that has ended is no more to be asked
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
    )
    @given(st.lists(st.tuples(queues, garbage), min_size=8, max_size=16))
    def push(pushed: list[tuple[bytes, bytes]]) -> None:
        before = stage.redis.llen("resque:failed"), stage.stat("processed")
        for queue, raw in pushed:
            stage.redis.rpush(b"resque:queue:" + queue, raw)
            stage.redis.sadd("resque:queues", queue)
        until(
            lambda: (
                worker.popen.poll() is not None
                or stage.stat("processed") == before[1] + len(pushed)
            ),
            lambda: f"{pushed!r}: {stage.stat('processed')} processed\n{worker.said[-3000:]}",
        )
        assert worker.popen.poll() is None, f"{pushed!r}\n{worker.said[-3000:]}"
        entries = [json.loads(raw) for raw in stage.redis.lrange("resque:failed", before[0], -1)]
        _check_entries(entries, pushed)

    push()
    assert stage.stat("processed") > 25 * 8 - 1
    assert stage.stat("failed") == stage.redis.llen("resque:failed")
    assert 0 < stage.stat("failed") < stage.stat("processed")
    left_over(stage, worker)


def _check_entries(entries: list[dict[str, Any]], pushed: list[tuple[bytes, bytes]]) -> None:
    """Each failure is one that was pushed, in its own bytes; all others are good jobs."""
    rest = list(pushed)
    for entry in entries:
        assert entry["exception"].startswith("ResqueFork::"), entry
        raw = bytes_in(entry)
        for queue, payload in rest:
            if _shown(queue) != entry["queue"]:
                continue
            if payload == raw or _is(payload, entry["payload"]):
                rest.remove((queue, payload))
                break
        else:
            raise AssertionError(f"{entry} was never pushed: {pushed}")
    for _, payload in rest:
        assert json.loads(payload)["class"] == "nothing"


def _shown(queue: bytes) -> str:
    return to_text(queue).encode("utf-8", "backslashreplace").decode()


def _is(payload: bytes, shown: Any) -> bool:
    try:
        return json.dumps(json.loads(payload)) == json.dumps(shown)
    except ValueError:
        return False


def left_over(stage: Stage, worker: Running) -> None:
    worker.until_idle()
    assert stage.redis.keys("resque:queue:*") == []
    assert worker.children == []
    assert worker.stop() == 0
    stage.assert_left(worker)
