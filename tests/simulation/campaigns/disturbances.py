"""What an operator must survive, at every point (the patterns of Sieve, OSDI '22).

Intermediate states: its process ends right after a write, before it learns of it. Stale states: it begins again on an
API server whose cache is behind. Unobserved states: its watches break, and what comes and goes meanwhile is never told.
"""

import asyncio
import contextvars
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from marie_operator.testing import gateway
from marie_operator.testing.apiserver.answers import Answer
from marie_operator.testing.apiserver.faults import Fault, Serve, refuse
from marie_operator.testing.apiserver.requests import Call
from tests.simulation.campaigns import state
from tests.simulation.campaigns.scenarios import Scenario
from tests.simulation.campaigns.stage import Object, Stage

RESTART = 2.0
"""Seconds from the end of a process to the beginning of the next."""
BEHIND = 15.0
"""Seconds in which a cache that is behind learns nothing."""
UNSEEN = 25.0
"""Seconds of a blackout after each step in it."""
RECOVERY = 90.0
"""Seconds in which a watch that broke is taken up again, whatever its back-off had become."""
_UNCOUNTED = ("/leases", "/events")
"""Writes that change nothing: of who leads, and of what has happened."""


@dataclass(frozen=True)
class Disturbance:
    """What happens in one run.

    Attributes:
        crash: After which write the process ends, counted from 1; 0 for none.
        behind: By how many writes the cache is behind that the next process sees.
        unseen: After how many steps the watches break, for the two steps that follow; None for never.
    """

    crash: int = 0
    behind: int = 0
    unseen: int | None = None


CALM = Disturbance()


@dataclass
class _Course:
    """A run, and what stands between the operator and the servers in it.

    Attributes:
        stage: Where.
        disturbance: What happens.
        writes: Of the operator, so far.
        revisions: Of the API server: before all writes, and after each.
        blackout: Whether the operator sees nothing.
        stale: The revision that reads show, and the time from which they show everything again.
    """

    stage: Stage
    disturbance: Disturbance
    writes: list[str] = field(default_factory=list)
    revisions: list[int] = field(default_factory=list)
    blackout: bool = False
    stale: tuple[int, float] = (0, 0.0)

    def begin(self, clusters: frozenset[str]) -> None:
        """Stand in between, and start the operator."""
        self.revisions.append(self.stage.server.server.store.revision)
        faults = self.stage.server.server.faults
        faults.append(Fault(self._written, verbs={"create", "update", "patch", "delete"}))
        faults.append(Fault(self._seen, verbs={"list", "watch"}))
        for name in clusters:
            marie = self.stage.gateways.cluster("default", name)
            marie.faults.append(gateway.Fault("/", times=-1, matches=self._asked))
        self.stage.operator.start()

    def darken(self) -> None:
        """Break the watches."""
        self.blackout = True
        self.stage.server.server.end_watches()

    def _asked(self, request: gateway.Request) -> bool:
        """Count what is asked of a gateway, which answers as ever."""
        if request.method != "GET":
            self._wrote(f"{request.method} {request.path}")
        return False

    def _is_operator(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"Bearer {self.stage.server.token('operator')}"

    async def _written(self, call: Call, serve: Serve) -> Answer:
        answer = await serve(call)
        told = answer.code < 400 and not any(each in call.path for each in _UNCOUNTED)
        if told and self._is_operator(call):
            self._wrote(f"{call.method} {call.path}")
        return answer

    async def _seen(self, call: Call, serve: Serve) -> Answer:
        """A list or a watch."""
        if not self._is_operator(call):
            return await serve(call)
        if self.blackout:
            return await refuse(503, "the API server cannot be reached")(call, serve)
        revision, until = self.stale
        if asyncio.get_running_loop().time() >= until:
            return await serve(call)
        if "watch" not in call.query:
            exact = {"resourceVersion": str(revision), "resourceVersionMatch": "Exact"}
            return await serve(replace(call, query={**call.query, **exact}))
        answer = await serve(call)
        return answer if answer.stream is None else replace(answer, stream=_late(answer.stream, until))

    def _wrote(self, what: str) -> None:
        """Count a write; the process may end with it."""
        self.writes.append(what)
        self.revisions.append(self.stage.server.server.store.revision)
        if len(self.writes) != self.disturbance.crash:
            return
        loop = asyncio.get_running_loop()
        if self.disturbance.behind:
            number = max(0, len(self.writes) - self.disturbance.behind)
            self.stale = self.revisions[number], loop.time() + RESTART + BEHIND
        self.stage.crash()
        # Not by the process that has just ended, whose timers end with it.
        loop.call_later(RESTART, self.stage.operator.start, context=contextvars.Context())


async def _late(stream: AsyncGenerator[bytes, None], until: float) -> AsyncGenerator[bytes, None]:
    async with aclosing(stream):
        async for chunk in stream:
            await asyncio.sleep(until - asyncio.get_running_loop().time())
            yield chunk


@dataclass
class End:
    """How a run ends.

    Attributes:
        state: Everything there is.
        documents: What Marie has, by cluster: places and states.
        repeated: Reference ids that Marie has more than once.
        writes: What the operator wrote, in order.
        complaints: What it logged as wrong.
    """

    state: Object
    documents: dict[str, list[tuple[str, str]]]
    repeated: list[str]
    writes: list[str]
    complaints: list[str]

    def differences(self, calm: "End") -> list[str]:
        """What is not as in a run without a disturbance, in words."""
        found = state.differences(self.state, calm.state)
        if self.documents != calm.documents:
            found.append(f"documents: {self.documents} != {calm.documents}")
        found += [f"Marie has it more than once: {each}" for each in self.repeated]
        return found + [f"complains: {each}" for each in self.complaints]


async def tell(stage: Stage, scenario: Scenario, disturbance: Disturbance = CALM) -> End:
    """Take a scenario's steps, and look at the end."""
    course = _Course(stage, disturbance)
    course.begin(scenario.clusters)
    first = disturbance.unseen
    for number, step in enumerate(scenario.steps):
        if first is not None and number == first:
            course.darken()
        await step(stage)
        if course.blackout:
            await asyncio.sleep(UNSEEN)
        if course.blackout and first is not None and number == min(first + 1, len(scenario.steps) - 1):
            course.blackout = False
            await asyncio.sleep(RECOVERY)
        if not course.blackout:
            await stage.settle()
    # What no event tells of is looked at once a minute.
    await asyncio.sleep(RECOVERY)
    await stage.settle()
    return await _end(stage, course, scenario)


async def _end(stage: Stage, course: _Course, scenario: Scenario) -> End:
    found: Object = {"children": await state.children(stage)}
    for kind in ("marieclusters", "mariejobs"):
        found[kind] = {each["metadata"]["name"]: state.status(each) for each in await stage.list(kind)}
    documents = {name: stage.gateways.cluster("default", name).dags for name in sorted(scenario.clusters)}
    refs = [dag.ref_id for dags in documents.values() for dag in dags]
    return End(
        state=state.without_ids(found),
        documents={name: sorted((dag.uri, dag.state) for dag in dags) for name, dags in documents.items()},
        repeated=sorted({ref for ref in refs if refs.count(ref) > 1}),
        writes=course.writes,
        complaints=[str(each) for each in stage.log if each["log_level"] in {"error", "critical"}],
    )
