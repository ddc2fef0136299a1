"""The client against a real HTTP server that follows a script."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from multidict import CIMultiDict
from prometheus_client import CollectorRegistry
from pydantic_core import from_json

from marie_operator.runtime import (
    AlreadyExists,
    ApiError,
    ApplyConflict,
    Client,
    ConfigError,
    Conflict,
    Expired,
    FieldConflict,
    Forbidden,
    Invalid,
    LoopClock,
    Metrics,
    NotFound,
    NotLeader,
    Object,
    ObjectKey,
    PatchKind,
    ServerError,
    Silent,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    WebhookFailed,
    connection,
    decoding,
    loaders,
    transport,
)
from marie_operator.runtime import client as module
from marie_operator.runtime.resource import DEPLOYMENTS, SERVICES, Resource
from marie_operator.runtime.transport import CALL_CONNECTIONS
from marie_operator.testing.apiserver import certificates

KEY = ObjectKey("n", "a")
OBJECT: Object = {"metadata": {"namespace": "n", "name": "a", "resourceVersion": "1"}}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(code: int, reason: str = "", headers: dict[str, str] | None = None, **more: Any) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "reason": reason, "message": "no", **more}
        return web.json_response(body, status=code, headers=headers)

    return answer


def found(body: Any) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    return answer


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@dataclass
class Server:
    script: list[Answer]
    requests: list[tuple[str, str, dict[str, str], Any, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        body = json.loads(content) if content else None
        self.requests.append((request.method, request.path, dict(request.query), body, request.content_type))
        return await self.script.pop(0)(request)


@asynccontextmanager
async def serving(
    tmp_path: Path, *script: Answer, metrics: Metrics | None = None
) -> AsyncIterator[tuple[Client, Server]]:
    server = Server(list(script))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with await Client.connect(
        kubeconfig=kubeconfig(tmp_path, f"http://127.0.0.1:{port}"),
        user_agent="test",
        clock=LoopClock(),
        metrics=metrics,
    ) as client:
        yield client, server
    await runner.cleanup()


def kubeconfig(folder: Path, server: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "c", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path = folder / "config"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Expired),
        (422, "Invalid", Invalid),
        (500, "InternalError", ServerError),
    ],
)
async def test_errors_are_typed_and_name_the_request(
    tmp_path: Path, code: int, reason: str, error: type[Exception]
) -> None:
    async with serving(tmp_path, *[status(code, reason)] * 2) as (client, _):
        with pytest.raises(error, match="GET /api/v1/namespaces/n/services/a: no"):
            await client.get(SERVICES, KEY)


@pytest.mark.semantics("K-22")
async def test_a_conflict_of_fields_names_manager_and_field(tmp_path: Path) -> None:
    cause = {"reason": "FieldManagerConflict", "field": ".spec.replicas", "message": 'conflict with "kubectl" using v1'}
    async with serving(tmp_path, status(409, "Conflict", details={"causes": [cause]})) as (client, server):
        with pytest.raises(ApplyConflict) as caught:
            await client.apply(DEPLOYMENTS, OBJECT, field_manager="me")
    assert caught.value.conflicts == (FieldConflict("kubectl", ".spec.replicas"),)
    method, path, query, _, content_type = server.requests[0]
    assert (method, path) == ("PATCH", "/apis/apps/v1/namespaces/n/deployments/a")
    assert query == {"fieldManager": "me", "fieldValidation": "Strict"}
    assert content_type == "application/apply-patch+yaml"


@pytest.mark.parametrize("said", ["failed to create typed patch object (n/a; apps/v1)", "failed to convert new object"])
async def test_an_object_that_cannot_be_merged_is_the_objects_fault(tmp_path: Path, said: str) -> None:
    async with serving(tmp_path, status(500, message=f"{said}: .spec: duplicate entries")) as (client, _):
        with pytest.raises(Invalid, match="duplicate entries"):
            await client.apply(DEPLOYMENTS, OBJECT, field_manager="me")


async def test_a_webhook_that_does_not_answer_is_told_from_a_server_that_fails(tmp_path: Path) -> None:
    said = 'Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: no endpoints'
    async with serving(tmp_path, status(500, "InternalError", message=said)) as (client, _):
        with pytest.raises(WebhookFailed, match="no endpoints"):
            await client.apply(DEPLOYMENTS, OBJECT, field_manager="me")


@pytest.mark.semantics("N-01")
async def test_a_server_that_says_when_to_come_back_is_asked_again_then(tmp_path: Path) -> None:
    busy = status(429, "TooManyRequests", headers={"Retry-After": "0"})
    async with serving(tmp_path, busy, busy, found(OBJECT)) as (client, server):
        assert await client.create(SERVICES, OBJECT) == OBJECT
    assert len(server.requests) == 3


@pytest.mark.semantics("N-01")
async def test_one_that_does_not_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path, status(503)) as (client, server):
        with pytest.raises(ServerError):
            await client.get(SERVICES, KEY)
    assert len(server.requests) == 1


@pytest.mark.semantics("N-01")
async def test_a_broken_connection_repeats_what_may_happen_twice_and_nothing_else(tmp_path: Path) -> None:
    async with serving(tmp_path, reset, found(OBJECT), reset, found(OBJECT), reset) as (client, server):
        assert await client.get(SERVICES, KEY) == OBJECT
        assert await client.apply(SERVICES, OBJECT, field_manager="me") == OBJECT
        with pytest.raises(Unreachable) as caught:
            await client.create(SERVICES, OBJECT)
    assert caught.value.maybe_sent
    assert [method for method, *_ in server.requests] == ["GET", "GET", "PATCH", "PATCH", "POST"]


async def test_requests_and_repeats_are_counted_and_watches_are_not_timed(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    busy = status(429, headers={"Retry-After": "0"})
    script = (reset, found(OBJECT), busy, found(OBJECT), status(401), found(OBJECT), status(410))
    async with serving(tmp_path, *script, metrics=Metrics(registry)) as (client, _):
        await client.apply(SERVICES, OBJECT, field_manager="me")
        await client.get(SERVICES, KEY)
        await client.get(SERVICES, KEY)
        with pytest.raises(Expired):
            await anext(client.watch(SERVICES, resource_version="1", timeout=60))
    counted = {
        (sample.name, sample.labels.get("code"), sample.labels.get("verb") or sample.labels["method"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.startswith("rest_client") and sample.name.endswith(("_total", "_count"))
    }
    assert counted == {
        ("rest_client_requests_total", "429", "GET"): 1,
        ("rest_client_requests_total", "200", "PATCH"): 1,
        ("rest_client_requests_total", "200", "GET"): 2,
        ("rest_client_requests_total", "<error>", "PATCH"): 1,
        ("rest_client_requests_total", "401", "GET"): 1,
        ("rest_client_requests_total", "410", "GET"): 1,
        ("rest_client_request_retries_total", "429", "GET"): 1,
        ("rest_client_request_retries_total", "<error>", "PATCH"): 1,
        ("rest_client_request_retries_total", "401", "GET"): 1,
        ("rest_client_request_duration_seconds_count", None, "GET"): 4,
        ("rest_client_request_duration_seconds_count", None, "PATCH"): 2,
    }


async def test_a_refused_connection_was_surely_not_sent(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, "http://127.0.0.1:1")
    async with await Client.connect(kubeconfig=config, user_agent="test", clock=LoopClock()) as client:
        with pytest.raises(Unreachable) as caught:
            await client.create(SERVICES, OBJECT)
    assert not caught.value.maybe_sent


@pytest.mark.semantics("R-12", "R-13")
async def test_pages_are_followed_and_a_token_that_expires_leads_to_one_full_list(tmp_path: Path) -> None:
    first = found({"metadata": {"resourceVersion": "5", "continue": "t"}, "items": [OBJECT]})
    full = found({"metadata": {"resourceVersion": "6"}, "items": [OBJECT, OBJECT]})
    async with serving(tmp_path, first, status(410, "Expired"), full) as (client, server):
        result = await client.list(SERVICES, label_selector="a=b", resource_version="0")
    assert (len(result.items), result.resource_version) == (2, "6")
    assert [query for _, _, query, _, _ in server.requests] == [
        {"labelSelector": "a=b", "limit": "500", "resourceVersion": "0"},
        {"labelSelector": "a=b", "limit": "500", "continue": "t"},
        {"labelSelector": "a=b", "resourceVersion": "0"},
    ]


async def streamed(request: web.Request, *chunks: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
        await asyncio.sleep(0.01)
    return response


@pytest.mark.semantics("R-20", "W-27")
async def test_events_of_any_size_in_any_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def counted(line: bytes) -> Any:
        decoded.append(line)
        return from_json(line)

    monkeypatch.setattr(decoding, "from_json", counted)
    big = {**OBJECT, "data": "x" * 5_000_000}
    lines = b"".join(json.dumps({"type": "ADDED", "object": obj}).encode() + b"\n" for obj in (OBJECT, big, OBJECT))

    async def answer(request: web.Request) -> web.StreamResponse:
        return await streamed(request, lines[:50], lines[50:3_000_000], lines[3_000_000:])

    async with serving(tmp_path, answer) as (client, server):
        events = [event async for event in client.watch(SERVICES, resource_version="7", timeout=60)]
    assert [len(str(event.object)) > 1000 for event in events] == [False, True, False]
    assert b"\n".join([*decoded, b""]) == lines
    assert server.requests[0][2] == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "60",
    }


@pytest.mark.semantics("R-25")
async def test_an_error_event_is_raised_as_its_status(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await streamed(
            request, b'{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}\n'
        )

    async with serving(tmp_path, answer) as (client, _):
        with pytest.raises(Expired, match="too old"):
            _ = [event async for event in client.watch(SERVICES, resource_version="7", timeout=60)]


@pytest.mark.semantics("N-03", "W-13")
async def test_a_silent_watch_is_taken_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_SILENCE", 0.1)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(2)
        return response

    async with serving(tmp_path, answer) as (client, _):
        with pytest.raises(Unreachable, match="no answer in time"):
            _ = [event async for event in client.watch(SERVICES, resource_version="7", timeout=0.1)]


@pytest.mark.semantics("W-13")
async def test_bytes_that_trickle_in_and_never_make_an_event_are_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_SILENCE", 0.5)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    async with serving(tmp_path, answer) as (client, _):
        with pytest.raises(Silent, match="no answer in time"):
            _ = [event async for event in client.watch(SERVICES, resource_version="7", timeout=60)]


async def test_a_reply_that_trickles_in_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CALL_TIMEOUT", 0.5)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    async with serving(tmp_path, answer) as (client, _):
        with pytest.raises(Unreachable, match="no answer in time"):
            await client.create(SERVICES, OBJECT)


async def test_a_delete_names_the_object_it_means(tmp_path: Path) -> None:
    async with serving(tmp_path, found({"kind": "Status"})) as (client, server):
        await client.delete(SERVICES, KEY, uid="u", resource_version="3")
    body = server.requests[0][3]
    assert body["preconditions"] == {"uid": "u", "resourceVersion": "3"}
    assert body["propagationPolicy"] == "Background"


@pytest.mark.semantics("W-18")
async def test_writes_behind_a_fence_are_refused_and_reads_are_not(tmp_path: Path) -> None:
    def fence() -> None:
        raise NotLeader("not held")

    async with serving(tmp_path, found(OBJECT), found(OBJECT)) as (client, server):
        view = client.fenced(fence)
        await view.get(SERVICES, KEY)
        for write in (
            view.create(SERVICES, OBJECT),
            view.apply(SERVICES, OBJECT, field_manager="me"),
            view.patch(SERVICES, KEY, {}, kind=PatchKind.MERGE),
            view.update(SERVICES, OBJECT),
            view.delete(SERVICES, KEY),
        ):
            with pytest.raises(NotLeader):
                await write
        await client.create(SERVICES, OBJECT)
    assert [method for method, *_ in server.requests] == ["GET", "POST"]


@pytest.mark.semantics("W-18")
async def test_a_write_that_waits_for_its_connection_is_refused_when_the_fence_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CALL_CONNECTIONS", 1)
    asked, answer_now, leads = asyncio.Event(), asyncio.Event(), True

    async def slow(_: web.Request) -> web.StreamResponse:
        asked.set()
        await answer_now.wait()
        return web.json_response(OBJECT)

    def fence() -> None:
        if not leads:
            raise NotLeader("not held")

    async with serving(tmp_path, slow, found(OBJECT)) as (client, server):
        view = client.fenced(fence)
        first = asyncio.create_task(view.create(SERVICES, OBJECT))
        await asked.wait()
        writes = (
            view.create(SERVICES, OBJECT),
            view.update(SERVICES, OBJECT),
            view.apply(SERVICES, OBJECT, field_manager="me"),
            view.patch(SERVICES, KEY, {}, kind=PatchKind.MERGE),
            view.delete(SERVICES, KEY),
        )
        waiting = [asyncio.create_task(write) for write in writes]
        await asyncio.sleep(0.05)
        leads = False
        answer_now.set()
        await first
        for each in waiting:
            with pytest.raises(NotLeader):
                await each
        assert (await client.get(SERVICES, KEY)) == OBJECT
    assert [method for method, *_ in server.requests] == ["POST", "GET"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist"),
        ("]: no", "is not a kubeconfig"),
        ("[]", "kubeconfig"),
        ("clusters: []", "kubeconfig"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_gets_a_sentence(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        await Client.connect(kubeconfig=path, user_agent="test", clock=LoopClock())


@pytest.mark.semantics("R-13")
async def test_an_error_on_the_first_page_is_the_lists(tmp_path: Path) -> None:
    async with serving(tmp_path, status(410, "Expired")) as (client, server):
        with pytest.raises(Expired):
            await client.list(SERVICES, resource_version="5")
    assert len(server.requests) == 1


@pytest.mark.semantics("R-13", "R-65", "W-11")
async def test_each_object_is_cut_down_before_the_next_page_is_asked_for(tmp_path: Path) -> None:
    pages = [
        found({"metadata": {"resourceVersion": "5", "continue": "t"}, "items": [OBJECT, OBJECT]}),
        found({"metadata": {"resourceVersion": "5", "continue": "u"}, "items": []}),
        found({"metadata": {"resourceVersion": "5"}, "items": [OBJECT]}),
    ]
    asked: list[int] = []
    async with serving(tmp_path, *pages) as (client, server):

        def cut(obj: Object) -> Object:
            asked.append(len(server.requests))
            return {"name": obj["metadata"]["name"]}

        result = await client.list(SERVICES, each=cut)
    assert result.items == [{"name": "a"}] * 3
    assert asked == [1, 1, 3]
    assert [query.get("continue", "") for _, _, query, _, _ in server.requests] == ["", "t", "u"]


@pytest.mark.semantics("W-22")
async def test_items_of_built_in_kinds_get_what_their_list_says_for_all_of_them(tmp_path: Path) -> None:
    """The API server leaves it out, and whoever compares an item with a manifest would find that it differs."""
    custom = {"apiVersion": "example.com/v1", "kind": "Thing", **OBJECT}
    pages = [
        found({"apiVersion": "v1", "kind": "ServiceList", "metadata": {"resourceVersion": "5"}, "items": [OBJECT]}),
        found({"metadata": {"resourceVersion": "5"}, "items": [custom]}),
    ]
    async with serving(tmp_path, *pages) as (client, _):
        (item,) = (await client.list(SERVICES, each=dict)).items
        assert item == {"apiVersion": "v1", "kind": "Service", **OBJECT}
        assert (await client.list(Resource("example.com", "v1", "Thing", "things"))).items == [custom]


@pytest.mark.semantics("R-15")
@pytest.mark.parametrize(
    ("body", "error", "sentence"),
    [
        ({"kind": "Table", "metadata": {}, "rows": []}, ApiError, "answered with a Table instead of a list"),
        ({"kind": "ServiceList"}, Unreachable, "the answer is no list"),
        ([], Unreachable, "the answer is no list"),
    ],
)
async def test_an_answer_that_is_no_list_is_refused(
    tmp_path: Path, body: Any, error: type[Exception], sentence: str
) -> None:
    async with serving(tmp_path, found(body)) as (client, _):
        with pytest.raises(error, match=sentence):
            await client.list(SERVICES)


@pytest.mark.semantics("R-41")
async def test_a_streamed_list_asks_for_what_is_there_not_older_than_what_is_known(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await streamed(request)

    async with serving(tmp_path, answer) as (client, server):
        watch = client.watch(SERVICES, "n", resource_version="7", timeout=300, send_initial_events=True)
        assert [event async for event in watch] == []
    _, path, query, _, _ = server.requests[0]
    assert path == "/api/v1/namespaces/n/services"
    assert query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "resourceVersion": "7",
        "timeoutSeconds": "300",
    }


@pytest.mark.semantics("R-29")
@pytest.mark.parametrize(
    "line",
    [
        b"<html>bad gateway</html>",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":{}}',
        b'{"type":"MODIFIED","object":{"metadata":{"name":"a"}}}',
        b"[]",
        b"7",
        b'{"type":"ERROR","object":"no"}',
    ],
)
async def test_a_line_that_is_no_event_ends_the_watch_and_not_the_process(tmp_path: Path, line: bytes) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await streamed(request, line + b"\n")

    async with serving(tmp_path, answer) as (client, _):
        with pytest.raises(Unreachable, match="is no event of a watch"):
            _ = [event async for event in client.watch(SERVICES, resource_version="7", timeout=60)]


@pytest.mark.semantics("N-02")
async def test_a_stop_while_it_waits_for_a_busy_server_ends_it_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path, status(429, headers={"Retry-After": "3600"})) as (client, server):
        call = asyncio.create_task(client.get(SERVICES, KEY))
        while not server.requests:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(call, 300)


@pytest.mark.semantics("N-01")
async def test_a_server_that_is_always_busy_is_not_asked_for_ever(tmp_path: Path) -> None:
    busy = status(429, "TooManyRequests", headers={"Retry-After": "0"})
    async with serving(tmp_path, *[busy] * 20) as (client, server):
        with pytest.raises(TooManyRequests):
            await client.get(SERVICES, KEY)
    assert len(server.requests) == 11


@pytest.mark.semantics("N-03", "W-13")
async def test_connections_ask_whether_the_other_side_is_there(tmp_path: Path) -> None:
    seen: list[socket.socket] = []
    make = transport._socket

    def made(address: Any) -> socket.socket:
        seen.append(make(address))
        return seen[-1]

    async with serving(tmp_path, found(OBJECT)) as (client, _):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transport, "_socket", made)
            await client.get(SERVICES, KEY)
            options = [
                seen[0].getsockopt(level, option)
                for level, option in (
                    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                )
            ]
    assert options == [1, 30, 10, 3, 60_000]


def test_a_system_without_some_options_of_tcp_goes_without_them() -> None:
    program = "import socket; del socket.TCP_KEEPIDLE, socket.TCP_USER_TIMEOUT; import marie_operator.runtime"
    subprocess.run([sys.executable, "-c", program], check=True)


async def test_calls_that_wait_for_a_free_connection_have_their_whole_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CALL_CONNECTIONS", 1)
    # Also those that are tried again wait for less than the first takes.
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.1)

    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(2)
        return web.json_response(OBJECT)

    async with serving(tmp_path, slow, found(OBJECT)) as (client, _):
        assert await asyncio.gather(*(client.create(SERVICES, OBJECT) for _ in range(2))) == [OBJECT, OBJECT]


@pytest.mark.semantics("N-04")
async def test_what_the_server_warns_of_is_told_once(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        warnings = [("Warning", '299 - "v1 is old; say \\"v2\\""'), ("Warning", '299 - "unknown field \\"spec.x\\""')]
        return web.json_response(OBJECT, headers=CIMultiDict(warnings))

    with structlog.testing.capture_logs() as logs:
        async with serving(tmp_path, answer, answer) as (client, _):
            await client.get(SERVICES, KEY)
            await client.fenced(lambda: None).get(SERVICES, KEY)
    assert [log["warning"] for log in logs] == ['v1 is old; say "v2"', 'unknown field "spec.x"']


@pytest.mark.semantics("N-05")
async def test_a_token_that_was_refused_is_asked_for_again_and_once(tmp_path: Path) -> None:
    async with serving(tmp_path, status(401), found(OBJECT), status(401), status(401)) as (client, server):
        assert await client.get(SERVICES, KEY) == OBJECT
        with pytest.raises(Unauthorized):
            await client.get(SERVICES, KEY)
    assert len(server.requests) == 4


@pytest.mark.semantics("N-05")
async def test_a_rotated_token_of_the_service_account_is_used_from_the_next_request_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    _, authority = certificates.make(tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(loaders.incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(loaders.incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    here = await connection.load(clock=LoopClock())
    assert (await here.current()).authorization == "Bearer old"
    token.write_text("new\n")
    os.utime(token, ns=(1, 1))
    assert (await here.current()).authorization == "Bearer new"
    token.unlink()
    assert (await here.current()).authorization == "Bearer new"


def test_the_models_of_kubernetes_asyncio_are_not_loaded_and_whoever_imports_it_has_all_of_it() -> None:
    program = """
import sys
import marie_operator.runtime
assert not [name for name in sys.modules if name.startswith("kubernetes_asyncio")]
import kubernetes_asyncio.client
import marie_operator.runtime.loaders as loaders
assert kubernetes_asyncio.client.Configuration is not loaders.Configuration
assert kubernetes_asyncio.config.load_kube_config and kubernetes_asyncio.client.CoreV1Api
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.semantics("N-06", "K-21", "W-23")
async def test_many_calls_at_once_are_bounded_and_not_slowed_down_and_ask_for_json(tmp_path: Path) -> None:
    now, most, accepted, full = 0, 0, set(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        accepted.add(request.headers["Accept"])
        now += 1
        most = max(most, now)
        if now == CALL_CONNECTIONS:
            full.set()
        # Nobody is answered before as many ask as may, and then not at once: one more would be noticed.
        await full.wait()
        await asyncio.sleep(0.01)
        now -= 1
        return web.json_response(OBJECT)

    async with serving(tmp_path, *[answer] * 300) as (client, _):
        await asyncio.wait_for(asyncio.gather(*(client.get(SERVICES, KEY) for _ in range(300))), 300)
    assert most == CALL_CONNECTIONS
    assert accepted == {"application/json"}
