"""An event loop whose time is virtual: whoever waits has waited, and nothing outside of the process takes part."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")


class NothingLeft(RuntimeError):  # noqa: N818
    """Every task waits for something that nobody will do."""


class _Future(asyncio.Future[T]):
    """A future with a place in order, see :class:`_Task`."""

    def __init__(self, *, loop: "VirtualLoop") -> None:
        super().__init__(loop=loop)
        self._number = loop.next_number()

    def __hash__(self) -> int:
        return self._number


class _Task(asyncio.Task[T]):
    """A task whose place in a set comes from when it was made, not from where it lies in memory."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], *, loop: "VirtualLoop", **options: Any) -> None:
        self._number = loop.next_number()
        super().__init__(coroutine, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


def _task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    return _Task(coroutine, loop=cast("VirtualLoop", loop), **options)


class VirtualLoop(asyncio.BaseEventLoop):
    """Jumps to the next timer whenever nothing is left to do at once.

    What runs is decided by the program alone: the same program on the same input does the same things in the same
    order. There are no sockets, no threads and no signals; asking for one is an error.

    Args:
        start: Where its clock begins, in seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self._now = start
        # Two timers that differ by less are due together; far below what anybody sleeps, far above rounding.
        self._clock_resolution = 1e-6
        self._selector = self
        self._numbers = itertools.count()
        self.set_task_factory(_task)

    def next_number(self) -> int:
        """The place of the next task or future."""
        return next(self._numbers)

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return _Future(loop=self)

    def time(self) -> float:
        """The virtual time, in seconds."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Let time pass until the next timer; asked by the loop instead of a selector of files.

        Raises:
            NothingLeft: there is none.
        """
        if timeout is None:
            raise NothingLeft("every task waits, and no timer is set")
        if timeout > 0:
            self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def run_in_executor(self, *_: Any) -> Any:  # type: ignore[override]
        """Refuse: another thread's time is not virtual.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("a thread was asked for in virtual time")


def run(main: Callable[[], Coroutine[Any, Any, T]], *, start: float = 0.0) -> T:
    """Run a coroutine to its end in virtual time.

    Args:
        main: Makes it.
        start: Where the clock begins, in seconds.

    Raises:
        NothingLeft: it waits for ever.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start)) as runner:
        return runner.run(main())
