"""How often a gateway is asked that has nothing to do: on a simulated one without sockets, in virtual time."""

import asyncio
from collections import Counter

import pytest

from marie_operator.marie.ticket import Ticket
from marie_operator.testing import virtual
from marie_operator.testing.gateway import SimulatedMarie
from tests.marie.direct import CLUSTER, EXECUTOR, JOB, serving, watched
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
            # Without an etcd to ask, what is in hand is looked for as often as how it is.
            assert resting["GET /api/jobs/{state}"] == 120
            assert sum(resting.values()) <= 120 + 120 + 10 + 10

            # A document is on its way: how many work is asked for all the time.
            gateways.follow(CLUSTER, JOB, [Ticket("r", INVOICE, fresh=True)], api_key=KEY)
            await asyncio.sleep(10)
            marie.register(EXECUTOR, "10.0.0.2:52010", 4)
            await asyncio.sleep(6)
            view = gateways.view(CLUSTER)
            assert view is not None
            assert view.executors == {EXECUTOR: 2}

    virtual.run(main)
