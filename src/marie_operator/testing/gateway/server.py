"""Simulated gateways over HTTP, many clusters behind one address."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import hdrs, web

from marie_operator.testing.gateway.etcd import SimulatedEtcd
from marie_operator.testing.gateway.exchange import Reply, Request
from marie_operator.testing.gateway.identity import VERSION
from marie_operator.testing.gateway.marie import SimulatedMarie, loop_time
from marie_operator.testing.gateway.outcome import OutcomePolicy, Outcomes, ResultStore
from marie_operator.testing.gateway.planner import EXTRACT, Planner

PREFIX = "/{namespace}/{name}"


def application(find: Callable[[web.Request], SimulatedMarie | None], prefix: str = "") -> web.Application:
    """An aiohttp application in front of gateways.

    Args:
        find: Whom a request is for, by ``match_info`` of ``prefix``.
        prefix: What paths begin with, in aiohttp's notation.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        marie = find(request)
        if marie is None or not marie.serving:
            return web.Response(status=503)
        asked = Request(
            method=request.method,
            path="/" + request.match_info["path"].removeprefix("/"),
            query=request.query,
            authorization=request.headers.get(hdrs.AUTHORIZATION, ""),
            body=await request.read(),
        )
        reply = await marie.respond(asked)
        if reply is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        return _response(request, asked, reply)

    app = web.Application()
    app.on_response_prepare.append(_disguise)
    app.router.add_route(hdrs.METH_ANY, f"{prefix}{{path:(/.*)?}}" if prefix else "/{path:.*}", handle)
    return app


def etcd_application(marie: SimulatedMarie) -> web.Application:
    """An aiohttp application in front of the etcd of a simulated cluster: as much as ``SimulatedEtcd`` answers.

    Args:
        marie: Whose.
    """
    etcd = SimulatedEtcd(marie)

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
        except json.JSONDecodeError:
            reply = Reply.of({"code": 3, "message": "invalid character"}, 400)
        else:
            reply = etcd.respond(request.method, request.path, body)
        return web.Response(status=reply.status, body=reply.body, headers=dict(reply.headers))

    app = web.Application()
    app.router.add_route(hdrs.METH_ANY, "/{path:.*}", handle)
    return app


@asynccontextmanager
async def serving(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve an application while entered; yields its URL, without a slash at its end."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class SimulatedGateways:
    """Gateways of many clusters, each at ``/{namespace}/{name}`` of one application.

    A cluster that does not serve, or that nobody asked for, answers 503 with an empty body, as a Service without
    endpoints does behind an ingress: one cluster's connections cannot be refused when they share an address.

    Args:
        prefix: Where clusters are, in aiohttp's notation; with ``namespace`` and ``name``.
        planners: Of clusters made from now on.
        outcome: Likewise.
        speed: Likewise.
        clock: Likewise.
        store: Where executors of all clusters store results.
        version: Likewise.
    """

    def __init__(
        self,
        *,
        prefix: str = PREFIX,
        planners: Iterable[Planner] = (EXTRACT,),
        outcome: OutcomePolicy = Outcomes(),  # noqa: B008 - frozen
        speed: float = 1.0,
        clock: Callable[[], float] = loop_time,
        store: ResultStore | None = None,
        version: str = VERSION,
    ) -> None:
        self._version = version
        self._prefix = prefix
        self._planners = tuple(planners)
        self._outcome = outcome
        self._speed = speed
        self._clock = clock
        self._store = store
        self._clusters: dict[tuple[str, str], SimulatedMarie] = {}

    def cluster(self, namespace: str, name: str) -> SimulatedMarie:
        """The gateway of a cluster; made, not yet started, when it is first asked for."""
        key = (namespace, name)
        if key not in self._clusters:
            self._clusters[key] = SimulatedMarie(
                f"{namespace}/{name}",
                planners=self._planners,
                outcome=self._outcome,
                speed=self._speed,
                clock=self._clock,
                store=self._store,
                version=self._version,
            )
        return self._clusters[key]

    @property
    def app(self) -> web.Application:
        """A new application that serves all clusters."""

        def find(request: web.Request) -> SimulatedMarie | None:
            return self._clusters.get((request.match_info["namespace"], request.match_info["name"]))

        return application(find, self._prefix)

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve while entered; yields the URL to which clusters add their prefix."""
        async with serving(self.app, host, port) as url:
            yield url


def _response(request: web.Request, asked: Request, reply: Reply) -> web.Response:
    headers = dict(reply.headers)
    if "location" in headers:
        prefix = request.path.removesuffix(asked.path)
        headers["location"] = f"{request.scheme}://{request.host}{prefix}{headers['location']}"
    return web.Response(status=reply.status, body=reply.body or None, headers=headers)


async def _disguise(_: web.Request, response: web.StreamResponse) -> None:
    """Look like uvicorn."""
    response.headers[hdrs.SERVER] = "uvicorn"
    if response.content_length == 0:
        response.headers.pop(hdrs.CONTENT_TYPE, None)
