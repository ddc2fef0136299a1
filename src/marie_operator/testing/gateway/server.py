"""The gateway's HTTP endpoints, for many clusters in one process."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiohttp import web

from marie_operator.testing.gateway.admission import Admitted, Reply, accepted, judge
from marie_operator.testing.gateway.engine import Dag, Engine, Outcome, Task

VERSION = "4.0.0"
STATES = ("created", "retry", "active", "completed", "expired", "cancelled", "failed")
SCHEDULER_START = 1.1
PLANNERS: Mapping[str, Sequence[str]] = {"extract": ("extract_executor://document/extract",)}

OutcomePolicy: TypeAlias = Callable[[Mapping[str, Any]], Outcome]


@dataclass
class Fault:
    """Something that goes wrong with a request.

    Attributes:
        path: Requests whose path begins so.
        times: How many of them; -1 for all.
        status: Answer this instead; 0 for the real answer.
        body: What to answer instead.
        delay: Seconds before anything else.
        lost: The request takes effect, and its answer is cut off.
    """

    path: str
    times: int = 1
    status: int = 0
    body: str = ""
    delay: float = 0.0
    lost: bool = False


class SimulatedMarie:
    """One cluster's gateway, scheduler and executors.

    Args:
        planners: Executor endpoints by planner name.
        outcome: What executors make of a document.
        speed: How much faster than the recordings everything goes.

    Attributes:
        api_keys: Accepted; none at all accepts nothing.
        faults: What goes wrong, in order; spent ones are dropped.
        requests: How often each path was asked for, by method and first three segments.
        engine: The scheduler.
    """

    def __init__(
        self,
        *,
        planners: Mapping[str, Sequence[str]] = PLANNERS,
        outcome: OutcomePolicy = lambda _: Outcome(),
        speed: float = 1.0,
    ) -> None:
        self.api_keys: set[str] = set()
        self.faults: list[Fault] = []
        self.requests: Counter[str] = Counter()
        self.engine = Engine(planners=planners, outcome=outcome, speed=speed)
        self.serving = False
        self._scheduler_at: float | None = None

    @property
    def dags(self) -> list[Dag]:
        """Every DAG that ever was."""
        return list(self.engine.dags.values())

    def by_ref_id(self, ref_id: str) -> list[Dag]:
        """Every DAG made for a reference id; more than one is a document done twice."""
        return [dag for dag in self.dags if dag.ref_id == ref_id]

    def start(self, now: float | None = None) -> None:
        """The gateway begins to serve; its scheduler follows."""
        self.serving = True
        self._scheduler_at = _time(now) + SCHEDULER_START / self.engine.speed

    def stop(self, now: float | None = None) -> None:
        """The gateway goes, with whatever it was doing; the database stays."""
        self.advance(now)
        self.serving = False
        self._scheduler_at = None
        self.engine.stop()

    def register(self, executor: str, address: str, slots: int = 1, *, now: float | None = None) -> None:
        """A worker registers."""
        self.advance(now)
        self.engine.register(executor, address, slots)

    def unregister(self, executor: str, address: str, *, crash: bool = False, now: float | None = None) -> None:
        """A worker goes, in peace or not."""
        self.advance(now)
        self.engine.unregister(executor, address, crash=crash)

    def advance(self, now: float | None = None) -> None:
        """Bring everything up to the present."""
        moment = _time(now)
        if self._scheduler_at is not None and moment >= self._scheduler_at and not self.engine.running:
            self.engine.start()
        self.engine.advance(moment)

    # Answers.

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]
    ) -> Reply:
        """What the gateway says; the present must have been reached."""
        parts = [part for part in path.split("/") if part]
        match (method, *parts):
            case ("POST", "api", "v1", "invoke"):
                return self._invoke(headers, body)
            case ("POST", "api", "debug", "reset-dags"):
                return self._reset()
            case ("DELETE", "api", "jobs", _):
                return _ok("Job deleted")
            case ("GET", *rest):
                return self._read(rest, query)
            case _:
                allowed = parts[:2] == ["api", "jobs"]
                return Reply(405 if allowed else 404, {"detail": "Method Not Allowed" if allowed else "Not Found"})

    def _read(self, parts: Sequence[str], query: Mapping[str, str]) -> Reply:
        match parts:
            case ["api", "jobsXX", task_id]:
                return self._task(task_id)
            case ["api", "jobs", _, "stop"]:
                return _ok("Job stopped")
            case ["api", "jobs", state]:
                return self._list(state)
            case ["check"]:
                return self._check(query)
            case ["api", "v1", "invoke"]:
                return Reply(405, {"detail": "Method Not Allowed"})
            case _:
                return self._page("/".join(parts))

    def _page(self, path: str) -> Reply:
        page = self._pages().get(path)
        return Reply(404, {"detail": "Not Found"}) if page is None else Reply(200, page())

    def _pages(self) -> Mapping[str, Callable[[], Any]]:
        return {
            "": dict,
            "status": lambda: {"jina": None, "marie": {"marie": VERSION}, "envs": {}},
            "dry_run": lambda: {"code": 0, "description": "", "exception": None},
            "openapi.json": lambda: {"openapi": "3.1.0", "info": {"version": VERSION}, "paths": {}},
            "api/jobs": lambda: {"status": "OK", "result": {}},
            "api/debug": self._debug,
            "api/capacity": self._capacity,
            "api/deployments": self._deployments,
            "api/deployment-nodes": lambda: {"status": "OK", "result": self._nodes()},
            "api/deployment-status": self._deployment_status,
            "api/planners": self._planners,
        }

    def _invoke(self, headers: Mapping[str, str], body: bytes) -> Reply:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return Reply(401, {"status": "error", "message": "Not authenticated"})
        if token not in self.api_keys:
            return Reply(401, {"status": "error", "message": "Invalid token or expired token."})
        try:
            decoded = json.loads(body)
        except ValueError:
            return Reply(400, {"status": "error", "message": "Invalid JSON payload"})
        judged = judge(decoded, frozenset(self.api_keys))
        if not isinstance(judged, Admitted):
            return judged
        dag_id = self.engine.new_id()
        self.engine.submit(dag_id, judged.metadata, judged.data, judged.queue)
        return accepted(dag_id)

    def _task(self, task_id: str) -> Reply:
        if not self.engine.database:
            detail = "connection already closed"
            return Reply(500, {"status": "error", "message": "Internal server error", "detail": detail})
        task = self.engine.task(task_id)
        if task is None:
            return Reply(200, {"status": "error", "result": "Job not found"})
        return _ok(_row(task))

    def _list(self, state: str) -> Reply:
        wanted = state.lower()
        if not self.engine.database:
            message = "Failed to retrieve jobs: connection already closed"
            return Reply(200, {"status": "error", "message": message, "code": "INTERNAL_ERROR"})
        if wanted == "skipped":
            return _ok({})
        if wanted not in STATES:
            message = f"Invalid state(s): {wanted}"
            return Reply(200, {"status": "error", "message": message, "code": "INVALID_STATE"})
        return _ok({task.id: _row(task) for task in self.engine.tasks(wanted)})

    def _reset(self) -> Reply:
        cleared = self.engine.clear()
        message = f"Successfully reset active DAGs, cleared {len(cleared)} DAGs"
        return _ok({"success": True, "cleared_count": len(cleared), "cleared_dags": cleared, "message": message})

    @staticmethod
    def _check(query: Mapping[str, str]) -> Reply:
        if "text" in query:
            return Reply(200, {"result": "ok"})
        missing = {"type": "missing", "loc": ["query", "text"], "msg": "Field required", "input": None}
        return Reply(422, {"detail": [missing]})

    def _debug(self) -> Any:
        active = [dag for dag in self.dags if not dag.ended and not dag.cleared]
        ready = Counter(task.executor for dag in active for task in dag.tasks if task.state in {"created", "retry"})
        totals = {
            "dags": len(active),
            "jobs": sum(len(dag.tasks) for dag in active),
            "edges": sum(len(dag.tasks) - 1 for dag in active),
            "ready": sum(ready.values()),
            "leased": 0,
            "blocked": 0,
        }
        scheduler = {
            "running": self.engine.running,
            "scheduler_mode": "serial",
            "max_concurrent_dags": 4,
            "known_queues": sorted(self.engine.planners),
            "active_dags_count": len(active),
        }
        frontier = {"available": True, "summary": {"totals": totals, "ready_by_executor": dict(ready)}}
        return {"status": "OK", "result": {"scheduler_info": scheduler, "frontier": frontier}}

    def _capacity(self) -> Any:
        slots: list[dict[str, Any]] = []
        for name in sorted(self.engine.known):
            capacity, used = self.engine.capacity(name)
            free = capacity - used
            slots.append(
                {"name": name, "capacity": capacity, "target": capacity, "used": used, "available": free}
                | {"holders": used, "notes": ""}
            )
        totals = {key: sum(slot[key] for slot in slots) for key in ("capacity", "used", "available")}
        holders = sum(slot["holders"] for slot in slots)
        return {"status": "OK", "result": {"slots": slots, "totals": {**totals, "holder_count": holders}}}

    def _nodes(self) -> dict[str, list[dict[str, str]]]:
        endpoints = ("/", "_jina_dry_run_", "/status", "/document/process", "/document/extract")
        return {
            executor: [
                {"address": f"grpc://{address}", "endpoint": endpoint, "executor": executor, "gateway": address}
                for address in addresses
                for endpoint in endpoints
            ]
            for executor, addresses in self.engine.workers.items()
        }

    def _deployments(self) -> Any:
        found = {
            address: {
                "prefix": "deployments/status",
                "address": address,
                "executor": executor,
                "status": "SERVICE_UNKNOWN",
            }
            for executor, addresses in self.engine.workers.items()
            for address in addresses
        }
        return {"status": "OK", "result": {"deployments": found, "deployment_nodes": self._nodes()}}

    def _deployment_status(self) -> Any:
        """Useless as in life: always unknown, also while busy."""
        names = [f"{address}/{name}" for name, addresses in self.engine.workers.items() for address in addresses]
        moment = "2026-01-01T00:00:00Z"
        desired = {"phase": "SCHEDULED", "epoch": 0, "params": {}, "updated_at": moment}
        status = {"status_code": 3, "status_name": "SERVICE_UNKNOWN", "owner": "", "epoch": 0} | {
            "updated_at": moment,
            "heartbeat_at": moment,
            "details": None,
        }
        result = {"desired": dict.fromkeys(names, desired), "status": dict.fromkeys(names, status)}
        return {"status": "OK", "result": result}

    def _planners(self) -> Any:
        return {
            "planners": [
                {"planner_id": name, "name": name, "description": "", "version": "1.0.0", "tags": []}
                for name in self.engine.planners
            ],
            "total": len(self.engine.planners),
        }


class SimulatedGateways:
    """Gateways of many clusters, each at ``/{namespace}/{name}`` of one server.

    A cluster that does not serve answers 503 with an empty body, as a Service without endpoints does behind a proxy.

    Args:
        speed: For every cluster.
        planners: For every cluster.
        outcome: For every cluster.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        planners: Mapping[str, Sequence[str]] = PLANNERS,
        outcome: OutcomePolicy = lambda _: Outcome(),
    ) -> None:
        self._speed, self._planners, self._outcome = speed, planners, outcome
        self._clusters: dict[tuple[str, str], SimulatedMarie] = {}

    def cluster(self, namespace: str, name: str) -> SimulatedMarie:
        """The gateway of a cluster; made, not yet started, when it is first asked for."""
        key = (namespace, name)
        if key not in self._clusters:
            self._clusters[key] = SimulatedMarie(speed=self._speed, planners=self._planners, outcome=self._outcome)
        return self._clusters[key]

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve while entered; yields the URL, to which clusters add ``/{namespace}/{name}``."""
        app = web.Application()
        app.router.add_route("*", "/{namespace}/{name}{path:(/.*)?}", self._handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield f"http://{host}:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        marie = self.cluster(request.match_info["namespace"], request.match_info["name"])
        path = request.match_info["path"] or "/"
        fault = self._fault(marie, path)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        if not marie.serving:
            return web.Response(status=503)
        marie.requests[" ".join([request.method, "/".join(path.split("/")[:3])])] += 1
        if fault is not None and fault.status:
            return web.Response(status=fault.status, text=fault.body)
        body = await request.read()
        if path.startswith("/api/jobs/") and path.endswith("/"):
            return web.Response(status=307, headers={"Location": str(request.url).rstrip("/")})
        marie.advance()
        reply = marie.answer(request.method, path, request.headers, body, request.query)
        if fault is not None and fault.lost and request.transport is not None:
            request.transport.abort()
        text = json.dumps(reply.body, separators=(",", ":"))
        return web.Response(status=reply.status, body=text.encode(), headers={"Content-Type": "application/json"})

    @staticmethod
    def _fault(marie: SimulatedMarie, path: str) -> Fault | None:
        fault = next((each for each in marie.faults if path.startswith(each.path) and each.times), None)
        if fault is not None:
            fault.times -= 1
            marie.faults = [each for each in marie.faults if each.times]
        return fault


def _time(now: float | None) -> float:
    return asyncio.get_running_loop().time() if now is None else now


def _ok(result: Any) -> Reply:
    return Reply(200, {"status": "OK", "result": result})


def _row(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "dag_id": task.dag_id,
        "name": task.data.get("name", ""),
        "priority": 0,
        "data": task.data,
        "state": task.state,
        "retry_limit": 2,
        "retry_delay": 2,
        "retry_backoff": True,
        "start_after": "2026-01-01T00:00:00Z",
        "expire_in_seconds": 0,
        "keep_until": "2026-01-03T00:00:00Z",
        "policy": None,
        "dependencies": None,
        "job_level": task.level,
        "soft_sla": None,
        "hard_sla": None,
    }
