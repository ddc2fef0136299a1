"""Credentials and certificates that change under way, against a real HTTPS server."""

import asyncio
import json
import socket
import ssl
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme
from aiohttp import web

from marie_operator.runtime import Client, ConfigError, LoopClock, ObjectKey, Unauthorized, Unreachable, transport
from marie_operator.runtime.resource import SERVICES
from marie_operator.testing.proxy import TcpProxy

KEY = ObjectKey("n", "a")
OBJECT = {"metadata": {"namespace": "n", "name": "a", "resourceVersion": "1"}}

pytestmark = pytest.mark.semantics("N-05")


@dataclass
class Server:
    """Serves one object, and a watch that never says anything.

    Attributes:
        tokens: What is accepted; empty for anything.
        shown: The Authorization header of each request.
        hold: Calls are answered once it is set.
        asked: Set once a request has come.
    """

    authority: trustme.CA
    port: int = 0
    tokens: set[str] = field(default_factory=set)
    shown: list[str] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "")
        self.shown.append(token)
        self.asked.set()
        if self.tokens and token not in self.tokens:
            return web.json_response({"kind": "Status", "reason": "Unauthorized", "message": "no"}, status=401)
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await asyncio.Event().wait()
            return response
        await self.hold.wait()
        return web.json_response(OBJECT)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server(trustme.CA())
    server.hold.set()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.authority.issue_cert("127.0.0.1").configure_cert(tls)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


def configured(folder: Path, port: int, authority: trustme.CA, **user: Any) -> Path:
    """A kubeconfig whose authority is in the file ``ca`` beside it."""
    authority.cert_pem.write_to_path(folder / "ca")
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": "ca"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "c", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path = folder / "config"
    path.write_text(json.dumps(config))
    return path


async def to(kubeconfig: Path) -> Client:
    return await Client.connect(kubeconfig=kubeconfig, user_agent="test", clock=LoopClock())


async def test_a_token_in_a_file_is_used_as_soon_as_it_changes(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    async with serving() as server:
        config = configured(tmp_path, server.port, server.authority, tokenFile="token")
        async with await to(config) as client:
            await client.get(SERVICES, KEY)
            (tmp_path / "token").write_text("another\n")
            await client.get(SERVICES, KEY)
            (tmp_path / "token").unlink()
            with structlog.testing.capture_logs() as logs:
                await client.get(SERVICES, KEY)
                await client.get(SERVICES, KEY)
    assert server.shown == ["Bearer first", *["Bearer another"] * 3]
    assert [log["event"] for log in logs] == ["the changed credentials cannot be used; going on with those of before"]


async def test_a_token_in_the_kubeconfig_is_used_as_soon_as_it_changes(tmp_path: Path) -> None:
    async with (
        serving() as server,
        await to(configured(tmp_path, server.port, server.authority, token="a")) as client,
    ):
        await client.get(SERVICES, KEY)
        configured(tmp_path, server.port, server.authority, token="another")
        await client.get(SERVICES, KEY)
    assert server.shown == ["Bearer a", "Bearer another"]


async def test_a_kubeconfig_that_names_another_server_is_told_and_not_followed(tmp_path: Path) -> None:
    async with (
        serving() as server,
        await to(configured(tmp_path, server.port, server.authority, token="a")) as client,
    ):
        configured(tmp_path, 1, server.authority, token="another")
        with structlog.testing.capture_logs() as logs:
            await client.get(SERVICES, KEY)
    assert server.shown == ["Bearer a"]
    assert "restart the process to move it there" in logs[0]["problem"]


async def test_a_server_under_another_authority_is_told_and_trusted_once_the_file_says_so(tmp_path: Path) -> None:
    async with serving() as server, await to(configured(tmp_path, server.port, trustme.CA(), token="a")) as client:
        with pytest.raises(Unreachable, match=r"certificate is not trusted .* is the certificate authority given"):
            await client.get(SERVICES, KEY)
        server.authority.cert_pem.write_to_path(tmp_path / "ca")
        assert await client.get(SERVICES, KEY) == OBJECT


async def test_half_a_pair_of_certificate_and_key_is_waited_out(tmp_path: Path) -> None:
    clients = trustme.CA()

    def issue(*parts: str) -> None:
        issued = clients.issue_cert(common_name="me")
        files = {"crt": issued.cert_chain_pems[0], "key": issued.private_key_pem}
        for part in parts:
            files[part].write_to_path(tmp_path / part)

    issue("crt", "key")
    async with serving() as server:
        user = {"client-certificate": "crt", "client-key": "key"}
        async with await to(configured(tmp_path, server.port, server.authority, **user)) as client:
            with structlog.testing.capture_logs() as logs:
                issue("crt")
                assert await client.get(SERVICES, KEY) == OBJECT
                assert await client.get(SERVICES, KEY) == OBJECT
                issue("crt", "key")
                assert await client.get(SERVICES, KEY) == OBJECT
    assert [log["event"] for log in logs] == [
        "the changed credentials cannot be used; going on with those of before",
        "credentials have changed",
    ]
    assert logs[1]["changed"] == ["certificates"]


async def test_what_is_open_under_an_old_certificate_ends_and_no_call_is_lost(tmp_path: Path) -> None:
    async with (
        serving() as server,
        await to(configured(tmp_path, server.port, server.authority, token="a")) as client,
    ):
        events = client.watch(SERVICES, resource_version="1", timeout=60)
        watch = asyncio.create_task(anext(events))
        await server.asked.wait()
        server.hold.clear()
        server.asked.clear()
        call = asyncio.create_task(client.create(SERVICES, OBJECT))
        await server.asked.wait()
        # The same authority and one more: certificates of before are still good.
        ca = tmp_path / "ca"
        ca.write_bytes(ca.read_bytes() + trustme.CA().cert_pem.bytes())
        again = asyncio.create_task(client.get(SERVICES, KEY))
        with pytest.raises(Unreachable):
            await watch
        server.hold.set()
        assert await call == OBJECT
        assert await again == OBJECT


PLUGIN = """\
import json, pathlib
count = pathlib.Path({folder!r}) / "count"
number = len(count.read_text()) + 1 if count.exists() else 1
count.write_text("x" * number)
status = {{"token": f"token-{{number}}"}}
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}}))
"""


async def test_a_plugin_is_asked_again_when_its_token_is_refused_and_not_before(tmp_path: Path) -> None:
    program = tmp_path / "plugin"
    program.write_text(f"#!{sys.executable}\n" + PLUGIN.format(folder=str(tmp_path)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "interactiveMode": "Never"}
    async with (
        serving() as server,
        await to(configured(tmp_path, server.port, server.authority, exec=plugin)) as client,
    ):
        await client.get(SERVICES, KEY)
        await client.get(SERVICES, KEY)
        server.tokens = {"Bearer token-2"}
        await client.get(SERVICES, KEY)
        server.tokens = {"Bearer nobody's"}
        # Asked a moment ago; a server that refuses all of its tokens does not keep it busy.
        for _ in range(2):
            with pytest.raises(Unauthorized):
                await client.get(SERVICES, KEY)
    assert server.shown == [*["Bearer token-1"] * 3, *["Bearer token-2"] * 5]


@pytest.mark.semantics("N-03")
async def test_a_peer_that_is_gone_holds_no_connection_open_once_the_client_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.5)
    opened: list[socket.socket] = []
    make = transport._socket

    def made(address: Any) -> socket.socket:
        opened.append(make(address))
        return opened[-1]

    monkeypatch.setattr(transport, "_socket", made)
    async with serving() as server, TcpProxy(server.port) as proxy:
        async with await to(configured(tmp_path, proxy.port, server.authority, token="t")) as client:
            await client.get(SERVICES, KEY)
            proxy.forget()
            # The connection is given up, and its farewell never answered.
            await client.get(SERVICES, KEY)
            assert opened[0].fileno() >= 0
        async with asyncio.timeout(25):
            while any(each.fileno() >= 0 for each in opened):
                await asyncio.sleep(0.01)


async def test_a_provider_that_would_send_secrets_to_whoever_answers_is_refused_before_it_does(tmp_path: Path) -> None:
    async with serving() as server:
        issuer = f"https://127.0.0.1:{server.port}"
        oidc = {"idp-issuer-url": issuer, "client-id": "c", "client-secret": "s", "refresh-token": "r"}
        user = {"auth-provider": {"name": "oidc", "config": oidc}}
        with pytest.raises(ConfigError, match="use an exec plugin such as kubelogin instead"):
            await to(configured(tmp_path, server.port, server.authority, **user))
    assert server.shown == []
