"""When a cluster and its children are as they were when nothing differed."""

import copy
from typing import Any

import pytest

from marie_operator.controllers.mariecluster.settled import Settled
from marie_operator.runtime.resource import DEPLOYMENTS, SERVICES, Object, ObjectKey
from tests.controllers.mariecluster.seen import children, cluster

DEPLOYMENT, SERVICE = (DEPLOYMENTS, "c-server"), (SERVICES, "c-server-svc")


def live() -> dict[Any, Object]:
    found: dict[Any, Object] = copy.deepcopy(children(cluster(), {}))
    for (resource, _), each in found.items():
        each["metadata"] |= {"resourceVersion": "5"} | ({"generation": 1} if resource == DEPLOYMENTS else {})
    return found


def changed(identity: Any, **metadata: Any) -> dict[Any, Object]:
    found = live()
    found[identity]["metadata"] |= metadata
    return found


def test_it_holds_until_something_may_differ() -> None:
    settled = Settled()
    assert not settled.holds(cluster(), live(), {})
    settled.note(cluster(), live(), {})
    assert settled.holds(cluster(), live(), {})
    settled.forget(ObjectKey("n", "c"))
    assert not settled.holds(cluster(), live(), {})


def test_a_change_of_status_alone_is_none() -> None:
    settled = Settled()
    settled.note(cluster(), live(), {})
    later = changed(DEPLOYMENT, resourceVersion="9")
    later[DEPLOYMENT]["status"] = {"readyReplicas": 1}
    assert settled.holds(cluster(), later, {})


@pytest.mark.parametrize(
    "later",
    [
        changed(DEPLOYMENT, generation=2),
        changed(DEPLOYMENT, labels={}),
        changed(DEPLOYMENT, annotations={"a": "b"}),
        changed(DEPLOYMENT, ownerReferences=[]),
        changed(DEPLOYMENT, deletionTimestamp="2026-01-01T00:00:00Z"),
        changed(DEPLOYMENT, uid="another"),
        changed(SERVICE, resourceVersion="6"),
        {identity: each for identity, each in live().items() if identity != SERVICE},
    ],
    ids=["spec", "labels", "annotations", "owner", "deleted", "made anew", "service", "gone"],
)
def test_a_child_that_may_differ_is_compared(later: dict[Any, Object]) -> None:
    settled = Settled()
    settled.note(cluster(), live(), {})
    assert not settled.holds(cluster(), later, {})


def test_a_cluster_that_may_want_something_else_is_built() -> None:
    settled = Settled()
    settled.note(cluster(), live(), {})
    for update in ({"generation": 3}, {"annotations": {"a": "b"}}, {"labels": {"a": "b"}}, {"uid": "another"}):
        metadata = cluster().metadata.model_copy(update=update)
        assert not settled.holds(cluster().model_copy(update={"metadata": metadata}), live(), {})
