"""Jobs that are suspended or deleted, on a simulated Marie whose database is a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob import sentences
from marie_operator.controllers.mariejob.course import MOST_CANCELLING
from marie_operator.controllers.mariejob.reconciler import FINALIZER
from marie_operator.marie.database import Place
from marie_operator.runtime.resource import Object
from marie_operator.testing.gateway import NEVER, Outcome, SimulatedMarie
from tests.controllers.mariejob.operator_process import KEY
from tests.controllers.mariejob.samples import SINGLE, job
from tests.database.bound import bound
from tests.database.server import Server
from tests.database.stage import KEYS, Stage, done_once, operator, staged
from tests.database.tables import Tables

pytestmark = pytest.mark.model

LONG = 60.0
"""Seconds that executors take for a document in these tests, of which there are twenty to one of ours."""


def live(stage: Stage) -> Object:
    return stage.api.objects[kinds.MARIE_JOBS, KEY]


def change(stage: Stage, **fields: Any) -> None:
    """What a user changes of the job, or what the API server does in their name."""
    obj = live(stage)
    spec = {**obj["spec"], **fields.pop("spec", {})}
    metadata = {**obj["metadata"], "generation": obj["metadata"]["generation"] + 1, **fields}
    stage.api.put(kinds.MARIE_JOBS, {**obj, "metadata": metadata, "spec": spec})


def condition(stage: Stage, kind: str) -> tuple[str, str]:
    found: dict[str, str] = next((each for each in stage.status.get("conditions", ()) if each["type"] == kind), {})
    return found.get("status", ""), found.get("reason", "")


def states(marie: SimulatedMarie) -> list[str]:
    return [dag.state for dag in marie.dags]


def at_work(marie: SimulatedMarie) -> int:
    return sum(node.state == "active" for dag in marie.dags for node in dag.nodes)


async def restart(stage: Stage, tables: Tables) -> None:
    """The gateway ends, and another begins once its pod is there."""
    working = at_work(stage.marie)
    stage.marie.kill()
    active = "FROM marie_scheduler.job WHERE state = 'active'"
    await stage.until(lambda: tables.sql(f"SELECT count(*) {active}") == str(working))
    # The operator's clock is faster here than the database's.
    tables.sql("UPDATE marie_scheduler.job SET started_on = now() - interval '1 hour' WHERE state = 'active'")
    stage.marie.start()


@pytest.mark.kuberay("KU-16")
async def test_a_suspended_job_leaves_nothing_at_marie_and_goes_on_with_all(postgres: Server, place: Place) -> None:
    """MA-23: what an executor has in hand goes on, and brings its DAG back to active."""
    async with staged(job(batch={"maxInFlight": 8}), seconds=2 * LONG) as stage, bound(stage.marie, place) as database:
        async with operator(stage, place):
            await stage.until(lambda: len(stage.marie.dags) == len(KEYS))
            await stage.until(lambda: at_work(stage.marie) > 0)
            assert live(stage)["metadata"]["finalizers"] == [FINALIZER]
            change(stage, spec={"suspend": True})
            await stage.until(lambda: "in hand" in stage.status["message"])
            assert condition(stage, "Suspended") == ("True", "Suspending")
            await stage.until(lambda: condition(stage, "Suspended") == ("True", "Suspended"))
            # On a machine that is slow enough some were done before.
            taken = [told[told.index("cancelled") :] for told in database.states.values() if "cancelled" in told]
            assert stage.status["message"] == (
                f"The job is suspended: nothing is submitted. {sentences.taken_back(len(taken))} "
                "Set spec.suspend to false to go on."
            )
            rows = "SELECT count(*) FROM marie_scheduler.dag WHERE state = 'cancelled'"
            assert Tables(postgres, place.database).sql(rows) == str(len(taken))
            assert at_work(stage.marie) == 0
            again = ["cancelled", "active", "cancelled"]
            assert again in taken
            assert all(told in (["cancelled"], again) for told in taken)
            change(stage, spec={"suspend": False})
            await stage.finished()
        assert stage.status["phase"] == "Succeeded"
        assert stage.status["result"]["documentCount"] == len(KEYS)
        assert stage.status["retryCount"] == 0
        assert live(stage)["metadata"]["finalizers"] == []
        done_once(stage, len(KEYS) + len(taken))


async def test_a_kill_while_documents_are_taken_back_loses_and_doubles_nothing(place: Place) -> None:
    async with staged(job(batch={"maxInFlight": 8}), seconds=2 * LONG) as stage, bound(stage.marie, place):
        async with operator(stage, place):
            await stage.until(lambda: len(stage.marie.dags) == len(KEYS))
            change(stage, spec={"suspend": True})
            await stage.until(lambda: "cancelled" in states(stage.marie))
        change(stage, spec={"suspend": False})
        async with operator(stage, place):
            await stage.finished()
        assert stage.status["phase"] == "Succeeded"
        ended = [dag for dag in stage.marie.dags if dag.state == "completed"]
        assert sorted(dag.uri for dag in ended) == sorted(f"s3://bucket/{key}" for key in KEYS)


async def test_a_job_that_is_late_fails_once_its_documents_are_cancelled(place: Place) -> None:
    late = job(SINGLE, activeDeadlineSeconds=5)
    async with staged(late, seconds=6 * LONG) as stage, bound(stage.marie, place) as database, operator(stage, place):
        await stage.until(lambda: condition(stage, "FailureTarget") == ("True", "DeadlineExceeded"))
        assert stage.status["phase"] == "Running"
        await stage.finished()
        assert condition(stage, "Failed") == ("True", "DeadlineExceeded")
        assert stage.status["message"] == (
            "The job did not end within spec.activeDeadlineSeconds (5 s): 0 of 1 document done, 1 in flight. "
            "1 document was cancelled in Marie's database."
        )
        assert [states[-3:] for states in database.states.values()] == [["cancelled", "active", "cancelled"]]
        assert [reason for _, reason, _ in stage.events.recorded][-3:] == [
            "DeadlineExceeded",
            "DeadlineExceeded",
            "TakenBack",
        ]


async def test_a_deleted_job_is_kept_until_its_documents_are_cancelled(place: Place) -> None:
    async with staged(job(SINGLE), seconds=4 * LONG) as stage, bound(stage.marie, place), operator(stage, place):
        await stage.until(lambda: stage.status.get("phase") == "Running")
        change(stage, deletionTimestamp=stage.status["startTime"])
        await stage.until(lambda: live(stage)["metadata"]["finalizers"] == [])
        assert states(stage.marie) == ["cancelled"]
        assert stage.events.recorded[-1] == (
            "Normal",
            "TakenBack",
            "The job is deleted. 1 document was cancelled in Marie's database.",
        )


@pytest.mark.kuberay("KR-23")
async def test_a_dead_database_does_not_keep_a_deleted_job_for_long(postgres: Server, place: Place) -> None:
    async with staged(job(SINGLE), seconds=10 * LONG) as stage:
        async with bound(stage.marie, place), operator(stage, place):
            await stage.until(lambda: stage.status.get("phase") == "Running")
        # Gone for good: nobody connects to it any more.
        postgres.sql(f"DROP DATABASE {place.database} WITH (FORCE)")
        async with operator(stage, place):
            await stage.until(lambda: live(stage)["metadata"]["finalizers"] == [FINALIZER])
            deleted = datetime.now(UTC) - MOST_CANCELLING + timedelta(seconds=5)
            change(stage, deletionTimestamp=f"{deleted:%Y-%m-%dT%H:%M:%SZ}")
            await stage.until(lambda: live(stage)["metadata"]["finalizers"] == [])
        told = [note for kind, reason, note in stage.events.recorded if (kind, reason) == ("Warning", "StillRunning")]
        assert len(told) == 1
        assert told[0].startswith("The job is deleted. 1 document at Marie runs on: there is no database")


async def test_what_a_gateway_left_behind_goes_on_under_the_next_one(postgres: Server, place: Place) -> None:
    """MA-21 and MA-22."""
    async with staged(job(batch={"maxInFlight": 8}), seconds=LONG) as stage, bound(stage.marie, place) as database:
        async with operator(stage, place):
            await stage.until(lambda: at_work(stage.marie) == 4)
            await restart(stage, Tables(postgres, place.database))
            await stage.finished()
        assert stage.status["phase"] == "Succeeded"
        assert stage.status["retryCount"] == 0
        done_once(stage, len(KEYS))
        assert sum("suspended" in told for told in database.states.values()) == 4
        # In one event or in several: those whose submission had not been answered yet are found a moment later.
        told = [note for _, reason, note in stage.events.recorded if reason == "TakenUp"]
        numbers = [int(note.split()[0]) for note in told]
        assert sum(numbers) == 4
        assert told == [sentences.taken_up(number) for number in numbers]


async def test_what_a_gateway_left_behind_is_found_by_an_operator_that_was_not_there(
    postgres: Server, place: Place
) -> None:
    async with staged(job(SINGLE), seconds=LONG) as stage, bound(stage.marie, place):
        async with operator(stage, place):
            await stage.until(lambda: at_work(stage.marie) == 1)
        await restart(stage, Tables(postgres, place.database))
        async with operator(stage, place):
            await stage.finished()
        assert stage.status["phase"] == "Succeeded"
        done_once(stage, 1)


async def test_without_a_database_it_is_submitted_again() -> None:
    async with staged(job(SINGLE), seconds=10 * LONG) as stage, operator(stage):
        # Seen at work: one that was given away in the last second only the database can tell from others.
        await stage.until(lambda: stage.status.get("phase") == "Running")
        stage.marie.kill()
        stage.marie.start()
        await stage.until(lambda: stage.status["retryCount"] == 1)
        assert stage.events.recorded[-1][2].startswith(
            f"{SINGLE} failed: DAG {stage.marie.dags[0].id} was at work when the gateway ended, and Marie does not "
            "take it up again. It is submitted again at"
        )


async def test_a_document_that_failed_has_the_words_of_its_executor(place: Place) -> None:
    async with staged(job(SINGLE, backoffLimit=0)) as stage, bound(stage.marie, place), operator(stage, place):
        stage.marie.outcome = lambda _: Outcome(1.0, failures=NEVER)
        await stage.finished()
        (failure,) = stage.status["documents"]["failures"]
        assert failure["message"] == (
            f"Task '1: EXTRACT data' of DAG {stage.marie.dags[0].id} failed in Marie: "
            "RuntimeError: no pages (mock_executor.py, line 151)."
        )
