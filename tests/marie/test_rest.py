"""How often a gateway is asked that has nothing to do: on a simulated one without sockets, in virtual time."""

import asyncio
from collections import Counter

import pytest

from marie_operator.marie.client import Gateway
from marie_operator.marie.gateways import Question
from marie_operator.marie.ticket import Ticket
from marie_operator.testing import virtual
from marie_operator.testing.gateway import SimulatedMarie
from tests.marie.direct import CLUSTER, EXECUTOR, JOB, Direct, serving, watched
from tests.marie.wire import INVOICE, KEY


async def asked(marie: SimulatedMarie, seconds: float) -> Counter[str]:
    """What comes to a gateway meanwhile."""
    before = marie.requests.copy()
    await asyncio.sleep(seconds)
    return marie.requests - before


@pytest.mark.kuberay("KR-15")
def test_a_gateway_at_rest_is_asked_how_it_is_and_little_else() -> None:
    async def main() -> None:
        marie = serving(seconds=30.0)
        with watched(marie) as gateways:
            await asyncio.sleep(60)
            resting = await asked(marie, 600)
            assert resting["GET /api/debug"] == 120
            # Without an etcd to ask, what is in hand is looked for in a list; while there is nothing, once a minute.
            assert resting["GET /api/jobs/{state}"] == 10
            assert sum(resting.values()) <= 120 + 10 + 10 + 10

            # A document is on its way: how many work is asked for all the time.
            gateways.follow(CLUSTER, JOB, [Ticket("r", INVOICE, fresh=True)], api_key=KEY)
            await asyncio.sleep(10)
            marie.register(EXECUTOR, "10.0.0.2:52010", 4)
            await asyncio.sleep(6)
            view = gateways.view(CLUSTER)
            assert view is not None
            assert view.executors == {EXECUTOR: 2}

    virtual.run(main)


def test_what_others_have_done_at_a_gateway_at_rest_is_noticed_as_soon_as_it_says_so() -> None:
    async def main() -> None:
        marie = serving(seconds=30.0)
        with watched(marie) as gateways:
            await asyncio.sleep(130)
            await Gateway(Direct(marie), "direct").submit(INVOICE, ref_id="by-others", api_key=KEY)
            await asyncio.sleep(7)
            seen = gateways.occupancy(CLUSTER)
            assert seen is not None
            assert seen.tasks == {EXECUTOR: 1}

            # While there is work, and for a minute after, it is looked at as before.
            working = await asked(marie, 60)
            assert working["GET /api/jobs/{state}"] == 12
            await asyncio.sleep(90)
            resting = await asked(marie, 600)
            assert resting["GET /api/jobs/{state}"] == 10

    virtual.run(main)


def test_who_waits_for_workers_to_be_idle_does_not_wait_for_a_gateway_at_rest() -> None:
    async def main() -> None:
        marie = serving(seconds=30.0)
        with watched(marie) as gateways:
            await asyncio.sleep(130)
            before = gateways.occupancy(CLUSTER)
            gateways.ask(CLUSTER, Question(hurried=True))
            await asyncio.sleep(0.5)
            seen = gateways.occupancy(CLUSTER)
            assert before is not None
            assert seen is not None
            assert (seen.at > before.at, seen.whole) == (True, True)
            hurried = await asked(marie, 60)
            assert hurried["GET /api/jobs/{state}"] >= 4 * 55

    virtual.run(main)
