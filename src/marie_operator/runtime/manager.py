"""The manager: starts everything in order, stops it in order, and ends when anything that must run does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from marie_operator.runtime.cache import Cache
from marie_operator.runtime.controller import Controller
from marie_operator.runtime.debug import Section, tasks
from marie_operator.runtime.election import Elector, LeadershipLost
from marie_operator.runtime.errors import NotLeader
from marie_operator.runtime.informer import Informer

SHUTDOWN_TIMEOUT = 30.0
"""Seconds that reconciles get to finish once a stop is asked for (M-07)."""
FINISH_TIMEOUT = 2.0
"""Seconds for what a leader does last, such as sending the events that its last reconciles have recorded."""
CANCEL_TIMEOUT = 3.0
"""Seconds that whatever was cancelled gets to end; what goes on then will not end at all."""

log = structlog.get_logger(__name__)


class NotEnded(Exception):  # noqa: N818 - the name says the state, as NotFound does
    """Work goes on although it was cancelled: the process has to end, and its lease with it, in its own time."""


class Manager:
    """Runs controllers on caches, behind a lease.

    The order is: servers, so that probes answer; caches, which a standby keeps warm; the lease; then controllers and
    what else only a leader runs (M-01). A stop goes the other way, and gives the lease back last (M-05, M-06).

    Args:
        cache: Informers.
        controllers: Reconcile while leading.
        standing: Background work of every process, also of a standby, which cannot write.
        leading: Background work of the leader alone, such as recording events, which are writes.
        finishing: What a leader does last, once its reconciles and its background work have ended and while the lease
            is still its own; whatever has not ended after ``FINISH_TIMEOUT`` seconds is cancelled.
        servers: Entered first, left last.
        measures: Bring further metrics up to date at a scrape.
        sections: What /debug shows besides what any manager has.
        elector: The lease; None leads at once (M-10).
        shutdown_timeout: Seconds for reconciles to finish.

    Raises:
        ValueError: two controllers have one name, and with it one set of metrics (C-01).
    """

    def __init__(
        self,
        *,
        cache: Cache,
        controllers: Sequence[Controller],
        standing: Sequence[Callable[[], Awaitable[None]]] = (),
        leading: Sequence[Callable[[], Awaitable[None]]] = (),
        finishing: Sequence[Callable[[], Awaitable[None]]] = (),
        servers: Sequence[AbstractAsyncContextManager[Any]] = (),
        measures: Sequence[Callable[[], None]] = (),
        sections: Mapping[str, Section] | None = None,
        elector: Elector | None = None,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
    ) -> None:
        names = [controller.name for controller in controllers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"controllers need names of their own; given twice: {', '.join(twice)}")
        self._cache = cache
        self._controllers = controllers
        self._standing = standing
        self._leading = leading
        self._finishing = finishing
        self._servers = servers
        self._measures = measures
        self._sections = sections or {}
        self._elector = elector
        self._shutdown_timeout = shutdown_timeout

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then finish what is begun.

        Raises:
            LeadershipLost: the lease could not be kept; the process must end.
            NotEnded: a reconcile, or background work, absorbs its cancellation. It may write yet, so the lease was not
                given back.
            Exception: the first error of anything that must run (M-04).
        """
        async with AsyncExitStack() as stack:
            for server in self._servers:
                await stack.enter_async_context(server)
            always = await stack.enter_async_context(_background(self._cache.run, *self._standing))
            if not await _reached(self._cache.wait_synced(), stop, always):
                return
            log.info("caches are synced")
            if self._elector is None:
                await self._lead(stop, always)
            elif await _reached(self._elector.acquire(), stop, always):
                await self._hold(self._elector, stop, always)
            else:
                # The lease may have been written all the same.
                await self._elector.release()

    def behind(self) -> str:
        """For readiness (M-12): which copies are not what the API server has, and why; empty while all are."""
        return "; ".join(filter(None, (_behind(informer) for informer in self._cache.informers())))

    def measure(self) -> None:
        """Bring metrics up to date that depend on the time of a scrape."""
        for controller in self._controllers:
            controller.measure()
        self._cache.measure()
        for measure in self._measures:
            measure()

    def sections(self) -> Mapping[str, Section]:
        """What /debug shows, by name."""
        return {
            "tasks": tasks,
            "queues": lambda: [controller.report() for controller in self._controllers],
            "caches": self._cache.report,
            "leader": lambda: {"leading": True} if self._elector is None else self._elector.report(),
            **self._sections,
        }

    async def _hold(self, elector: Elector, stop: asyncio.Event, always: set[asyncio.Task[None]]) -> None:
        async with _background(elector.hold) as renewal:
            try:
                await self._lead(stop, always | renewal)
            except NotLeader as error:
                # Whoever writes may learn it before the elector does.
                raise LeadershipLost(str(error)) from error
        # Renewed until the last reconcile has ended; only then may another begin.
        await elector.release()

    async def _lead(self, stop: asyncio.Event, watched: set[asyncio.Task[None]]) -> None:
        stopping = asyncio.Event()
        async with _background(*self._leading) as extra:
            workers = {
                asyncio.create_task(controller.run(stopping), name=f"controller {controller.name}"): controller
                for controller in self._controllers
            }
            try:
                await _reached(asyncio.Event().wait(), stop, watched | extra | workers.keys())
                stopping.set()
                log.info("stopping", seconds=self._shutdown_timeout)
                # What must run must do so until the last reconcile has ended; the lease above all.
                await _reached(self._drained(workers.keys()), asyncio.Event(), watched | extra)
            finally:
                left = await cancelled(workers.keys())
                for task in left:
                    keys = [each["key"] for each in workers[task].report()["working"]]
                    log.error(
                        "reconciles do not end although they are cancelled", controller=workers[task].name, keys=keys
                    )
            if left:
                raise NotEnded("reconciles absorb their cancellation; the lease is not given back")
            for task in workers:
                if not task.cancelled():
                    task.result()
        await _reached(self._finished(), asyncio.Event(), watched)

    async def _finished(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_TIMEOUT):
                await asyncio.gather(*(job() for job in self._finishing))

    async def _drained(self, workers: Collection[asyncio.Task[None]]) -> None:
        if not workers:
            return
        _, late = await asyncio.wait(workers, timeout=self._shutdown_timeout)
        if late:
            log.warning("reconciles did not end in time", controllers=sorted(task.get_name() for task in late))


def _behind(informer: Informer) -> str:
    return informer.last_error or ("" if informer.synced else f"{informer.resource} is being read")


@asynccontextmanager
async def _background(*jobs: Callable[[], Awaitable[None]]) -> AsyncIterator[set[asyncio.Task[None]]]:
    """Tasks for ``jobs`` that are cancelled, and have ended, when the block is left."""

    async def run(job: Callable[[], Awaitable[None]]) -> None:
        await job()

    tasks = {asyncio.create_task(run(job), name=getattr(job, "__qualname__", repr(job))) for job in jobs}
    try:
        yield tasks
    finally:
        left = sorted(task.get_name() for task in await cancelled(tasks))
        if left:
            log.error("background work does not end although it is cancelled", tasks=left)
    if left:
        raise NotEnded("background work absorbs its cancellation")


async def cancelled(tasks: Collection[asyncio.Task[Any]]) -> Collection[asyncio.Task[Any]]:
    """Cancel tasks, and wait for their end; those that go on in spite of it."""
    for task in tasks:
        task.cancel()
    if not tasks:
        return ()
    done, left = await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT)
    for task in done:
        if not task.cancelled():
            # Seen by whoever asks for it, and told by nobody else.
            task.exception()
    return left


async def _reached(wanted: Coroutine[Any, Any, object], stop: asyncio.Event, watched: set[asyncio.Task[None]]) -> bool:
    """Wait for ``wanted``, or for ``stop``; whichever of ``watched`` ends first ends the wait with its error."""
    goal, end = asyncio.create_task(wanted), asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({goal, end, *watched}, return_when=asyncio.FIRST_COMPLETED)
        for task in done & watched:
            task.result()
            raise RuntimeError(f"{task.get_name()} ended although it should run for ever")
        if goal in done:
            goal.result()
            return True
        return False
    finally:
        await cancelled((goal, end))
