"""What was declared can be found by its name on the wire, and nothing else can."""

import functools
import importlib
from pathlib import Path
from typing import Any

import pytest

from resque_fork import Job, job
from resque_fork.errors import ArgumentsError, DuplicateJobError, NoClassError, UnknownJob
from resque_fork.job.registry import Declaration, Registry, declaration_of, registry

pytestmark = pytest.mark.usefixtures("own_jobs")


def one(to: str, template: str = "welcome", times: int = 1) -> None: ...
def two(*args: Any) -> None: ...
def three(a: int, *, b: int = 2) -> None: ...


def declared(*functions: Any) -> Registry:
    """A registry of these functions, each under its own name."""
    made = Registry()
    for function in functions:
        made.declare(Declaration(function.__name__, None, function))
    return made


# --- by name


def test_found_by_name() -> None:
    """A declared job is found by its name on the wire, and by no other."""
    made = declared(one, two)
    assert made.find("one").perform is one
    assert made.names() == ["one", "two"]
    assert made.get("three") is None
    made.forget("one")
    made.forget("one")
    assert made.names() == ["two"]


@pytest.mark.parametrize("name", ["os.system", "builtins.print", "__import__", "one.__globals__"])
def test_nothing_undeclared_can_be_reached(name: str) -> None:
    """A name in a queue reaches nothing that was not declared."""
    with pytest.raises(UnknownJob):
        declared(one).find(name)


def test_unknown_names_the_likely() -> None:
    """An unknown job is named, with the known ones that look alike."""
    made = declared(one, two)
    with pytest.raises(UnknownJob) as caught:
        made.find("onne")
    assert str(caught.value) == "No job is registered as 'onne'; similar: one."
    with pytest.raises(UnknownJob) as caught:
        made.find("completely different")
    assert str(caught.value) == "No job is registered as 'completely different'."


def test_unknown_where_nothing_is_declared() -> None:
    """Where no job is declared at all, the application was probably not loaded."""
    with pytest.raises(UnknownJob) as caught:
        Registry().find("mail")
    assert str(caught.value) == (
        "No job is registered as 'mail', nor any other: "
        "give the worker the application with --require."
    )


def test_endless_name_is_shortened() -> None:
    """A name of megabytes does not fill the log."""
    with pytest.raises(UnknownJob) as caught:
        declared(one).find("x" * 1_000_000)
    assert str(caught.value) == f"No job is registered as '{'x' * 200}...'."


def test_two_jobs_of_one_name() -> None:
    """Two different jobs of one name are an error that says where both are."""
    made = declared(one)
    with pytest.raises(DuplicateJobError) as caught:
        made.declare(Declaration("one", None, two))
    assert str(caught.value) == (
        f"Two jobs are called 'one': one in {__file__} and two in {__file__}. "
        "Give one of them another name=."
    )
    assert made.find("one").perform is one


def test_same_job_seen_twice() -> None:
    """The same function again, as when its module is run as __main__ too, is no second job."""
    made = declared(one)
    made.declare(Declaration("one", "later", one))
    assert made.find("one").queue == "later"


def test_two_classes_of_one_name_and_one_perform() -> None:
    """Two classes are two jobs, though both inherit the same perform."""

    class Base(Job):
        @staticmethod
        def perform() -> None: ...

    class First(Base, name="Same"): ...

    with pytest.raises(DuplicateJobError) as caught:

        class Second(Base, name="Same"): ...

    here = "test_two_classes_of_one_name_and_one_perform.<locals>"
    assert str(caught.value) == (
        f"Two jobs are called 'Same': {here}.First in {__file__} and {here}.Second in {__file__}. "
        "Give one of them another name=."
    )
    assert registry.find("Same").owner is First


def test_module_loaded_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is reloaded declares its functions and classes again, and the later count."""
    (tmp_path / "reloaded.py").write_text(
        "from resque_fork import Job, job\n"
        "@job\n"
        "def mail(): ...\n"
        "class Base(Job):\n"
        "    perform = staticmethod(lambda: None)\n"
        "class Report(Base): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("reloaded")
    first = module.Report
    importlib.reload(module)
    assert registry.find("Report").owner is module.Report is not first
    assert registry.find("mail") is module.mail.declaration


def test_what_comes_from_no_file() -> None:
    """Callables that are no functions of a file can be jobs, and are told apart by name."""
    made = Registry()
    made.declare(Declaration("x", None, max))
    made.declare(Declaration("x", None, max))
    with pytest.raises(DuplicateJobError) as caught:
        made.declare(Declaration("x", None, functools.partial(one)))
    assert str(caught.value) == (
        "Two jobs are called 'x': max and partial. Give one of them another name=."
    )


# --- however it is named


def test_named_by_function_class_or_name() -> None:
    """A job may be named by its function, its class or its wire name; all mean the same."""

    @job(queue="q", name="Mail::Send")
    def mail() -> None: ...

    class Work(Job):
        queue = "w"

        @staticmethod
        def perform() -> None: ...

    assert declaration_of(mail) is declaration_of("Mail::Send") is registry.find("Mail::Send")
    assert declaration_of(Work) is declaration_of("Work") is registry.find("Work")


def test_name_without_code() -> None:
    """A name that is not declared here can be enqueued, but not performed."""
    unheard = declaration_of("Billing::Invoice")
    assert (unheard.wire_name, unheard.queue) == ("Billing::Invoice", None)
    assert unheard.bind([1, 2], {}) == [1, 2]
    assert registry.get("Billing::Invoice") is None
    with pytest.raises(NoClassError) as caught:
        unheard.perform()
    assert str(caught.value) == (
        "Only the name of this job is known here, so it cannot be performed here."
    )


@pytest.mark.parametrize("what", [None, "", 7, one, object, Job])
def test_what_is_no_job(what: Any) -> None:
    """What cannot be a job is refused with what to pass."""
    with pytest.raises(NoClassError) as caught:
        declaration_of(what)
    assert str(caught.value) == (
        f"{what!r} is not a job: pass a function decorated with @job, a subclass of Job "
        "with a perform method, or the name its workers know it by."
    )


# --- arguments travel by position


@pytest.mark.parametrize(
    ("args", "kwargs", "bound"),
    [
        (["ada"], {}, ["ada"]),
        (["ada", "bye"], {}, ["ada", "bye"]),
        (["ada"], {"template": "bye"}, ["ada", "bye"]),
        ([], {"template": "bye", "to": "ada"}, ["ada", "bye"]),
        (["ada"], {"times": 3}, ["ada", "welcome", 3]),  # the default before it fills the gap
    ],
)
def test_keywords_are_bound_to_positions(args: Any, kwargs: Any, bound: Any) -> None:
    """Arguments given by keyword travel in their places, and defaults stay the worker's."""
    assert Declaration("one", None, one).bind(args, kwargs) == bound


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "message"),
    [
        (one, [], {}, "job: missing a required argument: 'to'."),
        (one, ["a", "b", 1, 2], {}, "job: too many positional arguments."),
        (one, ["a"], {"tmplate": "x"}, "job: got an unexpected keyword argument 'tmplate'."),
        (
            three, [1], {"b": 3},
            "job: 'b' can only be given by keyword, and arguments travel by position.",
        ),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(function: Any, args: Any, kwargs: Any, message: str) -> None:
    """Arguments that the job would not take are refused where it is enqueued."""
    with pytest.raises(ArgumentsError) as caught:
        Declaration("job", None, function).bind(args, kwargs)
    assert str(caught.value) == message


def test_functions_without_a_signature() -> None:
    """A builtin that tells no signature takes what it is given."""
    assert Declaration("max", None, max).bind([1, 2], {}) == [1, 2]
    assert Declaration("two", None, two).bind([1, 2], {}) == [1, 2]


def test_decorated_function_is_bound_as_itself() -> None:
    """A function under other decorators is bound to its own signature."""

    @functools.wraps(one)
    def wrapped(*args: Any) -> None: ...

    assert Declaration("one", None, wrapped).bind(["a"], {"times": 2}) == ["a", "welcome", 2]
