"""Marie's scheduler as a discrete simulation: tasks, slots and executors over time, without I/O.

Times are those of the recordings, in seconds before ``speed`` divides them. Nothing happens between two calls of
``advance``; whoever looks brings the simulation up to the present first.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

INSERTED = 0.3
"""From the reply to a submission until its rows appear."""
DISPATCHED = 0.7
"""From a task being ready, with a slot free, until it is active."""
CLOSED = 1.0
"""From the last task's end until the DAG's END, with a slot free, is completed."""
RETRY_DELAYS = (4.0, 5.0)
"""After the first and the second failure of a task: attempts begin at about 1, 6 and 12 s."""
NOTICED = 0.5
"""From a busy worker's death until its task is in retry."""
LEAKED = 30.0
"""For how long a dead worker's slot stays taken."""
LEASE = 6.0
"""For how long a dead worker stays registered."""
RETRY_LIMIT = 2

NOOP = "noop"


@dataclass(frozen=True)
class Outcome:
    """What executors make of a document.

    Attributes:
        seconds: How long the work takes.
        failures: How many attempts fail before one succeeds.
    """

    seconds: float = 1.0
    failures: int = 0


@dataclass(slots=True)
class Task:
    """One node of a DAG; ``held`` while something is under way with it, or for ever once it is lost."""

    id: str
    dag_id: str
    name: str
    on: str
    level: int
    data: Mapping[str, Any]
    state: str = "created"
    attempts: int = 0
    address: str = ""
    held: bool = False

    @property
    def executor(self) -> str:
        """Who is to do it."""
        return self.on.partition("://")[0]


@dataclass(slots=True)
class Dag:
    """One document in Marie."""

    id: str
    ref_id: str
    uri: str
    tasks: list[Task]
    state: str = "created"
    cleared: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing of it will move any more."""
        return self.state in {"completed", "failed", "cancelled"}


@dataclass(slots=True)
class _Slot:
    executor: str
    address: str
    task: Task
    leaked: bool = False


@dataclass(order=True, slots=True)
class _Due:
    at: float
    order: int
    act: Callable[[], None] = field(compare=False)


class Engine:
    """The scheduler of one cluster.

    Args:
        planners: Executor endpoints by planner name, in the order of their tasks.
        outcome: What executors make of a document, by its metadata.
        speed: How much faster than the recordings everything goes.
        seed: For the ids.
    """

    def __init__(
        self,
        *,
        planners: Mapping[str, Sequence[str]],
        outcome: Callable[[Mapping[str, Any]], Outcome],
        speed: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.planners = dict(planners)
        self.outcome = outcome
        self.speed = speed
        self.dags: dict[str, Dag] = {}
        self.running = False
        self.database = True
        self.known: dict[str, int] = {}
        self.workers: dict[str, dict[str, int]] = {}
        self._dead: set[str] = set()
        self._slots: list[_Slot] = []
        self._due: list[_Due] = []
        self._order = itertools.count()
        self._now = 0.0
        self._random = random.Random(seed)  # noqa: S311 - ids, not secrets

    # What happens to it.

    def advance(self, now: float) -> None:
        """Let everything happen that is due by ``now``."""
        self._dispatch()
        while self._due and self._due[0].at <= now:
            due = heapq.heappop(self._due)
            self._now = max(self._now, due.at)
            due.act()
            self._dispatch()
        self._now = max(self._now, now)

    def start(self) -> None:
        """The scheduler starts; tasks that were active before are forgotten, as Marie forgets them."""
        self.running = True

    def stop(self) -> None:
        """The gateway ends, or is killed: calls to workers break, and their tasks stay active for ever."""
        self.running = False
        for slot in self._slots:
            slot.task.held = True
        self._slots.clear()

    def submit(self, dag_id: str, metadata: Mapping[str, Any], data: Mapping[str, Any], queue: str) -> None:
        """Take a document; what does not please is dropped without a word."""
        planner = str(metadata.get("planner") or queue)
        if not self.database or planner not in self.planners:
            return
        if metadata.get("policy") not in {"allow_all", "allow_duplicate"}:
            return
        self._after(INSERTED, lambda: self._insert(dag_id, metadata, data, planner))

    def register(self, executor: str, address: str, slots: int = 1) -> None:
        """A worker appears."""
        self._dead.discard(address)
        self.workers.setdefault(executor, {})[address] = slots
        self.known[executor] = 1

    def unregister(self, executor: str, address: str, *, crash: bool = False) -> None:
        """A worker goes; with ``crash`` it dies at its work and is noticed late."""
        if not crash:
            self.workers.get(executor, {}).pop(address, None)
            return
        self._dead.add(address)
        self._after(LEASE, lambda: self._lapse(executor, address))
        for slot in [each for each in self._slots if each.address == address]:
            self._after(NOTICED, lambda slot=slot: self._lose(slot))  # type: ignore[misc]

    def clear(self) -> list[str]:
        """Forget the DAGs in memory, as the debug page does; those that were active stay so, unserved."""
        cleared = [dag.id for dag in self.dags.values() if not dag.ended and not dag.cleared]
        for dag_id in cleared:
            self.dags[dag_id].cleared = True
        return cleared

    # What can be seen of it.

    def task(self, task_id: str) -> Task | None:
        """A task by its id."""
        return next((task for dag in self.dags.values() for task in dag.tasks if task.id == task_id), None)

    def tasks(self, state: str) -> list[Task]:
        """All tasks in a state."""
        return [task for dag in self.dags.values() for task in dag.tasks if task.state == state]

    def capacity(self, executor: str) -> tuple[int, int]:
        """Slots of an executor and how many are taken; never fewer than are taken, even of the dead."""
        used = sum(slot.executor == executor for slot in self._slots)
        return max(sum(self.workers.get(executor, {}).values()), used), used

    def new_id(self) -> str:
        """A fresh DAG id, whose next few successors are free."""
        text = f"{0x0690 << 112 | 7 << 76 | 2 << 62 | self._random.getrandbits(48) << 12:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    # How it works.

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, _Due(self._now + seconds / self.speed, next(self._order), act))

    def _insert(self, dag_id: str, metadata: Mapping[str, Any], data: Mapping[str, Any], planner: str) -> None:
        if not self.database:
            return
        names = ["0: START", *(f"{n}: {each.rpartition('/')[2].upper()} data" for n, each in self._steps(planner))]
        ends = [NOOP, *self.planners[planner], NOOP]
        names.append(f"{len(names)}: END")
        number = int(dag_id.replace("-", ""), 16)
        tasks = []
        for level, (name, on) in enumerate(zip(names, ends, strict=True)):
            text = f"{number + level:032x}"
            node_id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
            own = {**data, "metadata": {**metadata, "on": on, "name": name}}
            tasks.append(Task(node_id, dag_id, name, on, level, own))
        self.dags[dag_id] = Dag(dag_id, str(metadata["ref_id"]), str(metadata.get("uri", "")), tasks)

    def _steps(self, planner: str) -> list[tuple[int, str]]:
        return list(enumerate(self.planners[planner], start=1))

    def _free(self, executor: str) -> bool:
        total, used = self.capacity(executor)
        return used < total

    def _dispatch(self) -> None:
        """Hand out what is ready; nothing at all moves while no slot of any executor is free."""
        if not self.running or not self.database or not any(map(self._free, self.workers)):
            return
        for dag in self.dags.values():
            ready = self._ready(dag)
            if ready is not None and ready.level == 0:
                ready.state = "completed"
                dag.state = "active"
                ready = self._ready(dag)
            if ready is None:
                continue
            if ready.executor == NOOP:
                self._close(dag, ready)
            elif self._free(ready.executor):
                self._take(ready)

    @staticmethod
    def _ready(dag: Dag) -> Task | None:
        """The task that is next, if nothing is being done about it."""
        if dag.ended or dag.cleared:
            return None
        task = next((each for each in dag.tasks if each.state != "completed"), None)
        return task if task is not None and task.state in {"created", "retry"} and not task.held else None

    def _close(self, dag: Dag, task: Task) -> None:
        """A DAG's END takes a moment."""
        task.held = True

        def close() -> None:
            task.held = False
            task.state = "completed"
            dag.state = "completed"

        self._after(CLOSED, close)

    def _take(self, task: Task) -> None:
        busy = [slot.address for slot in self._slots]
        addresses = self.workers[task.executor]
        address = next((each for each, slots in addresses.items() if busy.count(each) < slots), "")
        slot = _Slot(task.executor, address, task)
        self._slots.append(slot)
        task.held = True
        task.address = address

        def begin() -> None:
            task.held = False
            if slot not in self._slots:
                return
            if address in self._dead or address not in self.workers.get(task.executor, {}):
                # Sent to nobody: that costs an attempt, and the slot for a while.
                self._lose(slot)
                return
            task.state = "active"
            outcome = self.outcome(task.data["metadata"])
            self._after(outcome.seconds, lambda: self._finish(slot, outcome))

        self._after(DISPATCHED, begin)

    def _finish(self, slot: _Slot, outcome: Outcome) -> None:
        if slot not in self._slots or slot.leaked or slot.address in self._dead:
            return
        self._slots.remove(slot)
        if slot.task.attempts < outcome.failures:
            self._fail(slot.task)
        else:
            slot.task.state = "completed"

    def _fail(self, task: Task) -> None:
        task.attempts += 1
        if task.attempts > RETRY_LIMIT:
            task.state = "failed"
            # Its successors stay created for ever.
            self.dags[task.dag_id].state = "failed"
            return
        task.state = "retry"
        task.held = True

        def again() -> None:
            task.held = False

        self._after(RETRY_DELAYS[min(task.attempts, len(RETRY_DELAYS)) - 1], again)

    def _lose(self, slot: _Slot) -> None:
        if slot not in self._slots or slot.leaked:
            return
        slot.leaked = True
        self._fail(slot.task)

        def release() -> None:
            if slot in self._slots:
                self._slots.remove(slot)
            task = slot.task
            if not any(self.workers.get(task.executor, {}).values()) and task.state == "retry":
                # The ticket is taken again before anyone notices that nobody is left.
                again = _Slot(task.executor, "", task)
                self._slots.append(again)
                self._lose(again)

        self._after(LEAKED, release)

    def _lapse(self, executor: str, address: str) -> None:
        if address in self._dead:
            self.workers.get(executor, {}).pop(address, None)
