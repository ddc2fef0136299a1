"""An event loop whose time is virtual: whoever waits has waited, and nothing outside of the process takes part."""

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class NothingLeft(RuntimeError):  # noqa: N818
    """Every task waits for something that nobody will do."""


class _Future(asyncio.Future[T]):
    """A future whose place in a set comes from when it was first put into one, not from where it lies in memory."""

    _number: int | None = None

    def __hash__(self) -> int:
        if self._number is None:
            self._number = cast("VirtualLoop", self.get_loop()).next_number()
        return self._number


class _Task(asyncio.Task[T]):
    """A task, see :class:`_Future`."""

    _number: int | None = None
    __hash__ = _Future.__hash__


def _task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = _Task(coroutine, loop=cast("VirtualLoop", loop), **options)
    context: contextvars.Context | None = options.get("context")
    process = _PROCESS.get() if context is None else context.get(_PROCESS)
    if process is not None:
        process.adopt(task)
    return task


class Process:
    """A part of a simulation that can be stopped, continued and killed: tasks, and all that they start.

    What tasks and timers belong to goes with their context; one that starts in an empty context belongs to nobody.

    Attributes:
        dead: Whether it is being killed: what it does from then on, in cleaning up, must not be seen outside of it.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._held: list[asyncio.Handle] | None = None
        self._gone = False
        self.dead = False

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Its tasks that have not ended."""
        return list(self._tasks)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as a part of it."""
        context = contextvars.copy_context()
        context.run(_PROCESS.set, self)
        return asyncio.get_running_loop().create_task(coroutine, context=context)

    def stop(self) -> None:
        """Let nothing of it run, as SIGSTOP does; time goes on, and its timers lapse."""
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        """Let it go on, with all that was due meanwhile."""
        held, self._held = self._held or [], None
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        loop.catch_up(held)

    async def kill(self) -> None:
        """End it at once, as SIGKILL does: every task is cancelled until none is left, and its timers never come.

        Raises:
            RuntimeError: a task does not end.
        """
        self.dead = True
        self.resume()
        for _ in range(1000):
            if not self._tasks:
                self._gone = True
                return
            for task in self.tasks:
                task.cancel()
            await asyncio.sleep(0)
        raise RuntimeError(f"tasks that cannot be cancelled: {self.tasks}")

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Take in a task that was started in it."""
        self._tasks[task] = None
        task.add_done_callback(self._ended, context=contextvars.Context())

    def holds(self, handle: asyncio.Handle) -> bool:
        """Whether a turn must wait because it is stopped, when it is taken, or never comes because nothing is left."""
        if self._gone:
            return True
        if self._held is None:
            return False
        self._held.append(handle)
        return True

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)


_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class VirtualLoop(asyncio.BaseEventLoop):
    """Jumps to the next timer whenever nothing is left to do at once.

    What runs is decided by the program alone: the same program on the same input does the same things in the same
    order. There are no sockets, no threads and no signals; asking for one is an error.

    Args:
        start: Where its clock begins, in seconds.
    """

    _ready: deque[asyncio.Handle]
    _stopping: bool

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self._now = start
        # Two timers that differ by less are due together; far below what anybody sleeps, far above rounding.
        self._clock_resolution = 1e-6
        self._numbers = itertools.count()
        # With its moment and its number before it, a timer is found by what C compares; equal moments keep their order.
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._set = itertools.count()
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

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Call something in the next turn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call something after so many seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call something at a moment; what is due together is called in the order in which it was asked for."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._set), timer))
        return timer

    def catch_up(self, handles: list[asyncio.Handle]) -> None:
        """Run what was held back, in its order."""
        self._ready.extend(handles)

    def _run_once(self) -> None:
        """Run what is due; when nothing is, let time pass until the next timer first.

        Raises:
            NothingLeft: there is none.
        """
        ready, timers = self._ready, self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not ready and not self._stopping:
            if not timers:
                raise NothingLeft("every task waits, and no timer is set")
            self._now = max(self._now, timers[0][0])
        end = self._now + self._clock_resolution
        while timers and timers[0][0] < end:
            when, _, timer = heapq.heappop(timers)
            if not timer.cancelled():
                # Nobody is woken too early: who found a moment missing would wait for it again and again, for ever.
                self._now = max(self._now, when)
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            process = handle._context.get(_PROCESS)  # type: ignore[attr-defined] # there is no other way to tell
            if process is None or not process.holds(handle):
                handle._run()

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
