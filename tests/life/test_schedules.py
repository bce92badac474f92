"""Real workers keep schedules, however many there are and whatever becomes of them."""

from __future__ import annotations

import signal
from typing import Any

from resque_fork import Resque

from .harness import Running, Stage, until

HEAD = "import os, jobs\nfrom resque_fork import job\n"
EACH_SECOND = (
    HEAD + "@job(queue='jobs', every='1s', args=['x'])\ndef tick(name): jobs.tell('tick')\n"
)
NIGHTLY = HEAD + "@job(queue='jobs', cron='30 2 * * * Europe/Berlin')\ndef nightly(): ...\n"
ELSEWHERE = (
    HEAD + "@job(queue='elsewhere', every='1s')\ndef counted(): ...\n"
)  # no worker serves it, so every job that was queued stands there


def declare(stage: Stage, code: str, name: str = "app") -> str:
    (stage.directory / f"{name}.py").write_text(code)
    return name


def holder(stage: Stage) -> str:
    return (stage.redis.get("resque:fork:clock") or b"").decode()  # type: ignore[union-attr]


def last_tick(stage: Stage, name: str) -> int:
    entry: Any = stage.redis.hget("resque:fork:ticks", name)
    return int(entry.split()[0])


def without_cronsim(stage: Stage) -> dict[str, str]:
    """The environment of a host on which it is not installed."""
    hidden = stage.directory / "hidden"
    hidden.mkdir(exist_ok=True)
    (hidden / "cronsim.py").write_text("raise ImportError('not installed')\n")
    environment = stage.environment()
    return {**environment, "PYTHONPATH": f"{hidden}:{environment['PYTHONPATH']}"}


def test_declared_with_its_job(stage: Stage) -> None:
    """One worker declares it, queues it, and performs it, each second."""
    worker = stage.idle("-v", require=declare(stage, EACH_SECOND))
    for _ in range(3):
        stage.told("tick", by=worker)
    assert worker.stop() == 0
    assert "The schedule 'tick' has queued tick" in worker.said
    assert stage.redis.hexists("resque:delayed:last_enqueued_at", "tick")
    assert [row.split()[0] for row in stage.run("schedule").splitlines()] == ["NAME", "tick"]


def test_while_a_job_runs(stage: Stage) -> None:
    """Its parent keeps schedules meanwhile."""
    stage.push("hold")
    worker = stage.work(require=declare(stage, ELSEWHERE))
    stage.told("begun", by=worker)
    until(lambda: len(stage.queue("elsewhere")) >= 2)
    stage.open_gate()
    assert worker.stop() == 0


def test_several_workers_and_a_kill(stage: Stage) -> None:
    """No tick is made twice, and another worker goes on where the one that was killed has been."""
    name = declare(stage, ELSEWHERE)
    workers = [stage.idle(require=name) for _ in range(3)]
    first = -last_tick(stage, "counted")
    for _ in range(2):
        until(lambda: len(stage.queue("elsewhere")) >= 2)
        by_id = {stage.id_of(worker): worker for worker in workers}
        killed = by_id[holder(stage)]
        killed.kill()
        workers.remove(killed)
        stage.redis.pexpire("resque:fork:clock", 500)  # for the rest of its fifteen seconds
        stage.redis.delete("resque:queue:elsewhere")
        first = last_tick(stage, "counted")
        until(lambda: holder(stage) in {stage.id_of(worker) for worker in workers})
    until(lambda: len(stage.queue("elsewhere")) >= 2)
    for worker in workers:
        assert worker.stop() == 0
    assert len(stage.queue("elsewhere")) <= last_tick(stage, "counted") - first


def test_several_applications(stage: Stage) -> None:
    """Any clock keeps what any worker declares."""
    other = stage.idle()
    until(lambda: holder(stage) == stage.id_of(other))
    worker = stage.idle("--no-clock", require=declare(stage, EACH_SECOND), queues="none")
    until(stage.queue)
    assert worker.stop() == 0
    assert other.stop() == 0


def test_settings_file(stage: Stage) -> None:
    """It is found where the worker was started, though the application goes elsewhere."""
    (stage.directory / "settings.toml").write_text(
        "[schedule.often]\nevery = '1s'\nclass = 'quick'\nargs = ['by file']\nqueue = 'jobs'\n"
    )
    app = declare(stage, "import os, jobs\nos.chdir('/')\n")
    worker = stage.start(*stage.command("--config", "settings.toml", require=app))
    assert stage.told("quick", by=worker)["args"] == ["by file"]
    assert worker.stop() == 0


def test_settings_file_that_is_wrong(stage: Stage) -> None:
    """The worker does not start."""
    (stage.directory / "settings.toml").write_text("[schedule.often]\nevery = '1s'\n")
    worker = stage.start(*stage.command("--config", "settings.toml"))
    assert worker.ended() == 2
    assert "The config file " in worker.said
    assert (
        "settings.toml: The schedule 'often': class='' is "
        "not valid: expected a text that is not empty." in worker.said
    )


def test_declared_where_its_ticks_cannot_be_told(stage: Stage) -> None:
    """A worker that declares a schedule which it cannot keep does not start."""
    worker = stage.work(require=declare(stage, NIGHTLY), env=without_cronsim(stage))
    assert worker.ended() == 1
    told = "The schedule 'nightly': cronsim is not installed: pip install 'resque-fork[schedule]'."
    assert told in worker.said
    assert stage.workers() == []


def test_one_that_can_tell_takes_over(stage: Stage) -> None:
    """A worker that cannot tell all ticks keeps those that it can, until there is a better one."""
    Resque(stage.url).set_schedule("nightly", "Nightly", cron="30 2 * * *", queue="jobs")
    environment = without_cronsim(stage)
    poor = stage.work(require=declare(stage, ELSEWHERE), env=environment)
    poor.until_said("The schedule 'nightly': cronsim is not installed: ")
    until(lambda: holder(stage) == f"?{stage.id_of(poor)}")
    until(lambda: stage.queue("elsewhere"))
    rich = stage.idle()
    until(lambda: holder(stage) == stage.id_of(rich))
    assert rich.stop() == 0
    until(lambda: holder(stage) == f"?{stage.id_of(poor)}")
    assert poor.stop() == 0
    assert holder(stage) == ""


def test_clock_alone(stage: Stage) -> None:
    """Where all workers are of another language."""
    Resque(stage.url).set_schedule("often", "Often", every=1, queue="jobs")
    command = stage.command()[:5]
    running: Running = stage.start(*command, "clock")
    until(lambda: len(stage.queue()) >= 2)
    assert running.stop(signal.SIGTERM) == 0
    assert set(stage.queue()) == {b'{"class":"Often","args":[]}'}
