"""A submission that has not left is not made by a process that leads no longer."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from marie_operator.marie.client import Gateway
from marie_operator.marie.transport import HttpTransport, Unanswered
from marie_operator.runtime import NotLeader
from tests.marie.wire import INVOICE, KEY


@pytest.mark.semantics("W-18")
async def test_a_submission_is_checked_when_its_bytes_are_about_to_leave() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.json_response([])

    def fence() -> None:
        raise NotLeader("the lease ran out while the gateway's address was looked up")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        gateway = Gateway(HttpTransport(session), str(server.make_url("/")), fence=fence)
        with pytest.raises(Unanswered, match="was not asked: the lease ran out") as caught:
            await gateway.submit(INVOICE, ref_id="r", api_key=KEY)
        assert not caught.value.maybe_sent
        assert asked == []
        with pytest.raises(Unanswered):
            await gateway.debug()
        assert asked == ["GET"]
