"""Marie 4.0.0 as recorded and Marie 5 as its source tells: one client and one monitor for both."""

import asyncio
import json
from typing import Any

import pytest

from marie_operator.marie import dialect, replies
from marie_operator.marie.dialect import Dialect
from marie_operator.marie.gateways import Gateways, GatewayView
from marie_operator.marie.ticket import DocumentState, Ticket
from marie_operator.testing import virtual
from marie_operator.testing.gateway import Fault, Request, SimulatedMarie
from tests.marie.direct import CLUSTER, EXECUTOR, JOB, serving, watched
from tests.marie.wire import INVOICE, KEY
from tests.testing.recording import recorded

FOURTH, FIFTH = "4.0.0", "5.0.0"


def marie_of(version: str) -> SimulatedMarie:
    return serving(seconds=5.0, version=version)


def view(gateways: Gateways) -> GatewayView:
    found = gateways.view(CLUSTER)
    assert found is not None
    return found


def page(marie: SimulatedMarie, path: str, method: str = "GET") -> tuple[int, Any]:
    reply = marie.answer(Request(method, path))
    return reply.status, json.loads(reply.body)


def test_the_recorded_gateway_is_told_by_its_own_description() -> None:
    found = dialect.dialect(200, recorded("1a-noexec-20-openapi.http").reply)
    assert found == Dialect("4.0.0", operations=False, readiness=False)
    assert str(found) == "4.0.0 (jobs API)"


@pytest.mark.parametrize("body", [None, [], {"detail": "Not Found"}, {"paths": {}}, {"info": {}, "paths": []}])
def test_what_is_no_description_is_unreadable(body: Any) -> None:
    with pytest.raises(replies.Unreadable):
        dialect.dialect(200, body)


@pytest.mark.parametrize("version", [FOURTH, FIFTH])
def test_a_document_is_submitted_followed_and_done_whichever_marie_it_is(version: str) -> None:
    async def main() -> None:
        marie = marie_of(version)
        with watched(marie) as gateways:
            await asyncio.sleep(30)
            assert view(gateways).running
            assert view(gateways).executors == {EXECUTOR: 1}
            which = view(gateways).dialect
            assert which is not None
            assert (which.version, which.readiness, which.operations) == (version, *2 * (version == FIFTH,))
            gateways.follow(CLUSTER, JOB, [Ticket("r", INVOICE, fresh=True)], api_key=KEY)
            await asyncio.sleep(30)
            assert gateways.documents(CLUSTER, JOB)["r"].state is DocumentState.SUCCEEDED
            assert len(marie.by_ref_id("r")) == 1

    virtual.run(main)


def test_a_worker_that_is_registered_and_dead_is_counted_by_who_does_not_probe_it_alone() -> None:
    async def counted(version: str) -> int:
        marie = marie_of(version)
        marie.register(EXECUTOR, "10.0.0.2:52010", 4)
        with watched(marie) as gateways:
            await asyncio.sleep(30)
            gateways.follow(CLUSTER, JOB, [Ticket("r", INVOICE, fresh=True)], api_key=KEY)
            marie.unregister(EXECUTOR, "10.0.0.2:52010", crash=True)
            await asyncio.sleep(5.5)
            return view(gateways).executors[EXECUTOR]

    assert virtual.run(lambda: counted(FOURTH)) == 2
    assert virtual.run(lambda: counted(FIFTH)) == 1


def test_a_paused_scheduler_is_said_and_given_nothing_while_what_it_has_in_hand_is_followed() -> None:
    async def main() -> None:
        marie = marie_of(FIFTH)
        with watched(marie) as gateways:
            await asyncio.sleep(30)
            gateways.follow(CLUSTER, JOB, [Ticket("begun", INVOICE, fresh=True)], api_key=KEY)
            await asyncio.sleep(4)
            assert page(marie, "/api/scheduler/pause", "POST") == (200, {"status": "OK", "result": {"paused": True}})
            await asyncio.sleep(10)
            assert not view(gateways).running
            assert "paused" in view(gateways).problem
            assert "/api/scheduler/unpause" in view(gateways).problem
            tickets = [Ticket(ref_id, INVOICE, fresh=True) for ref_id in ("begun", "waiting")]
            gateways.follow(CLUSTER, JOB, tickets, api_key=KEY)
            await asyncio.sleep(60)
            assert marie.by_ref_id("waiting") == []
            page(marie, "/api/scheduler/unpause", "POST")
            await asyncio.sleep(60)
            assert {each.state for each in gateways.documents(CLUSTER, JOB).values()} == {DocumentState.SUCCEEDED}
            assert [len(marie.by_ref_id(ref_id)) for ref_id in ("begun", "waiting")] == [1, 1]

    virtual.run(main)


def test_a_gateway_that_does_not_describe_itself_is_used_all_the_same_and_asked_again_now_and_then() -> None:
    async def main() -> None:
        marie = marie_of(FIFTH)
        marie.faults = [Fault("/openapi.json", times=100, status=500)]
        with watched(marie) as gateways:
            await asyncio.sleep(130)
            assert view(gateways).running
            assert view(gateways).dialect is None
            assert view(gateways).executors == {EXECUTOR: 1}
            assert marie.requests["GET /openapi.json"] <= 4
            marie.faults = []
            await asyncio.sleep(70)
            assert str(view(gateways).dialect) == "5.0.0 (operations API)"

    virtual.run(main)


def test_another_process_at_the_same_address_is_asked_anew_which_marie_it_is() -> None:
    async def main() -> None:
        marie = marie_of(FOURTH)
        with watched(marie) as gateways:
            await asyncio.sleep(30)
            assert marie.requests["GET /openapi.json"] == 1
            marie.stop()
            await asyncio.sleep(60)
            marie.version = FIFTH
            marie.start()
            await asyncio.sleep(60)
            which = view(gateways).dialect
            assert which is not None
            assert which.version == FIFTH

    virtual.run(main)


@pytest.mark.parametrize(
    ("path", "fourth", "fifth"),
    [
        ("/job/submit", 422, 404),
        ("/api/operations/dags/00000000-0000-0000-0000-000000000001", 404, 404),
        ("/api/operations/health", 404, 200),
        ("/api/discovery/readiness", 404, 200),
        ("/api/jobs/active", 200, 200),
        ("/api/capacity", 200, 200),
    ],
)
def test_which_pages_there_are(path: str, fourth: int, fifth: int) -> None:
    async def main() -> tuple[tuple[int, Any], tuple[int, Any]]:
        return page(marie_of(FOURTH), path), page(marie_of(FIFTH), path)

    (old, _), (new, said) = virtual.run(main)
    assert (old, new) == (fourth, fifth)
    if "dags" in path:
        # A page that is there and a DAG that is not are told apart by this.
        assert said == {"status": "error", "message": "DAG not found"}
