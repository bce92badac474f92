"""Options of a Redis URL: checked, or refused with a reason, before anything connects."""

from __future__ import annotations

import inspect
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis.connection import (
    URL_QUERY_ARGUMENT_PARSERS,
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)

from resque_fork import Resque, SettingsError
from resque_fork.cli.program import program
from resque_fork.store.options import OPTIONS, REFUSED, as_seconds
from resque_fork.store.redis_url import RedisURL

SCHEMES = ("redis://h", "rediss://h", "unix:///s", "redis+sentinel://h/p", "redis+cluster://h")


def why(url: str) -> str:
    """What is wrong with it, in words."""
    with pytest.raises(SettingsError) as raised:
        RedisURL(url)
    told = str(raised.value)
    assert told.startswith("The Redis URL '")
    return told.partition(" cannot be understood: ")[2]


def test_all_that_redis_py_takes_is_known() -> None:
    """Whatever redis-py makes of a name in a URL, we have an opinion of."""
    kinds = (AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection)
    kinds = (*kinds, ConnectionPool)  # type: ignore[assignment]
    names = {name for kind in kinds for name in inspect.signature(kind.__init__).parameters}
    names |= set(URL_QUERY_ARGUMENT_PARSERS)
    internal = {"self", "args", "kwargs", "connection_kwargs"}
    internal |= {name for name in names if name.startswith(("orig_", "maint", "oss_"))}
    assert names - internal - set(OPTIONS) - set(REFUSED) == set()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("decode_responses=true", "would change what Redis returns to resque-fork"),
        ("decode_responses=1", "would change what Redis returns to resque-fork"),
        ("encoding=latin-1", "would change what Redis returns to resque-fork"),
        ("encoding_errors=ignore", "would change what Redis returns to resque-fork"),
        ("legacy_responses=false", "would change what Redis returns to resque-fork"),
        ("protocol=3", "is agreed upon with the server by resque-fork itself"),
        (
            "retry_on_timeout=True",
            "would repeat commands, and a job whose push is repeated is queued twice",
        ),
        (
            "retry_on_error=x",
            "would repeat commands, and a job whose push is repeated is queued twice",
        ),
        ("retry=3", "would repeat commands, and a job whose push is repeated is queued twice"),
        ("parser_class=x", "is an object of Python's, which no URL can hold"),
        ("credential_provider=x", "is an object of Python's, which no URL can hold"),
        ("cache_config=x", "is an object of Python's, which no URL can hold"),
        ("lib_name=x", "is not sent by resque-fork"),
        ("ssl=true", "is said by a URL that begins with rediss"),
        ("host=x", "has its place in front of the question mark"),
        ("timeout=3", "is for pools that wait; socket_timeout says how long to wait for Redis"),
    ],
)
def test_what_would_do_harm_is_refused(scheme: str, option: str, reason: str) -> None:
    """Each with its reason, for servers of every kind."""
    name = option.partition("=")[0]
    assert why(f"{scheme}?{option}") == (
        f"its option {name} {reason}: leave it out, or give resque-fork a URL of its own "
        "(RESQUE_REDIS)."
    )


@pytest.mark.parametrize(
    "query", ["decode_responses=false", "encoding=UTF-8", "protocol=2", "retry_on_timeout=no"]
)
def test_what_says_what_is_so_anyway_is_fine(redis_url: str, query: str) -> None:
    """An option of that kind does no harm if it asks for what we have."""
    resque = Resque(f"{redis_url}?{query}")
    resque.enqueue_to("q", "A")
    assert resque.peek("q") == {"class": "A", "args": []}
    resque.close()


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("db=-1", "a whole number from 0 on"),
        ("db=one", "a whole number from 0 on"),
        ("db=1.0", "a whole number from 0 on"),
        ("db=%D9%A1", "a whole number from 0 on"),
        ("max_connections=0", "a whole number from 1 on"),
        ("max_connections=many", "a whole number from 1 on"),
        ("health_check_interval=-1", "a whole number from 0 on"),
        ("socket_read_size=0", "one from 1 to 16777216"),
        ("socket_read_size=99999999999", "one from 1 to 16777216"),
        ("socket_timeout=0", "a number of seconds above 0 and up to 86400"),
        ("socket_timeout=None", "a number of seconds above 0 and up to 86400"),
        ("socket_timeout=inf", "a number of seconds above 0 and up to 86400"),
        ("socket_connect_timeout=nan", "a number of seconds above 0 and up to 86400"),
        ("socket_connect_timeout=-1", "a number of seconds above 0 and up to 86400"),
        ("socket_keepalive=maybe", "true or false"),
        ("client_name=two+words", "a name without spaces"),
        ("client_name=a%0Ab", "a name without spaces"),
        ("ssl_cert_reqs=CERT_NONE", "none, optional or required"),
        ("ssl_cert_reqs=None", "none, optional or required"),
        ("ssl_cert_reqs=NONE", "none, optional or required"),
        ("ssl_cert_reqs=false", "none, optional or required"),
        ("ssl_cert_reqs=0", "none, optional or required"),
        ("ssl_check_hostname=none", "true or false"),
        ("ssl_min_version=1.2", "771 (TLS 1.2) or 772 (TLS 1.3)"),
        ("ssl_include_verify_flags=STRICT", "names such as VERIFY_X509_STRICT"),
    ],
)
@pytest.mark.parametrize("scheme", ["rediss://h", "rediss+sentinel://h/p"])
def test_values_that_are_none(scheme: str, option: str, expected: str) -> None:
    """A wrong value is told with the right ones."""
    name = option.partition("=")[0]
    said = why(f"{scheme}?{option}")
    assert said.startswith(f"{name} is {expected}, not '")
    assert why(f"rediss+sentinel://h/p?sentinel_{option}").startswith(f"sentinel_{name} is ")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("socket_keepalive=off", False),
        ("socket_keepalive=YES", True),
        ("socket_timeout=0.5", 0.5),
        ("max_connections=7", 7),
        ("client_name=web", "web"),
        ("ssl_cert_reqs=none", "none"),
        ("ssl_check_hostname=False", False),
        ("ssl_min_version=772", 772),
        ("ssl_include_verify_flags=VERIFY_X509_STRICT", [ssl.VerifyFlags.VERIFY_X509_STRICT]),
    ],
)
def test_values_that_are_some(option: str, value: Any) -> None:
    """They are taken for what they say."""
    assert RedisURL(f"rediss://h?{option}").options[option.partition("=")[0]] == value


@pytest.mark.parametrize("scheme", ["redis://h", "unix:///s", "redis+sentinel://h/p"])
def test_tls_options_are_for_tls(scheme: str) -> None:
    """Without TLS they would mean nothing."""
    assert why(f"{scheme}?ssl_cert_reqs=none") == (
        "its option ssl_cert_reqs is for TLS, for which a URL begins with rediss."
    )


def test_an_option_that_nobody_knows() -> None:
    """It is named."""
    assert why("redis://h?sokcet_timeout=3") == "there is no option sokcet_timeout."


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A file that is not there, or holds something else, is found out at once."""
    (tmp_path / "text").write_text("no certificate\n")
    authority = trustme.CA()
    own = authority.issue_cert("client.test")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    own.private_key_pem.write_to_path(str(tmp_path / "key"))
    for name in ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"):
        assert why(f"rediss://h?{name}=/nowhere.pem") == "there is no file /nowhere.pem."
    for name in ("ssl_ca_certs", "ssl_certfile"):
        said = why(f"rediss://h?{name}={tmp_path}/text")
        assert said.startswith(f"its option {name} cannot be used: ")
    assert why("rediss://h?ssl_ca_data=x").startswith("its option ssl_ca_data cannot be used: ")
    assert why("rediss://h?ssl_ciphers=x") == (
        "its option ssl_ciphers cannot be used: No cipher can be selected."
    )
    assert why(f"rediss://h?ssl_keyfile={tmp_path}/key") == (
        "its option ssl_keyfile cannot be used: its certificate is named by ssl_certfile."
    )
    RedisURL(f"rediss://h?ssl_certfile={tmp_path}/cert&ssl_keyfile={tmp_path}/key")


@pytest.mark.parametrize("url", ["redis+cluster://h/1", "redis+cluster://h?db=1"])
def test_a_cluster_has_one_database(url: str) -> None:
    """Jobs are not put into another than the one that was asked for."""
    assert why(url) == "a Cluster has one database, 0."


def test_it_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """The program ends with the status of wrong usage, and one sentence."""
    status = program.main(
        ["--redis", "rediss://h?ssl_cert_reqs=CERT_NONE", "info"], standalone_mode=False
    )
    assert status == 2
    assert capsys.readouterr().err == (
        "resque-fork: The Redis URL 'rediss://h?ssl_cert_reqs=CERT_NONE' cannot be understood: "
        "ssl_cert_reqs is none, optional or required, not 'CERT_NONE'.\n"
    )


def test_seconds() -> None:
    """Text and numbers are times, if they are."""
    assert as_seconds("1.5") == as_seconds(1.5) == 1.5
