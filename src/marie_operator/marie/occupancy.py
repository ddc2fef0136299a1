"""Which of a cluster's workers have work in hand: from etcd, where each says so, else from the gateway's lists."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from marie_operator.marie.client import Gateway
from marie_operator.marie.etcd import Etcd, Worker
from marie_operator.marie.replies import Node, NodeState
from marie_operator.marie.transport import Unanswered
from marie_operator.runtime.clock import Clock

RESTING = 5.0
"""Seconds between two looks."""
IDLE = 60.0
"""Seconds between two looks at the lists of a gateway that says, whenever it is asked how it is, that it has nothing
to do."""
HURRIED = 1.0
"""Seconds between two looks while somebody waits for workers to be idle."""
LATELY = 60.0
"""Seconds for which a worker counts as busy after its last work in what is told and marked, which is not to flicker."""
BOOT = 600.0
"""Seconds without a pause in which etcd has told of no worker of a pod, after which its executors count as failed."""
FIRST_BACKOFF, MAX_BACKOFF = 5.0, 60.0
"""Seconds without a question to an etcd that has not answered."""

log = structlog.get_logger(__name__)

_IN_HAND = (NodeState.ACTIVE,)
_UNFINISHED = (NodeState.CREATED, NodeState.ACTIVE, NodeState.RETRY, NodeState.ACTIVE)
"""In the order in which a task moves on, so that one that moves between two reads is not missed."""
_DEAD = (NodeState.FAILED, NodeState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What is known of a cluster's workers.

    Attributes:
        workers: By address; None while etcd cannot be asked.
        withdrawn: Seconds for which a worker has been known not to be registered, by address.
        lately: Addresses of workers that were busy within the last minute.
        asked: Seconds for which etcd has told of the workers each time that it was asked.
        met: Addresses of workers that there were within the last ``BOOT`` seconds.
        tasks: Number of tasks by executor name; None where they were not asked for, or cannot be told.
        at: When they were looked at, in seconds of the clock.
        whole: Whether ``tasks`` are all that are unfinished, and not only those in hand.
        places: Addresses of workers by executor name, as the gateway has them; where ``tasks`` are told.
        served: Executor names that had a task in hand within the last minute, as far as ``workers`` do not tell.
        lost: Tasks that were given to a worker in the moment between its withdrawal and the gateway's hearing of it,
            by address.
        problem: Why etcd cannot be asked; empty where it can, or is not known.
        documents: Number of DAGs with unfinished tasks that some worker does or can be given; None where unfinished
            tasks were not asked for, or cannot be told.
        begun: How many of these have a task that some worker does; None where ``documents`` is.
    """

    workers: Mapping[str, Worker] | None = None
    withdrawn: Mapping[str, float] = field(default_factory=dict)
    lately: frozenset[str] = frozenset()
    asked: float = 0.0
    met: frozenset[str] = frozenset()
    tasks: Mapping[str, int] | None = None
    at: float = 0.0
    whole: bool = False
    places: Mapping[str, frozenset[str]] = field(default_factory=dict)
    served: frozenset[str] = frozenset()
    lost: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    documents: int | None = None
    begun: int | None = None


class _Tasks(NamedTuple):
    """Tasks, and the addresses of workers by executor."""

    nodes: Sequence[Node]
    places: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody needs to know, and have done.

    Attributes:
        hurried: Whether somebody waits for workers to be idle.
        tasks: Whether unfinished tasks are to be counted although etcd answers.
        withdraw: Addresses of workers that are to get no more work, as soon as they are idle.
    """

    hurried: bool = False
    tasks: bool = False
    withdraw: frozenset[str] = frozenset()


class OccupancyWatch:
    """Looks at one cluster's workers, again and again.

    Args:
        gateway: The cluster's gateway.
        etcd: Its etcd; None where it is not known.
        clock: For every wait and age.
        on_change: Called when there is something new, and after each look that is hurried.
        idle: Whether the gateway says that it has nothing to do; ``wake`` is called when that ends.
    """

    def __init__(
        self,
        gateway: Gateway,
        etcd: Etcd | None,
        *,
        clock: Clock,
        on_change: Callable[[], None],
        idle: Callable[[], bool] = lambda: False,
    ) -> None:
        self._gateway = gateway
        self._etcd = etcd
        self._clock = clock
        self._on_change = on_change
        self._idle = idle
        self._question = Question()
        self._wake = asyncio.Event()
        self._view: Occupancy | None = None
        self._busy_at: dict[str, float] = {}
        self._served_at: dict[str, float] = {}
        self._absent: dict[str, float] = {}
        self._met_at: dict[str, float] = {}
        self._asked_since: float | None = None
        self._given: dict[str, int] = {}
        self._retry_at = 0.0
        self._backoff = 0.0
        self._problem = ""
        self._active: frozenset[str] = frozenset()

    @property
    def view(self) -> Occupancy | None:
        """What is known; None before the first look."""
        return self._view

    def ask(self, question: Question) -> None:
        """Look at what is needed from now on."""
        if question == self._question:
            return
        urgent = question.hurried and not self._question.hurried
        if urgent or question.withdraw - self._question.withdraw or (question.tasks and not self._question.tasks):
            self._wake.set()
        self._question = question

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._wake.clear()
            hurried = self._question.hurried
            old, new = self._view, await self._look()
            self._view = new
            if hurried or old is None or _gist(old) != _gist(new):
                self._on_change()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _pause(self) -> float:
        """Seconds until the next look.

        Lists that are long, since there is work, are not read each second; and where there is none, nobody waits and
        lists are all there is to ask for, they stay as they are.
        """
        view = self._view
        if self._question.hurried:
            return RESTING if view is not None and view.tasks else HURRIED
        at_rest = view is not None and view.workers is None and view.tasks is not None and not view.served
        return IDLE if at_rest and self._question == Question() and self._idle() else RESTING

    async def _look(self) -> Occupancy:
        question, began = self._question, self._clock.monotonic()
        workers = await self._workers(question.withdraw)
        now = self._clock.monotonic()
        told = None
        if workers is None or question.tasks:
            told = await self._tasks(_UNFINISHED if question.hurried else _IN_HAND)
        nodes, places = told or _Tasks((), {})
        tasks = None if told is None else Counter(node.executor for node in nodes)
        documents, begun = self._documents(told, workers) if told is not None and question.hurried else (None, None)
        self._note(workers, tasks, now)
        return Occupancy(
            workers=workers,
            withdrawn={address: now - since for address, since in self._absent.items()},
            lately=frozenset(self._busy_at),
            asked=0.0 if self._asked_since is None else now - self._asked_since,
            met=frozenset(self._met_at),
            tasks=tasks,
            at=began,
            whole=question.hurried,
            places=places,
            served=frozenset(self._served_at),
            lost=self._lost(workers or {}),
            problem=self._problem,
            documents=documents,
            begun=begun,
        )

    async def _workers(self, withdraw: frozenset[str]) -> Mapping[str, Worker] | None:
        """The workers, after those that can be withdrawn have been; None when etcd does not tell."""
        if self._etcd is None or self._clock.monotonic() < self._retry_at:
            return None
        try:
            found = await self._etcd.workers()
            idle = [found[address] for address in sorted(withdraw) if address in found and found[address].free]
            for worker in idle:
                if await self._etcd.withdraw(worker):
                    self._given[worker.address] = worker.assigned
            if idle:
                found = await self._etcd.workers()
        except Unanswered as error:
            self._backoff = min(max(self._backoff * 2, FIRST_BACKOFF), MAX_BACKOFF)
            self._retry_at = self._clock.monotonic() + self._backoff
            if not self._problem:
                log.info("etcd does not tell which executors work", url=self._etcd.url, problem=str(error))
            self._problem = str(error)
            return None
        self._backoff, self._problem = 0.0, ""
        return found

    def _documents(self, told: _Tasks, workers: Mapping[str, Worker] | None) -> tuple[int, int]:
        """DAGs whose work goes on: not of tasks that have no worker, nor of those that a gateway left active (5-03).

        Returns:
            All of them, and those that have a task in hand.
        """
        active = frozenset(node.id for node in told.nodes if node.state is NodeState.ACTIVE)
        at_rest = workers is not None and not any(worker.busy for worker in workers.values())
        # Who does a task that was active when it was last looked at has said since that it works, or is done with it.
        left = active & self._active if at_rest else frozenset()
        self._active = active
        going = [node for node in told.nodes if told.places.get(node.executor) and node.id not in left]
        return len({node.dag_id for node in going}), len({node.dag_id for node in going if node.id in active})

    async def _work(self, states: tuple[NodeState, ...]) -> dict[str, Node]:
        """What executors have to do, by id.

        Raises:
            Unanswered: the gateway cannot tell, or not all of it.
        """
        found, listed = dict[str, Node](), Counter[NodeState]()

        def is_work(node: Node) -> bool:
            listed[node.state] += 1
            return not node.idle

        for state in states:
            listing = await self._gateway.nodes(state, keep=is_work)
            if not listing.complete:
                raise Unanswered(f"{self._gateway.url} lists more {state} tasks than can be read", maybe_sent=True)
            found |= {node.id: node for node in listing.nodes}
        if states == _UNFINISHED:
            # Pods go where nothing is to be done.
            await self._gateway.agree([state for state in states if not listed[state]])
        return found

    async def _tasks(self, states: tuple[NodeState, ...]) -> _Tasks | None:
        """Tasks, without those of DAGs that have failed, which are never given (3-05); and their executors' places."""
        try:
            found = await self._work(states)
            if any(node.state is NodeState.CREATED for node in found.values()):
                dead: set[str] = set()
                for state in _DEAD:
                    dead |= {node.dag_id for node in (await self._gateway.nodes(state)).nodes}
                found = {
                    key: node
                    for key, node in found.items()
                    if node.state is not NodeState.CREATED or node.dag_id not in dead
                }
            # Who works for which executor matters to nobody while nothing is in hand.
            places = await self._gateway.worker_addresses() if found or self._served_at else {}
        except Unanswered as error:
            log.debug("tasks are not told", url=self._gateway.url, problem=str(error))
            return None
        plain = {name: frozenset(each.rpartition("://")[2] for each in at) for name, at in places.items()}
        return _Tasks(list(found.values()), plain)

    def _note(self, workers: Mapping[str, Worker] | None, tasks: Mapping[str, int] | None, now: float) -> None:
        """Remember who was busy, and who was not registered, and since when."""
        if tasks is not None:
            self._served_at |= dict.fromkeys(tasks, now)
        self._served_at = {name: at for name, at in self._served_at.items() if now - at <= LATELY}
        if workers is None:
            self._asked_since = None
        else:
            self._asked_since = now if self._asked_since is None else self._asked_since
            self._met_at |= dict.fromkeys(workers, now)
            self._busy_at |= {address: now for address, worker in workers.items() if worker.busy}
            away = [address for address, worker in workers.items() if not worker.registered]
            self._absent = {address: self._absent.get(address, now) for address in away}
            self._given = {address: at for address, at in self._given.items() if address in workers}
        self._met_at = {address: at for address, at in self._met_at.items() if now - at <= BOOT}
        self._busy_at = {address: at for address, at in self._busy_at.items() if now - at <= LATELY}

    def _lost(self, workers: Mapping[str, Worker]) -> Mapping[str, str]:
        return {
            address: workers[address].task
            for address, assigned in self._given.items()
            if address in workers and workers[address].assigned != assigned
        }


def _gist(view: Occupancy) -> tuple[object, ...]:
    """What is worth being told of."""
    registered = None if view.workers is None else {each.address for each in view.workers.values() if each.registered}
    return registered, view.tasks is None, view.lately, view.served, view.lost, view.problem
