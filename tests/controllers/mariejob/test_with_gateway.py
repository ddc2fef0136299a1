"""The controller, the monitors and a simulated Marie together, with faults between them."""

from collections.abc import Awaitable, Callable

import pytest

from marie_operator.runtime.resource import SECRETS
from marie_operator.testing import virtual
from marie_operator.testing.gateway import Fault, Outcome
from marie_operator.testing.gateway.identity import VERSION
from tests.controllers.mariejob.samples import SINGLE, job
from tests.controllers.mariejob.surroundings import Surroundings

KEYS = [f"invoices/{number}.pdf" for number in range(8)]


def carried_out(
    scenario: Callable[[Surroundings], Awaitable[None]], make: Callable[[], Surroundings], *, documents: int
) -> None:
    """Have it happen to a world; in the end each document is done, and was submitted once."""

    async def main() -> None:
        world = make()
        await scenario(world)
        await world.ended()
        assert world.status["phase"] == "Succeeded"
        assert list(world.submissions.values()) == [1] * documents

    virtual.run(main)


@pytest.mark.parametrize("version", [VERSION, "5.0.0"])
def test_a_kill_in_mid_batch_loses_and_doubles_nothing(version: str) -> None:
    async def killed_twice(world: Surroundings) -> None:
        first = world.started()
        await world.until(lambda: bool(world.status.get("documents", {}).get("inFlight")))
        await first.kill()
        second = world.started()
        await world.until(lambda: len(world.marie.dags) > 0)
        await second.kill()
        world.started()
        await world.ended()
        assert world.status["result"]["documentCount"] == len(KEYS)

    batch = job(batch={"maxInFlight": 4})
    carried_out(
        killed_twice, lambda: Surroundings(batch, KEYS, lambda _: Outcome(10.0), version=version), documents=len(KEYS)
    )


@pytest.mark.parametrize("version", [VERSION, "5.0.0"])
def test_a_gateway_that_misbehaves_delays_the_batch_and_no_more(version: str) -> None:
    faults = [
        Fault("/api/v1/invoke", times=2, lost=True),
        Fault("/api/v1/invoke", times=2, status=503),
        Fault("/api/v1/invoke", times=2, status=500, effect=True),
        Fault("/api/v1/invoke", times=2, status=200, body=b"<html>rubbish</html>"),
        Fault("/api/debug", times=2, status=500),
        Fault("/api/jobs/", times=3, status=500),
    ]

    async def misbehaving(world: Surroundings) -> None:
        world.marie.faults = faults
        world.started()
        await world.ended()
        assert not any(fault.times for fault in faults)

    carried_out(
        misbehaving, lambda: Surroundings(job(), KEYS, lambda _: Outcome(1.0), version=version), documents=len(KEYS)
    )


def test_a_refused_key_is_said_and_another_one_taken_up() -> None:
    async def refused(world: Surroundings) -> None:
        world.started()
        await world.until(lambda: "does not accept the key" in world.status.get("message", ""))
        secret = {"metadata": {"namespace": "docs", "name": "c-api-key"}, "data": {"apiKey": "bWFzX290aGVy"}}
        world.api.put(SECRETS, secret)

    carried_out(
        refused, lambda: Surroundings(job(SINGLE), KEYS, lambda _: Outcome(1.0), api_key="mas_other"), documents=1
    )
