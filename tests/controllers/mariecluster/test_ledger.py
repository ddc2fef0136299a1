"""Which database the operator uses for a cluster, and as whom."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import pytest

from marie_operator.controllers.mariejob.reconciler import FINALIZER
from marie_operator.marie.database import Connection, Place
from marie_operator.marie.transport import Unanswered
from marie_operator.testing.gateway import Outcome, Outcomes
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster, contents, job

pytestmark = pytest.mark.embedded


class Empty:
    """A connection to a database that has Marie's tables, without a row."""

    async def fetch(self, statement: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
        return ()

    def transaction(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()


class Databases:
    """Remembers where connections are made to; none comes about while there is a problem."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.problem = ""

    @asynccontextmanager
    async def connect(self, place: Place) -> AsyncIterator[Connection]:
        self.places.append(place)
        if self.problem:
            raise Unanswered(self.problem, maybe_sent=False)
        yield Empty()


def test_the_managed_database_is_used_as_whom_its_secret_says() -> None:
    databases = Databases()

    async def story(plane: Plane) -> None:
        plane.gateways.cluster("default", "c").outcome = Outcomes(default=Outcome(seconds=120))
        await plane.apply(cluster(backingServices=MANAGED), job())
        await plane.until(lambda: phase(plane, "Running"))
        data = await contents(plane, "c-postgres")
        assert databases.places == [
            Place("c-postgres.default.svc", 5432, "postgres", data["username"], data["password"])
        ], "asked once, and never without need"
        assert (await plane.get("mariejobs", "j"))["metadata"]["finalizers"] == [FINALIZER]
        await plane.patch("secrets", "c-postgres", {"stringData": {"password": "another"}})
        await plane.until(lambda: uses(databases, "another"))
        await plane.until(lambda: phase(plane, "Succeeded"), seconds=300)
        await plane.until(lambda: released(plane))

    run(story, connect=databases.connect)


def test_a_database_out_of_reach_is_told_and_keeps_no_job() -> None:
    databases = Databases()
    databases.problem = "database postgres at c-postgres.default.svc:5432 does not answer as it should: refused"

    async def story(plane: Plane) -> None:
        plane.gateways.cluster("default", "c").outcome = Outcomes(default=Outcome(seconds=600))
        await plane.apply(cluster(backingServices=MANAGED), job())
        await plane.until(lambda: phase(plane, "Running"))
        assert await released(plane)
        await plane.patch("mariejobs", "j", {"spec": {"suspend": True}})
        await plane.until(lambda: says(plane, f"1 document at Marie goes on to its end, since {databases.problem}."))
        databases.problem = ""
        await plane.until(lambda: marked(plane))

    run(story, connect=databases.connect)


async def phase(plane: Plane, wanted: str) -> bool:
    return bool((await plane.get("mariejobs", "j")).get("status", {}).get("phase") == wanted)


async def uses(databases: Databases, password: str) -> bool:
    return databases.places[-1].password == password


async def released(plane: Plane) -> bool:
    return not (await plane.get("mariejobs", "j"))["metadata"].get("finalizers")


async def says(plane: Plane, text: str) -> bool:
    return text in (await plane.get("mariejobs", "j"))["status"]["message"]


async def marked(plane: Plane) -> bool:
    """Whether what is to be cancelled is written down, beside what keeps the job until then."""
    found = await plane.get("mariejobs", "j")
    in_flight = found["status"]["documents"]["inFlight"]
    return found["metadata"].get("finalizers") == [FINALIZER] and in_flight[0].get("cancelling") is True
