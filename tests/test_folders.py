"""Folders import in one direction, and everything from outside has one home."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import resque_fork

HOME = Path(resque_fork.__file__).parent

# Each folder, or module that stands alone, imports from those before it only.
ORDER = [
    "version",
    "text",
    "callables",
    "lazy",
    "errors",
    "wire",
    "settings",
    "logs",
    "system",
    "store",
    "metrics",
    "job",
    "failure",
    "policies",
    "clock",
    "client",
    "child",
    "worker",
    "pool",
    "ops",
    "web",
    "reload",
    "embedded",
    "testing",
    "pytest_plugin",
    "cli",
    "contrib",
    "__main__",
]

# What may be imported inside a function: by which module, and what.
LATE = {
    ("cli/__init__", "resque_fork.cli.starting"),
    ("cli/app", "resque_fork.client.resque"),  # redis takes most of the time that --help took
    ("cli/app", "resque_fork.store.redis_url"),
    ("cli/app", "resque_fork.ops.site"),
    ("cli/options", "click.shell_completion"),
    ("cli/program", "difflib"),  # from here on: it costs memory, and so makes every fork slower
    ("cli/top", "termios"),  # Windows has neither
    ("cli/top", "tty"),
    ("cli/web", "uvicorn"),  # an extra
    ("client/resque", "resque_fork.store.client"),  # only a connection takes redis
    ("client/resque", "resque_fork.store.url_of_client"),
    ("job/declare", "resque_fork.client.default"),
    ("job/registry", "difflib"),
    ("job/schedule", "resque_fork.job.cron"),
    ("pytest_plugin", "resque_fork.client.default"),  # every run of pytest loads it
    ("pytest_plugin", "resque_fork.client.resque"),
    ("pytest_plugin", "resque_fork.embedded"),
    ("pytest_plugin", "resque_fork.testing"),
    ("reload/watcher", "watchfiles"),  # an extra
    ("settings", "tomllib"),
    ("text", "difflib"),
    ("system/subprocess", "pickle"),
    ("system/identity", "psutil"),
    ("system/pidfile", "psutil"),
    ("system/proc", "psutil"),
    ("system/process", "threading"),  # only where the kernel lets children outlive us
}


def modules() -> list[str]:
    """Every module as ``store/worker_store``, packages as ``store/__init__``."""
    paths = (path.relative_to(HOME).with_suffix("") for path in HOME.rglob("*.py"))
    return sorted(path.as_posix() for path in paths)


def tree_of(module: str) -> ast.Module:
    return ast.parse((HOME / f"{module}.py").read_text("utf-8"))


def targets(module: str, node: ast.Import | ast.ImportFrom) -> list[str]:
    """What an import names, absolutely: ``resque_fork.store.queues``, ``redis.exceptions``."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    package = ["resque_fork", *module.split("/")[:-1]]
    base = package[: len(package) - node.level + 1] if node.level else []
    origin = ".".join([*base, *([node.module] if node.module else [])])
    return [
        f"{origin}.{alias.name}" if _is_module(f"{origin}.{alias.name}") else origin
        for alias in node.names
    ]


def _is_module(dotted: str) -> bool:
    path = HOME.joinpath(*dotted.split(".")[1:])
    ours = dotted.startswith("resque_fork.")
    return ours and (path.with_suffix(".py").is_file() or path.is_dir())


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """Every import of a module and whether it stands in a function; TYPE_CHECKING is left out."""

    def walk(node: ast.AST, late: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield from ((target, late) for target in targets(module, child))
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, late or inside)

    return walk(tree_of(module), False)


def ours(dotted: str) -> str | None:
    """``store/worker_store`` for ``resque_fork.store.worker_store``; None for what is not ours."""
    if dotted == "resque_fork":
        return "__init__"
    if not dotted.startswith("resque_fork."):
        return None
    module = dotted.removeprefix("resque_fork.").replace(".", "/")
    return f"{module}/__init__" if (HOME / module).is_dir() else module


def place_of(module: str) -> int:
    return ORDER.index(module.split("/")[0])


def test_every_folder_has_its_place() -> None:
    """The order names each folder, and each module that stands alone, once."""
    assert len(ORDER) == len(set(ORDER))
    assert {module.split("/")[0] for module in modules()} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("module", [m for m in modules() if m != "__init__"])
def test_imports_follow_the_order(module: str) -> None:
    """No module imports from a folder behind its own, nor the package's face from inside."""
    crossed = []
    for dotted, late in imports(module):
        target = ours(dotted)
        if target == "__init__" and dotted == "resque_fork":
            crossed.append(f"{module} imports resque_fork itself; import the module that has it")
        elif target is not None and not late and place_of(target) > place_of(module):
            crossed.append(f"{module} imports {target}, which comes after it in the order")
    assert not crossed, "; ".join(crossed)


def test_no_cycles() -> None:
    """No module imports itself by way of others."""
    graph = {
        module: sorted({t for dotted, late in imports(module) if not late and (t := ours(dotted))})
        for module in modules()
    }
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        if module in way:
            circle = " -> ".join([*way[way.index(module) :], module])
            pytest.fail(f"These modules import each other in a circle: {circle}")
        if module not in done:
            for target in graph[module]:
                if target not in ("__init__", module):
                    visit(target, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_imports_stand_at_the_top() -> None:
    """No import inside a function, but for a few that cost too much."""
    late = {(module, dotted) for module in modules() for dotted, late in imports(module) if late}
    extra = [f"{module} imports {what} inside a function" for module, what in sorted(late - LATE)]
    assert not extra, "; ".join(extra)
    gone = [f"{module} no longer imports {what} late" for module, what in sorted(LATE - late)]
    assert not gone, "; ".join(gone)


@pytest.mark.parametrize(
    ("package", "homes"),
    [
        ("redis", ("store/",)),
        ("setproctitle", ("wire/procline",)),
        ("click", ("cli/",)),
        ("pytest", ("pytest_plugin",)),
        ("django", ("contrib/",)),
        ("sentry_sdk", ("contrib/",)),
        ("sqlalchemy", ("contrib/",)),
        ("uvicorn", ("cli/web",)),
        ("starlette", ("web/",)),
        ("jinja2", ("web/",)),
    ],
)
def test_outside_things_have_one_home(package: str, homes: tuple[str, ...]) -> None:
    """Redis is spoken to in one package, titles are set in one module, options are read in one."""
    strays = [
        f"{module} imports {dotted}, which belongs to {' and '.join(homes)}"
        for module in modules()
        for dotted, _ in imports(module)
        if dotted.split(".")[0] == package and not module.startswith(homes)
    ]
    assert not strays, "; ".join(strays)


def test_the_wire_needs_nothing_from_outside() -> None:
    """The contract is made of the standard library, and setproctitle."""
    strays = [
        f"{module} imports {dotted}"
        for module in modules()
        if module.startswith("wire/")
        for dotted, _ in imports(module)
        if dotted.split(".")[0] in ("redis", "click", "psutil")
    ]
    assert not strays, "; ".join(strays)


def test_one_module_forks_waits_and_exits() -> None:
    """Only system/process.py calls os.fork, os._exit or waits for a child."""
    reads_only = ("waitstatus_to_exitcode",)
    strays = []
    for module in modules():
        for node in ast.walk(tree_of(module)):
            if not (isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os"):
                continue
            name = node.attr
            if name in reads_only or module == "system/process":
                continue
            if name in ("fork", "forkpty", "_exit") or name.startswith("wait"):
                strays.append(
                    f"{module}:{node.lineno} uses os.{name}, which belongs to system/process"
                )
        names = [
            f"{module} takes {alias.name} from os, which belongs to system/process"
            for node in ast.walk(tree_of(module))
            if isinstance(node, ast.ImportFrom) and node.module == "os"
            for alias in node.names
            if alias.name in ("fork", "_exit") or alias.name.startswith("wait")
        ]
        strays += names
    assert not strays, "; ".join(strays)
