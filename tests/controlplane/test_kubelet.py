"""The fake kubelet at work: what controllers and operators see of pods that misbehave."""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from marie_operator.testing.api import Api
from marie_operator.testing.kubelet import Behaviour, FakeKubelet, NodeSpec, Pod
from marie_operator.testing.pod_status import is_ready
from tests.controlplane.installation import owners_known
from tests.controlplane.processes import ServedStage
from tests.controlplane.waiting import until


@dataclass
class Room:
    """A node of the test's own, and pods bound to it."""

    api: Api
    namespace: str
    node: str
    kubelet: FakeKubelet
    hooks: list[str]

    def path(self, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods" + (f"/{name}" if name else "")

    async def start(self, name: str, *, finalizers: tuple[str, ...] = (), **spec: Any) -> None:
        metadata = {"name": name, "finalizers": list(finalizers)}
        spec = {"nodeName": self.node, "containers": [{"name": "main", "image": "busybox"}], **spec}
        await self.api.create(self.path(), {"metadata": metadata, "spec": spec})

    async def pod(self, name: str) -> Pod:
        found: Pod = await self.api.get(self.path(name))
        return found

    async def container(self, name: str) -> dict[str, Any]:
        """Its container's status, empty as long as the kubelet has not reported any."""
        found: dict[str, Any] = (await self.pod(name))["status"].get("containerStatuses", [{}])[0]
        return found

    async def ready(self, name: str) -> None:
        async def holds() -> bool:
            # The hook follows the report.
            return is_ready(await self.pod(name)) and f"ready {name}" in self.hooks

        await until(f"{name} is ready", holds)

    async def phase(self, name: str, phase: str) -> None:
        async def holds() -> bool:
            return bool((await self.pod(name))["status"]["phase"] == phase)

        await until(f"{name} is {phase}", holds)

    async def gone(self, name: str) -> None:
        async def holds() -> bool:
            return not await self.api.exists(self.path(name))

        await until(f"{name} is gone", holds)


@pytest_asyncio.fixture(loop_scope="session")
async def room(stage: ServedStage, namespace: str) -> AsyncIterator[Room]:
    hooks: list[str] = []

    async def on_ready(pod: Pod) -> None:
        hooks.append(f"ready {pod['metadata']['name']}")

    async def on_gone(pod: Pod) -> None:
        hooks.append(f"gone {pod['metadata']['name']}")

    # Nothing but what is bound to it by name runs here.
    taint = {"key": "own", "value": namespace, "effect": "NoSchedule"}
    node = NodeSpec(f"own-{namespace}", {"example.com/gpu": "2"}, taints=[taint])
    kubelet = FakeKubelet(stage.api, nodes=[node], grace_scale=0.05, on_ready=on_ready, on_gone=on_gone)
    async with kubelet:
        room = Room(stage.api, namespace, node.name, kubelet, hooks)

        async def account() -> bool:
            return await stage.api.exists(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")

        await until("the namespace has its account", account)
        yield room
        await stage.api.delete(room.path(), {"gracePeriodSeconds": 0})
    await stage.api.delete(f"/api/v1/nodes/{node.name}")


async def test_a_node_offers_what_it_is_told_and_only_to_pods_that_tolerate_it(room: Room) -> None:
    gpus = {"resources": {"limits": {"example.com/gpu": "1"}}, "name": "main", "image": "busybox"}
    toleration = {"key": "own", "operator": "Equal", "value": room.namespace, "effect": "NoSchedule"}
    for number in range(3):
        await room.start(f"gpu-{number}", nodeName="", containers=[gpus], tolerations=[toleration])
    await room.start("intolerant", nodeName="", containers=[gpus])

    async def placed() -> bool:
        pods = (await room.api.get(room.path()))["items"]
        unplaced = [each for each in pods if not each["spec"].get("nodeName")]
        told = [each for each in unplaced if each.get("status", {}).get("conditions")]
        return sum(map(is_ready, pods)) == 2 and len(told) == 2

    await until("two of three pods run", placed)


async def test_a_crashing_container_is_restarted_with_back_off(room: Room) -> None:
    with room.kubelet.behaving(Behaviour(name="crash", runs=0.2, exit_code=137, backoff=0.2)):
        await room.start("crash")
        container: dict[str, Any] = {}

        async def crashed_twice() -> bool:
            nonlocal container
            container = await room.container("crash")
            return container.get("restartCount", 0) >= 2 and "waiting" in container["state"]

        await until("two restarts", crashed_twice)
    # As it was found: it runs again before long.
    assert container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert container["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert room.hooks[:4] == ["ready crash", "gone crash"] * 2


@pytest.mark.parametrize(("code", "condition"), [(0, "Complete"), (1, "Failed")])
async def test_a_job_ends_as_its_pod_does(room: Room, code: int, condition: str) -> None:
    path = f"/apis/batch/v1/namespaces/{room.namespace}/jobs"
    spec = {"nodeName": room.node, "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}
    with room.kubelet.behaving(Behaviour(name="work-*", namespace=room.namespace, runs=0.1, exit_code=code)):
        await room.api.create(
            path, {"metadata": {"name": "work"}, "spec": {"backoffLimit": 0, "template": {"spec": spec}}}
        )

        async def ended() -> bool:
            status = (await room.api.get(f"{path}/work"))["status"]
            return any(each["type"] == condition and each["status"] == "True" for each in status.get("conditions", ()))

        await until(f"the job is {condition}", ended)


async def test_an_image_that_cannot_be_pulled_keeps_the_pod_pending(room: Room) -> None:
    rule = Behaviour(image="busybox", namespace=room.namespace, waiting="ImagePullBackOff", message="not found")
    with room.kubelet.behaving(rule):
        await room.start("pull")

        async def reported() -> bool:
            return "state" in await room.container("pull")

        await until("the reason", reported)
    assert (await room.container("pull"))["state"]["waiting"] == {"reason": "ImagePullBackOff", "message": "not found"}
    assert (await room.pod("pull"))["status"]["phase"] == "Pending"
    assert not room.hooks


async def test_a_pod_that_ends_does_so_in_time_and_tells_before_it_goes(room: Room) -> None:
    with room.kubelet.behaving(Behaviour(name="deaf", stop=math.inf)):
        for name in ("polite", "deaf"):
            await room.start(name, finalizers=("example.com/held",), terminationGracePeriodSeconds=2)
            await room.ready(name)
        for name, code in (("polite", 143), ("deaf", 137)):
            await room.api.delete(room.path(name))
            await room.phase(name, "Failed")
            assert (await room.container(name))["state"]["terminated"]["exitCode"] == code
            await room.api.patch(room.path(name), {"metadata": {"finalizers": None}})
            await room.gone(name)
    assert room.hooks == ["ready polite", "ready deaf", "gone polite", "gone deaf"]


async def test_a_pod_deleted_by_force_has_ended(room: Room) -> None:
    await room.start("forced")
    await room.ready("forced")
    await room.api.delete(room.path("forced"), {"gracePeriodSeconds": 0})

    async def told() -> bool:
        return room.hooks == ["ready forced", "gone forced"]

    await until("the hook", told)


async def test_readiness_that_someone_else_took_is_given_back(room: Room) -> None:
    await room.start("late")
    await room.ready("late")
    unready = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    await room.api.patch(f"{room.path('late')}/status", unready)
    await room.ready("late")
    assert room.hooks == ["ready late"]


async def test_a_dead_node_is_noticed_and_starts_its_pods_anew_when_it_is_back(room: Room) -> None:
    node = f"/api/v1/nodes/{room.node}"
    await room.start("kept")
    await room.ready("kept")

    room.kubelet.kill_node(room.node)

    async def lost() -> bool:
        return not is_ready(await room.api.get(node)) and not is_ready(await room.pod("kept"))

    await until("the node is lost", lost)
    assert room.hooks == ["ready kept", "gone kept"]

    await room.kubelet.revive_node(room.node)

    async def back() -> bool:
        return room.hooks == ["ready kept", "gone kept", "ready kept"] and is_ready(await room.pod("kept"))

    await until("the pod runs again", back)
    assert is_ready(await room.api.get(node))


async def test_a_pod_deleted_while_the_server_was_away_is_noticed(stage: ServedStage, room: Room) -> None:
    await room.start("missed")
    await room.ready("missed")
    await stage.plane.kill_apiserver()
    await stage.plane.start_apiserver()
    await room.api.delete(room.path("missed"), {"gracePeriodSeconds": 0})

    async def told() -> bool:
        return room.hooks == ["ready missed", "gone missed"]

    await until("the hook", told)
    # Who comes next must be able to work.
    await owners_known(stage.plane)


async def test_a_hook_that_fails_is_told(stage: ServedStage, namespace: str) -> None:
    reached: list[str] = []

    async def broken(pod: Pod) -> None:
        reached.append(pod["metadata"]["name"])
        raise ValueError("the hook is broken")

    # No pod but the test's own may end up on it.
    taint = {"key": "own", "value": namespace, "effect": "NoSchedule"}
    node = NodeSpec(f"broken-{namespace}", taints=[taint])
    kubelet = FakeKubelet(stage.api, nodes=[node], on_ready=broken)
    room = Room(stage.api, namespace, node.name, kubelet, [])

    async def started() -> bool:
        await room.start("pod")
        return True

    async def told() -> bool:
        return reached == ["pod"]

    async def run() -> None:
        async with kubelet:
            await until("the pod is made", started)
            await until("the hook", told)

    with pytest.raises(ExceptionGroup, match="the kubelet failed") as failure:
        await run()
    assert failure.group_contains(ValueError, match="the hook is broken")
    await stage.api.delete(room.path("pod"), {"gracePeriodSeconds": 0})
    await stage.api.delete(f"/api/v1/nodes/{node.name}")
