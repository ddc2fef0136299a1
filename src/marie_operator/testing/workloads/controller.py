"""How every controller works: keys of what may need attention, one at a time each, again when it fails or is due."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar, TypeAlias

from marie_operator.testing.api import RETRY_PERIOD, ApiStatus, ApiUnreachable
from marie_operator.testing.workloads.cache import Cluster
from marie_operator.testing.workloads.objects import Key, Object, Resource, key_of

Now: TypeAlias = Callable[[], datetime]
Mapper: TypeAlias = Callable[[Object], Iterable[Key]]

CONCURRENCY = 16
_FIRST_RETRY = 0.01


@dataclass(frozen=True, slots=True)
class Periods:
    """How long the controllers wait, in seconds; as kube-controller-manager does when nobody tells it otherwise.

    Attributes:
        node_monitor: Between two looks at what nodes have been heard of (``--node-monitor-period``).
        node_grace: Of silence, before a node is taken for lost (``--node-monitor-grace-period``).
        node_startup_grace: The same of a node that has never reported (``--node-startup-grace-period``).
        node_eviction: Between two nodes of a zone whose pods are told to go (1 / ``--node-eviction-rate``).
        orphan: Before the pods of a node that is not there are deleted.
    """

    node_monitor: float = 5.0
    node_grace: float = 50.0
    node_startup_grace: float = 60.0
    node_eviction: float = 10.0
    orphan: float = 40.0


class Controller:
    """Makes the cluster what some objects of it ask for.

    Args:
        cluster: To read from and to write to.
        now: The time.
        periods: How long it waits, where it does.

    Attributes:
        name: Of the controller, as in kube-controller-manager.
    """

    name: ClassVar[str]

    def __init__(self, cluster: Cluster, now: Now, periods: Periods) -> None:
        self.cluster = cluster
        self.now = now
        self.periods = periods

    def watches(self) -> Mapping[Resource, Mapper]:
        """What it must know, and which keys need attention when an object of it comes, changes or goes."""
        raise NotImplementedError

    async def reconcile(self, key: Key) -> float | None:
        """Look at one key.

        Returns:
            Seconds until time alone makes another look worth it; None is never.
        """
        raise NotImplementedError

    async def prepare(self, add: Callable[[Key], None]) -> None:
        """Run beside the controller, for what it must know that is no object; ``add`` asks for attention."""


def itself(found: Object) -> tuple[Key]:
    """An object is about itself."""
    return (key_of(found),)


def under(kind: str) -> Mapper:
    """An object is about the one of a kind that manages it."""

    def keys(found: Object) -> list[Key]:
        owners = found["metadata"].get("ownerReferences") or ()
        namespace = key_of(found).namespace
        return [Key(namespace, each["name"]) for each in owners if each.get("controller") and each["kind"] == kind]

    return keys


class Worker:
    """Runs a controller.

    Args:
        controller: What to run.
        fail: Told of an error that trying again does not mend.
    """

    def __init__(self, controller: Controller, fail: Callable[[BaseException], None]) -> None:
        self._controller = controller
        self._fail = fail
        self._open = False
        self._waiting: dict[Key, None] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        controller = self._controller
        watches = controller.watches()
        for resource, mapper in watches.items():
            controller.cluster[resource].listen(partial(self._see, mapper))
        await controller.cluster.synced(watches)
        self._open = True
        self._start()
        try:
            await controller.prepare(self.add)
            await asyncio.Event().wait()
        finally:
            for timer in self._timers.values():
                timer.cancel()
            tasks = tuple(self._running.values())
            self._open = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until all that was there at the start has been looked at."""
        await self._settled.wait()

    def add(self, key: Key) -> None:
        """Look at a key soon."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._waiting[key] = None
        self._start()

    def _see(self, mapper: Mapper, found: Object) -> None:
        for key in mapper(found):
            self.add(key)

    def _start(self) -> None:
        if not self._open:
            return
        if not self._waiting and not self._running:
            self._settled.set()
        for key in [key for key in self._waiting if key not in self._running]:
            if len(self._running) >= CONCURRENCY:
                return
            del self._waiting[key]
            task = asyncio.create_task(self._work(key), name=f"{self._controller.name} {key.namespace}/{key.name}")
            self._running[key] = task
            task.add_done_callback(partial(self._done, key))

    def _done(self, key: Key, _: asyncio.Task[None]) -> None:
        del self._running[key]
        self._start()

    async def _work(self, key: Key) -> None:
        try:
            again = await self._controller.reconcile(key)
        except (ApiStatus, ApiUnreachable) as error:
            again = self._after(key, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told when the workloads end
            self._fail(error)
            return
        else:
            self._failures.pop(key, None)
        if again is not None and key not in self._waiting:
            self._timers[key] = asyncio.get_running_loop().call_later(again, self.add, key)

    def _after(self, key: Key, error: ApiStatus | ApiUnreachable) -> float | None:
        """Seconds until another try."""
        if isinstance(error, ApiUnreachable) or error.passing:
            return RETRY_PERIOD
        if is_terminating(error):
            return None
        if error.code not in {404, 409}:
            self._fail(error)
            return None
        self._failures[key] = self._failures.get(key, -1) + 1
        return float(min(RETRY_PERIOD, _FIRST_RETRY * 2 ** min(self._failures[key], 10)))


def is_terminating(error: ApiStatus) -> bool:
    """Whether something was not created because its namespace is being deleted."""
    details = error.body.get("details") or {} if isinstance(error.body, dict) else {}
    return any(each.get("reason") == "NamespaceTerminating" for each in details.get("causes") or ())
