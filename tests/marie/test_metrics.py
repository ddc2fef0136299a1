"""What is counted of gateways, on a simulated one over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from marie_operator.marie import etcd
from marie_operator.marie.client import Gateway
from marie_operator.marie.metrics import ROUTES, CountedTransport, GatewayMetrics
from marie_operator.marie.replies import NodeState
from marie_operator.marie.transport import HttpTransport, Unanswered
from marie_operator.runtime import LoopClock
from marie_operator.testing.gateway import SimulatedGateways
from tests.marie.wire import INVOICE, KEY

UNKNOWN = "00000000-0000-7000-8000-000000000000"


@asynccontextmanager
async def counted(registry: CollectorRegistry) -> AsyncIterator[Gateway]:
    gateways = SimulatedGateways()
    marie = gateways.cluster("n", "c")
    marie.api_keys = {KEY}
    marie.start()
    async with gateways.serve() as url, aiohttp.ClientSession() as session:
        transport = CountedTransport(HttpTransport(session), clock=LoopClock(), metrics=GatewayMetrics(registry))
        yield Gateway(transport, f"{url}/n/c")


def requests(registry: CollectorRegistry) -> dict[tuple[str, str, str], float]:
    return {
        (sample.labels["code"], sample.labels["method"], sample.labels["route"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "marie_operator_gateway_requests_total"
    }


async def test_each_request_is_counted_under_its_route_and_no_route_has_a_name_in_it() -> None:
    registry = CollectorRegistry()
    async with counted(registry) as gateway:
        await gateway.debug()
        await gateway.planners()
        await gateway.capacity()
        await gateway.worker_addresses()
        for state in (NodeState.CREATED, NodeState.COMPLETED):
            await gateway.nodes(state)
        await gateway.node(UNKNOWN)
        await gateway.submit(INVOICE, ref_id="r", api_key=KEY)
    found = requests(registry)
    # The one left over is etcd's, which a gateway does not have.
    assert {route for _, _, route in found} == set(ROUTES) - {etcd.PATH}
    assert found["200", "GET", "/api/jobs/{state}"] == 2
    assert found["200", "POST", "/api/v1/invoke"] == 1
    sums = {"method": "GET", "route": "/api/jobs/{state}"}
    assert registry.get_sample_value("marie_operator_gateway_request_duration_seconds_count", sums) == 2


async def test_a_request_that_is_not_answered_is_counted_as_that() -> None:
    registry = CollectorRegistry()
    async with aiohttp.ClientSession() as session:
        transport = CountedTransport(HttpTransport(session), clock=LoopClock(), metrics=GatewayMetrics(registry))
        with pytest.raises(Unanswered):
            await Gateway(transport, "http://127.0.0.1:1").debug()
    assert requests(registry) == {("<error>", "GET", "/api/debug"): 1}
