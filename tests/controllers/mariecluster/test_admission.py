"""A policy that writes other values than were asked for, such as the images of a registry's mirror."""

import asyncio
from dataclasses import replace

import pytest

from marie_operator.testing.apiserver.answers import Answer, refused
from marie_operator.testing.apiserver.errors import Refusal
from marie_operator.testing.apiserver.faults import Fault, Serve
from marie_operator.testing.apiserver.requests import Call
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster
from tests.controllers.mariecluster.test_executors import at_work, batch, done, notes, scale, size
from tests.controllers.mariecluster.test_upgrade import (
    NEW,
    change_server,
    image,
    late_one,
    nothing_waits,
    submitted,
)
from tests.simulation.world import OPERATOR

pytestmark = pytest.mark.embedded

MIRROR = "mirror.example/"
IMAGES = ("marieai/", "quay.io/coreos/", "ghcr.io/ferretdb/")


def mirror(plane: Plane, *, dry_runs: bool = True) -> None:
    """Have every image that the operator asks for come from a mirror."""

    async def webhook(call: Call, serve: Serve) -> Answer:
        if "dryRun" in call.query and not dry_runs:
            return refused(Refusal(400, 'admission webhook "m.example.com" does not support dry run'))
        body = call.body.decode()
        for each in IMAGES:
            body = body.replace(f'"{each}', f'"{MIRROR}{each}')
        return await serve(replace(call, body=body.encode()))

    kinds = {"deployments", "statefulsets"}
    plane.server.server.faults.append(Fault(webhook, verbs={"patch"}, resources=kinds, user=OPERATOR.name))


def applied(plane: Plane, since: int) -> list[str]:
    """What was written of what the policy concerns."""
    found = [each for each in plane.writes(since) if each.resource in {"deployments", "statefulsets"}]
    return [each.path for each in found if "dryRun" not in each.path]


@pytest.mark.parametrize("dry_runs", [True, False])
def test_what_a_policy_writes_is_no_change_of_the_cluster(dry_runs: bool) -> None:
    async def story(plane: Plane) -> None:
        mirror(plane, dry_runs=dry_runs)
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        assert await image(plane) == f"{MIRROR}marieai/marie:4.0.0"
        await asyncio.sleep(30)
        since = plane.server.audit.mark()
        await plane.apply(*batch(2))
        await plane.until(lambda: done(plane))
        await asyncio.sleep(300)
        assert applied(plane, since) == []
        assert await nothing_waits(plane)

        await change_server(plane)
        await plane.until(lambda: _is(plane, f"{MIRROR}{NEW}"), seconds=30)
        await late_one(plane)

    run(story)


def test_a_group_grows_at_once_under_a_policy_while_documents_are_in_hand() -> None:
    async def story(plane: Plane) -> None:
        mirror(plane)
        await at_work(plane, 1, busy=1, seconds=600.0)
        await scale(plane, 2)
        await plane.until(lambda: size(plane, 2), seconds=10)
        assert await nothing_waits(plane)

    run(story)


def test_an_operator_that_starts_anew_under_a_policy_makes_nobody_wait() -> None:
    async def story(plane: Plane) -> None:
        mirror(plane)
        await at_work(plane, 2, busy=1, seconds=100.0)
        await plane.replica.stop()
        since = plane.server.audit.mark()
        plane.replica.start()
        await asyncio.sleep(20)
        (late,) = batch(1)
        late["metadata"]["name"] = "late"
        await plane.apply(late)

        async def is_submitted() -> bool:
            return (await submitted(plane, "late") or ("",))[0] == "True"

        await plane.until(is_submitted, seconds=10)
        await plane.until(lambda: done(plane), seconds=300)
        assert applied(plane, since) == []
        assert await notes(plane, "UpgradeWaits") == []

    run(story)


def test_an_operator_that_starts_anew_without_dry_runs_writes_once() -> None:
    async def story(plane: Plane) -> None:
        mirror(plane, dry_runs=False)
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        await plane.replica.stop()
        since = plane.server.audit.mark()
        plane.replica.start()
        await asyncio.sleep(300)
        written = applied(plane, since)
        assert len(written) == len(set(written)) == 4
        await late_one(plane)

    run(story)


async def _is(plane: Plane, wanted: str) -> bool:
    return await image(plane) == wanted
