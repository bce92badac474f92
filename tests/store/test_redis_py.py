"""What resque-fork uses of redis-py's private names is there, and used in one module."""

import ast
import importlib
from pathlib import Path

import pytest
import redis

from resque_fork import store

HOME = Path(store.__file__).parent
USED = [
    "redis._parsers:Encoder",
    "redis._parsers:_RESP2Parser",
    "redis._parsers:_RESP3Parser.set_invalidation_push_handler",
    "redis._parsers:_RESP3Parser.on_connect",
    "redis.connection:PythonRespSerializer.pack",
    "redis.connection:AbstractConnection._connect",
    "redis.connection:AbstractConnection.on_connect_check_health",
    "redis.connection:AbstractConnection.check_health",
    "redis.connection:AbstractConnection.set_parser",
    "redis.connection:Connection._connect",
    "redis.connection:SSLConnection._wrap_socket_with_ssl",
    "redis.connection:ConnectionPool._get_free_connections",
]


@pytest.mark.parametrize("used", USED)
def test_redis_py_still_has_it(used: str) -> None:
    """This version of redis-py has each private name that we use."""
    module, _, names = used.partition(":")
    found: object = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name, None)
        assert found is not None, (
            f"redis-py {redis.__version__} has no {used}, which resque_fork/store/redis_py.py uses"
        )


def test_a_connection_still_has_it() -> None:
    """A connection of this version of redis-py has the private attributes that we use."""
    for name in ("_sock", "_parser"):
        assert hasattr(redis.Connection(), name), (
            f"A connection of redis-py {redis.__version__} has no {name}, "
            "which resque_fork/store/redis_py.py uses"
        )


def test_private_names_have_one_home() -> None:
    """No other module of the store takes something from redis-py's private modules or objects."""
    private = {
        name for used in USED for name in used.partition(":")[2].split(".") if name[0] == "_"
    }
    strays = []
    for path in HOME.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("redis._"):
                strays.append(f"{path.name} imports from {node.module}")
            if (
                isinstance(node, ast.Attribute)
                and node.attr in {*private, "_sock", "_parser"}
                and ast.unparse(node.value) not in ("self", "super()")
            ):
                strays.append(f"{path.name} uses {ast.unparse(node)}")
    others = [stray for stray in strays if not stray.startswith("redis_py.py ")]
    assert not others, "; ".join(others)
    assert len(strays) > len(others)
