"""Follows documents that Marie has, to their end."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog

from marie_operator.marie.client import Gateway
from marie_operator.marie.document import Document
from marie_operator.marie.listing import Listing
from marie_operator.marie.replies import UNFINISHED, Node, NodeState
from marie_operator.marie.roster import Roster
from marie_operator.marie.transport import Unanswered
from marie_operator.runtime.clock import Clock

log = structlog.get_logger(__name__)

Reasons = Callable[[Collection[str]], Awaitable[Mapping[str, str]]]

_ENDED = (NodeState.FAILED, NodeState.CANCELLED, NodeState.EXPIRED)


class Progress:
    """Where the confirmed documents of one gateway are: three lists for all of them, and a walk for each that moved.

    Args:
        gateway: Which one.
        roster: Which documents.
        clock: For every age.
        limit: How many requests at the same time.
        reasons: Tells why tasks failed, by id, as far as anybody knows.
    """

    def __init__(
        self, gateway: Gateway, roster: Roster, *, clock: Clock, limit: asyncio.Semaphore, reasons: Reasons
    ) -> None:
        self._gateway = gateway
        self._roster = roster
        self._clock = clock
        self._limit = limit
        self._reasons = reasons

    async def look(self) -> None:
        """Look once."""
        followed = [document for document in self._roster if document.followed]
        if not followed:
            return
        try:
            unfinished = await self._listed(UNFINISHED, {document.view.dag_id for document in followed})
        except Unanswered as error:
            log.debug("progress failed", url=self._gateway.url, problem=str(error))
            return
        now = self._clock.monotonic()
        moved = [document for document in followed if document.listed(unfinished[document.view.dag_id], now)]
        walks: dict[str, Sequence[Node]] = {}
        async with asyncio.TaskGroup() as group:
            for document in moved:
                group.create_task(self._walk(document, walks))
        await self._trace([document for document in moved if document.followed and document.unsure], walks)

    async def _listed(self, states: Sequence[NodeState], dag_ids: Collection[str]) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = defaultdict(list)
        for state in states:
            for node in (await self._gateway.nodes(state, keep=lambda node: node.dag_id in dag_ids)).nodes:
                found[node.dag_id].append(node)
        return found

    async def _walk(self, document: Document, walks: dict[str, Sequence[Node]]) -> None:
        dag_id = document.view.dag_id
        async with self._limit:
            try:
                walk = await self._gateway.walk(dag_id, document.known)
            except Unanswered as error:
                log.debug("walk failed", url=self._gateway.url, problem=str(error))
                document.unlooked()
            else:
                reasons = await self._reasons(_broken(walk))
                walks[dag_id] = walk
                document.walked(walk, self._clock.monotonic(), reasons)

    async def _trace(self, unsure: Sequence[Document], walks: dict[str, Sequence[Node]]) -> None:
        """Look in the lists of what has ended for DAGs whose tasks cannot be counted up: the planner's ids differ."""
        unsure = [document for document in unsure if document.view.dag_id in walks]
        if not unsure:
            return
        now = self._clock.monotonic()
        missing = {document.view.dag_id for document in unsure if document.missing(now)}
        completed: Listing | None = None
        try:
            ended = await self._listed(_ENDED, {document.view.dag_id for document in unsure})
            if missing:
                completed = await self._gateway.nodes(NodeState.COMPLETED, keep=lambda node: node.dag_id in missing)
        except Unanswered as error:
            log.debug("search for the end failed", url=self._gateway.url, problem=str(error))
            for document in unsure:
                document.unlooked()
            return
        reasons = await self._reasons(_broken([node for nodes in ended.values() for node in nodes]))
        for document in unsure:
            dag_id = document.view.dag_id
            document.traced(walks[dag_id], ended[dag_id], completed if dag_id in missing else None, now, reasons)


def _broken(nodes: Sequence[Node]) -> list[str]:
    return [node.id for node in nodes if node.state in {NodeState.FAILED, NodeState.EXPIRED}]
