"""Marie's rows: a DAG for each document, a node for each of its tasks."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from marie_operator.testing.gateway.planner import NOOP, Planner

NodeState: TypeAlias = Literal["created", "retry", "active", "completed", "expired", "cancelled", "failed"]
DagState: TypeAlias = Literal["created", "active", "completed", "cancelled", "failed"]

UNFINISHED: frozenset[NodeState] = frozenset({"created", "retry", "active"})


@dataclass(slots=True, eq=False)
class Node:
    """One task of a DAG.

    Attributes:
        id: The DAG's id plus ``index``.
        dag_id: Its DAG.
        index: Its place in the plan; START is 0.
        level: Counted from the other end; END is 0.
        name: Such as ``1: EXTRACT data``.
        queue: Of the submission.
        on: Executor and endpoint.
        data: What the submission carried, with the metadata of this task.
        state: As listed.
        attempts: How often it was given to an executor, or to nobody.
        created: When it was entered, in seconds of the simulation.
        ready: Since when it could be done, likewise.
        dispatched: When it was last given away, likewise.
        shown: Its row in JSON, as it was in a state.
    """

    id: str
    dag_id: str
    index: int
    level: int
    name: str
    queue: str
    on: str
    data: Mapping[str, Any]
    created: float
    state: NodeState = "created"
    attempts: int = 0
    ready: float = 0.0
    dispatched: float = 0.0
    shown: tuple[NodeState, str] | None = field(default=None, repr=False)

    @property
    def executor(self) -> str:
        """Who is to do it."""
        return self.on.partition("://")[0]

    @property
    def is_noop(self) -> bool:
        """Whether the scheduler does it by itself: START and END."""
        return self.executor == NOOP


@dataclass(slots=True, eq=False)
class Dag:
    """One document in Marie.

    Attributes:
        id: What the submission was answered with.
        ref_id: What the submission called the document.
        uri: Where the document is.
        queue: Of the submission.
        planner: Made the nodes.
        nodes: In the order of the plan.
        state: As in the database; no endpoint shows it.
        loaded: The nodes that the scheduler has in memory.
    """

    id: str
    ref_id: str
    uri: str
    queue: str
    planner: str
    nodes: tuple[Node, ...]
    state: DagState = "created"
    loaded: tuple[Node, ...] = field(default=(), repr=False)


def plan(dag_id: str, action: Mapping[str, Any], planner: Planner, created: float) -> Dag:
    """The rows for a submission.

    Args:
        dag_id: As the submission was answered.
        action: Its ``invoke_action``.
        planner: Expands it.
        created: Seconds of the simulation.
    """
    metadata = action["metadata"]
    last = len(planner.chain) - 1
    nodes = []
    for index, step in enumerate(planner.chain):
        name = f"{index}: {step.title}"
        own = {**metadata, "on": step.on, "name": name, "op_params": {"layout": step.layout}}
        data = {**action, "metadata": own}
        node_id = successor(dag_id, index)
        nodes.append(Node(node_id, dag_id, index, last - index, name, action["name"], step.on, data, created))
    uri = str(metadata.get("uri") or "")
    return Dag(dag_id, str(metadata["ref_id"]), uri, action["name"], planner.name, tuple(nodes), loaded=tuple(nodes))


def successor(identifier: str, count: int) -> str:
    """The UUID that many numbers further."""
    return _uuid(int(identifier.replace("-", ""), 16) + count)


class Ids:
    """UUIDs of version 7 as Marie's library makes them: whole seconds, two parts of a second, version, random.

    Args:
        epoch: Unix time of the simulation's beginning.
        seed: For the random part.
    """

    def __init__(self, *, epoch: float, seed: str) -> None:
        self._epoch = epoch
        self._random = random.Random(seed)  # noqa: S311 - ids, not secrets

    def new(self, now: float) -> str:
        """A fresh id, whose next hundred successors are free as well."""
        moment = self._epoch + now
        fraction = int(moment % 1 * (1 << 24))
        tail = self._random.getrandbits(41) << 7
        high = int(moment) << 92 | (fraction >> 12) << 80 | 7 << 76 | (fraction & 0xFFF) << 64
        return _uuid(high | 1 << 63 | tail)


def _uuid(number: int) -> str:
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
