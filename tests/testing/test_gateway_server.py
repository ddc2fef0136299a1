"""Simulated gateways over HTTP: many behind one address, and what goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientConnectionError, ClientSession

from marie_operator.testing.gateway import (
    Fault,
    SimulatedGateways,
    SimulatedMarie,
    application,
    serving,
)
from tests.testing.recording import KEY, recorded

SUBMISSION = recorded("3-01-submit.http").body
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def gateways() -> SimulatedGateways:
    return SimulatedGateways(speed=100)


@pytest.fixture
async def url(gateways: SimulatedGateways) -> AsyncIterator[str]:
    async with gateways.serve() as url:
        yield url


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
async def marie(gateways: SimulatedGateways) -> SimulatedMarie:
    marie = gateways.cluster("docs", "c")
    marie.api_keys = {KEY}
    marie.register("extract_executor", "10.0.0.1:52110")
    marie.start()
    return marie


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not holds():
            await asyncio.sleep(0.005)


async def test_cluster_that_does_not_serve_is_a_service_without_endpoints(
    gateways: SimulatedGateways, url: str, session: ClientSession
) -> None:
    marie = gateways.cluster("docs", "c")
    for path in ("docs/c/status", "docs/never/status"):
        async with session.get(f"{url}/{path}") as response:
            assert (response.status, await response.read()) == (503, b"")
    marie.start()
    async with session.get(f"{url}/docs/c/status") as response:
        assert response.status == 200
    marie.kill()
    async with session.get(f"{url}/docs/c/status") as response:
        assert response.status == 503


async def test_clusters_share_nothing_but_the_address(
    gateways: SimulatedGateways, url: str, session: ClientSession, marie: SimulatedMarie
) -> None:
    other = gateways.cluster("docs", "d")
    other.start()
    async with session.post(f"{url}/docs/d/api/v1/invoke", data=SUBMISSION, headers=HEADERS) as response:
        assert response.status == 401
    async with session.post(f"{url}/docs/c/api/v1/invoke", data=SUBMISSION, headers=HEADERS) as response:
        assert response.status == 200
    await until(lambda: len(marie.dags) == 1)
    assert other.dags == []
    assert gateways.cluster("docs", "c") is marie


async def test_prefix_is_configurable(session: ClientSession) -> None:
    gateways = SimulatedGateways(prefix="/marie/{name}.{namespace}")
    gateways.cluster("docs", "c").start()
    async with gateways.serve() as url, session.get(f"{url}/marie/c.docs/api/capacity") as response:
        assert (await response.json())["status"] == "OK"


async def test_gateway_serves_alone(session: ClientSession) -> None:
    marie = SimulatedMarie()
    marie.start()
    async with serving(application(lambda _: marie)) as url:
        for path, status in {"": 200, "/": 200, "/status": 200, "/nowhere": 404}.items():
            async with session.get(url + path) as response:
                assert response.status == status


async def test_redirect_stays_below_the_prefix(url: str, session: ClientSession, marie: SimulatedMarie) -> None:
    async with session.get(f"{url}/docs/c/api/jobs/active/") as response:
        assert response.url.path == "/docs/c/api/jobs/active"
        assert await response.json() == {"status": "OK", "result": {}}
    assert marie.requests["GET /api/jobs/{state}"] == 1


async def test_everything_goes_faster_by_the_speed(url: str, session: ClientSession, marie: SimulatedMarie) -> None:
    began = asyncio.get_running_loop().time()
    async with session.post(f"{url}/docs/c/api/v1/invoke", data=SUBMISSION, headers=HEADERS):
        pass
    await until(lambda: [dag.state for dag in marie.dags] == ["completed"])
    assert asyncio.get_running_loop().time() - began >= 3 / 100


async def test_requests_are_counted(url: str, session: ClientSession, marie: SimulatedMarie) -> None:
    for path in ("status", "status", "api/jobsXX/a", "api/jobsXX/b", "api/jobs/active", "nowhere"):
        async with session.get(f"{url}/docs/c/{path}"):
            pass
    assert marie.requests == {
        "GET /status": 2,
        "GET /api/jobsXX/{job_id}": 2,
        "GET /api/jobs/{state}": 1,
        "GET /nowhere": 1,
    }


@pytest.mark.parametrize(
    ("fault", "answer", "effect"),
    [
        (Fault("/api/v1", lost=True), None, True),
        (Fault("/api/v1", reset=True), None, False),
        (Fault("/api/v1", reset=True, effect=True), None, True),
        (Fault("/api/v1", status=502), (502, b""), False),
        (Fault("/api/v1", status=500, body="oops", effect=True), (500, b"oops"), True),
        (Fault("/api/v1", status=200, body=b"<html>"), (200, b"<html>"), False),
    ],
)
async def test_fault_decides_on_answer_and_effect(
    url: str,
    session: ClientSession,
    marie: SimulatedMarie,
    fault: Fault,
    answer: tuple[int, bytes] | None,
    effect: bool,
) -> None:
    marie.faults = [fault]
    submission = session.post(f"{url}/docs/c/api/v1/invoke", data=SUBMISSION, headers=HEADERS)
    if answer is None:
        with pytest.raises(ClientConnectionError):
            await submission
    else:
        async with submission as response:
            assert (response.status, await response.read()) == answer
    async with session.post(f"{url}/docs/c/api/v1/invoke", data=SUBMISSION, headers=HEADERS) as response:
        assert response.status == 200
    await until(lambda: len(marie.dags) == 1 + effect)
    await asyncio.sleep(0.05)
    assert len(marie.dags) == 1 + effect


async def test_delayed_request_takes_effect_after_the_client_has_given_up(
    url: str, session: ClientSession, marie: SimulatedMarie
) -> None:
    fault = Fault("/", delay=0.1)
    marie.faults = [fault]
    submission = session.post(f"{url}/docs/c/api/v1/invoke", data=SUBMISSION, headers=HEADERS)
    request = asyncio.create_task(submission.__aenter__())
    while fault.times:
        await asyncio.sleep(0)
    request.cancel()
    assert marie.dags == []
    await until(lambda: len(marie.dags) == 1)


async def test_fault_meets_only_what_it_is_meant_for(url: str, session: ClientSession, marie: SimulatedMarie) -> None:
    marie.faults = [
        Fault("/api/jobs", method="GET", times=2, status=500),
        Fault("/api/v1/invoke", times=-1, status=502, matches=lambda request: request.ref_id == "one__t=4"),
    ]

    async def status(method: str, path: str, body: str = "") -> int:
        async with session.request(method, f"{url}/docs/c{path}", data=body, headers=HEADERS) as response:
            return response.status

    assert await status("DELETE", "/api/jobs/x") == 200
    assert [await status("GET", "/api/jobs/active") for _ in range(3)] == [500, 500, 200]
    assert await status("GET", "/api/capacity") == 200
    assert await status("POST", "/api/v1/invoke", SUBMISSION.replace("one__t=4", "two")) == 200
    assert [await status("POST", "/api/v1/invoke", SUBMISSION) for _ in range(2)] == [502, 502]
    assert await status("POST", "/api/v1/invoke", "[]") == 500
    assert await status("POST", "/api/v1/invoke", "{") == 400


async def test_gateway_that_dies_during_a_request_breaks_the_connection(
    url: str, session: ClientSession, marie: SimulatedMarie
) -> None:
    fault = Fault("/", delay=0.05)
    marie.faults = [fault]
    request = asyncio.create_task(session.post(f"{url}/docs/c/api/v1/invoke").__aenter__())
    while fault.times:
        await asyncio.sleep(0)
    marie.kill()
    with pytest.raises(ClientConnectionError):
        await request
