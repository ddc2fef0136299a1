"""What kube-controller-manager and kube-scheduler do, as coroutines on a client of any API server."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from marie_operator.testing.api import Api
from marie_operator.testing.workloads.cache import Cluster
from marie_operator.testing.workloads.claims import ClaimProtection
from marie_operator.testing.workloads.controller import Controller, Now, Periods, Worker
from marie_operator.testing.workloads.deployment import Deployments
from marie_operator.testing.workloads.endpoints import EndpointSlices
from marie_operator.testing.workloads.eviction import TaintEviction
from marie_operator.testing.workloads.garbage import GarbageCollector
from marie_operator.testing.workloads.job import Jobs
from marie_operator.testing.workloads.namespace import Namespaces
from marie_operator.testing.workloads.nodes import NodeLifecycle
from marie_operator.testing.workloads.orphans import PodGarbageCollector
from marie_operator.testing.workloads.replicaset import ReplicaSets
from marie_operator.testing.workloads.scheduler import Scheduler
from marie_operator.testing.workloads.statefulset import StatefulSets

__all__ = ["ALL", "Controller", "Periods", "Workloads"]

ALL: tuple[type[Controller], ...] = (
    Namespaces,
    ReplicaSets,
    Deployments,
    StatefulSets,
    Jobs,
    EndpointSlices,
    GarbageCollector,
    ClaimProtection,
    NodeLifecycle,
    TaintEviction,
    PodGarbageCollector,
    Scheduler,
)


def _utc() -> datetime:
    return datetime.now(UTC)


async def _settled(workers: Sequence[Worker]) -> None:
    for worker in workers:
        await worker.settled()


class Workloads:
    """Runs controllers while it is entered.

    Args:
        api: An entered client that may do everything.
        controllers: Which ones.
        periods: How long they wait.
        now: The time, for ages and deadlines.
    """

    def __init__(
        self,
        api: Api,
        *,
        controllers: Sequence[type[Controller]] = ALL,
        periods: Periods = Periods(),  # noqa: B008 - frozen
        now: Now = _utc,
    ) -> None:
        self._cluster = Cluster(api, self._spawn)
        self._controllers = [each(self._cluster, now, periods) for each in controllers]
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._failed = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start, and return when what was there has been looked at, so that pods can be created.

        Raises:
            ExceptionGroup: the API server refused something.
        """
        workers = [Worker(each, self._fail) for each in self._controllers]
        for worker, controller in zip(workers, self._controllers, strict=True):
            self._spawn(worker.run(), controller.name)
        settled = asyncio.create_task(_settled(workers))
        failed = asyncio.create_task(self._failed.wait())
        try:
            await asyncio.wait((settled, failed), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._stop()
            raise
        finally:
            settled.cancel()
            failed.cancel()
        if self._failures:
            await self.__aexit__(None, None, None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop; everything stays as it is.

        Raises:
            ExceptionGroup: the API server refused something, or a controller failed.
        """
        await self._stop()
        if self._failures:
            raise BaseExceptionGroup("the workloads failed", self._failures)

    async def _stop(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failures.append(error)
        self._failed.set()
