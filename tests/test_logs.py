"""Log lines have one of three forms, go to stderr at the level asked for, and survive rotation."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resque_fork import logs
from resque_fork.logs import (
    FORMATS,
    JournalFormatter,
    RubyFormatter,
    TextFormatter,
    lifecycle,
    log,
    set_up,
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Our loggers are as they were before, afterwards."""
    kept = (log.handlers, log.propagate, log.level, lifecycle.level)
    yield
    log.handlers, log.propagate = kept[0], kept[1]
    log.setLevel(kept[2])
    lifecycle.setLevel(kept[3])


def record(level: int, message: str) -> logging.LogRecord:
    """A log record of a certain moment and process."""
    made = logging.LogRecord("resque_fork", level, __file__, 1, message, (), None)
    made.created, made.msecs, made.process = 1603206857.652536, 652.0, 21501
    return made


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host whose zone is UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
def test_ruby_format_line() -> None:
    """The ruby form is what Ruby's own logger writes, level by level."""
    line = RubyFormatter().format(record(logging.DEBUG, "Checking send_mail"))
    assert line == "D, [2020-10-20T15:14:17.652536 #21501] DEBUG -- : Checking send_mail"
    for level, begin, name in [
        (logging.INFO, "I", " INFO"),
        (logging.WARNING, "W", " WARN"),
        (logging.ERROR, "E", "ERROR"),
        (logging.CRITICAL, "F", "FATAL"),
    ]:
        line = RubyFormatter().format(record(level, "x"))
        assert line == f"{begin}, [2020-10-20T15:14:17.652536 #21501] {name} -- : x"


@pytest.mark.usefixtures("utc")
def test_text_format_line() -> None:
    """The text form has time, pid, level and message."""
    line = TextFormatter().format(record(logging.INFO, "got: x"))
    assert line == "2020-10-20 15:14:17 [21501] INFO: got: x"


def test_json_format_line() -> None:
    """The json form is one object a line, whatever the message holds."""
    line = FORMATS["json"]().format(record(logging.INFO, "two\nlines \x1b"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2020-10-20T15:14:17.652536+00:00",
        "level": "INFO",
        "pid": 21501,
        "message": "two\nlines \x1b",
    }


def test_json_format_has_the_traceback() -> None:
    """The json form carries a traceback in a field of its own."""
    made = record(logging.ERROR, "oops")
    try:
        raise ValueError("why")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert "ValueError: why" in json.loads(FORMATS["json"]().format(made))["traceback"]


@pytest.mark.parametrize("name", ["text", "ruby"])
def test_control_characters_are_shown_escaped(name: str) -> None:
    """A message cannot speak to the terminal of who reads the log, nor fake a second line."""
    line = FORMATS[name]().format(record(logging.INFO, "a\x1b[2J\nb"))
    assert line.endswith("a\\x1b[2J\\nb")


def said(capsys: pytest.CaptureFixture[str], verbose: int) -> list[str]:
    """Which of our lines are seen at a number of -v."""
    set_up("text", verbose)
    log.debug("Checking mail")
    log.info("got: a job")
    lifecycle.info("Worker is starting")
    log.warning("a warning")
    log.error("a failure")
    return [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()]


def test_quiet_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """By default one sees starts, stops, warnings and failures, not each job."""
    assert said(capsys, 0) == ["Worker is starting", "a warning", "a failure"]


def test_levels_per_message(capsys: pytest.CaptureFixture[str]) -> None:
    """With -v each job is seen, with -vv each step; more of them change nothing."""
    jobs = ["got: a job", "Worker is starting", "a warning", "a failure"]
    assert said(capsys, 1) == jobs
    assert said(capsys, 2) == said(capsys, 5) == ["Checking mail", *jobs]


def test_set_up_twice_says_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Setting logging up again replaces what was set up before."""
    set_up()
    assert said(capsys, 0) == ["Worker is starting", "a warning", "a failure"]


def test_uses_standard_logging(caplog: pytest.LogCaptureFixture) -> None:
    """Without being set up, our lines go where the application's own logging sends them."""
    with caplog.at_level(logging.DEBUG):
        lifecycle.info("hello")
    assert caplog.record_tuples == [("resque_fork.life", logging.INFO, "hello")]


def test_worker_leaves_logging_alone() -> None:
    """Making a client and a worker changes nothing about logging."""
    program = (
        "import logging; before = logging.root.handlers[:], logging.getLogger('resque_fork').level;"
        "from resque_fork import Resque, Worker;"
        "Worker('mail', resque=Resque('unix:///nowhere'));"
        "logger = logging.getLogger('resque_fork');"
        "assert before == (logging.root.handlers, logger.level), before;"
        "assert not logger.handlers and logger.propagate"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=60)


REOPEN = """
import logging, os, sys
from resque_fork.logs import LogFiles, append_output_to
append_output_to("out.log")
logging.getLogger("app").addHandler(logging.FileHandler("app.log"))
files = LogFiles()
def speak(word):
    print(word, flush=True)
    os.write(2, word.encode() + b"!\\n")
    logging.getLogger("app").warning("app %s", word)
speak("one")
os.rename("out.log", "out.log.1")
os.rename("app.log", "app.log.1")
speak("two")
files.reopen()
speak("three")
"""


def test_files_that_were_moved_are_opened_anew(tmp_path: Path) -> None:
    """After rotation, output, errors and the application's own log go to new files, none lost."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", REOPEN], check=True, cwd=tmp_path, env=environ, timeout=60
    )
    assert (tmp_path / "out.log.1").read_text() == "one\none!\ntwo\ntwo!\n"
    assert (tmp_path / "app.log.1").read_text() == "app one\napp two\n"
    assert (tmp_path / "out.log").read_text() == "three\nthree!\n"
    assert (tmp_path / "app.log").read_text() == "app three\n"


def test_terminals_and_pipes_are_left_alone() -> None:
    """Output that is no file is not touched: there is nothing to open anew."""
    program = "from resque_fork.logs import LogFiles; LogFiles().reopen(); print('still here')"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert re.fullmatch(r"still here\n", done.stdout)


def test_closed_output_is_left_alone() -> None:
    """LogFiles can be made where standard output is closed."""
    program = "import os; os.close(1); from resque_fork.logs import LogFiles; LogFiles().reopen()"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=60)


def test_output_to_a_file_that_was_removed_before(tmp_path: Path) -> None:
    """It is made anew under the name that it had."""
    program = "from resque_fork.logs import LogFiles; LogFiles().reopen(); print('there again')"
    with (tmp_path / "out.log").open("ab") as output:
        (tmp_path / "out.log").unlink()
        subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=output)
    assert [path.name for path in tmp_path.iterdir()] == ["out.log"]
    assert (tmp_path / "out.log").read_text() == "there again\n"


def test_silenced_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """What would be logged meanwhile is not, and everything is afterwards as it was."""
    with caplog.at_level(logging.INFO, "resque_fork"):
        with logs.silenced():
            logging.getLogger("resque_fork").error("unheard")
        logging.getLogger("resque_fork").info("heard")
    assert [record.getMessage() for record in caplog.records] == ["heard"]


def test_a_backtrace_stands_below() -> None:
    """Each line of it on a line of its own; in JSON it is a list, beside other fields."""
    made = record(logging.ERROR, "it failed")
    made.backtrace = ["jobs.py:7:in charge", "\x1b[2J"]
    made.fields = {"queue": "mail"}
    lines = TextFormatter().format(made).splitlines()[1:]
    assert lines == ["    jobs.py:7:in charge", "    \\x1b[2J"]
    assert RubyFormatter().format(made).splitlines()[1:] == lines
    found = json.loads(FORMATS["json"]().format(made))
    assert (found["queue"], found["backtrace"]) == ("mail", made.backtrace)


def test_under_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its journal takes priorities, and has the time and the process itself."""
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    lines = [JournalFormatter().format(record(level, "told")) for level in levels]
    assert lines == ["<7>told", "<6>told", "<4>told", "<3>told", "<3>told"]
    made = record(logging.ERROR, "told")
    made.backtrace = ["jobs.py:7:in charge"]
    assert JournalFormatter().format(made) == "<3>told\n<3>    jobs.py:7:in charge"
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    set_up("text")
    assert isinstance(log.handlers[0].formatter, JournalFormatter)
    set_up("json")
    assert not isinstance(log.handlers[0].formatter, JournalFormatter)
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")  # of another service, from which we were started
    set_up("text")
    assert not isinstance(log.handlers[0].formatter, JournalFormatter)


def test_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job is shown, as with -v."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    set_up()
    assert log.level == logging.INFO
    set_up(verbose=2)
    assert log.level == logging.DEBUG
