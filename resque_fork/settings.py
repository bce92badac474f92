"""The one table of settings: from it come flags, environment, file, ``config`` and docs.

A value is looked for as a flag, then in the environment, then in the config
file (TOML, one key per setting), then it is the default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import SettingsError
from .text import did_you_mean, parse_seconds, parse_size
from .wire.job import MAX_PAYLOAD
from .wire.keys import DEFAULT_NAMESPACE

FEW = 12  # names that an error lists
DEFAULT_URL = "redis://localhost:6379/0"
SCHEDULE = "schedule"  # the table of a config file that has schedules
RUBY_PRUNES_AFTER = 300.0  # seconds without a heartbeat


@dataclass(frozen=True)
class Kind:
    """How a setting's text is read: `parse` raises ValueError with what it expects."""

    metavar: str
    parse: Callable[[Any], Any]
    choices: tuple[str, ...] = ()


def _seconds(value: Any) -> float:
    try:
        return parse_seconds(float(value) if isinstance(value, str) else value)
    except ValueError:
        return parse_seconds(value)


def _limit(value: Any) -> float:
    seconds = _seconds(value)
    if not seconds:
        raise ValueError("a time of more than 0 seconds")
    return seconds


def _count(value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number, 1 or more")
    return int(text)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"": False, "0": False, "false": False, "no": False, "off": False}
    try:
        return words[str(value).strip().lower()]
    except KeyError:
        raise ValueError("true or false") from None


def _size(value: Any) -> int:
    return parse_size("" if isinstance(value, bool) else str(value))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text")
    return value


def _optional_text(value: Any) -> str | None:
    return _text(value) or None


def _names(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(i, str) for i in items):
        raise ValueError("names, separated by commas")
    parts = [name.strip() for item in items for name in item.split(",")]
    return tuple(dict.fromkeys(name for name in parts if name))


def _choice(*choices: str) -> Kind:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return Kind("|".join(choices), parse, choices)


SECONDS = Kind("TIME", _seconds)
LIMIT = Kind("TIME", _limit)
COUNT = Kind("N", _count)
BOOLEAN = Kind("", _boolean)
SIZE = Kind("SIZE", _size)
TEXT = Kind("TEXT", _text)
FILE = Kind("FILE", _optional_text)
NAMES = Kind("NAMES", _names)
VERBOSITY = Kind("", lambda value: int(_boolean(value)))
FATE = _choice("fail", "requeue")


def _setting(
    default: Any, kind: Kind, help: str, *env: str, flags: tuple[str, ...] = (), group: str = "work"
) -> Any:
    metadata = {"kind": kind, "help": help, "env": env, "flags": flags, "group": group}
    # the URL may have a password, and a repr ends in logs and error trackers
    return field(default=default, metadata=metadata, repr=default != DEFAULT_URL)


@dataclass(frozen=True)
class Settings:
    """All settings with their defaults; times in seconds, sizes in bytes."""

    # fmt: off
    redis: str = _setting(
        DEFAULT_URL, TEXT,
        "URL of Redis: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://.",
        "RESQUE_REDIS", "REDIS_URL", group="common")
    namespace: str = _setting(
        DEFAULT_NAMESPACE, TEXT, "Prefix of every key in Redis.", group="common")
    queues: tuple[str, ...] = _setting(
        (), NAMES, "Queues, most urgent first, separated by commas; globs and !exclusions work.",
        "QUEUES", "QUEUE", flags=("-q",))
    require: tuple[str, ...] = _setting(
        (), NAMES, "Module that declares the application's jobs; may be given several times.",
        flags=("-r",))
    interval: float = _setting(
        5.0, SECONDS,
        "Longest time between two checks of empty queues; 0 exits when they are empty.",
        "INTERVAL")
    min_interval: float | None = _setting(
        None, SECONDS, "Shortest time between two checks, if the interval grows.", "MIN_INTERVAL")
    max_interval: float | None = _setting(
        None, SECONDS, "Longest time between two checks, if the interval grows.", "MAX_INTERVAL")
    backoff_interval: float | None = _setting(
        None, SECONDS, "How much the interval grows with each check that finds no job.",
        "BACKOFF_INTERVAL")
    count: int = _setting(
        1, COUNT, "Number of workers; if more than one, a supervisor keeps them running.", "COUNT")
    fork_per_job: bool = _setting(
        True, BOOLEAN, "Fork a child for each job; if off, jobs run in the worker, for debugging.",
        "FORK_PER_JOB")
    jobs_per_fork: int = _setting(
        1, COUNT, "Number of jobs that one child performs before it is replaced.")
    fork_ahead: bool = _setting(
        True, BOOLEAN, "Fork the child of the next job while a job runs and more are waiting.")
    keep_spare: bool = _setting(
        False, BOOLEAN, "Keep a child ready while there is no job, so that the next begins sooner.")
    overlap: bool = _setting(
        True, BOOLEAN, "Write what became of a job, and reserve the next, while its child exits.")
    huge_pages: bool = _setting(
        True, BOOLEAN, "Move a large application into huge pages, to fork faster.")
    pin_pages: bool = _setting(
        True, BOOLEAN, "Pin the memory pages that each job writes to, to fork faster.")
    clock: bool = _setting(
        True, BOOLEAN, "Move delayed jobs that are due to their queues, and keep schedules.")
    scheduler_lock_prefix: str = _setting(
        "", TEXT, "Prefix of the lock of Ruby's scheduler; while that runs, it moves delayed jobs.",
        "RESQUE_SCHEDULER_MASTER_LOCK_PREFIX")
    term_timeout: float = _setting(
        4.0, SECONDS, "Time that a child has after TERM before it is killed.",
        "RESQUE_TERM_TIMEOUT")
    pre_shutdown_timeout: float = _setting(
        0.0, SECONDS, "Time that a child has to finish its job before it gets TERM.",
        "RESQUE_PRE_SHUTDOWN_TIMEOUT")
    term_child: bool = _setting(
        True, BOOLEAN, "Stop a child with TERM first, which raises TermException in its job.",
        "TERM_CHILD")
    graceful_term: bool = _setting(
        False, BOOLEAN, "On TERM, finish the running job first, as on QUIT.", "GRACEFUL_TERM")
    run_at_exit_hooks: bool = _setting(
        False, BOOLEAN, "Run the atexit functions of jobs when a child exits.", "RUN_AT_EXIT_HOOKS")
    on_lost: str = _setting(
        "fail", FATE, "What happens to a job whose worker or child died.")
    on_term: str = _setting(
        "fail", FATE, "What happens to a job that is stopped together with its worker.")
    max_attempts: int = _setting(
        3, COUNT, "Number of times a job is lost until it fails as a poison pill.")
    timeout: float | None = _setting(
        None, LIMIT, "Time limit of a job, unless the job declares its own.")
    memory: int | None = _setting(
        None, SIZE, "Memory that a job may add, such as 512M, unless the job declares its own.")
    cpu: float | None = _setting(
        None, LIMIT, "CPU time limit of a job, unless the job declares its own.")
    max_payload: int = _setting(
        MAX_PAYLOAD, SIZE, "Largest payload; a job with a larger one fails.")
    heartbeat_interval: float = _setting(
        60.0, SECONDS, "Time between two heartbeats; less than 300.")
    prune_interval: float = _setting(
        300.0, SECONDS, "Time without a heartbeat after which a worker counts as dead.")
    pidfile: str | None = _setting(
        None, FILE, "File that holds the worker's process id.", "PIDFILE")
    logfile: str | None = _setting(
        None, FILE, "Append output and log lines to this file; HUP reopens it.", "LOGFILE")
    daemon: bool = _setting(
        False, BOOLEAN, "Run in the background.", "BACKGROUND")
    failure_backend: tuple[str, ...] = _setting(
        ("redis",), NAMES,
        "Where failures go: redis, redis_multi_queue, log, MODULE:CLASS, or several.",
        "FAILURE_BACKEND")
    procline_prefix: str = _setting(
        "", TEXT, "Text in front of the process title.", "RESQUE_PROCLINE_PREFIX")
    verbose: int = _setting(
        0, VERBOSITY, "Log each job; -vv logs every step, with tracebacks.", "VERBOSE",
        flags=("-v",), group="common")
    log_format: str = _setting(
        "text", _choice("text", "ruby", "json"), "Format of log lines.")
    # fmt: on

    def __post_init__(self) -> None:
        if not self.namespace:
            raise SettingsError("The namespace must not be empty.")
        if self.heartbeat_interval >= RUBY_PRUNES_AFTER:
            raise SettingsError(
                f"The heartbeat interval must be under {RUBY_PRUNES_AFTER:g} seconds, "
                "or Ruby workers would take this one for dead."
            )
        if self.heartbeat_interval <= 0:
            raise SettingsError("The heartbeat interval must be more than 0 seconds.")
        if self.prune_interval <= self.heartbeat_interval:
            raise SettingsError("The prune interval must be longer than the heartbeat interval.")


def table() -> tuple[dataclasses.Field[Any], ...]:
    """Every setting; ``metadata`` holds kind, help, env, flags and group."""
    return dataclasses.fields(Settings)


def variables(setting: dataclasses.Field[Any]) -> tuple[str, ...]:
    """The environment variables that set it, the strongest first."""
    return setting.metadata["env"] or (f"RESQUE_{setting.name.upper()}",)


def flag(setting: dataclasses.Field[Any]) -> str:
    return "--" + setting.name.replace("_", "-")


def value_of(name: str, given: Any, environ: Mapping[str, str]) -> Any:
    """One setting as given, from the environment, or its default. Raises SettingsError."""
    setting = _named(name)
    candidates = [(name, given), *((v, environ.get(v) or None) for v in variables(setting))]
    for source, value in candidates:
        if value is not None:
            return _parse(setting, value, source)
    return setting.default


def value_of_variable(name: str, kind: Kind, environ: Mapping[str, str], default: Any) -> Any:
    """The value of a variable that is no setting. Raises SettingsError."""
    value = environ.get(name)
    return _parsed(kind, value, f"environment {name}") if value else default


def parse(name: str, value: Any, source: str) -> Any:
    """A setting's value from text or a number. Raises SettingsError, naming the source."""
    return _parse(_named(name), value, source)


def _named(name: str) -> dataclasses.Field[Any]:
    return next(setting for setting in table() if setting.name == name)


@dataclass(frozen=True)
class FoundSetting:
    """A setting as it was found: its value, its source in words, and what is wrong with it.

    If something is, the value is as it was given.
    """

    value: Any
    source: str
    problem: SettingsError | None = None


def load(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    config: Path | None = None,
    only: Collection[str] | None = None,
) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each its source in words.

    `flags` holds only what was given. With `only` all others are left at their
    defaults, whatever was said of them. Raises SettingsError, naming the source.
    """
    found = find(flags, environ, config)
    wanted = {name: one for name, one in found.items() if only is None or name in only}
    for one in wanted.values():
        if one.problem:
            raise one.problem
    values = {name: one.value for name, one in wanted.items()}
    return Settings(**values), {name: one.source for name, one in found.items()}


def find(
    flags: Mapping[str, Any], environ: Mapping[str, str], config: Path | None = None
) -> dict[str, FoundSetting]:
    """Every setting, also those that are not valid. Raises SettingsError for a bad file only."""
    in_file = _read_file(config) if config else {}
    found: dict[str, FoundSetting] = {}
    for setting in table():
        candidates = [(flag(setting), flags.get(setting.name))]
        # an empty variable is one that is not set
        candidates += [
            (f"environment {name}", environ.get(name) or None) for name in variables(setting)
        ]
        if setting.name == "verbose" and _boolean_or_off(environ.get("VVERBOSE")):
            candidates.insert(1, ("environment VVERBOSE", 2))
        candidates.append((f"file {config}", in_file.get(setting.name)))
        found[setting.name] = FoundSetting(setting.default, "default")
        for source, value in candidates:
            if value is not None:
                found[setting.name] = _found(setting, value, source)
                break
    return found


def _found(setting: dataclasses.Field[Any], value: Any, source: str) -> FoundSetting:
    where = f"{source}, {setting.name}" if source.startswith("file") else source
    try:
        return FoundSetting(_parse(setting, value, where), source)
    except SettingsError as problem:
        return FoundSetting(value, source, problem)


def _parse(setting: dataclasses.Field[Any], value: Any, source: str) -> Any:
    if setting.name == "verbose" and isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise SettingsError(f"{source}: {value!r} is not valid: expected 0, 1 or 2.")
        return value
    return _parsed(setting.metadata["kind"], value, source)


def _parsed(kind: Kind, value: Any, source: str) -> Any:
    try:
        return kind.parse(value)
    except ValueError as error:
        raise SettingsError(f"{source}: {value!r} is not valid: expected {error}.") from None


def _boolean_or_off(value: str | None) -> bool:
    try:
        return _boolean(value or "")
    except ValueError:
        return True


def schedules_in(path: Path) -> dict[str, dict[str, Any]]:
    """The tables ``[schedule.NAME]`` of a config file, by name. Raises SettingsError."""
    tables = _content_of(path).get(SCHEDULE, {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise SettingsError(
            f"The config file {path}: schedules stand in tables such as [{SCHEDULE}.nightly]."
        )
    return tables


def _read_file(path: Path) -> dict[str, Any]:
    content = _content_of(path)
    values = {key.replace("-", "_"): value for key, value in content.items() if key != SCHEDULE}
    refuse_unknown(values, [setting.name for setting in table()], f"The config file {path}")
    return values


def _content_of(path: Path) -> dict[str, Any]:
    import tomllib  # not for every worker: it costs memory, and so makes forks slower

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"The config file cannot be read: {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The config file {path} is not TOML: {error}.") from None


def refuse_unknown(given: Collection[str], names: Collection[str], where: str) -> None:
    """Raises SettingsError for a name that is none of those that there are."""
    for name in given:
        if name not in names:
            hint = did_you_mean(name, names)
            if hint == "." and len(names) <= FEW:
                hint = f": expected one of {', '.join(sorted(names))}."
            raise SettingsError(f"{where} sets {name!r}, which is unknown{hint}")
