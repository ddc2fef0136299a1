"""The operator as the only one of its kind, on a network without faults, for tests that tell a story."""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from marie_operator.marie.database import Connect
from marie_operator.testing import manifests, virtual
from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.audit import Request
from marie_operator.testing.gateway import SimulatedGateways
from marie_operator.testing.gateway.identity import VERSION
from marie_operator.testing.kubelet import FakeKubelet
from marie_operator.testing.workloads import ALL, Controller
from tests.simulation.replica import Replica
from tests.simulation.stored import Stored
from tests.simulation.submitters import Submitters
from tests.simulation.world import OPERATOR, World, installed

MARIE = "/apis/marie.ai/v1alpha1/namespaces/default"


@dataclass
class Plane:
    """What a test acts on."""

    server: EmbeddedApiServer
    api: Api
    gateways: SimulatedGateways
    kubelet: FakeKubelet
    submitters: Submitters
    replica: Replica
    keys: list[str]
    objects: Stored

    @classmethod
    def of(cls, world: World) -> "Plane":
        """What a test acts on in a world with one replica of the operator."""
        (replica,) = world.replicas
        return cls(
            world.server,
            world.api,
            world.gateways,
            world.kubelet,
            world.submitters,
            replica,
            world.keys,
            world.objects,
        )

    def path(self, kind: str, name: str = "") -> str:
        root = {
            "deployments": "/apis/apps/v1/namespaces/default",
            "statefulsets": "/apis/apps/v1/namespaces/default",
            "marieclusters": MARIE,
            "mariejobs": MARIE,
            "jobs": "/apis/batch/v1/namespaces/default",
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
            jobs = (await self.api.get(self.path("mariejobs")))["items"]
            found = {each["metadata"]["name"]: each.get("status") for each in (*clusters, *jobs)}
            raise AssertionError(json.dumps(found, indent=1)) from None
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


def run(
    main: Callable[[Plane], Coroutine[Any, Any, None]],
    *,
    connect: Connect | None = None,
    version: str = VERSION,
    controllers: Sequence[type[Controller]] = ALL,
) -> None:
    """Run a test's story with everything around it.

    Args:
        main: The story.
        connect: Makes the operator's connections to databases; None where it uses none.
        version: Of Marie.
        controllers: Of the controller manager and the scheduler.
    """
    origin = installed()

    async def told() -> None:
        source = random.Random(1)
        async with World(origin, source, connect=connect, version=version, controllers=controllers) as world:
            for replica in world.replicas:
                replica.start()
            await main(Plane.of(world))

    virtual.run(told)
