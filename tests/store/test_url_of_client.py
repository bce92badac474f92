"""A client of redis-py says where its Redis is, or why we cannot connect as it does."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import redis
from redis.asyncio import Redis as AsyncRedis
from redis.credentials import UsernamePasswordCredentialProvider
from redis.sentinel import Sentinel

from resque_fork.errors import SettingsError
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.url_of_client import url_of_client

SHARED = {"socket_timeout": 1.5, "socket_connect_timeout": 2, "client_name": "shop"}
VERIFY = ssl.VerifyFlags.VERIFY_X509_STRICT


def sentinel(**of_sentinels: Any) -> Sentinel:
    return Sentinel([("a", 1), ("::1", 2)], sentinel_kwargs=of_sentinels, password="pw")


class Fake(redis.Connection):
    """Connects to something else, as fakeredis does."""


CLIENTS = {
    "redis://localhost:6379/0": lambda: redis.Redis(socket_timeout=None, decode_responses=True),
    "redis://u%40:p%2Fw%23@h:7/3": lambda: redis.Redis("h", 7, 3, username="u@", password="p/w#"),
    "redis://:pw@[::1]:7/3": lambda: redis.Redis.from_url("redis://:pw@[::1]:7/3"),
    "unix:///tmp/a%20b?db=2": lambda: redis.Redis(unix_socket_path="/tmp/a b", db=2),
    "rediss://h:6379/0?ssl_ca_certs=/ca.pem": lambda: redis.Redis(
        "h", ssl=True, ssl_ca_certs="/ca.pem"
    ),
    "redis+sentinel://:pw@a:1,[::1]:2/my%2Fone/4?sentinel_password=x": lambda: sentinel(
        password="x"
    ).master_for("my/one", db=4),
    "rediss+sentinel://:pw@a:1,[::1]:2/one/0": lambda: sentinel(ssl=True).master_for(
        "one", ssl=True
    ),
}


@pytest.mark.parametrize("url", CLIENTS)
def test_place_and_login_are_those_of_the_client(url: str, monkeypatch: Any) -> None:
    """Host, port, database, login, TLS and Sentinels are as if this URL had been given."""
    monkeypatch.setattr("resque_fork.store.redis_url.check_tls", lambda options: None)
    found, expected = RedisURL(url_of_client(CLIENTS[url]())), RedisURL(url)
    assert found.scheme == expected.scheme
    assert (
        found.options.items()
        >= {
            name: value
            for name, value in expected.options.items()
            if not name.startswith("socket_") and name != "ssl_cert_reqs"
        }.items()
    )
    for name in ("hosts", "primary", "sentinel_options"):
        assert getattr(found, name, None) == getattr(expected, name, None)


def test_options_are_those_of_the_client() -> None:
    """Timeouts, the name and every option of TLS are taken over, whatever form they have."""
    pool = redis.ConnectionPool(**SHARED, retry_on_timeout=True, decode_responses=True)
    taken = RedisURL(url_of_client(redis.Redis.from_pool(pool)))
    assert taken.options.items() >= SHARED.items()
    assert taken.options.keys().isdisjoint({"retry_on_timeout", "decode_responses", "retry"})
    assert taken.timeout(None) == 1.5
    taken = RedisURL(
        url_of_client(
            redis.Redis(
                ssl=True,
                ssl_cert_reqs=ssl.CERT_OPTIONAL,
                ssl_check_hostname=False,
                ssl_min_version=ssl.TLSVersion.TLSv1_3,
                ssl_include_verify_flags=[VERIFY],
                ssl_ciphers="ECDHE-RSA-AES128-GCM-SHA256",
            )
        )
    )
    assert (
        taken.options.items()
        >= {
            "ssl": True,
            "ssl_cert_reqs": "optional",
            "ssl_check_hostname": False,
            "ssl_min_version": 772,
            "ssl_include_verify_flags": [VERIFY],
            "ssl_ciphers": "ECDHE-RSA-AES128-GCM-SHA256",
        }.items()
    )
    unchecked = redis.Redis(ssl=True, ssl_cert_reqs=None)  # type: ignore[arg-type]
    assert RedisURL(url_of_client(unchecked)).options["ssl_cert_reqs"] == "none"


NO_CLIENT = (
    "Give Resque a URL, or a client of redis-py, which is a redis.Redis or a redis.RedisCluster, "
    "not a {}."
)
HAS = (
    "The redis-py client that was given to Resque has {}, which resque-fork cannot take over for "
    "its own connections: give Resque a URL instead."
)
REFUSED = [
    (lambda: 7, NO_CLIENT.format("builtins.int")),
    (AsyncRedis, NO_CLIENT.format("redis.asyncio.client.Redis")),
    (
        lambda: redis.Redis(credential_provider=UsernamePasswordCredentialProvider("u", "p")),
        HAS.format("the option credential_provider"),
    ),
    (lambda: redis.Redis(redis_connect_func=print), HAS.format("the option redis_connect_func")),
    (
        lambda: redis.Redis(ssl=True, ssl_validate_ocsp=True),
        HAS.format("the option ssl_validate_ocsp"),
    ),
    (
        lambda: redis.Redis.from_pool(redis.ConnectionPool(connection_class=Fake)),
        HAS.format("connections of the class Fake"),
    ),
    (
        lambda: sentinel().master_for("one", ssl=True),
        HAS.format("TLS to the primary or to the Sentinels, and not to both"),
    ),
    (
        lambda: sentinel().slave_for("one"),
        "The redis-py client that was given to Resque is one of slave_for, and nothing can be "
        "written to a replica: give Resque the client of master_for.",
    ),
]


@pytest.mark.parametrize(("client", "message"), REFUSED)
def test_what_cannot_be_taken_over_is_refused(client: Any, message: str) -> None:
    """What would connect or log in otherwise than the client does is an error that says so."""
    with pytest.raises(SettingsError) as caught:
        url_of_client(client())
    assert str(caught.value) == message
