"""Jobs and hooks that tell what they were given; the fixture `told` has it in order."""

from typing import Any, ClassVar


class Told:
    """A mix-in for jobs and their hooks."""

    log: ClassVar[list[Any]] = []

    @classmethod
    def tell(cls, *words: Any) -> None:
        Told.log.append(words[0] if len(words) == 1 else words)


def hook(what: str, answer: Any = None) -> Any:
    """A hook that tells what it was given, and answers."""

    def hook(*args: Any) -> Any:
        Told.tell(what, *args)
        return answer

    return staticmethod(hook)
