"""Changes that replace pods, end to end: when they are made, and what becomes of the documents in hand.

Whichever Marie it is; what only Marie 5 can do is in test_pause.
"""

import asyncio
from typing import Any

import pytest

from marie_operator.testing.apiserver.answers import Answer, refused
from marie_operator.testing.apiserver.errors import Refusal
from marie_operator.testing.apiserver.faults import Fault, Serve, refuse
from marie_operator.testing.apiserver.requests import Call
from marie_operator.testing.kubelet import Behaviour
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster
from tests.controllers.mariecluster.test_executors import at_work, batch, dags, done, notes, scale, size, take

VERSIONS = ("4.0.0", "5.0.0")
pytestmark = [pytest.mark.embedded, pytest.mark.parametrize("version", VERSIONS)]

NEW = "marieai/marie:4.0.1"
BROKEN = "marieai/marie:broken"
MISTAKES = {
    "pull": Behaviour(image=BROKEN, waiting="ImagePullBackOff", message="no such image"),
    "crash": Behaviour(image=BROKEN, runs=1.0, exit_code=3),
}


def template(image: str = NEW) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "marie", "image": image}]}}


async def change_server(plane: Plane, image: str = NEW, **spec: Any) -> None:
    await plane.patch("marieclusters", "c", {"spec": {"serverSpec": {"template": template(image)}, **spec}})


async def change_group(plane: Plane, image: str = NEW, **pod: Any) -> None:
    (group,) = (await plane.get("marieclusters", "c"))["spec"]["executorGroupSpecs"]
    changed = template(image)
    changed["spec"] |= pod
    await plane.patch("marieclusters", "c", {"spec": {"executorGroupSpecs": [{**group, "template": changed}]}})


async def late_one(plane: Plane) -> None:
    """A document that comes late is processed."""
    (late,) = batch(1)
    late["metadata"]["name"] = "late"
    await plane.apply(late)
    await plane.until(lambda: done(plane), seconds=120)


async def nothing_waits(plane: Plane) -> bool:
    conditions = (await plane.get("marieclusters", "c"))["status"]["conditions"]
    return "UpgradePending" not in {each["type"] for each in conditions}


async def begun(plane: Plane) -> bool:
    return any(node.attempts for dag in dags(plane) for node in dag.nodes if not node.is_noop)


async def image(plane: Plane, name: str = "c-server") -> str:
    live = await plane.get("deployments", name)
    return str(live["spec"]["template"]["spec"]["containers"][0]["image"])


async def is_new(plane: Plane, name: str = "c-server") -> bool:
    return await image(plane, name) == NEW


def attempts(plane: Plane) -> list[int]:
    return [node.attempts for dag in dags(plane) for node in dag.nodes if not node.is_noop]


async def submitted(plane: Plane, name: str) -> tuple[str, str] | None:
    found = (await plane.get("mariejobs", name)).get("status", {}).get("conditions", ())
    return next(((each["status"], each["reason"]) for each in found if each["type"] == "Submitted"), None)


@pytest.mark.kuberay("KU-26")
def test_a_change_waits_for_documents_in_hand_and_new_ones_wait_for_it(version: str) -> None:
    async def story(plane: Plane) -> None:
        watch = await at_work(plane, 2, busy=2, seconds=60.0)
        await change_server(plane)
        await change_group(plane)
        told = await plane.condition("c", "UpgradePending", reason="WorkInHand", seconds=15)
        assert told["message"].startswith(
            "The change of c-server, c-executor-extract waits until Marie is done with 2 documents, at most until 20"
        )
        assert await notes(plane, "UpgradeWaits") == [told["message"]]
        (late,) = batch(1)
        late["metadata"]["name"] = "late"
        await plane.apply(late)

        async def waits() -> bool:
            return await submitted(plane, "late") == ("False", "ClusterChanging")

        await plane.until(waits, seconds=10)
        assert (await image(plane), len(dags(plane))) == ("marieai/marie:4.0.0", 2)
        await plane.condition("c", "Ready")

        await plane.until(lambda: is_new(plane), seconds=90)
        assert await is_new(plane, "c-executor-extract")
        # What only marks the end of a DAG resumes after a restart (MA-21).
        assert {node.state for dag in dags(plane) for node in dag.nodes if not node.is_noop} == {"completed"}
        await plane.until(lambda: nothing_waits(plane), seconds=10)
        await plane.until(lambda: done(plane), seconds=180)
        # The one that was late may have met an executor of before the change, which goes pod by pod.
        assert attempts(plane)[:2] == [1, 1]
        assert watch.busy == []
        assert await notes(plane, "UpgradeForced") == []

    run(story, version=version)


def test_a_cluster_at_rest_is_changed_within_seconds_and_nothing_is_told_of_waiting(version: str) -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        await change_server(plane)
        await plane.until(lambda: is_new(plane), seconds=8)
        await asyncio.sleep(60)
        await plane.condition("c", "Ready")
        assert await nothing_waits(plane)

    run(story, version=version)


def test_a_deadline_ends_the_wait_and_the_event_says_what_was_in_hand(version: str) -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=600.0)
        await change_server(plane, upgradeStrategy={"deadlineSeconds": 60})
        await plane.condition("c", "UpgradePending", seconds=15)
        await asyncio.sleep(50)
        assert not await is_new(plane)
        await plane.until(lambda: is_new(plane), seconds=20)
        assert await notes(plane, "UpgradeForced") == ["c-server changed at the deadline, with 1 document in hand."]
        await plane.until(lambda: nothing_waits(plane), seconds=10)

    run(story, version=version)


def test_an_immediate_change_waits_for_nothing(version: str) -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=600.0)
        await change_server(plane)
        await plane.condition("c", "UpgradePending", seconds=15)
        await plane.patch("marieclusters", "c", {"spec": {"upgradeStrategy": {"type": "Immediate"}}})
        await plane.until(lambda: is_new(plane), seconds=3)
        assert await notes(plane, "UpgradeForced") == []

    run(story, version=version)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_server_that_does_not_start_makes_its_correction_wait_for_nothing(mistake: str, version: str) -> None:
    async def story(plane: Plane) -> None:
        take(plane, seconds=600.0)
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        with plane.kubelet.behaving(MISTAKES[mistake]):
            await change_server(plane, BROKEN)
            await plane.condition("c", "ServerPodReady", "False", reason="ServerFailing", seconds=300)
            await plane.apply(*batch(1))
            await change_server(plane)
            await plane.until(lambda: is_new(plane), seconds=3)
        await plane.condition("c", "Ready", seconds=600)

    run(story, version=version)


def test_a_group_s_change_goes_on_where_its_rollout_has_begun_or_nothing_of_it_works(version: str) -> None:
    async def story(plane: Plane) -> None:
        take(plane, seconds=600.0)
        await plane.apply(cluster(backingServices=MANAGED))
        await plane.condition("c", "Ready")
        with plane.kubelet.behaving(MISTAKES["pull"]):
            await change_group(plane, BROKEN)
            await plane.condition("c", "AllExecutorsReady", "False", reason="ExecutorsFailing", seconds=120)
            await plane.apply(*batch(1))
            await plane.until(lambda: begun(plane))
            await change_group(plane)
            await plane.until(lambda: is_new(plane, "c-executor-extract"), seconds=3)

    run(story, version=version)


def test_a_change_of_what_pods_are_not_made_of_waits_for_nothing(version: str) -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=600.0)
        await scale(plane, 2)
        await plane.until(lambda: size(plane, 2), seconds=10)

    run(story, version=version)


def test_an_environment_variable_that_is_taken_away_is_a_change_that_waits(version: str) -> None:
    async def story(plane: Plane) -> None:
        take(plane, seconds=60.0)
        made = cluster(backingServices=MANAGED)
        with_variable = template("marieai/marie:4.0.0")
        with_variable["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
        made["spec"]["serverSpec"]["template"] = with_variable
        await plane.apply(made)
        await plane.condition("c", "Ready")
        await plane.apply(*batch(1))
        await plane.until(lambda: begun(plane))
        await change_server(plane, "marieai/marie:4.0.0")
        await plane.condition("c", "UpgradePending", seconds=15)
        await plane.until(lambda: done(plane), seconds=120)
        assert attempts(plane) == [1]

    run(story, version=version)


@pytest.mark.parametrize("busy", [0, 1])
def test_nothing_waits_for_a_change_that_the_api_server_refuses(busy: int, version: str) -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 2, busy=busy, seconds=60.0)
        await change_server(plane)
        await change_group(plane, dnsPolicy="Sometimes")
        told = await plane.condition("c", "Ready", "False", reason="ChildRefused", seconds=10)
        assert 'spec.template.spec.dnsPolicy: Unsupported value: "Sometimes"' in told["message"]
        # The other change is made as if there were none that is refused.
        await plane.until(lambda: is_new(plane), seconds=90)
        await plane.until(lambda: nothing_waits(plane), seconds=60)
        await asyncio.sleep(30)

        since = plane.server.audit.mark()
        await late_one(plane)
        await asyncio.sleep(300)
        still = await plane.condition("c", "Ready", "False", reason="ChildRefused", seconds=1)
        assert still["lastTransitionTime"] == told["lastTransitionTime"]
        assert await nothing_waits(plane)
        tried = [each for each in plane.server.audit.requests(since=since) if "dryRun=All" in each.path]
        assert 1 < len(tried) < 30
        assert not [each for each in plane.writes(since) if each.resource == "deployments"]

        await change_group(plane)
        await plane.until(lambda: is_new(plane, "c-executor-extract"), seconds=90)
        await plane.condition("c", "Ready")

    run(story, version=version)


@pytest.mark.parametrize("code", [400, 403])
def test_what_a_webhook_without_dry_runs_refuses_is_heard_once_and_waited_for_no_more(code: int, version: str) -> None:
    made: list[Call] = []

    async def webhook(call: Call, _: Serve) -> Answer:
        if "dryRun" in call.query:
            return refused(Refusal(400, 'admission webhook "p.example.com" does not support dry run'))
        made.append(call)
        return refused(Refusal(code, 'admission webhook "p.example.com" denied the request: not this image'))

    async def story(plane: Plane) -> None:
        await at_work(plane, 2, busy=0, seconds=60.0)
        plane.server.server.faults.append(Fault(webhook, verbs={"patch"}, name="c-executor-extract"))
        await change_group(plane)
        told = await plane.condition("c", "Ready", "False", reason="ChildRefused", seconds=60)
        assert "not this image" in told["message"]
        await late_one(plane)
        await asyncio.sleep(300)
        still = await plane.condition("c", "Ready", "False", reason="ChildRefused", seconds=1)
        assert still["lastTransitionTime"] == told["lastTransitionTime"]
        assert await nothing_waits(plane)
        assert len(made) == 1

    run(story, version=version)


@pytest.mark.parametrize("code", [400, 403])
def test_a_denial_is_none_of_a_webhook_without_dry_runs_and_nothing_waits_for_it(code: int, version: str) -> None:
    async def story(plane: Plane) -> None:
        await at_work(plane, 1, busy=1, seconds=30.0)
        denied = refuse(code, 'admission webhook "p.example.com" denied the request: not this image')
        plane.server.server.faults.append(Fault(denied, verbs={"patch"}, name="c-executor-extract"))
        await change_group(plane)
        told = await plane.condition("c", "Ready", "False", reason="ChildRefused", seconds=10)
        assert "not this image" in told["message"]
        assert await nothing_waits(plane)
        await late_one(plane)

    run(story, version=version)
