"""Malformed requests to both servers: the same codes, always a Status, never an error of the server's own making."""

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings

from tests.conformance.conftest import REQUESTS as ASKED
from tests.conformance.malformed import NAMESPACE, REQUESTS, Request
from tests.conformance.wire import Client

_ASKED = os.environ.get("CONFORMANCE_REQUESTS")
"""How many to try, of which no two runs try the same; without it, always the same few are tried."""
_SETTINGS = settings(
    max_examples=int(_ASKED or 600),
    derandomize=_ASKED is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


async def answered(client: Client, request: Request) -> tuple[int, Any]:
    """The code, and of a refusal what else can be relied on: that it is a Status, and its reason."""
    async with client.raw(request.method, request.target, headers=request.headers, body=request.body) as reply:
        if reply.status < 400:
            return reply.status, None
        text = await reply.text()
        kind = reply.headers.get("Content-Type", "")
        if not kind.startswith("application/json"):
            # Unknown paths are answered with a page, and who likes YAML better gets that.
            return reply.status, "page"
        status = json.loads(text)
        assert status["kind"] == "Status"
        assert status["code"] == reply.status
        return reply.status, status.get("reason")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def prepared(both: list[Client]) -> list[Client]:
    """Both, with the namespace that the requests are about."""
    for client in both:
        (await client.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})).ok(201)
        account = await client.post(
            f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}}
        )
        # A server may have made it already.
        assert account.status in {201, 409}, account.text
    return both


@pytest.mark.timeout(900)
@_SETTINGS
@given(REQUESTS)
async def test_both_answer_alike(prepared: list[Client], tally: Callable[[str, int], None], request_: Request) -> None:
    real, embedded = await asyncio.gather(*(answered(client, request_) for client in prepared))
    assert embedded == real
    tally(ASKED, 1)
