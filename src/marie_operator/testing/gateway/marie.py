"""One cluster's gateway: requests in, replies out, with its scheduler and executors behind it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from marie_operator.testing.gateway import fifth, pages
from marie_operator.testing.gateway.admission import Admitted, accepted, judge
from marie_operator.testing.gateway.dag import Dag, Ids, NodeState
from marie_operator.testing.gateway.engine import Engine
from marie_operator.testing.gateway.exchange import Fault, Reply, Request
from marie_operator.testing.gateway.identity import FIFTH_PATHS, VERSION, is_fifth, openapi, paths, route, status
from marie_operator.testing.gateway.outcome import OutcomePolicy, Outcomes, ResultStore
from marie_operator.testing.gateway.planner import EXTRACT, Planner

LISTED: Mapping[str, NodeState] = {
    "created": "created",
    "retry": "retry",
    "active": "active",
    "completed": "completed",
    "expired": "expired",
    "cancelled": "cancelled",
    "failed": "failed",
}


def loop_time() -> float:
    """The running loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


class SimulatedMarie:
    """One cluster.

    The simulation is brought up to the present whenever someone looks or acts; between two looks nothing runs.

    Args:
        name: Seeds its ids.
        planners: What it can do.
        outcome: What executors make of documents.
        speed: How much faster than the recordings everything goes.
        clock: Seconds; the running loop's by default.
        store: Where executors store results.
        version: Which Marie: 4.0.0 as recorded, or 5.x as far as its source tells.

    Attributes:
        api_keys: Accepted; none at all accepts nothing.
        planners: By name; may be changed.
        faults: What goes wrong, in order: the first that meets a request happens to it.
        requests: How often what was asked, by method and path with ids and states left in their braces.
        outcome: May be replaced.
        withdrawn: Executor names of workers that live and are registered no more, by address.
    """

    def __init__(
        self,
        name: str = "marie",
        *,
        planners: Iterable[Planner] = (EXTRACT,),
        outcome: OutcomePolicy = Outcomes(),  # noqa: B008 - frozen
        speed: float = 1.0,
        clock: Callable[[], float] = loop_time,
        store: ResultStore | None = None,
        version: str = VERSION,
    ) -> None:
        self.version = version
        self.api_keys: set[str] = set()
        self.planners = {planner.name: planner for planner in planners}
        self.faults: list[Fault] = []
        self.requests: Counter[str] = Counter()
        self._ids = Ids(epoch=pages.EPOCH.timestamp(), seed=name)
        self._engine = Engine(planners=self.planners, outcome=outcome, ids=self._ids, store=store)
        self._plans = self._ids.new(0.0)
        self._speed = speed
        self._clock = clock
        self._began: float | None = None
        self._serving = False
        self.withdrawn: dict[str, str] = {}

    # The gateway's life.

    @property
    def serving(self) -> bool:
        """Whether it answers at all."""
        return self._serving

    def start(self) -> None:
        """It answers from now on; its scheduler starts 5 s later, or 1.1 s when an executor is there already."""
        self.engine.start()
        self._serving = True

    def stop(self) -> None:
        """SIGTERM: no more answers; the process lingers and records what executors finish, until it is killed."""
        self.engine.stop()
        self._serving = False

    def kill(self) -> None:
        """SIGKILL: what executors had under way stays active for ever; what was queued goes on after a start."""
        self.engine.kill()
        self._serving = False

    @property
    def engine(self) -> Engine:
        """The scheduler, brought up to the present; ``engine.database = False`` takes PostgreSQL down."""
        now = self._clock()
        if self._began is None:
            self._began = now
        self._engine.advance((now - self._began) * self._speed)
        return self._engine

    # Executors.

    def register(self, executor: str, address: str, slots: int = 1) -> None:
        """A worker registers; ``address`` is its host and port."""
        self.engine.register(executor, address, slots)

    def unregister(self, executor: str, address: str, *, crash: bool = False) -> None:
        """A worker goes.

        Args:
            executor: What it serves.
            address: Where it is registered.
            crash: It dies, and its registration lapses 6 s later. Otherwise only the registration goes at once: that is
                what an idle worker leaves, and what costs a busy one its task, which then stays active for ever.

        Raises:
            LookupError: no such worker is registered.
        """
        engine = self.engine
        if self.withdrawn.pop(address, None) is not None:
            # Nothing is registered there any more, and nothing is given to it.
            return
        if crash:
            engine.crash(executor, address)
        else:
            engine.unregister(executor, address)

    def withdraw(self, executor: str, address: str) -> None:
        """A worker's registration is deleted while the worker goes on living, until ``unregister``.

        Raises:
            LookupError: no such worker is registered.
        """
        self.engine.unregister(executor, address)
        self.withdrawn[address] = executor

    @property
    def executors(self) -> dict[str, list[str]]:
        """Registered addresses by executor name."""
        pool = self.engine.pool
        return {name: [worker.address for worker in pool.of(name)] for name in pool.executors()}

    # Documents.

    @property
    def dags(self) -> list[Dag]:
        """Every DAG that ever was, in the order of insertion."""
        return list(self.engine.dags.values())

    def by_ref_id(self, ref_id: str) -> list[Dag]:
        """Every DAG made for a reference id; more than one is a document done twice."""
        return [dag for dag in self.dags if dag.ref_id == ref_id]

    def cancel(self, dag_id: str) -> None:
        """What cancelling by SQL does; a running node is not interrupted, and brings the DAG back to active."""
        self.engine.cancel(dag_id)

    def resume(self, dag_id: str) -> None:
        """What repairing by SQL does: a DAG whose node a gateway left active goes on with that node."""
        self.engine.resume(dag_id)

    @property
    def outcome(self) -> OutcomePolicy:
        """What executors make of documents."""
        return self._engine.outcome

    @outcome.setter
    def outcome(self, outcome: OutcomePolicy) -> None:
        self.engine.outcome = outcome

    # Requests.

    async def respond(self, request: Request) -> Reply | None:
        """Answer a request; None when the connection breaks instead, or nobody serves."""
        fault = next((each for each in self.faults if each.meets(request)), None)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        if not self._serving:
            return None
        known = route(request.path, self.version)
        self.requests[f"{request.method} {known or request.path}"] += 1
        return self.answer(request) if fault is None else fault.instead_of(lambda: self.answer(request))

    def answer(self, request: Request) -> Reply:
        """Answer a request at once, whatever faults there are."""
        pattern = route(request.path, self.version)
        if pattern is None:
            there = request.path.rstrip("/")
            redirected = request.path != there and route(there, self.version) is not None
            return Reply(307, headers={"location": there}) if redirected else Reply.of({"detail": "Not Found"}, 404)
        methods = paths(self.version)[pattern]
        if request.method not in methods:
            return Reply.of({"detail": "Method Not Allowed"}, 405, allow=methods[0])
        if pattern in FIFTH_PATHS:
            return fifth.endpoint(self.engine, pattern, request.path)
        return self._endpoint(pattern, request)

    def _endpoint(self, pattern: str, request: Request) -> Reply:
        engine, parts = self.engine, request.path.split("/")
        match request.method, pattern:
            case "POST", "/api/v1/invoke":
                return self._invoke(engine, request)
            case "GET", "/api/jobsXX/{job_id}":
                return _node(engine, parts[3])
            case "GET", "/api/jobs/{state}":
                return _list(engine, parts[3])
            case "POST", "/api/debug/reset-dags":
                return _reset(engine)
            case "GET", "/check" | "/job/submit":
                return self._text(engine, request)
            case _:
                return self._page(engine, pattern)

    def _invoke(self, engine: Engine, request: Request) -> Reply:
        judged = judge(request.authorization, request.body, self.api_keys)
        return accepted(engine.submit(judged.action)) if isinstance(judged, Admitted) else judged

    def _text(self, engine: Engine, request: Request) -> Reply:
        if "text" not in request.query:
            missing = {"type": "missing", "loc": ["query", "text"], "msg": "Field required", "input": None}
            return Reply.of({"detail": [missing]}, 422)
        return Reply.of({"result": "ok" if request.path == "/check" else self._ids.new(engine.now)})

    def _page(self, engine: Engine, path: str) -> Reply:
        contents: dict[str, Callable[[], object]] = {
            "/": dict,
            "/status": lambda: status(pages.moment(engine.started).replace(tzinfo=None).isoformat(), self.version),
            "/dry_run": lambda: {"code": 0, "description": "", "exception": None},
            "/openapi.json": lambda: openapi(self.version),
            "/api/jobs": lambda: pages.ok({}),
            "/api/jobs/{job_id}/stop": lambda: pages.ok("Job stopped"),
            "/api/jobs/{state}": lambda: pages.ok("Job deleted"),
            "/api/debug": lambda: pages.debug(engine),
            "/api/capacity": lambda: pages.capacity(engine.pool),
            "/api/deployments": lambda: pages.deployments(engine.pool),
            "/api/deployment-nodes": lambda: pages.ok(pages.deployment_nodes(engine.pool)),
            "/api/deployment-status": lambda: pages.deployment_status(engine.pool),
            "/api/planners": lambda: pages.planners(self.planners.values(), engine.started, self._plans),
        }
        newer: dict[str, Callable[[], object]] = {
            "/api/debug": lambda: fifth.debug(engine),
            "/api/capacity": lambda: fifth.capacity(engine.pool),
            "/api/deployments": lambda: fifth.deployments(engine.pool),
        }
        return Reply.of((contents | newer if is_fifth(self.version) else contents)[path]())


def _node(engine: Engine, node_id: str) -> Reply:
    found = engine.recalled(node_id.lower())
    if found is not None:
        return Reply.written(pages.okay(pages.written(*found)))
    if not engine.database:
        broken = {"status": "error", "message": "Internal server error", "detail": "connection already closed"}
        return Reply.of(broken, 500)
    return Reply.of({"status": "error", "result": "Job not found"})


def _list(engine: Engine, asked: str) -> Reply:
    if asked.lower() == "skipped":
        # A state that the database does not know; the error is swallowed.
        return Reply.of(pages.ok({}))
    state = LISTED.get(asked.lower())
    if state is None:
        return Reply.of({"status": "error", "message": f"Invalid state(s): {asked}", "code": "INVALID_STATE"})
    if not engine.database:
        message = "Failed to retrieve jobs: connection already closed"
        return Reply.of({"status": "error", "message": message, "code": "INTERNAL_ERROR"})
    rows = ",".join(f'"{node.id}":{pages.written(node, node.state)}' for node in engine.nodes(state))
    return Reply.written(pages.okay(f"{{{rows}}}"))


def _reset(engine: Engine) -> Reply:
    cleared = engine.clear()
    message = f"Successfully reset active DAGs, cleared {len(cleared)} DAGs"
    return Reply.of(
        pages.ok({"success": True, "cleared_count": len(cleared), "cleared_dags": cleared, "message": message})
    )
