"""A clock that a test sets, for what takes its time from a function."""

from dataclasses import dataclass, field


@dataclass
class Clock:
    """A clock that stands still until `now` is set, in seconds."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class MakerByClock:
    """The part of a contract's maker that lets time pass, for stores that read `clock`."""

    clock: Clock = field(default_factory=Clock)

    async def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
