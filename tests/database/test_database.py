"""Marie's tables, on a real PostgreSQL."""

import json
import sys
import uuid
from pathlib import Path

import pytest

from marie_operator.marie.database import Database, Place, StoredDag, connection
from marie_operator.marie.replies import NodeState
from marie_operator.marie.transport import Unanswered
from marie_operator.runtime.errors import NotLeader
from tests.database.server import Server
from tests.database.tables import Tables

# A server of its own takes seconds to start, and its databases some to go.
pytestmark = pytest.mark.model


def unfenced() -> None:
    """Whoever runs may write."""


@pytest.fixture
def tables(postgres: Server, place: Place) -> Tables:
    return Tables(postgres, place.database)


@pytest.fixture
def database(place: Place) -> Database:
    return Database(connection, place, fence=unfenced)


async def withdrawn(database: Database, dag: str) -> StoredDag:
    return (await database.withdraw([dag]))[dag]


async def test_a_queued_dag_is_cancelled_and_the_gateway_told(database: Database, tables: Tables) -> None:
    dag, other = tables.dag("completed", "created", "created", state="active"), tables.dag("created", "created")
    first = await withdrawn(database, dag)
    assert (first.outcome, first.cancelled, first.changed) == (None, True, True)
    second = await withdrawn(database, dag)
    assert second.outcome is NodeState.CANCELLED
    assert tables.states(dag) == ("cancelled", ["completed", "cancelled", "cancelled"])
    assert tables.states(other) == ("created", ["created", "created"])
    # Notifications are sent with changes of a DAG's state alone: one change, and so one of them.
    assert tables.history(dag) == ["cancelled"]


async def test_a_running_dag_is_cancelled_until_that_holds(database: Database, tables: Tables) -> None:
    dag = tables.dag("completed", "active", "created", state="active")
    tables.keep(dag, 1, status="RUNNING")
    await withdrawn(database, dag)
    seen = await withdrawn(database, dag)
    assert (seen.outcome, seen.in_hand) == (None, True)
    tables.work_ends(dag, 1)
    assert tables.states(dag)[0] == "active", "as a real gateway leaves it"
    seen = await withdrawn(database, dag)
    assert (seen.outcome, seen.changed) == (None, True)
    seen = await withdrawn(database, dag)
    assert seen.outcome is NodeState.CANCELLED
    assert tables.history(dag) == ["cancelled", "active", "cancelled"]


async def test_who_never_says_that_his_work_has_ended_is_not_waited_for_for_ever(
    database: Database, tables: Tables
) -> None:
    dag = tables.dag("completed", "active", "created", state="active")
    tables.keep(dag, 1, status="RUNNING")
    await withdrawn(database, dag)
    tables.sql("UPDATE marie_scheduler.job SET completed_on = now() - interval '16 minutes' WHERE state = 'cancelled'")
    assert (await withdrawn(database, dag)).outcome is NodeState.CANCELLED


async def test_what_has_ended_stays_as_it_is(database: Database, tables: Tables) -> None:
    done = tables.dag("completed", "completed", "completed", state="completed")
    failed = tables.dag("completed", "failed", "created", state="failed")
    found = await database.withdraw([done, failed, str(uuid.uuid4())])
    assert {dag: stored.outcome for dag, stored in found.items()} == {
        done: NodeState.COMPLETED,
        failed: NodeState.FAILED,
    }
    assert tables.states(done) == ("completed", ["completed"] * 3)
    # A gateway that starts anew would run what comes after a failed task.
    assert tables.states(failed) == ("failed", ["completed", "failed", "cancelled"])


async def test_what_a_gateway_left_behind_is_given_away_again(database: Database, tables: Tables) -> None:
    """MA-22: the executor's word is forgotten, and the DAG suspended for a while."""
    left, later = (tables.dag("completed", "active", "created", state="active") for _ in range(2))
    tables.keep(left, 1, status="SUCCEEDED")
    tables.keep(later, 1, status="RUNNING")
    tables.sql(
        f"UPDATE marie_scheduler.job SET started_on = now() - interval '1 minute' WHERE id = '{tables.task(left, 1)}'"
    )
    assert await database.take_up([left, later], lambda: 30.0) == {left}
    assert tables.states(left) == ("created", ["completed", "created", "created"])
    assert tables.history(left) == ["suspended", "created"]
    assert tables.states(later) == ("active", ["completed", "active", "created"])
    kept = tables.sql("SELECT key FROM marie_scheduler.kv_store_worker")
    assert kept == f"marie_internal/job_info_{tables.task(later, 1)}"


async def test_what_was_left_suspended_in_between_goes_on(database: Database, tables: Tables) -> None:
    dag = tables.dag("completed", "created", "created", state="suspended")
    assert await database.take_up([dag], lambda: 30.0) == {dag}
    assert tables.states(dag)[0] == "created"


async def test_reasons_are_what_executors_wrote_down(database: Database, tables: Tables) -> None:
    dag = tables.dag("completed", "failed", "created")
    error = {
        "type": "RuntimeError",
        "message": "Mock failure:\n  Simulated exception in extract_executor/rep-0",
        "filename": "mock_executor.py",
        "name": "func_extract",
        "line_no": 151,
    }
    tables.keep(dag, 1, status="FAILED", message="Job failed.", runtime_env_json=json.dumps({"error": error}))
    task = tables.task(dag, 1)
    assert await database.reasons([task, tables.task(dag, 2)]) == {
        task: "RuntimeError: Mock failure: Simulated exception in extract_executor/rep-0 (mock_executor.py, line 151)"
    }


async def test_only_who_leads_changes_anything(place: Place, tables: Tables) -> None:
    def deposed() -> None:
        raise NotLeader("another leads")

    dag = tables.dag("created", "created")
    with pytest.raises(NotLeader):
        await Database(connection, place, fence=deposed).withdraw([dag])
    assert tables.states(dag) == ("created", ["created", "created"])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"password": "wrong"}, "refuses user postgres: correct the Secret"),
        ({"database": "nowhere"}, "there is no database nowhere at 127.0.0.1:"),
        ({"database": "postgres"}, "has no tables of Marie's: name the one that the gateway uses"),
        ({"port": 1}, "does not answer as it should"),
    ],
)
async def test_a_database_that_cannot_be_used_says_what_to_do(
    place: Place, changed: dict[str, object], told: str
) -> None:
    wrong = Place(**{name: getattr(place, name) for name in Place.__slots__} | changed)
    with pytest.raises(Unanswered) as refused:
        await Database(connection, wrong, fence=unfenced).check()
    assert told in str(refused.value)
    assert place.password not in str(refused.value) + repr(wrong)


async def test_without_asyncpg_it_says_what_to_install(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(Unanswered, match=r"asyncpg is not installed beside it: install marie-operator\[database\]"):
        await Database(connection, place, fence=unfenced).check()


def documented(user: str) -> str:
    """The grants of the documentation, for a user."""
    page = (Path(__file__).parents[2] / "docs/database.md").read_text()
    return page.split("```sql\n")[1].split("```")[0].replace("marie_operator", user)


async def test_the_rights_that_are_documented_suffice(postgres: Server, place: Place, tables: Tables) -> None:
    tables.sql("CREATE ROLE careful LOGIN PASSWORD 'careful-too'")
    own = Place(place.host, place.port, place.database, "careful", "careful-too")
    database = Database(connection, own, fence=unfenced)
    with pytest.raises(Unanswered, match="may not do this: grant it USAGE"):
        await database.check()
    tables.sql(documented("careful"))
    await database.check()
    dag = tables.dag("completed", "active", "created", state="active")
    assert (await database.withdraw([dag]))[dag].cancelled
    assert await database.reasons([tables.task(dag, 1)]) == {}
