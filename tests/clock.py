"""A clock for tests of what is due when."""


class Clock:
    """Stands still unless told; in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
