"""Nodes that die and come back, in virtual time; tests/controlplane/test_nodes.py shows the same on a real server."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing import virtual
from marie_operator.testing.api import Api
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.kubelet import FakeKubelet, NodeSpec
from marie_operator.testing.pod_status import is_ready
from marie_operator.testing.workloads import Periods, Workloads
from marie_operator.testing.workloads.health import tainted

pytestmark = pytest.mark.embedded

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
PODS, DEPLOYMENTS = "/api/v1/namespaces/default/pods", "/apis/apps/v1/namespaces/default/deployments"
USUAL = Periods()
LATE = USUAL.node_monitor + 5.0
"""Seconds within which all that is due has happened."""


class Cluster:
    """An API server, the controllers and a kubelet of some nodes."""

    def __init__(self, api: Api, kubelet: FakeKubelet) -> None:
        self.api, self.kubelet = api, kubelet

    async def run(self, name: str, node: str, **spec: Any) -> None:
        """A pod that is ready."""
        pod = {"nodeName": node, "containers": [{"name": "main", "image": "app"}], **spec}
        await self.api.create(PODS, {"metadata": {"name": name}, "spec": pod})
        await asyncio.sleep(1)
        assert is_ready(await self.pod(name))

    async def pod(self, name: str) -> Any:
        return await self.api.get(f"{PODS}/{name}")

    async def pods(self) -> dict[str, Any]:
        return {each["metadata"]["name"]: each for each in (await self.api.get(PODS))["items"]}

    async def node(self, name: str) -> Any:
        return await self.api.get(f"/api/v1/nodes/{name}")

    async def taints(self, name: str) -> set[str]:
        taints = (await self.node(name))["spec"].get("taints") or []
        return {f"{each['key'].removeprefix('node.kubernetes.io/')}:{each['effect']}" for each in taints}

    async def told(self, name: str) -> dict[str, str]:
        return {each["type"]: each["reason"] for each in (await self.node(name))["status"]["conditions"]}

    async def when(self, holds: Callable[[], Awaitable[bool]]) -> float:
        """Seconds until something holds."""
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(1000):
            while not await holds():
                await asyncio.sleep(0.25)
        return asyncio.get_running_loop().time() - began


def simulated(
    main: Callable[[Cluster], Coroutine[Any, Any, None]],
    nodes: Sequence[str] = ("a", "b"),
    zones: Mapping[str, str] | None = None,
) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()

        def now() -> datetime:
            return BEGINNING + timedelta(seconds=loop.time())

        zone = "topology.kubernetes.io/zone"
        specs = [NodeSpec(each, labels={zone: zones[each]} if zones else {}) for each in nodes]
        server = EmbeddedApiServer(seed=1, now=now)
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(server.direct())
            await stack.enter_async_context(Workloads(api, now=now))
            kubelet = await stack.enter_async_context(FakeKubelet(api, nodes=specs, now=now))
            await asyncio.sleep(1)
            await main(Cluster(api, kubelet))

    virtual.run(run)


def test_a_new_node_is_taken_into_service_and_a_dead_one_out_of_it_after_the_grace_period() -> None:
    async def main(cluster: Cluster) -> None:
        assert await cluster.taints("a") == set()
        await cluster.run("one", "a")
        await cluster.run("two", "b")
        cluster.kubelet.kill_node("a")

        async def lost() -> bool:
            return not is_ready(await cluster.node("a"))

        assert USUAL.node_grace - 2 <= await cluster.when(lost) <= USUAL.node_grace + LATE
        await asyncio.sleep(1)
        assert set((await cluster.told("a")).values()) == {"NodeStatusUnknown"}
        assert await cluster.taints("a") == {"unreachable:NoSchedule", "unreachable:NoExecute"}
        assert not is_ready(await cluster.pod("one"))
        assert is_ready(await cluster.pod("two"))
        assert await cluster.taints("b") == set()

    simulated(main)


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ([], 300),
        ([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 20}], 20),
        ([{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}], 0),
        ([{"operator": "Exists"}], None),
    ],
)
def test_a_pod_stays_on_a_lost_node_as_long_as_it_tolerates_that(tolerations: list[Any], seconds: float | None) -> None:
    async def main(cluster: Cluster) -> None:
        await cluster.run("one", "a", tolerations=tolerations)
        cluster.kubelet.kill_node("a")

        async def lost() -> bool:
            return "unreachable:NoExecute" in await cluster.taints("a")

        async def deleted() -> bool:
            return "deletionTimestamp" in (await cluster.pod("one"))["metadata"]

        await cluster.when(lost)
        if seconds is None:
            await asyncio.sleep(900)
            assert not await deleted()
            return
        assert seconds - 1 <= await cluster.when(deleted) <= seconds + 1
        conditions = (await cluster.pod("one"))["status"]["conditions"]
        (target,) = (each["reason"] for each in conditions if each["type"] == "DisruptionTarget")
        assert target == "DeletionByTaintManager"

    simulated(main)


def test_a_deployment_is_whole_again_elsewhere_and_what_it_left_behind_ends_when_the_node_is_back() -> None:
    async def main(cluster: Cluster) -> None:
        labels = {"app": "web"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
        spec = {"replicas": 4, "selector": {"matchLabels": labels}, "template": template}
        await cluster.api.create(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": spec})

        async def available() -> int:
            found: int = (await cluster.api.get(f"{DEPLOYMENTS}/web"))["status"].get("availableReplicas", 0)
            return found

        await asyncio.sleep(5)
        assert await available() == 4
        cluster.kubelet.kill_node("a")
        await asyncio.sleep(USUAL.node_grace + LATE)
        assert await available() == 2
        await asyncio.sleep(300 + LATE)
        assert await available() == 4
        pods = (await cluster.pods()).values()
        assert sorted(each["spec"]["nodeName"] for each in pods) == ["a"] * 2 + ["b"] * 4
        await cluster.kubelet.revive_node("a")
        await asyncio.sleep(LATE)
        assert await cluster.taints("a") == set()
        assert [each["spec"]["nodeName"] for each in (await cluster.pods()).values()] == ["b"] * 4

    simulated(main)


def test_a_node_that_returns_in_time_keeps_its_pods() -> None:
    async def main(cluster: Cluster) -> None:
        await cluster.run("one", "a")
        cluster.kubelet.kill_node("a")
        await asyncio.sleep(USUAL.node_grace + 200)
        assert await cluster.taints("a")
        await cluster.kubelet.revive_node("a")
        await asyncio.sleep(LATE)
        assert await cluster.taints("a") == set()
        assert is_ready(await cluster.pod("one"))
        await asyncio.sleep(900)
        assert is_ready(await cluster.pod("one"))

    simulated(main)


def test_when_all_nodes_are_lost_nothing_is_evicted() -> None:
    async def main(cluster: Cluster) -> None:
        await cluster.run("one", "a", tolerations=[{"operator": "Exists", "tolerationSeconds": 100}])
        cluster.kubelet.kill_node("a")
        await asyncio.sleep(USUAL.node_grace + LATE)
        assert "unreachable:NoExecute" in await cluster.taints("a")
        cluster.kubelet.kill_node("b")
        await asyncio.sleep(USUAL.node_grace + LATE)
        assert await cluster.taints("a") == await cluster.taints("b") == {"unreachable:NoSchedule"}
        await asyncio.sleep(900)
        assert "deletionTimestamp" not in (await cluster.pod("one"))["metadata"]
        # One is back: the other is lost indeed.
        await cluster.kubelet.revive_node("b")
        await asyncio.sleep(100 + USUAL.node_eviction + LATE)
        assert "deletionTimestamp" in (await cluster.pod("one"))["metadata"]

    simulated(main)


def test_the_nodes_of_a_zone_are_given_up_one_after_the_other() -> None:
    async def main(cluster: Cluster) -> None:
        for name in "abc":
            cluster.kubelet.kill_node(name)

        async def evicted() -> str:
            return "".join([each for each in "abc" if "unreachable:NoExecute" in await cluster.taints(each)])

        await asyncio.sleep(USUAL.node_grace + LATE)
        assert len(first := await evicted()) == 2
        assert "c" in first, "another zone has its own turn"
        await asyncio.sleep(USUAL.node_eviction)
        assert await evicted() == "abc"

    simulated(main, "abcdef", {"a": "east", "b": "east", "c": "west", "d": "east", "e": "east", "f": "west"})


def test_when_most_of_a_zone_is_lost_no_more_of_it_is_given_up() -> None:
    async def main(cluster: Cluster) -> None:
        for name in "abc":
            cluster.kubelet.kill_node(name)
        await asyncio.sleep(USUAL.node_grace + 20 * USUAL.node_eviction)
        taints = [await cluster.taints(each) for each in "abc"]
        assert sum("unreachable:NoExecute" in each for each in taints) <= 1
        assert all("unreachable:NoSchedule" in each for each in taints)

    simulated(main, "abcde")


def test_the_pods_of_a_deleted_node_end_a_while_later() -> None:
    async def main(cluster: Cluster) -> None:
        await cluster.run("one", "a")
        await cluster.run("two", "b")
        cluster.kubelet.kill_node("a")
        await cluster.api.delete("/api/v1/nodes/a")

        async def gone() -> bool:
            return list(await cluster.pods()) == ["two"]

        assert USUAL.orphan - 1 <= await cluster.when(gone) <= USUAL.orphan + 1
        assert not await cluster.api.exists("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a")

    simulated(main)


def test_pods_that_end_on_a_node_out_of_service_are_gone() -> None:
    async def main(cluster: Cluster) -> None:
        await cluster.run("one", "a")
        cluster.kubelet.kill_node("a")
        await asyncio.sleep(USUAL.node_grace + LATE)
        taints = (await cluster.node("a"))["spec"]["taints"]
        taints.append({"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"})
        await cluster.api.patch("/api/v1/nodes/a", {"spec": {"taints": taints}})
        await asyncio.sleep(LATE)
        assert await cluster.pods() == {}

    simulated(main)


def test_a_node_that_was_never_heard_of_is_never_used() -> None:
    async def main(cluster: Cluster) -> None:
        await cluster.api.create("/api/v1/nodes", {"metadata": {"name": "mute"}})
        assert await cluster.taints("mute") == {"not-ready:NoSchedule"}
        await asyncio.sleep(USUAL.node_startup_grace + LATE)
        assert set((await cluster.told("mute")).values()) == {"NodeStatusNeverUpdated"}
        assert await cluster.taints("mute") == {"unreachable:NoSchedule", "unreachable:NoExecute"}

    simulated(main)


def test_a_cordoned_node_is_tainted_as_long_as_it_is() -> None:
    async def main(cluster: Cluster) -> None:
        for unschedulable, taints in ((True, {"unschedulable:NoSchedule"}), (False, set())):
            await cluster.api.patch("/api/v1/nodes/a", {"spec": {"unschedulable": unschedulable}})
            await asyncio.sleep(1)
            assert await cluster.taints("a") == taints

    simulated(main)


def test_a_control_plane_that_stood_still_blames_no_node() -> None:
    async def main() -> None:
        server = EmbeddedApiServer(seed=1)
        process = virtual.Process()

        async def plane() -> None:
            async with server.direct() as api, Workloads(api), FakeKubelet(api, nodes=[NodeSpec("a"), NodeSpec("b")]):
                await asyncio.Event().wait()

        task = process.start(plane())
        await asyncio.sleep(10)
        async with server.direct() as api:
            process.stop()
            await asyncio.sleep(10 * USUAL.node_grace)
            process.resume()
            for _ in range(100):
                nodes = (await api.get("/api/v1/nodes"))["items"]
                assert [is_ready(each) for each in nodes] == [True, True]
                await asyncio.sleep(0.1)
        await process.kill()
        assert task.cancelled()

    virtual.run(main)


TAINTS = st.builds(
    lambda key, effect: {"key": key, "effect": effect},
    st.sampled_from(["gpu", "node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready", "example.com/own"]),
    st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"]),
)


@given(
    st.lists(TAINTS, unique_by=lambda each: (each["key"], each["effect"])),
    st.sampled_from(["True", "False", "Unknown"]),
    st.booleans(),
    st.booleans(),
)
def test_taints_settle_at_once_and_leave_alone_what_is_not_theirs(
    taints: list[Any], ready: str, unschedulable: bool, evicting: bool
) -> None:
    node: dict[str, Any] = {
        "spec": {"taints": taints, "unschedulable": unschedulable},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }
    found = tainted(node, evicting=evicting, at="now")
    assert tainted({**node, "spec": {**node["spec"], "taints": found}}, evicting=evicting, at="later") == found
    others = [each for each in taints if "node.kubernetes.io" not in each["key"]]
    assert [each for each in found if "node.kubernetes.io" not in each["key"]] == others
    keys = {each["key"].removeprefix("node.kubernetes.io/") for each in found if each["effect"] == "NoExecute"}
    expected = {"False": {"not-ready"}, "Unknown": {"unreachable"}}.get(ready, set()) if evicting else set()
    assert keys - {"gpu", "example.com/own"} == expected
