"""The whole operator beside an API server, controllers, a kubelet and gateways, in one process and in virtual time."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from prometheus_client import CollectorRegistry

from marie_operator.builders import association
from marie_operator.cli.assembly import Operator
from marie_operator.marie import transport as marie
from marie_operator.runtime import Client, Metrics
from marie_operator.runtime import transport as api
from marie_operator.testing import manifests, virtual
from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.apiserver.authorization import User
from marie_operator.testing.apiserver.direct import call_of
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.server import ApiServer
from marie_operator.testing.audit import Request
from marie_operator.testing.gateway import SimulatedGateways
from marie_operator.testing.gateway.exchange import Request as Asked
from marie_operator.testing.kubelet import FakeKubelet, NodeSpec
from marie_operator.testing.pods import MariePods
from marie_operator.testing.workloads import Workloads

CONFIG = Path(__file__).parents[3] / "config"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
OPERATOR = User.service_account("marie-system", "marie-operator")
MARIE = "/apis/marie.ai/v1alpha1/namespaces/default"


class VirtualClock:
    """The loop's time, from a fixed beginning."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.monotonic())


class ApiWire:
    """Carries the operator's requests to the server beside it."""

    url = "sim://apiserver"

    def __init__(self, server: ApiServer, token: str) -> None:
        self._server = server
        self._token = token

    async def exchange(self, request: api.Request) -> api.Reply:
        answer = await self._server.handle(self._call(request))
        return api.Reply(answer.code, answer.body)

    @contextlib.asynccontextmanager
    async def stream(self, request: api.Request, *, silence: float) -> AsyncIterator[api.Stream]:
        answer = await self._server.handle(self._call(request))
        yield api.Stream(answer.code, answer.stream or _once(answer.body))

    async def close(self) -> None:
        """Nothing is open."""

    def _call(self, request: api.Request) -> Any:
        target = f"{request.path}?{urlencode(request.query)}"
        return call_of(request.method, target, request.body, content_type=request.content_type, token=self._token)


class GatewayWire:
    """Carries the operator's requests to gateways beside it."""

    def __init__(self, gateways: SimulatedGateways) -> None:
        self._gateways = gateways

    @contextlib.asynccontextmanager
    async def exchange(self, request: marie.Request) -> AsyncIterator[marie.Response]:
        namespace, _, name = request.base.partition("/")
        gateway = self._gateways.cluster(namespace, name)
        if not gateway.serving:
            raise marie.Unanswered(f"{request.base} cannot be reached", maybe_sent=False)
        body = b"" if request.body is None else json.dumps(request.body).encode()
        path, _, query = request.path.partition("?")
        pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        asked = Asked(request.method, path, pairs, f"Bearer {request.key}" if request.key else "", body)
        reply = await gateway.respond(asked)
        assert reply is not None
        yield marie.Response(reply.status, _once(reply.body))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


class NoStore:
    """There are no prefixes to list."""

    async def page(self, request: Any) -> Any:
        raise NotImplementedError


@dataclass
class Plane:
    """What a test acts on."""

    server: EmbeddedApiServer
    api: Api
    gateways: SimulatedGateways
    kubelet: FakeKubelet

    def path(self, kind: str, name: str = "") -> str:
        root = {
            "deployments": "/apis/apps/v1/namespaces/default",
            "statefulsets": "/apis/apps/v1/namespaces/default",
            "marieclusters": MARIE,
            "mariejobs": MARIE,
        }.get(kind, "/api/v1/namespaces/default")
        return f"{root}/{kind}" + (f"/{name}" if name else "")

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.api.get(self.path(kind, name))
        return found

    async def find(self, kind: str, name: str) -> dict[str, Any] | None:
        with contextlib.suppress(ApiStatus):
            return await self.get(kind, name)
        return None

    async def names(self, kind: str) -> set[str]:
        return {each["metadata"]["name"] for each in (await self.api.get(self.path(kind)))["items"]}

    async def apply(self, *objects: dict[str, Any]) -> None:
        await manifests.apply(self.api, list(objects))

    async def patch(self, kind: str, name: str, body: dict[str, Any]) -> None:
        await self.api.patch(self.path(kind, name), body)

    async def until(self, holds: Callable[[], Awaitable[Any]], *, seconds: float = 120) -> Any:
        """What ``holds`` returns once it is true; virtual seconds."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := await holds()):
                    await asyncio.sleep(0.5)
        except TimeoutError:
            clusters = (await self.api.get(self.path("marieclusters")))["items"]
            raise AssertionError(json.dumps([each.get("status") for each in clusters], indent=1)) from None
        return found

    async def condition(
        self, name: str, condition: str, status: str = "True", *, reason: str = "", seconds: float = 120
    ) -> dict[str, Any]:
        async def holds() -> Any:
            found = (await self.get("marieclusters", name)).get("status", {}).get("conditions", ())
            return next(
                (
                    each
                    for each in found
                    if (each["type"], each["status"]) == (condition, status) and reason in {"", each["reason"]}
                ),
                None,
            )

        found: dict[str, Any] = await self.until(holds, seconds=seconds)
        return found

    def writes(self, since: int) -> list[Request]:
        found = self.server.audit.requests(user=OPERATOR.name, since=since, writes=True)
        return [each for each in found if each.resource not in {"leases", "events"}]


def run(main: Callable[[Plane], Coroutine[Any, Any, None]]) -> None:
    """Run a test's story with everything around it."""
    virtual.run(lambda: _run(main))


async def _run(main: Callable[[Plane], Coroutine[Any, Any, None]]) -> None:
    clock, source = VirtualClock(), random.Random(1)
    server = EmbeddedApiServer(seed=1, now=clock.now, users={"operator": OPERATOR})
    gateways = SimulatedGateways()
    async with contextlib.AsyncExitStack() as stack:
        admin = await stack.enter_async_context(server.direct())
        pods = MariePods(
            gateways,
            cluster_label=association.CLUSTER_LABEL,
            role_label=association.NODE_TYPE_LABEL,
            executors=lambda _: ["extract_executor"],
            api_key="mas_none",
            api=admin,
        )
        kubelet = FakeKubelet(admin, nodes=[NodeSpec("node-1")], on_ready=pods.ready, on_gone=pods.gone, now=clock.now)
        await stack.enter_async_context(Workloads(admin, now=clock.now))
        await stack.enter_async_context(kubelet)
        await manifests.apply(admin, manifests.read(CONFIG / "default/namespace.yaml", CONFIG / "crd", CONFIG / "rbac"))
        operator = Operator(
            Client(ApiWire(server.server, server.token("operator")), clock=clock),
            elector=None,
            transport=GatewayWire(gateways),
            lister=NoStore(),
            gateway_url=lambda key, _: f"{key.namespace}/{key.name}",
            namespaces=(),
            concurrency=4,
            instance="test",
            clock=clock,
            metrics=Metrics(CollectorRegistry()),
            random=source.randbytes,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(operator.manager().run(stop))
        try:
            await main(Plane(server, admin, gateways, kubelet))
        finally:
            stop.set()
            await running
