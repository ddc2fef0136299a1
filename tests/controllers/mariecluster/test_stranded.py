"""Which pods of managed services are made anew, since nobody else would."""

from typing import Any

import pytest

from marie_operator.controllers.mariecluster import stranded
from marie_operator.runtime.resource import STATEFUL_SETS
from marie_operator.testing.apiserver.answers import Answer
from marie_operator.testing.apiserver.authorization import ADMIN
from marie_operator.testing.apiserver.faults import Fault, Serve
from marie_operator.testing.apiserver.requests import Call
from marie_operator.testing.kubelet import Behaviour
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import cluster
from tests.controllers.mariecluster.test_executors import notes

WAITS = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}


def stateful_set(*, observed: int = 2) -> dict[str, Any]:
    return {
        "metadata": {"name": "c-postgres", "uid": "set", "generation": 2},
        "status": {"observedGeneration": observed, "updateRevision": "c-postgres-new"},
    }


def pod(*, revision: str = "c-postgres-old", owner: str = "set", state: Any = WAITS, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "c-postgres-0",
            "labels": {"controller-revision-hash": revision},
            "ownerReferences": [{"uid": owner, "controller": True}],
            **metadata,
        },
        "status": {"phase": "Pending", "containerStatuses": [{"name": "postgres", "state": state}]},
    }


def is_stranded(found: dict[str, Any], **of: Any) -> bool:
    return stranded.pods({(STATEFUL_SETS, "c-postgres"): stateful_set(**of)}, [found]) == [found]


def test_one_that_cannot_start_and_is_of_an_earlier_template_is() -> None:
    assert is_stranded(pod())
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    crashing = pod(state={"waiting": {"reason": "CrashLoopBackOff"}})
    crashing["status"]["containerStatuses"][0]["lastState"] = ended
    assert is_stranded(crashing)


@pytest.mark.parametrize(
    "other",
    [
        pod(revision="c-postgres-new"),
        pod(owner="another"),
        pod(state={"waiting": {"reason": "ContainerCreating"}}),
        pod(state={"running": {"startedAt": "2026-01-01T00:00:00Z"}}),
        pod(deletionTimestamp="2026-01-01T00:00:00Z"),
    ],
)
def test_no_other_is(other: dict[str, Any]) -> None:
    assert not is_stranded(other)


def test_none_is_before_the_controller_has_seen_the_template() -> None:
    assert not is_stranded(pod(), observed=1)


@pytest.mark.embedded
def test_an_image_that_was_wrong_is_corrected_although_the_controller_waits_for_its_pod() -> None:
    async def waits(call: Call, serve: Serve) -> Answer:
        # A kubelet says at once that a pod is gone; the controller of StatefulSets asks for its end, and here in vain.
        return await serve(call) if b'"gracePeriodSeconds":0' in call.body else Answer(200, b'{"metadata":{}}')

    def wanted(image: str) -> dict[str, Any]:
        return cluster(backingServices={"etcd": {"managed": {}}, "postgres": {"managed": {"image": image}}})

    async def story(plane: Plane) -> None:
        plane.server.server.faults.append(
            Fault(waits, verbs={"delete"}, resources={"pods"}, name="c-postgres-0", user=ADMIN.name)
        )
        with plane.kubelet.behaving(Behaviour(image="wrong", waiting="ImagePullBackOff", message="no such image")):
            await plane.apply(wanted("wrong"))
            await plane.condition("c", "PostgresReady", "False", reason="ServiceFailing")
            await plane.apply(wanted("right"))
            await plane.condition("c", "Ready")
        what = "Deleted Pod c-postgres-0, which cannot start and is of an earlier template."
        assert what in await notes(plane, "Deleted")

    run(story)
