"""An operator that something happens to, and what has to come of it all the same."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

from marie_operator.testing.controlplane import ControlPlane
from tests.controlplane.clusters import cluster, group
from tests.controlplane.processes import ServedWorld

State: TypeAlias = dict[str, Any]
"""Objects by kind and name, without what differs from one run to another."""

CLUSTERS = 4
HASTY = ("-m", "tests.controlplane.faults.hasty")
CHILDREN = 8
"""What one of the clusters has of ``KINDS``."""
KINDS = ("services", "deployments", "poddisruptionbudgets")
_GIVEN = {"clusterIP", "clusterIPs"}


@dataclass(frozen=True)
class Expected:
    """What a run without a fault came to.

    Attributes:
        state: In the end.
        slowness: How much longer than usual it took, at least 1: so much longer may a recovery take.
    """

    state: State
    slowness: float


@dataclass
class Trial(ServedWorld):
    """A namespace in which clusters are made while something goes wrong."""

    expected: Expected

    @property
    def plane(self) -> ControlPlane:
        """The servers, which are real."""
        assert isinstance(self.stage.plane, ControlPlane)
        return self.stage.plane

    async def clusters(self, first: int = 0, last: int = CLUSTERS) -> None:
        """Create those of these numbers."""
        for number in range(first, last):
            await self.create(cluster(f"c{number}", group("ocr", replicas=2), group("ner")))

    async def clear(self) -> None:
        """Delete them, and what belonged to them, as the garbage collector would."""
        await self._delete("marieclusters")
        # An operator that hears of its children's end first makes them again.
        await self.until("the operator has let go of them", self._let_go)
        for kind in KINDS:
            await self._delete(kind)

    async def _delete(self, kind: str) -> None:
        for item in await self.items(kind):
            await self.api.delete(self.path(kind, item["metadata"]["name"]))

    async def _let_go(self) -> bool:
        """Whether the operator knows of no cluster, and works for none that it has known."""
        metrics = await self.metrics()
        return all(
            f"{name} 0.0" in metrics
            for name in (
                'operator_cache_objects{resource="marieclusters.marie.ai"}',
                'controller_runtime_active_workers{controller="mariecluster"}',
            )
        )

    async def orphaned(self, cluster: str) -> None:
        """Delete what belonged to a cluster that is no more, as the garbage collector would."""
        for kind in KINDS:
            for item in await self.items(kind):
                if any(owner["name"] == cluster for owner in item["metadata"].get("ownerReferences", ())):
                    await self.api.delete(self.path(kind, item["metadata"]["name"]))

    async def complete(self) -> bool:
        """Whether every cluster has its children, and says that they start."""
        found = await self.state()
        starting = [each for each in found.values() if each.get("Ready") == ["False", "ServerStarting"]]
        return len(found) == CLUSTERS * (1 + CHILDREN) and len(starting) == CLUSTERS

    async def state(self) -> State:
        """What there is: what every object is meant to be, who owns it, and what the clusters say about themselves."""
        found: State = {}
        for kind in KINDS:
            for item in await self.items(kind):
                owners = [owner["name"] for owner in item["metadata"].get("ownerReferences", ())]
                lasting = {"labels": item["metadata"].get("labels", {}), "owners": owners, "spec": item["spec"]}
                found[f"{kind}/{item['metadata']['name']}"] = self._lasting(lasting)
        for item in await self.items("marieclusters"):
            conditions = item.get("status", {}).get("conditions", ())
            found[f"marieclusters/{item['metadata']['name']}"] = {
                each["type"]: [each["status"], each["reason"]] for each in conditions
            }
        return found

    async def recovered(self, within: float) -> None:
        """Wait until all is as without the fault, and the operator says that it is well.

        Args:
            within: The bound, in seconds of a machine that does nothing else.
        """
        bound = within * self.expected.slowness
        deadline = time.monotonic() + bound
        try:
            await self.until("all is as it should be", self._as_expected, timeout=bound)
        except AssertionError:
            # Which difference is left says more than that there is one.
            assert await self.state() == self.expected.state
            raise
        await self.until("ready", self.ready, timeout=max(deadline - time.monotonic(), 1.0))

    async def _as_expected(self) -> bool:
        return await self.state() == self.expected.state

    async def ready(self) -> bool:
        """Whether the operator says that it is."""
        return await self.readiness() == "ok"

    async def started(self) -> None:
        """Wait until the process has come up."""
        await self.until("ready", self.ready)

    async def readiness(self) -> str:
        """The answer of its readiness probe; empty when there is none."""
        return await _text(self.operator.health, "/readyz")

    async def metrics(self) -> str:
        """The answer of its metrics endpoint; empty when there is none."""
        return await _text(self.operator.metrics, "/metrics")

    async def told(self, where: Callable[[], Awaitable[str]], *words: str, within: float) -> None:
        """Wait until a probe, or the log, names a cause.

        Args:
            where: Asked until its answer holds the words.
            words: All of these, in one line.
            within: The bound, in seconds of a machine that does nothing else.
        """

        async def named() -> bool:
            return any(all(word in line for word in words) for line in (await where()).splitlines())

        await self.until(f"{' … '.join(words)} is told", named, timeout=within * self.expected.slowness)

    async def logged(self) -> str:
        """The operator's log."""
        return self.operator.log

    def log_from_now(self) -> Callable[[], Awaitable[str]]:
        """What the operator will have logged since; what it has told before, of another fault, does not count."""
        since = len(self.operator.log)

        async def logged() -> str:
            return self.operator.log[since:]

        return logged

    def through(self, port: int, *, authority: Path | None = None) -> str:
        """The option that leads the operator over a proxy.

        Args:
            port: The proxy's.
            authority: What its certificate is checked with; None for the API server's own.
        """
        config = json.loads(self.stage.plane.kubeconfig("operator").read_text(encoding="utf-8"))
        server = config["clusters"][0]["cluster"]
        server["server"] = f"https://127.0.0.1:{port}"
        if authority is not None:
            server["certificate-authority"] = str(authority)
        return self.configured(config)

    def configured(self, config: dict[str, Any]) -> str:
        """The option that has the operator use this kubeconfig."""
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps(config), encoding="utf-8")
        return f"--kubeconfig={path}"

    def _lasting(self, value: Any) -> Any:
        match value:
            case dict():
                return {name: self._lasting(each) for name, each in value.items() if name not in _GIVEN}
            case list():
                return [self._lasting(each) for each in value]
            case str():
                return value.replace(self.namespace, "NAMESPACE")
            case _:
                return value


async def _text(port: int, path: str) -> str:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
            return await response.text()
    except aiohttp.ClientError:
        return ""
