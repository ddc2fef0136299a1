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

ENDED_SHARE = 9.0
"""How much longer than it took to read the lists of what has ended they are not read again."""
_ENDED = (NodeState.FAILED, NodeState.CANCELLED, NodeState.EXPIRED)


class Progress:
    """Where the confirmed documents of one gateway are.

    Three lists for all of them say what has yet to be done. Where something has moved, three more say what went wrong;
    and of each of which nothing is left to be done, the tasks are counted up.

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
        self._ended_due = float("-inf")

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
        moved = [
            document
            for document in followed
            if document.listed(unfinished.of(document), now, complete=unfinished.complete)
        ]
        if moved:
            await self._look_whole(moved)

    async def _look_whole(self, moved: Sequence[Document]) -> None:
        """Look for the ends of documents of which something has moved."""
        ended = await self._ended(moved)
        if ended is None:
            for document in moved:
                document.unlooked()
            return
        over = [document for document in moved if document.followed and document.over and not ended.of(document)]
        walks: dict[str, Sequence[Node]] = {}
        async with asyncio.TaskGroup() as group:
            for document in over:
                group.create_task(self._walk(document, walks))
        await self._trace([document for document in over if document.followed and document.unsure], walks)

    async def _ended(self, moved: Sequence[Document]) -> "_Tasks | None":
        """What is in the lists of what has ended otherwise than well, which grow for ever; None if they are not read.

        One that is too long to be read may hide the end of a document, but never gives one to it.
        """
        began = self._clock.monotonic()
        if began < self._ended_due:
            return None
        try:
            ended = await self._listed(_ENDED, {document.view.dag_id for document in moved})
        except Unanswered as error:
            log.debug("search for the end failed", url=self._gateway.url, problem=str(error))
            return None
        now = self._clock.monotonic()
        self._ended_due = now + ENDED_SHARE * (now - began)
        reasons = await self._reasons(_broken(ended.nodes))
        for document in moved:
            document.examined_for_ends(ended.of(document), now, reasons)
        return ended

    async def _listed(self, states: Sequence[NodeState], dag_ids: Collection[str]) -> "_Tasks":
        found = _Tasks()
        for state in states:
            listing = await self._gateway.nodes(state, keep=lambda node: node.dag_id in dag_ids)
            found.add(listing)
        if not found.complete:
            log.warning("a list of tasks is too long to be read", url=self._gateway.url, states=[*map(str, states)])
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
                walks[dag_id] = walk
                document.walked(walk)

    async def _trace(self, unsure: Sequence[Document], walks: dict[str, Sequence[Node]]) -> None:
        """Look for DAGs whose tasks cannot be counted up, as the planner's ids differ."""
        unsure = [document for document in unsure if document.view.dag_id in walks]
        now = self._clock.monotonic()
        missing = {document.view.dag_id for document in unsure if document.missing(now)}
        completed: Listing | None = None
        if missing:
            try:
                completed = await self._gateway.nodes(NodeState.COMPLETED, keep=lambda node: node.dag_id in missing)
            except Unanswered as error:
                log.debug("search for the end failed", url=self._gateway.url, problem=str(error))
                for document in unsure:
                    document.unlooked()
                return
        for document in unsure:
            dag_id = document.view.dag_id
            document.traced(walks[dag_id], completed if dag_id in missing else None, now)


class _Tasks:
    """What some lists hold of the documents that are followed.

    Attributes:
        nodes: All of it.
        complete: Whether all of each list was read.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.complete = True
        self._by_dag: dict[str, list[Node]] = defaultdict(list)

    def add(self, listing: Listing) -> None:
        """Another list."""
        self.complete = self.complete and listing.complete
        self.nodes += listing.nodes
        for node in listing.nodes:
            self._by_dag[node.dag_id].append(node)

    def of(self, document: Document) -> Sequence[Node]:
        """The tasks of one document."""
        return self._by_dag.get(document.view.dag_id, ())


def _broken(nodes: Sequence[Node]) -> list[str]:
    return [node.id for node in nodes if node.state in {NodeState.FAILED, NodeState.EXPIRED}]
