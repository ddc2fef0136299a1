"""Marie's scheduler as a discrete simulation: the database, the frontier in memory, and executors, without I/O.

All times are seconds of the simulation. Nothing happens between two calls of ``advance``.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from marie_operator.testing.gateway import timing
from marie_operator.testing.gateway.agenda import Agenda
from marie_operator.testing.gateway.dag import UNFINISHED, Dag, Ids, Node, NodeState, plan
from marie_operator.testing.gateway.outcome import Document, Outcome, OutcomePolicy, ResultStore
from marie_operator.testing.gateway.planner import Planner
from marie_operator.testing.gateway.pool import Pool, Worker
from marie_operator.testing.gateway.results import results

ACCEPTING_POLICIES = frozenset({"allow_all", "allow_duplicate"})
REMEMBERED = 5000
"""Nodes that the gateway keeps in memory for who asks for one of them."""
SOURCES = frozenset({"uri", "srcUrl", "data", "srcData", "srcBase64", "srcFile"})


@dataclass(slots=True, eq=False)
class _Call:
    node: Node
    worker: Worker
    document: Document
    outcome: Outcome


class Engine:
    """One cluster's Marie.

    Args:
        planners: By name; may be changed at any time.
        outcome: What executors make of documents; may be replaced at any time.
        ids: Of DAGs.
        store: Where executors store results; None for a Marie without an object store.

    Attributes:
        dags: The database: every DAG that ever was, by id.
        unfinished: Those of them that are not completed, which are few when many were.
        completed: How many others there are, by queue and number of tasks.
        pool: The executors.
        running: Whether the scheduler has started.
        paused: Whether it is to begin nothing new, until it is told otherwise or starts again.
        started: When the gateway did.
        memory: The DAGs that the scheduler knows of.
        ready: Nodes that could be done, by id.
        queues: Names of queues.
        submissions: How many the scheduler took since the start.
    """

    def __init__(
        self, *, planners: Mapping[str, Planner], outcome: OutcomePolicy, ids: Ids, store: ResultStore | None = None
    ) -> None:
        self.planners = planners
        self.outcome = outcome
        self.dags: dict[str, Dag] = {}
        self.unfinished: dict[str, Dag] = {}
        self.completed: Counter[tuple[str, int]] = Counter()
        self.pool = Pool()
        self.running = False
        self.paused = False
        self.started = 0.0
        self.memory: dict[str, Dag] = {}
        self.ready: dict[str, Node] = {}
        self.queues: set[str] = set()
        self.submissions = 0
        self._ids = ids
        self._store = store
        self._agenda = Agenda()
        self._nodes: dict[str, Node] = {}
        self._database = True
        self._unwritten: list[Callable[[], None]] = []
        self._inbox: list[Callable[[], None]] = []
        self._calls: dict[str, _Call] = {}
        self._busy: Counter[Worker] = Counter()
        self._life = 0
        self._last_round = self._next_round = -math.inf
        self._reaping = False
        self._looks = 0
        self._given: dict[str, tuple[int, str]] = {}
        self._remembered: dict[str, NodeState] = {}

    @property
    def now(self) -> float:
        """The present."""
        return self._agenda.now

    def advance(self, now: float) -> None:
        """Let everything happen that is due by ``now``."""
        self._agenda.advance(now)

    # The gateway's life.

    def start(self) -> None:
        """A new gateway answers; what an old one still had under way is lost, and its scheduler starts later."""
        self.kill()
        self.paused = False
        self.started = self.now
        self.queues = set(self.planners)
        self.submissions = 0
        self.pool.forget_tickets()
        self._in_this_life(timing.STARTED if any(self.pool.workers()) else timing.STARTED_IDLE, self._run)

    def stop(self) -> None:
        """SIGTERM: the scheduler stops, yet the process stays until it is killed, and records what executors finish."""
        self.running = False
        self.memory.clear()
        self.ready.clear()

    def kill(self) -> None:
        """SIGKILL: calls to executors are cancelled, and their nodes stay active for ever."""
        self.stop()
        self._life += 1
        self._calls.clear()
        self._busy.clear()
        self._inbox.clear()
        self._unwritten.clear()
        self._remembered.clear()
        self._reaping = False
        self._looks = 0

    def pause(self, paused: bool) -> None:
        """Begin nothing new, or go on; what executors have in hand they finish."""
        self.paused = paused
        self._wake()

    def _run(self) -> None:
        self.running = True
        self._next_round = -math.inf
        self._hydrate()
        for insert in self._inbox:
            self._in_this_life(timing.INSERTED, insert)
        self._inbox.clear()
        self._wake()

    def _hydrate(self) -> None:
        """Load what is unfinished, but for active nodes; successors of failed ones are loaded too, and will be run."""
        for dag in self.dags.values():
            dag.loaded = tuple(node for node in dag.nodes if node.state in {"created", "retry"})
            if dag.loaded:
                self.memory[dag.id] = dag
                self._offer(dag)

    @property
    def database(self) -> bool:
        """Whether PostgreSQL answers. While it does not, submissions are lost and nothing moves."""
        return self._database

    @database.setter
    def database(self, up: bool) -> None:
        self._database = up
        if up:
            written, self._unwritten = self._unwritten, []
            for write in written:
                write()
            self._wake()

    # Submissions.

    def submit(self, action: Mapping[str, Any]) -> str:
        """Take an ``invoke_action``; what does not please is dropped later, without a word.

        Returns:
            The id of the DAG that there may be.
        """
        dag_id = self._ids.new(self.now)

        if self.running:
            self._in_this_life(timing.INSERTED, lambda: self._insert(dag_id, action))
        else:
            self._inbox.append(lambda: self._insert(dag_id, action))
        return dag_id

    def _insert(self, dag_id: str, action: Mapping[str, Any]) -> None:
        if not self._database:
            return
        self.queues.add(action["name"])
        metadata = action["metadata"]
        planner = self.planners.get(metadata.get("planner") or action["name"])
        if planner is None or metadata.get("policy") not in ACCEPTING_POLICIES:
            return
        dag = plan(dag_id, action, planner, self.now)
        self.submissions += 1
        self.dags[dag_id] = self.unfinished[dag_id] = self.memory[dag_id] = dag
        self._nodes.update((node.id, node) for node in dag.nodes)
        self._offer(dag)
        self._wake()

    def cancel(self, dag_id: str) -> None:
        """What the SQL does that cancels a DAG: an executor goes on with what it has."""
        dag = self.dags[dag_id]
        for node in dag.nodes:
            if node.state in UNFINISHED:
                node.state = "cancelled"
        dag.state = "cancelled"
        self._forget(dag)

    def resume(self, dag_id: str) -> None:
        """What the SQL does that has a DAG done again where it was left: the scheduler reads it anew."""
        dag = self.dags[dag_id]
        for node in dag.nodes:
            if node.state == "active":
                node.state = "created"
        dag.state = "created"
        if self.running:
            dag.loaded = tuple(node for node in dag.nodes if node.state in {"created", "retry"})
            self.memory[dag.id] = dag
            self._offer(dag)
            self._wake()

    def clear(self) -> list[str]:
        """Forget what is in memory, as the debug page does; until a restart nothing more becomes of it."""
        cleared = [dag.id for dag in self.memory.values() if dag.state == "active"]
        self.memory.clear()
        self.ready.clear()
        return cleared

    # Executors.

    def register(self, executor: str, address: str, slots: int) -> None:
        """A worker appears."""
        self.pool.add(Worker(executor, address, slots, self.now))
        self._wake()

    def unregister(self, executor: str, address: str) -> None:
        """A worker's registration ends while it lives: harmless when idle; else its node stays active for ever."""
        worker = self._find(executor, address)
        self.pool.remove(worker)
        self._reap_later()
        for call in self._calls_of(worker):
            self._in_this_life(timing.CANCELLED, lambda call=call: self._drop(call))  # type: ignore[misc]

    def crash(self, executor: str, address: str) -> None:
        """A worker dies; its registration and the tickets of its tasks outlive it."""
        worker = self._find(executor, address)
        worker.alive = False
        self._agenda.after(timing.LAPSE, lambda: self.pool.remove(worker))
        for call in self._calls_of(worker):
            self.pool.abandon(call.node.id, self.now)
            self._reap_later()
            self._in_this_life(timing.NOTICED, lambda call=call: self._lose(call))  # type: ignore[misc]

    def _find(self, executor: str, address: str) -> Worker:
        found = next((worker for worker in self.pool.of(executor) if worker.address == address), None)
        if found is None:
            raise LookupError(f"no {executor} is registered at {address}; register() it first")
        return found

    def _calls_of(self, worker: Worker) -> list[_Call]:
        return [call for call in self._calls.values() if call.worker is worker]

    def _drop(self, call: _Call) -> None:
        if self._calls.get(call.node.id) is call:
            self._end(call)
            self.pool.release(call.node.id)
            self._wake()

    def _lose(self, call: _Call) -> None:
        if self._calls.get(call.node.id) is call:
            self._end(call)
            self._write(lambda: self._failed(call.node))

    def _end(self, call: _Call) -> None:
        del self._calls[call.node.id]
        self._busy[call.worker] -= 1

    # What can be seen.

    def given(self, address: str) -> tuple[int, str]:
        """How often a worker was given work, and what last."""
        return self._given.get(address, (0, ""))

    def in_hand(self, address: str) -> list[str]:
        """Nodes that a worker works at."""
        return [call.node.id for call in self._calls.values() if call.worker.address == address]

    def node(self, node_id: str) -> Node | None:
        """A node of the database, by its id."""
        return self._nodes.get(node_id)

    def recalled(self, node_id: str) -> tuple[Node, NodeState] | None:
        """A node, and its state as the gateway remembers it.

        That is what it was when it was first asked for, or what its executor told since. Of what is not remembered, the
        database is asked.
        """
        node = self.node(node_id)
        if node is None or (node_id not in self._remembered and not self._database):
            return None
        return node, self._remember(node, self._remembered.pop(node_id, node.state))

    def _remember(self, node: Node, state: NodeState) -> NodeState:
        """Keep a state that is asked for or told, of so many nodes as the gateway has room for."""
        self._remembered.pop(node.id, None)
        self._remembered[node.id] = state
        if len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return state

    def nodes(self, state: NodeState) -> list[Node]:
        """All nodes in a state."""
        if state == "completed":
            return [node for node in self._nodes.values() if node.state == state]
        return [node for dag in self.unfinished.values() for node in dag.nodes if node.state == state]

    # Rounds.

    def _in_this_life(self, seconds: float, act: Callable[[], None]) -> None:
        life = self._life

        def unless_dead() -> None:
            if life == self._life:
                act()

        self._agenda.after(seconds, unless_dead)

    def _write(self, change: Callable[[], None]) -> None:
        """Change rows as soon as there is a database."""
        if self._database:
            change()
        else:
            self._unwritten.append(change)

    def _offer(self, dag: Dag) -> None:
        """Make ready what waits for no unfinished node any more."""
        for node in dag.loaded:
            waits = any(before.state in UNFINISHED for before in dag.nodes[: node.index])
            if node.state in {"created", "retry"} and not waits and node.id not in self.ready:
                node.ready = self.now
                self.ready[node.id] = node
                return

    def _offer_later(self, dag: Dag) -> None:
        def offer() -> None:
            if dag.id in self.memory:
                self._offer(dag)
                self._wake()

        self._in_this_life(timing.SETTLED, offer)

    def _wake(self) -> None:
        """Have a round, at the earliest a cycle after the last one that had a slot to give."""
        moment = max(self.now, self._last_round + timing.CYCLE)
        if not self.now <= self._next_round <= moment:
            self._next_round = moment
            self._agenda.at(moment, self._round)

    def _round(self) -> None:
        """Run every ready noop and give work to free slots; while no slot is free anywhere nothing moves at all."""
        if self._next_round != self.now:
            return
        self._next_round = -math.inf
        if self.paused or not (self.running and self._database and self.pool.any_free()):
            return
        self._last_round = self.now
        for node in list(self.ready.values()):
            if node.is_noop:
                self._pass(node)
            elif self._can_go(node):
                self._dispatch(node)
        if any(node.is_noop or self._can_go(node) for node in self.ready.values()):
            self._wake()

    def _can_go(self, node: Node) -> bool:
        return self.pool.free(node.executor) and not self.pool.holds(node.id)

    def _pass(self, node: Node) -> None:
        dag = self.dags[node.dag_id]
        del self.ready[node.id]
        node.state = "completed"
        if dag.state == "created":
            dag.state = "active"
        self._resolve(dag)
        if dag.id in self.memory:
            self._offer(dag)

    def _dispatch(self, node: Node) -> None:
        del self.ready[node.id]
        node.attempts += 1
        node.dispatched = self.now
        self.pool.take(node.executor, node.id, self.now)
        workers = self.pool.of(node.executor)
        worker = min(workers, key=lambda each: self._busy[each], default=None)
        metadata = node.data["metadata"]
        if worker is None or not worker.alive or not any(metadata.get(source) for source in SOURCES):
            # Given to nobody, or nothing to work on: that costs an attempt, and the slot for a while.
            self.pool.abandon(node.id, self.now)
            self._reap_later()
            self._failed(node)
            return
        node.state = self._remember(node, "active")
        document = Document(str(metadata["ref_id"]), str(metadata.get("uri") or ""), node.executor, metadata)
        call = _Call(node, worker, document, self.outcome(document))
        self._given[worker.address] = (self._given.get(worker.address, (0, ""))[0] + 1, node.id)
        self._calls[node.id] = call
        self._busy[worker] += 1
        self._in_this_life(call.outcome.seconds, lambda: self._finish(call))

    def _finish(self, call: _Call) -> None:
        node, dag = call.node, self.dags[call.node.dag_id]
        if self._calls.get(node.id) is not call or not call.worker.alive:
            return
        self._end(call)
        self.pool.release(node.id)
        if self._store is not None and node.attempts > call.outcome.failures:
            for key, content in results(call.document).items():
                self._store(key, content)

        # What a failure comes to, another attempt or not, is for the database alone to say.
        self._remember(node, "failed" if node.attempts <= call.outcome.failures else "completed")

        def write() -> None:
            if node.state == "cancelled":
                # Marie counts cancelled nodes as still to be done.
                dag.state = "active"
            elif node.attempts <= call.outcome.failures:
                self._failed(node)
            else:
                node.state = "completed"
                self._resolve(dag)
                self._offer_later(dag)

        self._write(write)
        self._wake()

    def _failed(self, node: Node) -> None:
        if node.state == "cancelled":
            return
        dag = self.dags[node.dag_id]
        if node.attempts > timing.RETRY_LIMIT:
            # Its successors stay created for ever.
            node.state = "failed"
            self._resolve(dag)
            return
        node.state = "retry"

        def again() -> None:
            if dag.id in self.memory and node.state == "retry" and node.id not in self.ready:
                node.ready = self.now
                self.ready[node.id] = node
                self._wake()

        self._in_this_life(max(timing.RETRY_DELAY, node.dispatched + timing.LEASE - self.now), again)

    def _resolve(self, dag: Dag) -> None:
        states = {node.state for node in dag.nodes}
        if "failed" in states:
            dag.state = "failed"
            self._forget(dag)
        elif states == {"completed"}:
            dag.state = "completed"
            if self.unfinished.pop(dag.id, None) is not None:
                self.completed[dag.queue, len(dag.nodes)] += 1
            self._forget(dag)

    def _forget(self, dag: Dag) -> None:
        self.memory.pop(dag.id, None)
        for node in dag.nodes:
            self.ready.pop(node.id, None)

    def _reap_later(self) -> None:
        """Look for expired tickets at the next multiple of ten seconds since the start."""
        if self._reaping:
            return
        self._reaping = True
        # Counted, since a sum of floats may fall just short of the look that has been.
        self._looks = max(self._looks, math.floor((self.now - self.started) / timing.REAPED)) + 1
        self._in_this_life(self.started + self._looks * timing.REAPED - self.now, self._reap)

    def _reap(self) -> None:
        self._reaping = False
        self.pool.recount()
        if self.pool.reap(self.now):
            self._in_this_life(timing.SETTLED, self._wake)
        if not self.pool.settled():
            self._reap_later()
