"""Marie's own tables: the only way to stop what it has taken, to take up what it forgot, and to learn why it failed.

What a running gateway makes of a change is in docs/marie.md (MA-22, MA-23).
"""

import asyncio
import importlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from pydantic_core import from_json

from marie_operator.marie.replies import NodeState
from marie_operator.marie.transport import Unanswered

SUSPENSION = 2.0
"""Seconds between the two: a recorded gateway had heard of the first by then."""
TIMEOUT = 5.0
"""Seconds for a connection, and for each statement."""
LONGEST_REASON = 400
"""Characters of an error's text that are kept."""

CANCEL_TASKS = """
UPDATE marie_scheduler.job SET state = 'cancelled', completed_on = now()
WHERE dag_id = ANY($1::uuid[]) AND state IN ('created', 'retry', 'active')
RETURNING dag_id::text
"""
"""What is not done yet is not to be done; what was done, or failed, stays so."""

CANCEL_DAGS = """
UPDATE marie_scheduler.dag SET state = 'cancelled', completed_on = coalesce(completed_on, now())
WHERE id = ANY($1::uuid[]) AND state IS DISTINCT FROM 'cancelled'
AND EXISTS (SELECT FROM marie_scheduler.job WHERE dag_id = dag.id AND job.state = 'cancelled')
AND NOT EXISTS (SELECT FROM marie_scheduler.job WHERE dag_id = dag.id AND job.state = 'failed')
RETURNING id::text
"""
"""The change of state is what the gateway hears of: it forgets the DAG. A task that an executor has goes on, and at its
end the gateway takes the DAG for active again (MA-23), so this is to be said until it stays."""

STANDING = """
SELECT job.dag_id::text AS dag, dag.state AS dag_state, job.id::text AS task, job.data -> 'metadata' ->> 'name' AS name,
job.state::text AS state, coalesce(
kept.value ->> 'status' IN ('PENDING', 'RUNNING') AND job.completed_on > now() - job.expire_in, false
) AS in_hand
FROM marie_scheduler.job JOIN marie_scheduler.dag ON dag.id = job.dag_id
LEFT JOIN marie_scheduler.kv_store_worker AS kept
ON kept.namespace = 'job' AND kept.key = 'marie_internal/job_info_' || job.id AND job.state = 'cancelled'
WHERE job.dag_id = ANY($1::uuid[]) ORDER BY job.job_level DESC, job.id
"""
"""How DAGs are. A worker says of its task that it runs until it ends; Marie gives it ``expire_in``, and so do we."""

REASONS = """
SELECT substr(key, 25) AS task, value ->> 'runtime_env_json' AS told, value ->> 'message' AS message
FROM marie_scheduler.kv_store_worker WHERE namespace = 'job' AND key = ANY($1::text[])
"""
"""What executors said of tasks that failed (MA-19)."""

FORSAKEN = """
SELECT id::text AS task, dag_id::text AS dag FROM marie_scheduler.job
WHERE dag_id = ANY($1::uuid[]) AND state = 'active' AND started_on < $2
FOR UPDATE
"""
"""Tasks that a gateway gave away which is no more: the one that came after it takes up none that are active."""

MOMENT = "SELECT clock_timestamp() AS now"

FORGET = "DELETE FROM marie_scheduler.kv_store_worker WHERE namespace = 'job' AND key = ANY($1::text[])"
"""What the executor had told of it would keep the task from being given away again (MA-22)."""

RESET = "UPDATE marie_scheduler.job SET state = 'created', started_on = NULL WHERE id = ANY($1::uuid[])"

HALT = "UPDATE marie_scheduler.dag SET state = 'suspended' WHERE id = ANY($1::uuid[])"
RESUME = """
UPDATE marie_scheduler.dag SET state = 'created' WHERE id = ANY($1::uuid[]) AND state = 'suspended'
RETURNING id::text
"""
"""The gateway forgets a DAG that is suspended, and reads it anew when that is over (MA-22)."""

READABLE = "SELECT FROM marie_scheduler.job, marie_scheduler.dag, marie_scheduler.kv_store_worker LIMIT 0"
"""Whether this is a database of Marie's at all."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is, and who may use it.

    Attributes:
        host: Of the server.
        port: Of the server.
        database: Its name.
        user: Who connects.
        password: Of the user.
    """

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"database {self.database} at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Task:
    """One row of a DAG.

    Attributes:
        id: Of the task.
        name: As its plan has it.
        state: As the row has it.
        in_hand: Whether it is cancelled and an executor works at it all the same.
    """

    id: str
    name: str
    state: NodeState
    in_hand: bool = False


@dataclass(frozen=True, slots=True)
class StoredDag:
    """One DAG, as the database had it at one moment.

    Attributes:
        id: Of the DAG.
        state: As its row has it.
        tasks: In the order of the plan.
        changed: Whether it had to be changed a moment before.
    """

    id: str
    state: str
    tasks: tuple[Task, ...]
    changed: bool = False

    @property
    def outcome(self) -> NodeState | None:
        """What became of it: COMPLETED, FAILED, or CANCELLED once that holds; None while something may still move."""
        states = {task.state for task in self.tasks}
        if states & {NodeState.FAILED, NodeState.EXPIRED}:
            return NodeState.FAILED
        if states == {NodeState.COMPLETED}:
            return NodeState.COMPLETED
        settled = states <= {NodeState.COMPLETED, NodeState.CANCELLED} and self.state == NodeState.CANCELLED
        return NodeState.CANCELLED if settled and not self.changed and not self.in_hand else None

    @property
    def cancelled(self) -> bool:
        """Whether nothing of it will be begun any more."""
        return any(task.state is NodeState.CANCELLED for task in self.tasks)

    @property
    def in_hand(self) -> bool:
        """Whether an executor works at a task that is cancelled."""
        return any(task.in_hand for task in self.tasks)


class Connection(Protocol):
    """What is needed of a connection."""

    async def fetch(self, statement: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
        """Run a statement; the rows that it returns."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """All statements until its exit happen at once, or not at all."""
        ...


Connect = Callable[[Place], AbstractAsyncContextManager[Connection]]


class Database:
    """The database of one cluster.

    Connections are made when there is something to ask or do, which is seldom, and not kept.

    Args:
        connect: Makes connections.
        place: Where to.
        fence: Called when a change is about to be made; raises NotLeader when another process may be about to make it.
    """

    def __init__(self, connect: Connect, place: Place, *, fence: Callable[[], None]) -> None:
        self._connect = connect
        self._fence = fence
        self.place = place

    async def check(self) -> None:
        """Look whether Marie's tables can be read.

        Raises:
            Unanswered: They cannot; the message says why, and what to do.
        """
        async with self._connect(self.place) as connection:
            await connection.fetch(READABLE)

    async def withdraw(self, dag_ids: Collection[str]) -> dict[str, StoredDag]:
        """Cancel DAGs; to be called again until their outcome is known.

        Returns:
            How they are now, by id; without those that the database does not have.

        Raises:
            Unanswered: Whether they are cancelled is not known.
        """
        ids = list(dag_ids)
        async with self._connect(self.place) as connection:
            self._fence()
            async with connection.transaction():
                changed = {row["dag_id"] for row in await connection.fetch(CANCEL_TASKS, ids)}
                changed |= {row["id"] for row in await connection.fetch(CANCEL_DAGS, ids)}
            return _dags(await connection.fetch(STANDING, ids), changed)

    async def take_up(self, dag_ids: Collection[str], alive: Callable[[], float]) -> set[str]:
        """Have tasks done again that a gateway had given away which is no more.

        Args:
            dag_ids: Of which DAGs.
            alive: Says for how many seconds the present gateway has been there by now, or more.

        Returns:
            The ids of the DAGs that go on.

        Raises:
            Unanswered: Whether they go on is not known; to be called again.
        """
        ids = list(dag_ids)
        async with self._connect(self.place) as connection:
            # Asked after the answer: by the database's clock the gateway began then, or later.
            moment = (await connection.fetch(MOMENT))[0]["now"]
            began = moment - timedelta(seconds=alive())
            self._fence()
            async with connection.transaction():
                found = await connection.fetch(FORSAKEN, ids, began)
                if found:
                    await connection.fetch(FORGET, [_kept_as(row["task"]) for row in found])
                    await connection.fetch(RESET, [row["task"] for row in found])
                    await connection.fetch(HALT, [row["dag"] for row in found])
            if found:
                await asyncio.sleep(SUSPENSION)
            self._fence()
            # Also what an operator left suspended that ended between the two.
            return {row["id"] for row in await connection.fetch(RESUME, ids)}

    async def reasons(self, task_ids: Collection[str]) -> dict[str, str]:
        """Why tasks failed, by id, as far as it was written down.

        Raises:
            Unanswered: It cannot be told.
        """
        keys = [_kept_as(task) for task in task_ids]
        async with self._connect(self.place) as connection:
            rows = await connection.fetch(REASONS, keys)
        found = {row["task"]: reason(row["told"] or "", row["message"] or "") for row in rows}
        return {task: text for task, text in found.items() if text}


def _kept_as(task: str) -> str:
    return f"marie_internal/job_info_{task}"


def _dags(rows: Iterable[Mapping[str, Any]], changed: Collection[str]) -> dict[str, StoredDag]:
    tasks: dict[tuple[str, str], list[Task]] = defaultdict(list)
    for row in rows:
        state = NodeState(row["state"]) if row["state"] in set(NodeState) else NodeState.OTHER
        tasks[row["dag"], row["dag_state"] or ""].append(Task(row["task"], row["name"] or "", state, row["in_hand"]))
    return {dag: StoredDag(dag, state, tuple(found), dag in changed) for (dag, state), found in tasks.items()}


def reason(told: str, message: str = "") -> str:
    """An executor's error as part of a sentence; empty when there is none.

    Args:
        told: What the executor wrote of its surroundings, as JSON, with the error among it.
        message: What Marie says of the task.
    """
    try:
        error = (from_json(told) or {}).get("error") or {} if told else {}
    except (ValueError, AttributeError):
        error = {}
    if not isinstance(error, Mapping) or not error.get("message"):
        return " ".join(message.split())[:LONGEST_REASON] if message not in {"", "Job failed."} else ""
    where = f" ({error['filename']}, line {error['line_no']})" if error.get("filename") and error.get("line_no") else ""
    text = " ".join(f"{error.get('type') or 'Error'}: {error['message']}".split())
    return (text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…") + where


@asynccontextmanager
async def connection(place: Place) -> AsyncIterator[Connection]:
    """A connection by asyncpg, which only who has a database to reach needs to have installed.

    Raises:
        Unanswered: It cannot be made, or a statement failed; the message says what to do.
    """
    try:
        asyncpg = await asyncio.to_thread(importlib.import_module, "asyncpg")
    except ModuleNotFoundError as error:
        raise Unanswered(NOT_INSTALLED, maybe_sent=False) from error
    try:
        found = await asyncpg.connect(
            host=place.host,
            port=place.port,
            database=place.database,
            user=place.user,
            password=place.password,
            timeout=TIMEOUT,
            command_timeout=TIMEOUT,
            # A connection may be lent to others between two statements, by a pool before the server.
            statement_cache_size=0,
            server_settings={"application_name": "marie-operator"},
        )
        try:
            yield found
        finally:
            await found.close(timeout=TIMEOUT)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise Unanswered(explained(place, getattr(error, "sqlstate", "") or "", str(error)), maybe_sent=True) from error


NOT_INSTALLED = (
    "the operator cannot use Marie's database, because asyncpg is not installed beside it: "
    "install marie-operator[database]"
)


def explained(place: Place, code: str, text: str) -> str:
    """What to do about an error of PostgreSQL's.

    Args:
        place: Where it came from.
        code: Its SQLSTATE; empty when the server did not get to speak.
        text: What it said.
    """
    said = text.partition("\n")[0].rstrip(".") or "no answer in time"
    match code:
        case "28P01" | "28000":
            return f"{place} refuses user {place.user}: correct the Secret ({said})"
        case "3D000":
            return f"there is no {place}: correct spec.backingServices.postgres"
        case "42P01" | "3F000":
            return f"{place} has no tables of Marie's: name the one that the gateway uses ({said})"
        case "42501":
            return (
                f"user {place.user} of {place} may not do this: grant it USAGE on the schema marie_scheduler, SELECT "
                "and UPDATE on its tables job and dag, SELECT and DELETE on kv_store_worker, and INSERT on job_history "
                f"and dag_history ({said})"
            )
        case _:
            return f"{place} does not answer as it should: {said}"
