"""The server on a socket, plain or with TLS."""

import asyncio
import re
import ssl
from urllib.parse import unquote

from aiohttp import web

from marie_operator.testing.apiserver.answers import Answer, refused
from marie_operator.testing.apiserver.errors import Refusal
from marie_operator.testing.apiserver.requests import BODY_LIMIT, Call
from marie_operator.testing.apiserver.server import ApiServer

_BROKEN = re.compile("%(?![0-9A-Fa-f]{2})")
_NO_MEDIA = frozenset({204, 304})


class Listener:
    """Serves an API server on the loopback interface.

    Args:
        server: What answers.
        tls: For HTTPS; plain HTTP without.
        port: 0 for one that is free.

    Attributes:
        url: Where it is, from the first start on.
    """

    def __init__(self, server: ApiServer, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._server = server
        self._tls = tls
        self._port = port
        self._runner: web.ServerRunner | None = None
        self.url = ""

    @property
    def open(self) -> bool:
        """Whether it listens."""
        return self._runner is not None

    async def start(self) -> None:
        """Listen; after a stop, on the same port."""
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls, reuse_address=True)
        await site.start()
        host, self._port = self._runner.addresses[0][:2]
        self.url = f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    async def stop(self) -> None:
        """Break every connection and take no more."""
        runner, self._runner = self._runner, None
        self._server.end_watches()
        if runner is not None:
            await runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if _BROKEN.search(request.rel_url.raw_path):
            # As Go's server has it, before anybody else sees the request.
            return web.Response(status=400, text="400 Bad Request", headers={"Connection": "close"})
        try:
            body = await _body(request)
        except Refusal as refusal:
            return _response(refused(refusal))
        call = Call(
            request.method,
            unquote(request.rel_url.raw_path),
            request.rel_url.query if request.rel_url.raw_query_string else {},
            _headers(request),
            body,
        )
        answer = await self._server.handle(call)
        if answer.dropped:
            _break(request)
        return _response(answer) if answer.stream is None else await _streamed(request, answer)


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """The headers; of those that are repeated, the values are lines, which none can hold."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        found[key] = f"{found[key]}\n{value}" if key in found else value
    return found


def _break(request: web.BaseRequest) -> None:
    """End the connection without a word."""
    if request.transport is not None:
        request.transport.abort()


async def _body(request: web.BaseRequest) -> bytes:
    if not request.can_read_body:
        return b""
    content = await request.content.readany()
    while len(content) <= BODY_LIMIT and not request.content.at_eof():
        content += await request.content.readany()
    if len(content) > BODY_LIMIT:
        raise Refusal(413, f"Request entity too large: limit is {BODY_LIMIT}")
    return content


def _response(answer: Answer) -> web.Response:
    if answer.code in _NO_MEDIA:
        return web.Response(status=answer.code, headers=answer.headers)
    return web.Response(
        status=answer.code, body=answer.body, headers=[*answer.headers, ("Content-Type", answer.content_type)]
    )


async def _streamed(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": answer.content_type})
    await response.prepare(request)
    stream = answer.stream
    assert stream is not None  # noqa: S101 - the caller looked
    try:
        async for lines in stream:
            await response.write(lines)
        if answer.broken:
            _break(request)
        await response.write_eof()
    except (ConnectionError, asyncio.CancelledError):
        # The client has gone; nothing is left to tell it.
        pass
    finally:
        await stream.aclose()
    return response
