"""The proxies, between a client and a server of a few lines."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from marie_operator.testing.apiserver import certificates
from marie_operator.testing.proxy import HttpProxy, Refusal, TcpProxy, Way

LETTERS = b"abcdefghijklmnopqrstuvwxyz" * 10


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that says what it is told."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while content := await reader.read(1000):
                writer.write(content)
                await writer.drain()
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


class Caller:
    """A connection through a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def says(self, content: bytes) -> bytes:
        self._writer.write(content)
        return await asyncio.wait_for(self._reader.readexactly(len(content)), 120)

    async def hears_nothing(self, content: bytes) -> None:
        self._writer.write(content)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self._reader.read(1), 0.3)

    async def is_reset(self, content: bytes = b"") -> None:
        self._writer.write(content)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(self._reader.read(), 120)


@contextlib.asynccontextmanager
async def calling(proxy: TcpProxy) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield Caller(reader, writer)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_bytes_pass_until_told_otherwise_and_connections_can_be_cut(echo: int) -> None:
    async with TcpProxy(echo) as proxy, calling(proxy) as first, calling(proxy) as second:
        assert await first.says(LETTERS) == LETTERS
        assert await second.says(LETTERS) == LETTERS
        assert (proxy.open, proxy.connections) == (2, 2)
        proxy.cut()
        await first.is_reset()
        await second.is_reset()
        async with calling(proxy) as third:
            assert await third.says(LETTERS) == LETTERS


@pytest.mark.parametrize("way", [Way.UP, Way.DOWN, Way.BOTH])
async def test_a_frozen_network_swallows_and_keeps_the_connections(echo: int, way: Way) -> None:
    async with TcpProxy(echo) as proxy, calling(proxy) as before:
        assert await before.says(LETTERS) == LETTERS
        proxy.frozen = way
        await before.hears_nothing(LETTERS)
        async with calling(proxy) as during:
            await during.hears_nothing(LETTERS)


async def test_what_is_forgotten_swallows_and_what_is_new_does_not(echo: int) -> None:
    async with TcpProxy(echo) as proxy, calling(proxy) as before:
        assert await before.says(LETTERS) == LETTERS
        proxy.forget()
        await before.hears_nothing(LETTERS)
        async with calling(proxy) as after:
            assert await after.says(LETTERS) == LETTERS


async def test_a_reset_in_the_middle_of_a_reply_and_of_so_many(echo: int) -> None:
    async with TcpProxy(echo) as proxy:
        proxy.reset_after(10, times=1)
        async with calling(proxy) as first:
            await first.is_reset(LETTERS)
        async with calling(proxy) as second:
            assert await second.says(LETTERS) == LETTERS
        proxy.refusing = True
        async with calling(proxy) as third:
            await third.is_reset()


async def test_bytes_can_be_made_to_trickle(echo: int) -> None:
    async with TcpProxy(echo) as proxy, calling(proxy) as caller:
        proxy.piece, proxy.pause = 10, 0.01
        began = asyncio.get_running_loop().time()
        assert await caller.says(LETTERS) == LETTERS
        assert asyncio.get_running_loop().time() - began >= 0.01 * (len(LETTERS) // 10 - 1)


async def test_an_http_proxy_passes_on_and_refuses_by_rule(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        told = {"token": request.headers["Authorization"], "query": request.query_string}
        return web.json_response(told | {"body": await request.text()}, headers={"Warning": "299 - x"})

    tls, authority = certificates.make(tmp_path)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    async with HttpProxy(url, authority=authority, directory=tmp_path / "proxy") as proxy:
        trust = ssl.create_default_context(cafile=proxy.certificate)
        async with aiohttp.ClientSession(f"https://127.0.0.1:{proxy.port}", headers={"Authorization": "t"}) as session:
            proxy.rules = [Refusal(429, retry_after=3, methods={"POST"}, path="/a", times=1)]
            async with session.post("/b?x=%3D", data="y", ssl=trust) as reply:
                assert (reply.status, reply.headers["Warning"]) == (200, "299 - x")
                assert await reply.json() == {"token": "t", "query": "x=%3D", "body": "y"}
            async with session.get("/a", ssl=trust) as reply:
                assert reply.status == 200
            async with session.post("/a/b", ssl=trust) as reply:
                assert (reply.status, reply.headers["Retry-After"]) == (429, "3")
            async with session.post("/a/b", ssl=trust) as reply:
                assert reply.status == 200
            assert proxy.passed == 3
    await runner.cleanup()
