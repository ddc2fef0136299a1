"""Takes documents back from one cluster's Marie, by its database, and asks it why others failed."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from marie_operator.marie.database import Database, Place, StoredDag
from marie_operator.marie.document import Document
from marie_operator.marie.replies import NodeState
from marie_operator.marie.roster import Roster
from marie_operator.marie.transport import Unanswered
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import NotLeader

AGAIN = 1.0
"""Seconds between two looks at what is being withdrawn."""
FIRST_BACKOFF, MAX_BACKOFF = 5.0, 60.0
"""Seconds without a question to a database that has not answered."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DatabaseView:
    """What is known of a cluster's database.

    Attributes:
        ready: Whether it answered when it was last asked.
        problem: Why it did not, as part of a sentence; empty before it was asked.
    """

    ready: bool = False
    problem: str = ""


class Withdrawal:
    """What is done in one cluster's database.

    Args:
        roster: The documents; those that are not wanted any more say so.
        clock: For the pause before a database that does not answer is asked again.
        on_change: Called when the view has changed.
    """

    def __init__(self, roster: Roster, *, clock: Clock, on_change: Callable[[], None]) -> None:
        self._roster = roster
        self._clock = clock
        self._on_change = on_change
        self._database: Database | None = None
        self._view: DatabaseView | None = None
        self._backoff = 0.0
        self._booted: float | None = None
        self._wake = asyncio.Event()

    @property
    def view(self) -> DatabaseView | None:
        """What is known of the database; None while there is none."""
        return self._view

    @property
    def place(self) -> Place | None:
        """Where the database is."""
        return None if self._database is None else self._database.place

    def use(self, database: Database | None) -> None:
        """Another database, or the same with another password, from now on."""
        self._database, self._backoff = database, 0.0
        self._see(None if database is None else DatabaseView())
        self._wake.set()

    def wake(self) -> None:
        """There may be something to withdraw, or to take up."""
        if self._view is not None and self._view.ready and (self._wanted() or self._unexamined()):
            self._wake.set()

    def booted(self, at: float | None) -> None:
        """The present gateway began at this moment of the clock, or before; None while it is not known."""
        self._booted = at
        self.wake()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._wake.clear()
            if self._database is not None:
                await self._look(self._database)
            self._roster.tell()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def reasons(self, tasks: Collection[str]) -> dict[str, str]:
        """Why tasks failed, by id, as far as the database tells."""
        if self._database is None or self._view is None or not self._view.ready or not tasks:
            return {}
        try:
            return await self._database.reasons(tasks)
        except Unanswered as error:
            self._failed(error)
            self._wake.set()
            return {}

    def _wanted(self) -> list[Document]:
        return [document for document in self._roster if document.withdrawable]

    def _unexamined(self) -> list[Document]:
        return [] if self._booted is None else [document for document in self._roster if document.examinable]

    def _pause(self) -> float | None:
        """Seconds until the next look; None for none until there is something to do."""
        if self._view is None:
            return None
        if not self._view.ready:
            self._backoff = min(max(self._backoff * 2, FIRST_BACKOFF), MAX_BACKOFF)
            return self._backoff
        self._backoff = 0.0
        return AGAIN if self._wanted() or self._unexamined() else None

    async def _look(self, database: Database) -> None:
        wanted = self._wanted()
        try:
            await self._examine(database)
            if wanted:
                found = await database.withdraw({document.view.dag_id for document in wanted})
                reasons = await database.reasons(_failed_tasks(found.values()))
            else:
                await database.check()
                found, reasons = {}, {}
        except Unanswered as error:
            if database is self._database:
                self._failed(error)
            return
        except NotLeader:
            return
        if database is not self._database:
            return
        missing = ""
        for document in wanted:
            stored = found.get(document.view.dag_id)
            if stored is not None:
                document.withdrawn(stored, reasons)
            else:
                missing = f"{database.place} has no DAG {document.view.dag_id}: is it the one that the gateway uses?"
        self._see(DatabaseView(ready=not missing, problem=missing))

    async def _examine(self, database: Database) -> None:
        """Have what a gateway that is no more had given away be done again."""
        documents = self._unexamined()
        if not documents or (booted := self._booted) is None:
            return
        dags = {document.view.dag_id for document in documents}
        found = await database.take_up(dags, lambda: self._clock.monotonic() - booted)
        if found:
            log.warning("tasks of a gateway that ended are given away again", dags=sorted(found))
        for document in documents:
            document.went_on(taken_up=document.view.dag_id in found)

    def _failed(self, error: Unanswered) -> None:
        self._see(DatabaseView(problem=str(error)))

    def _see(self, view: DatabaseView | None) -> None:
        if view == self._view:
            return
        if view is not None and view.problem:
            log.warning("database cannot be used", problem=view.problem)
        self._view = view
        self._on_change()


def _failed_tasks(dags: Collection[StoredDag]) -> set[str]:
    broken = {NodeState.FAILED, NodeState.EXPIRED}
    return {task.id for dag in dags for task in dag.tasks if task.state in broken}
