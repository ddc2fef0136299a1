"""A controller: events become keys, keys are reconciled by a fixed number of workers."""

import asyncio
import math
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import structlog

from marie_operator.runtime.children import Children, NameTaken
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import (
    ApiError,
    ApplyConflict,
    Conflict,
    NotLeader,
    ServerError,
    TooManyRequests,
    Unreachable,
)
from marie_operator.runtime.informer import Event, Informer
from marie_operator.runtime.metrics import RESULTS, Metrics
from marie_operator.runtime.queue import LOW_PRIORITY, MAX_BACKOFF, NORMAL_PRIORITY, ShutDown, WorkQueue
from marie_operator.runtime.resource import ObjectKey
from marie_operator.runtime.tracing import Tracer, reconciling
from marie_operator.runtime.turn import News, Turn

Mapper: TypeAlias = Callable[[Event], Iterable[ObjectKey]]
Predicate: TypeAlias = Callable[[Event], bool]

RECONCILE_TIMEOUT = 120.0
OUTAGE_BACKOFF = 30.0
"""Most seconds until the next try where the API server is what failed: the work waits for its return, as watches do."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """How a reconcile ended well.

    Attributes:
        requeue_after: Seconds until it should run again without an event; None for never.
        changes: What it wrote, for the log; nothing is logged when it wrote nothing.
        conclusive: Whether what it wrote itself asks for no further look: it went on from what the API server made of
            it, and would find nothing to do. Whatever else happened meanwhile is looked at all the same.

    Raises:
        ValueError: ``requeue_after`` is no number of seconds.
    """

    requeue_after: float | None = None
    changes: tuple[str, ...] = ()
    conclusive: bool = False

    def __post_init__(self) -> None:
        after: object = self.requeue_after
        if after is not None and not (isinstance(after, int | float) and math.isfinite(after)):
            raise ValueError(f"requeue_after is a number of seconds, or None for never, and not {after!r}")

    @property
    def outcome(self) -> Literal["success", "requeue_after"]:
        """What the metrics call it."""
        return "success" if self.requeue_after is None else "requeue_after"


class TerminalError(Exception):
    """A failure that trying again cannot mend; the next event does (C-08)."""


def own_key(event: Event) -> Iterable[ObjectKey]:
    """The key of the object itself (H-05)."""
    return (ObjectKey.of(event.object),)


def owner(kind: str, group: str, *, namespaced: bool = True) -> Mapper:
    """Keys of the controlling owners of a kind, before and after the change; the version does not matter (H-06).

    Args:
        kind: The owners'.
        group: The owners'.
        namespaced: Whether owners are in the namespace of what they own, or in none.
    """

    def owners(event: Event) -> Iterable[ObjectKey]:
        found: dict[ObjectKey, None] = {}
        for obj in (event.old, event.object):
            metadata = {} if obj is None else obj["metadata"]
            for reference in metadata.get("ownerReferences") or ():
                if (
                    reference.get("controller")
                    and reference["kind"] == kind
                    and reference["apiVersion"].partition("/")[0] == group
                ):
                    namespace = metadata.get("namespace", "") if namespaced else ""
                    found[ObjectKey(namespace, reference["name"])] = None
        return found

    return owners


def always(_event: Event) -> bool:
    """Every event counts."""
    return True


def asked_for(event: Event) -> bool:
    """Somebody wants something: created, deleted, or changed in spec, labels, annotations or finalizers.

    A change of status alone does not count. The generation alone would miss labels and finalizers (W-25).
    """
    if event.old is None or event.kind != "modified":
        return True
    before, after = event.old["metadata"], event.object["metadata"]
    told = ("generation", "uid", "deletionTimestamp", "labels", "annotations", "finalizers")
    return any(before.get(name) != after.get(name) for name in told)


class Controller:
    """Runs ``reconcile`` for the keys that its watches yield.

    Args:
        name: For logs and metrics.
        reconcile: Brings one object closer to its spec; raises to be run again after a back-off.
        concurrency: Workers.
        timeout: Seconds after which a reconcile is cancelled and tried again (C-12).
        clock: For queue and durations.
        metrics: The controller_runtime_* and workqueue_* families.
        tracer: Has a span for each reconcile; None for none.

    Raises:
        ValueError: there is no worker, or no time to work (C-01).
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[ObjectKey], Awaitable[Result]],
        *,
        concurrency: int = 1,
        timeout: float = RECONCILE_TIMEOUT,
        clock: Clock,
        metrics: Metrics,
        tracer: Tracer | None = None,
    ) -> None:
        if concurrency < 1 or timeout <= 0:
            raise ValueError(f"controller {name}: concurrency and timeout must be positive")
        self.name = name
        self._reconcile = (
            (lambda key, _cause: reconcile(key))
            if tracer is None
            else reconciling(name, reconcile, tracer, lambda result: _checked(result).outcome)
        )
        self._causes: dict[ObjectKey, str] = {}
        self._working: dict[ObjectKey, str] = {}
        self._turns: dict[ObjectKey, Turn] = {}
        self._concurrency = concurrency
        self._timeout = timeout
        self._clock = clock
        self._metrics = metrics
        self._queue = WorkQueue(name, clock=clock, metrics=metrics)
        self._informers: list[Informer] = []
        self._begun = False
        self._log = log.bind(controller=name)
        self._totals = {result: metrics.reconcile_total.labels(name, result) for result in RESULTS}
        self._errors = metrics.reconcile_errors.labels(name)
        self._terminal = metrics.terminal_errors.labels(name)
        self._panics = metrics.panics.labels(name)
        self._timeouts = metrics.timeouts.labels(name)
        self._time = metrics.reconcile_time.labels(name)
        self._active = metrics.active_workers.labels(name)
        metrics.max_concurrent.labels(name).set(concurrency)

    def watch(
        self,
        informer: Informer,
        *,
        map: Mapper = own_key,  # noqa: A002
        when: Predicate = always,
        within: float = 0.0,
    ) -> Self:
        """Reconcile keys at each event of an informer.

        What was there at the start waits behind live events (Q-29).

        Args:
            informer: Of the kind to be watched.
            map: The keys that an event concerns.
            when: Which events count.
            within: Seconds that an event may wait, so that those which come in their dozens are looked at together;
                the first of them sets the time, and a more urgent one does not wait.
        """
        causes = {kind: f"{informer.resource} {kind}" for kind in ("added", "modified", "deleted")}

        def enqueue(event: Event) -> None:
            if when(event):
                news = News(causes[event.kind], LOW_PRIORITY if event.initial else NORMAL_PRIORITY, within)
                for key in map(event):
                    turn = self._turns.get(key)
                    if turn is None:
                        self._add(key, news)
                    else:
                        turn.hear(informer.resource, event, news)

        informer.add_handler(enqueue)
        self._informers.append(informer)
        return self

    def owns(self, children: Children) -> Self:
        """Reconcile the owner of each of ``children`` that changes (H-06)."""
        owners = owner(children.owner.kind, children.owner.group, namespaced=children.owner.namespaced)
        for informer in children.informers:
            self.watch(informer, map=owners)
        return self

    def enqueue(self, key: ObjectKey, *, after: float = 0.0, cause: str = "enqueued") -> None:
        """Reconcile ``key`` for a reason outside the API server; ``cause`` names it for traces and /debug."""
        self._causes.setdefault(key, cause)
        self._queue.add(key, after=after)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work from the moment the informers are synced until ``stopping``, then finish what is begun (C-02, C-15).

        Raises:
            RuntimeError: it has run before; its queue is shut down for good.
        """
        if self._begun:
            raise RuntimeError(f"controller {self.name} runs only once")
        self._begun = True
        for informer in self._informers:
            await informer.wait_synced()
        self._queue.begin()
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._concurrency):
                tasks.create_task(self._work(), name=f"{self.name} worker {number}")
            try:
                await stopping.wait()
            finally:
                # Also for a reconcile that absorbs its cancellation: its worker must not begin another.
                self._queue.shut_down()

    def measure(self) -> None:
        """Bring the queue's time-dependent gauges up to date."""
        self._queue.measure()

    def report(self) -> dict[str, Any]:
        """Its keys with their causes, for /debug."""
        waiting, working = self._queue.report()
        return {
            "controller": self.name,
            "workers": self._concurrency,
            "working": [{**each, "cause": self._working.get(key, "")} for key, each in working.items()],
            "waiting": [{**each, "cause": self._causes.get(key, "")} for key, each in waiting.items()],
        }

    async def _work(self) -> None:
        while True:
            try:
                key, priority = await self._queue.get()
            except ShutDown:
                return
            cause = self._working[key] = self._causes.pop(key, "")
            self._active.inc()
            began, turn = self._clock.monotonic(), Turn()
            self._turns[key], conclusive = turn, False
            try:
                with turn.running():
                    conclusive = await self._once(key, priority, cause)
            finally:
                del self._turns[key]
                if (news := turn.news(own=not conclusive)) is not None:
                    self._add(key, news)
                self._active.dec()
                self._time.observe(self._clock.monotonic() - began)
                del self._working[key]
                # Last, so that what was added meanwhile comes out once (C-06).
                self._queue.done(key)

    async def _once(self, key: ObjectKey, priority: int, cause: str) -> bool:
        """One reconcile and what follows from its end; whether it has concluded."""
        told = self._log.bind(namespace=key.namespace, name=key.name)
        limit = asyncio.timeout(self._timeout)
        with structlog.contextvars.bound_contextvars(reconcile=uuid.uuid4().hex[:8]):
            try:
                async with limit:
                    result = await self._result(key, cause)
                self._succeeded(key, priority, result, told)
            except TerminalError as error:
                self._terminal.inc()
                self._count("error")
                self._queue.forget(key)
                told.error("cannot be reconciled", problem=str(error))
            except TimeoutError as error:
                if limit.expired():
                    self._timeouts.inc()
                self._retry(key, priority)
                told.warning("took too long", problem=str(error) or f"no end after {self._timeout:g} s")
            except ApplyConflict as error:
                delay = self._retry(key, priority)
                told.warning(
                    "others own fields that it would set; will try again",
                    fields=[f"{each.field} of {each.manager}" for each in error.conflicts],
                    problem=str(error),
                    seconds=round(delay, 3),
                )
            except (Conflict, NotLeader) as error:
                # What was read has changed meanwhile: the usual way to learn it, and no news to anyone.
                self._retry(key, priority)
                told.debug("will run again", problem=str(error))
            except (Unreachable, ServerError, TooManyRequests) as error:
                delay = self._retry(key, priority, most=OUTAGE_BACKOFF)
                told.warning(
                    "the API server cannot be used; will try again", problem=str(error), seconds=round(delay, 3)
                )
            except (ApiError, NameTaken) as error:
                delay = self._retry(key, priority)
                tell = told.debug if isinstance(error, NameTaken) and error.ends else told.warning
                tell("failed; will try again", problem=str(error), seconds=round(delay, 3))
            except Exception:  # noqa: BLE001 - a defect in one reconcile must not end the others (C-11)
                self._panics.inc()
                delay = self._retry(key, priority)
                told.exception("failed unexpectedly; will try again", seconds=round(delay, 3))
            else:
                return result.conclusive
        return False

    async def _result(self, key: ObjectKey, cause: str) -> Result:
        """What a reconcile returns.

        Raises:
            RuntimeError: what it awaited was cancelled by somebody else: a defect, which must not end its worker in
                silence, as its own cancellation does.
        """
        try:
            return _checked(await self._reconcile(key, cause))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError("what a reconcile awaited was cancelled by somebody else") from error

    def _succeeded(
        self, key: ObjectKey, priority: int, result: Result, told: structlog.typing.FilteringBoundLogger
    ) -> None:
        self._queue.forget(key)
        if result.changes:
            told.info("reconciled", changes=list(result.changes))
        self._totals[result.outcome].inc()
        if result.requeue_after is not None:
            self._causes.setdefault(key, "its own time")
            self._queue.add(key, priority=priority, after=result.requeue_after)

    def _add(self, key: ObjectKey, news: News) -> None:
        self._causes.setdefault(key, news.cause)
        self._queue.add(key, priority=news.priority, after=news.within)

    def _retry(self, key: ObjectKey, priority: int, *, most: float = MAX_BACKOFF) -> float:
        self._count("error")
        self._causes.setdefault(key, "failed before")
        return self._queue.add_rate_limited(key, priority=priority, most=most)

    def _count(self, result: str) -> None:
        self._totals[result].inc()
        self._errors.inc()


def _checked(returned: object) -> Result:
    """What a reconcile returned.

    Raises:
        TypeError: it is no Result, as after a ``return`` that was forgotten.
    """
    if not isinstance(returned, Result):
        raise TypeError(f"a reconcile returns a Result, such as Result() where all is done, and not {returned!r}")
    return returned
