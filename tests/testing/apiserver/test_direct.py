"""Without sockets: the server, the simulators and their client in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from marie_operator.testing import manifests, virtual
from marie_operator.testing.api import ApiStatus, ApiUnreachable
from marie_operator.testing.apiserver.authorization import User
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.faults import Fault, cut, delay, drop, refuse
from marie_operator.testing.workloads import Workloads

CRDS = Path(__file__).parents[3] / "config" / "crd"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def simulated(main: Callable[[EmbeddedApiServer, Callable[[], datetime]], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        loop = asyncio.get_running_loop()

        def now() -> datetime:
            return BEGINNING + timedelta(seconds=loop.time())

        return await main(EmbeddedApiServer(seed=1, now=now, users={"nobody": User("nobody")}), now)

    return virtual.run(run)


def deployment(replicas: int, name: str = "web") -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def test_an_hour_of_a_control_plane_takes_no_time_and_two_of_a_seed_are_alike() -> None:
    async def main(server: EmbeddedApiServer, now: Callable[[], datetime]) -> Any:
        async with server.direct() as api, Workloads(api, now=now):
            await manifests.apply(api, manifests.read(CRDS))
            await api.create(DEPLOYMENTS, deployment(3))
            await asyncio.sleep(3600)
            return await api.get(PODS), [str(each) for each in server.audit.requests()]

    first, second = simulated(main), simulated(main)
    assert len(first[0]["items"]) == 3
    assert first == second


def test_a_refusal_is_the_same_without_sockets() -> None:
    async def main(server: EmbeddedApiServer, _: Any) -> None:
        async with server.direct("nobody") as api:
            with pytest.raises(ApiStatus, match='pods is forbidden: User "nobody" cannot list resource "pods"'):
                await api.get(PODS)

    simulated(main)


def test_faults_reach_who_has_no_connection() -> None:
    async def main(server: EmbeddedApiServer, _: Any) -> float:
        faults = server.server.faults
        faults.append(Fault(drop(), verbs={"get"}, times=1))
        faults.append(Fault(delay(120), verbs={"create"}))
        faults.append(Fault(cut(after=1), verbs={"watch"}))
        seen = set()
        async with server.direct() as api:
            with pytest.raises(ApiUnreachable):
                await api.get(f"{DEPLOYMENTS}/web")
            created = [asyncio.create_task(api.create(DEPLOYMENTS, deployment(0, each))) for each in "abc"]
            async for _, found in api.watch(DEPLOYMENTS):
                seen.add(found["metadata"]["name"])
                if len(seen) == len(created):
                    break
            await asyncio.gather(*created)
        return asyncio.get_running_loop().time()

    assert simulated(main) >= 120


def test_kinds_are_applied_once_they_are_known_and_their_objects_can_be_watched() -> None:
    async def main(server: EmbeddedApiServer, _: Any) -> None:
        filling = Fault(refuse(429), verbs={"list"}, resources={"mariejobs"}, times=3)
        server.server.faults.append(filling)
        async with server.direct() as api:
            await manifests.apply(api, manifests.read(CRDS))
            assert len(filling.met) == 3
            teapot = {"apiVersion": "marie.ai/v1alpha1", "kind": "Teapot", "metadata": {"name": "t"}}
            with pytest.raises(LookupError, match="has no kind Teapot"):
                await manifests.apply(api, [teapot])

    simulated(main)


def test_a_server_like_another_begins_with_its_state_and_goes_its_own_way() -> None:
    clusters = "/apis/marie.ai/v1alpha1/namespaces/default/marieclusters"
    cluster = {"apiVersion": "marie.ai/v1alpha1", "kind": "MarieCluster", "metadata": {"name": "c"}, "spec": {}}

    async def main(server: EmbeddedApiServer, now: Callable[[], datetime]) -> None:
        async with server.direct() as api:
            await manifests.apply(api, manifests.read(CRDS))
            await api.create(DEPLOYMENTS, deployment(3))
            copy = EmbeddedApiServer(seed=2, now=now, like=server)
            async with copy.direct() as other:
                assert await other.get(DEPLOYMENTS) == await api.get(DEPLOYMENTS)
                with pytest.raises(ApiStatus, match="serverSpec: Required value"):
                    await other.create(clusters, cluster)
                await other.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 1}})
                await other.create(DEPLOYMENTS, deployment(1, "other"))
            assert (await api.get(f"{DEPLOYMENTS}/web"))["spec"]["replicas"] == 3
            with pytest.raises(ApiStatus, match="not found"):
                await api.get(f"{DEPLOYMENTS}/other")

    simulated(main)
