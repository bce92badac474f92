"""One table makes flags, environment, file and defaults; a bad value is named with its source."""

from pathlib import Path
from typing import Any

import pytest

from resque_fork import settings as settings_module
from resque_fork.errors import SettingsError
from resque_fork.settings import Settings, find, flag, load, table, variables

TABLE = {setting.name: setting for setting in table()}


def loaded(
    flags: dict[str, Any] | None = None, config: Path | None = None, **environ: str
) -> Settings:
    """The settings from these flags, this file and this environment."""
    return load(flags or {}, environ, config)[0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Where a config file may be written."""
    return tmp_path / "resque-fork.toml"


def test_flag_beats_environment_beats_file_beats_default(config: Path) -> None:
    """A value is taken from the flag, else the environment, else the file, else the default."""
    config.write_text("term-timeout = 1\ninterval = 1\nmax_attempts = 7\n")
    environ = {"INTERVAL": "2", "RESQUE_TERM_TIMEOUT": "2"}
    values, sources = load({"interval": 3}, environ, config)
    assert (values.interval, sources["interval"]) == (3.0, "--interval")
    assert (values.term_timeout, sources["term_timeout"]) == (
        2.0,
        "environment RESQUE_TERM_TIMEOUT",
    )
    assert (values.max_attempts, sources["max_attempts"]) == (7, f"file {config}")
    assert (values.count, sources["count"]) == (1, "default")


def test_every_setting_has_a_source() -> None:
    """Each setting is told with where it came from, and nothing given leaves all defaults."""
    values, sources = load({}, {})
    assert values == Settings()
    assert sources == dict.fromkeys(TABLE, "default")


def test_some_alone(config: Path) -> None:
    """Of a few settings only those are read; the others stay at their defaults, good or bad."""
    environ = {"COUNT": "0", "INTERVAL": "2", "RESQUE_PRUNE_INTERVAL": "1"}
    values, _ = load({"namespace": "n"}, environ, None, {"namespace"})
    assert values == Settings(namespace="n")
    with pytest.raises(SettingsError, match=r"^environment COUNT: '0' is not valid"):
        load({}, environ, None, {"namespace", "count"})


def test_bad_ones_are_found_with_the_others() -> None:
    """Settings can be looked at though some are bad; these are as they were given."""
    found = find({"interval": "soon"}, {"COUNT": "3"})
    assert set(found) == set(TABLE)
    assert (found["count"].value, found["count"].source) == (3, "environment COUNT")
    assert found["count"].problem is None
    assert (found["interval"].value, found["interval"].source) == ("soon", "--interval")
    assert str(found["interval"].problem) == (
        "--interval: 'soon' is not valid: expected a time such as 30, 10m, 6h or 2d."
    )


@pytest.mark.parametrize("name", TABLE)
def test_every_setting_has_help_a_flag_and_a_variable(name: str) -> None:
    """Each setting explains itself in a sentence, and can be set by flag and by environment."""
    setting = TABLE[name]
    assert setting.metadata["help"].endswith(".")
    assert flag(setting) == "--" + name.replace("_", "-")
    assert variables(setting)


def test_variables_are_resques() -> None:
    """The environment variables are Resque's where it has one, else RESQUE_ and the name."""
    assert variables(TABLE["redis"]) == ("RESQUE_REDIS", "REDIS_URL")
    assert variables(TABLE["queues"]) == ("QUEUES", "QUEUE")
    assert variables(TABLE["term_timeout"]) == ("RESQUE_TERM_TIMEOUT",)
    assert variables(TABLE["on_lost"]) == ("RESQUE_ON_LOST",)


def test_queues_in_one_variable() -> None:
    """Several queues may stand in one variable, with commas between them."""
    assert loaded(QUEUE="a,b").queues == ("a", "b")
    assert loaded(QUEUES="high, *,!low").queues == ("high", "*", "!low")


def test_first_variable_wins() -> None:
    """Of two variables for one setting the more particular one wins."""
    assert loaded(REDIS_URL="redis://b", RESQUE_REDIS="redis://a").redis == "redis://a"
    assert loaded(QUEUE="b", QUEUES="a").queues == ("a",)
    assert loaded(QUEUE="b").queues == ("b",)


def test_empty_variable_is_not_set() -> None:
    """A variable that is empty counts as not set, as where a compose file passes one through."""
    empty = dict.fromkeys(("QUEUES", "INTERVAL", "FORK_PER_JOB", "TERM_CHILD", "REDIS_URL"), "")
    assert loaded(**empty, QUEUE="mail") == Settings(queues=("mail",))


def test_namespace_becomes_key_prefix() -> None:
    """The namespace is a setting like others, `resque` unless told."""
    assert loaded().namespace == "resque"
    assert loaded(RESQUE_NAMESPACE="ours").namespace == "ours"


def test_fork_per_job_from_environment() -> None:
    """FORK_PER_JOB=false switches forking off."""
    assert loaded().fork_per_job is True
    assert loaded(FORK_PER_JOB="false").fork_per_job is False


def test_verbose_levels(config: Path) -> None:
    """VERBOSE is one step and VVERBOSE two, whichever else is set; a flag counts for more."""
    assert loaded().verbose == 0
    assert loaded(VERBOSE="1").verbose == 1
    assert loaded(VERBOSE="0").verbose == 0
    assert loaded(VVERBOSE="1").verbose == 2
    assert loaded(VERBOSE="1", VVERBOSE="yes").verbose == 2
    assert loaded(VVERBOSE="0").verbose == 0
    assert loaded({"verbose": 1}, VVERBOSE="1").verbose == 1
    config.write_text("verbose = 2")
    assert loaded(config=config).verbose == 2


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("queues", "a, b ,,a,*", ("a", "b", "*")),
        ("queues", ["a,b", "c"], ("a", "b", "c")),
        ("interval", "0", 0.0),
        ("interval", 2, 2.0),
        ("count", "3", 3),
        ("fork_per_job", " No ", False),
        ("fork_per_job", "1", True),
        ("max_payload", "512K", 512 * 1024),
        ("max_payload", "8MB", 8 * 1024**2),
        ("max_payload", "1g", 1024**3),
        ("max_payload", 100, 100),
        ("pidfile", "", None),
        ("on_lost", "requeue", "requeue"),
    ],
)
def test_values_are_read_as_their_kind(name: str, given: Any, value: Any) -> None:
    """Text and TOML values are read as what the setting holds."""
    assert getattr(loaded({name: given}), name) == value


@pytest.mark.parametrize(
    ("name", "given", "what"),
    [
        ("interval", "5x", "a time such as 30, 10m, 6h or 2d"),
        ("interval", "soon", "a time such as 30, 10m, 6h or 2d"),
        ("interval", "-1", "a time such as 30, 10m, 6h or 2d"),
        ("interval", "inf", "a time such as 30, 10m, 6h or 2d"),
        ("interval", "nan", "a time such as 30, 10m, 6h or 2d"),
        ("interval", True, "a time such as 30, 10m, 6h or 2d"),
        ("timeout", "0", "a time of more than 0 seconds"),
        ("count", "0", "a whole number, 1 or more"),
        ("count", "1.5", "a whole number, 1 or more"),
        ("count", True, "a whole number, 1 or more"),
        ("fork_per_job", "perhaps", "true or false"),
        ("max_payload", "big", "a size such as 512K, 8M or 1G"),
        ("max_payload", "0", "a size such as 512K, 8M or 1G"),
        ("queues", 5, "names, separated by commas"),
        ("queues", [5], "names, separated by commas"),
        ("namespace", 5, "text"),
        ("on_lost", "retry", "one of fail, requeue"),
        ("log_format", "xml", "one of text, ruby, json"),
    ],
)
def test_bad_value_is_named_with_its_source(name: str, given: Any, what: str) -> None:
    """A value that makes no sense is refused with its source and what is expected."""
    with pytest.raises(SettingsError) as caught:
        loaded({name: given})
    assert str(caught.value) == f"{flag(TABLE[name])}: {given!r} is not valid: expected {what}."


def test_bad_value_in_the_environment() -> None:
    """A bad variable is named as such."""
    with pytest.raises(SettingsError) as caught:
        loaded(COUNT="many")
    assert str(caught.value) == (
        "environment COUNT: 'many' is not valid: expected a whole number, 1 or more."
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"heartbeat_interval": 300},
            "The heartbeat interval must be under 300 seconds, "
            "or Ruby workers would take this one for dead.",
        ),
        ({"heartbeat_interval": 0}, "The heartbeat interval must be more than 0 seconds."),
        (
            {"prune_interval": 60},
            "The prune interval must be longer than the heartbeat interval.",
        ),
        ({"namespace": ""}, "The namespace must not be empty."),
    ],
)
def test_settings_that_contradict_each_other(values: dict[str, Any], message: str) -> None:
    """Settings that would have this worker pruned by its peers, or share no key, are refused."""
    with pytest.raises(SettingsError) as caught:
        Settings(**values)
    assert str(caught.value) == message


def test_file_with_unknown_key(config: Path) -> None:
    """A key that is no setting is refused, with the one that it looks like."""
    config.write_text("term-timeot = 1")
    with pytest.raises(SettingsError) as caught:
        loaded(config=config)
    assert str(caught.value) == (
        f"The config file {config} sets 'term_timeot', which is unknown; "
        "did you mean 'term_timeout'?"
    )
    config.write_text("xyzzy = 1")
    with pytest.raises(SettingsError, match=r"sets 'xyzzy', which is unknown\.$"):
        loaded(config=config)


def test_file_that_cannot_be_read(config: Path) -> None:
    """A file that is missing, or no TOML, is an error that names it."""
    with pytest.raises(SettingsError, match=r"^The config file cannot be read: .*No such file"):
        loaded(config=config)
    config.write_bytes(b"a = \xff")
    with pytest.raises(SettingsError, match=rf"^The config file {config} is not TOML: "):
        loaded(config=config)
    config.write_text("= 1")
    with pytest.raises(SettingsError, match=rf"^The config file {config} is not TOML: "):
        loaded(config=config)


def test_one_setting_alone() -> None:
    """One setting can be read by itself, as a job's own limits are."""
    assert settings_module.parse("memory", "1M", "the job") == 1024**2
    assert settings_module.value_of("interval", None, {"INTERVAL": "3"}) == 3.0
    assert settings_module.value_of("interval", 2, {"INTERVAL": "3"}) == 2.0
    assert settings_module.value_of("interval", None, {"INTERVAL": ""}) == 5.0
    with pytest.raises(SettingsError) as caught:
        settings_module.parse("memory", "x", "the job")
    assert str(caught.value) == (
        "the job: 'x' is not valid: expected a size such as 512K, 8M or 1G."
    )


def test_a_password_is_not_in_the_repr() -> None:
    """Settings can be logged, and seen by error trackers, without the URL."""
    shown = repr(Settings(redis="redis://:hunter2@localhost", namespace="app"))
    assert shown.startswith("Settings(namespace='app', ")
    assert "hunter2" not in shown
