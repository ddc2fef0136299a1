"""A simulated Marie whose database is a real one: each hears of what the other does to its rows."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from marie_operator.marie.database import Place
from marie_operator.testing.gateway import Dag, SimulatedMarie

ERROR = {"type": "RuntimeError", "message": "no pages", "filename": "mock_executor.py", "name": "f", "line_no": 151}
"""What executors write of tasks that fail."""

_CHANGE = "UPDATE marie_scheduler.{0} SET state = $2, started_on = now() WHERE id = $1 AND state = $3"
Rows = tuple[str, tuple[str, ...]]
"""The state of a DAG, and those of its tasks."""


class Bound:
    """Carries rows between a simulation, which is Marie, and a database, in which others may write.

    Args:
        marie: The simulation.
        connection: To the database.
    """

    def __init__(self, marie: SimulatedMarie, connection: "asyncpg.Connection[Any]") -> None:
        self._marie, self._connection = marie, connection
        self._known: dict[str, Rows] = {}
        self.states: dict[str, list[str]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._read()
            for dag in self._marie.dags:
                await self._write(dag)
            await asyncio.sleep(0.02)

    async def _read(self) -> None:
        """Take in what others wrote: Marie forgets a DAG that is cancelled or suspended, and reads it again."""
        rows = await self._connection.fetch("SELECT id::text, state FROM marie_scheduler.dag")
        for row in rows:
            known = self._known[row["id"]]
            if row["state"] != known[0]:
                self.states.setdefault(row["id"], []).append(row["state"])
                if row["state"] == "suspended":
                    self._known[row["id"]] = ("suspended", known[1])
                    continue
                act = {"cancelled": self._marie.cancel, "created": self._marie.resume}[row["state"]]
                act(row["id"])
                self._known[row["id"]] = _rows(self._marie.engine.dags[row["id"]])

    async def _write(self, dag: Dag) -> None:
        rows, known = _rows(dag), self._known.get(dag.id)
        if rows == known or (known is not None and known[0] == "suspended"):
            return
        execute = self._connection.execute
        if known is None:
            await execute("INSERT INTO marie_scheduler.dag (id, name, state) VALUES ($1, 'dag', $2)", dag.id, rows[0])
            await self._connection.executemany(
                "INSERT INTO marie_scheduler.job (id, name, data, state, dag_id, job_level, started_on) "
                "VALUES ($1, 'extract', $2, $3, $4, $5, now())",
                [(node.id, json.dumps(dict(node.data)), node.state, dag.id, node.level) for node in dag.nodes],
            )
        else:
            # Nothing of what others wrote meanwhile is written over; it is read at the next round.
            if rows[0] != known[0]:
                done = await execute(_CHANGE.format("dag"), dag.id, rows[0], known[0])
                if done == "UPDATE 0":
                    return
                self.states.setdefault(dag.id, []).append(rows[0])
            for task, state, before in zip((node.id for node in dag.nodes), rows[1], known[1], strict=True):
                if state != before:
                    await execute(_CHANGE.format("job"), task, state, before)
        for node in dag.nodes:
            if node.attempts:
                # A real worker writes before the gateway hears of it; here an attempt before the last one has.
                error = ERROR if node.attempts > 1 or node.state in {"retry", "failed"} else None
                await self._keep(node.id, "RUNNING" if self._works(node.id) else "SUCCEEDED", error)
        self._known[dag.id] = rows

    async def _keep(self, task: str, status: str, error: dict[str, Any] | None = None) -> None:
        told = {"status": status, "message": "Job.", "runtime_env_json": json.dumps({"error": error} if error else {})}
        await self._connection.execute(
            "INSERT INTO marie_scheduler.kv_store_worker VALUES ('job', $1, $2) "
            "ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value",
            f"marie_internal/job_info_{task}",
            json.dumps(told),
        )

    def _works(self, task: str) -> bool:
        return any(
            task in self._marie.engine.in_hand(place) for places in self._marie.executors.values() for place in places
        )


def _rows(dag: Dag) -> Rows:
    return dag.state, tuple(node.state for node in dag.nodes)


@asynccontextmanager
async def bound(marie: SimulatedMarie, place: Place) -> AsyncIterator[Bound]:
    """A simulation and a database that are one, while entered."""
    connection = await asyncpg.connect(
        host=place.host, port=place.port, database=place.database, user=place.user, password=place.password
    )
    found = Bound(marie, connection)
    task = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        if task.done():
            await task
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await connection.close()
