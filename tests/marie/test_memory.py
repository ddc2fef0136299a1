"""What a gateway remembers, leaves out or takes too long for: no document is lost, doubled or told wrong for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from marie_operator.marie.client import Gateway
from marie_operator.marie.gateways import Question
from marie_operator.marie.ticket import DocumentState, DocumentView, Ticket
from marie_operator.marie.transport import Request, Response, Unanswered
from marie_operator.testing import virtual
from marie_operator.testing.gateway import Outcome, Outcomes, SimulatedMarie
from tests.marie import direct
from tests.marie.direct import CLUSTER, JOB, Direct, serving, watched
from tests.marie.wire import INVOICE, KEY

COMPLETED = "/api/jobs/completed"


class Withholding(Direct):
    """A gateway whose database would not make some lists, which it then gives as empty ones."""

    def __init__(self, marie: SimulatedMarie, *lists: str) -> None:
        super().__init__(marie)
        self._lists = lists

    @asynccontextmanager
    async def exchange(self, request: Request) -> AsyncIterator[Response]:
        async with super().exchange(request) as response:
            empty = Response(200, direct.once(b'{"status":"OK","result":{}}'))
            yield empty if request.path in self._lists else response


class Slow(Direct):
    """A gateway that does not come to an end with the list of what is completed."""

    @asynccontextmanager
    async def exchange(self, request: Request) -> AsyncIterator[Response]:
        if request.path == COMPLETED:
            await asyncio.sleep(request.timeout)
            raise Unanswered("direct/api/jobs/completed did not answer in time", maybe_sent=True)
        async with super().exchange(request) as response:
            yield response


async def looked_for(marie: SimulatedMarie, transport: Direct, *, seconds: float) -> DocumentView:
    """Where a document is so much later that an earlier process may have submitted."""
    with watched(marie, transport) as gateways:
        gateways.follow(CLUSTER, JOB, [Ticket("r", INVOICE)], api_key=KEY)
        await asyncio.sleep(seconds)
        return gateways.documents(CLUSTER, JOB)["r"]


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_a_document_comes_to_its_end_whatever_the_gateway_remembers_of_its_tasks(failures: int) -> None:
    """Whoever asks for a task has the gateway remember its state of then (MA-26)."""

    async def main() -> None:
        marie = serving(seconds=1.0)
        for seconds in (0.2, 0.9, 1.7, 2.6, 4.0, 7.3):
            marie.outcome = Outcomes(default=Outcome(seconds, failures))
            with watched(marie) as gateways:
                await asyncio.sleep(30)
                gateways.follow(CLUSTER, JOB, [Ticket(f"r{seconds}", INVOICE, fresh=True)], api_key=KEY)
                another, known = Gateway(Direct(marie), "direct"), set(marie.engine.dags)
                for _ in range(100):
                    await asyncio.sleep(0.1)
                    for dag_id in marie.engine.dags.keys() - known:
                        await another.walk(dag_id)
                await asyncio.sleep(120)
                (view,) = gateways.documents(CLUSTER, JOB).values()
            assert view.state is (DocumentState.FAILED if failures == 3 else DocumentState.SUCCEEDED), view

    virtual.run(main)


def test_a_document_that_was_taken_back_is_not_done_because_nothing_is_left_to_do() -> None:
    """That it is cancelled is for the database to say, which nobody has here."""

    async def main() -> None:
        marie = serving(seconds=600.0)
        with watched(marie) as gateways:
            await asyncio.sleep(30)
            ticket = Ticket("r", INVOICE, fresh=True)
            gateways.follow(CLUSTER, JOB, [ticket], api_key=KEY)
            await asyncio.sleep(10)
            (dag_id,) = marie.engine.dags
            await Gateway(Direct(marie), "direct").walk(dag_id)
            gateways.follow(CLUSTER, JOB, [replace(ticket, cancel=True)], api_key=KEY)
            marie.engine.cancel(dag_id)
            await asyncio.sleep(60)
            (view,) = gateways.documents(CLUSTER, JOB).values()
        assert view.state is DocumentState.RUNNING

    virtual.run(main)


def test_a_list_that_is_empty_against_the_gateways_own_count_proves_nothing() -> None:
    async def main() -> None:
        marie = serving(seconds=1.0)
        await asyncio.sleep(10)
        await Gateway(Direct(marie), "direct").submit(INVOICE, ref_id="another", api_key=KEY)
        await asyncio.sleep(60)
        view = await looked_for(marie, Withholding(marie, COMPLETED), seconds=600)
        assert view.state is DocumentState.LOOKING_UP
        assert view.message == (
            "Whether Marie has the document cannot be told: direct lists no completed tasks and counts 3; the gateway's"
            " log says why."
        )
        assert len(marie.dags) == 1
        assert (await looked_for(marie, Direct(marie), seconds=60)).state is DocumentState.SUCCEEDED

    virtual.run(main)


def test_nobody_is_taken_to_be_idle_for_a_list_that_is_empty_against_the_gateways_own_count() -> None:
    async def main() -> None:
        marie = serving(seconds=600.0)
        transport = Withholding(marie, "/api/jobs/active")
        with watched(marie, transport) as gateways:
            gateways.ask(CLUSTER, Question(hurried=True))
            await asyncio.sleep(30)
            before = gateways.occupancy(CLUSTER)
            gateways.follow(CLUSTER, JOB, [Ticket("r", INVOICE, fresh=True)], api_key=KEY)
            await asyncio.sleep(30)
            after = gateways.occupancy(CLUSTER)
        assert before is not None
        assert after is not None
        assert (before.tasks, after.tasks) == ({}, None)

    virtual.run(main)


def test_a_list_that_never_comes_is_asked_for_less_and_less_and_that_is_told() -> None:
    async def main() -> None:
        marie = serving(seconds=1.0)
        view = await looked_for(marie, Slow(marie), seconds=6 * 3600)
        assert view.state is DocumentState.LOOKING_UP
        assert view.message.endswith("direct/api/jobs/completed did not answer in time.")
        assert marie.requests["GET /api/jobs/{state}"] < 8 * 6 * 3600 / 60
        assert not marie.dags

    virtual.run(main)
