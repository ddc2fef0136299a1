from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.api.conditions import ClusterReason
from marie_operator.api.mariecluster import MarieCluster, MarieClusterStatus
from marie_operator.controllers.mariecluster import status
from marie_operator.controllers.mariecluster.executors import GroupView
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.controllers.mariecluster.status import DETAIL_INTERVAL
from marie_operator.marie.dialect import Dialect
from marie_operator.marie.gateways import GatewayView
from marie_operator.runtime.resource import DEPLOYMENTS
from tests.controllers.mariecluster.seen import NOW, RUNNING, cluster, pod, seen

ALL_READY = {"c-server": 1, "c-executor-ocr": 1}


def condition(found: MarieClusterStatus, kind: str) -> tuple[str, str, str]:
    item = next(each for each in found.conditions if each.type == kind)
    return item.status, item.reason, item.message


def test_a_new_cluster_is_creating() -> None:
    found = status.of(seen(cluster(), gateway=None))
    assert found.phase == "Creating"
    assert found.observed_generation == 2
    assert found.server_ready is False
    assert condition(found, "Ready") == ("False", "ServerStarting", "The server's pod is starting.")
    assert (found.desired_executor_replicas, found.ready_executor_replicas) == (1, 0)


def test_all_ready_is_running_and_provisioned() -> None:
    found = status.of(seen(cluster(), ALL_READY))
    assert found.phase == "Running"
    assert {each.type: each.status for each in found.conditions} == {
        "Ready": "True",
        "MarieClusterProvisioned": "True",
        "ServerPodReady": "True",
        "AllExecutorsReady": "True",
        "Suspended": "False",
    }


@pytest.mark.parametrize(
    ("gateway", "reason"),
    [
        (GatewayView(problem="nobody answers"), "GatewayUnreachable"),
        (GatewayView(reachable=True, problem="not yet"), "SchedulerStopped"),
    ],
)
@pytest.mark.kuberay("KU-13")
def test_a_ready_pod_without_a_running_scheduler_is_no_ready_server(gateway: GatewayView, reason: str) -> None:
    found = status.of(seen(cluster(), ALL_READY, gateway=gateway))
    assert found.server_ready is False
    assert condition(found, "Ready") == ("False", reason, gateway.problem)


def test_an_operator_that_has_not_asked_yet_keeps_what_was_known() -> None:
    fifth = GatewayView(reachable=True, running=True, dialect=Dialect("5.0.0", operations=True, readiness=True))
    known = status.of(seen(cluster(), ALL_READY, gateway=fifth)).model_dump(mode="json", by_alias=True)
    assert known["serverInfo"]["marieVersion"] == "5.0.0 (operations API)"
    again = cluster(status=known)
    assert status.of(seen(again, ALL_READY, gateway=None)) == again.status


@pytest.mark.parametrize(("pods", "kept"), [(2, (1, 1)), (3, (None, None)), (0, (None, None))])
def test_who_works_is_kept_for_as_many_pods_as_it_was_told_of(pods: int, kept: tuple[int | None, int | None]) -> None:
    def look(known: Any, view: GroupView) -> MarieClusterStatus:
        return status.of(replace(seen(cluster(status=known), ALL_READY), groups={"ocr": view}))

    known = look(None, GroupView(2, 1, 1, "")).model_dump(mode="json", by_alias=True)
    found = look(known, GroupView(pods, None, None, "")).executor_group_statuses["ocr"]
    assert (found.busy_replicas, found.idle_replicas) == kept


def test_one_pool_waits_and_says_for_which_pod() -> None:
    waiting = {"name": "marie", "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    broken = pod("c-executor-ner-1", "executor", "ner", containerStatuses=[waiting])
    two = cluster({"groupName": "ocr"}, {"groupName": "ner", "replicas": 2})
    found = status.of(seen(two, {**ALL_READY, "c-executor-ner": 1}, pods=[broken]))
    assert condition(found, "Ready") == (
        "False",
        "ExecutorsFailing",
        "Waiting for executors: ner: 1 of 2 ready (pod c-executor-ner-1, container marie: ErrImagePull: not found).",
    )


def test_a_pod_that_fits_on_no_node_says_so() -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "message": "0/2 nodes: Insufficient nvidia.com/gpu."}
    found = status.of(seen(cluster(), pods=[pod("c-server-1", "server", conditions=[scheduled])]))
    assert condition(found, "ServerPodReady")[2] == (
        "The server does not start: pod c-server-1 cannot be scheduled: 0/2 nodes: Insufficient nvidia.com/gpu."
    )


def test_a_server_is_its_pod_that_is_there_to_stay() -> None:
    going = pod("c-server-2", "server", phase="Running")
    going["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "creationTimestamp": "2026-01-01T00:00:00Z"}
    left = [pod("c-server-1", "server", phase="Pending", podIP="10.0.0.1"), going]
    info = status.of(seen(cluster(), pods=left)).server_info
    assert info is not None
    assert info.pod_name == "c-server-1"


def test_suspension_waits_for_the_pods_to_go() -> None:
    off = cluster(suspend=True)
    found = status.of(seen(off, {"c-server": 1}))
    assert found.phase == "Suspended"
    assert condition(found, "Suspended") == ("False", "Suspending", "Waiting for 1 pod to end.")
    # Pods that are being deleted count no longer in a Deployment's status.
    pods = [pod("c-server-1", "server"), pod("c-ocr-1", "executor", "ocr"), pod("c-etcd-0", "etcd")]
    found = status.of(seen(off, pods=pods))
    assert condition(found, "Suspended") == ("False", "Suspending", "Waiting for 3 pods to end.")
    ended = [pod("c-ocr-1", "executor", "ocr", phase="Failed"), pod("mine", "stranger")]
    assert condition(status.of(seen(off, pods=ended)), "Suspended")[:2] == ("True", "Suspended")


def test_a_cluster_that_is_resumed_is_provisioned_anew() -> None:
    def told(ready: dict[str, int], before: Any, *, suspend: bool = False) -> Any:
        known = before.model_dump(mode="json", by_alias=True)
        return status.of(seen(cluster(suspend=suspend, status=known), ready))

    off = told({}, status.of(seen(cluster(), ALL_READY)), suspend=True)
    assert condition(off, "MarieClusterProvisioned")[:2] == ("False", "Suspended")
    server_alone = told({"c-server": 1}, off)
    assert condition(server_alone, "MarieClusterProvisioned")[0] == "False"
    assert server_alone.phase == "Creating"
    ready = told(ALL_READY, server_alone)
    assert condition(ready, "MarieClusterProvisioned")[0] == "True"
    assert told({"c-server": 1}, ready).phase == "Running"


def test_provisioned_stays_when_a_pod_goes() -> None:
    known = status.of(seen(cluster(), ALL_READY)).model_dump(mode="json", by_alias=True)
    found = status.of(seen(cluster(status=known), {"c-server": 1}))
    assert condition(found, "MarieClusterProvisioned")[0] == "True"
    assert condition(found, "Ready")[0] == "False"
    assert found.phase == "Running"


def test_a_refusal_is_the_news() -> None:
    refusals = [Refusal(ClusterReason.NAME_TAKEN, "Taken."), Refusal(ClusterReason.CHILD_REFUSED, "Refused.")]
    found = status.of(seen(cluster(), ALL_READY, refusals=refusals))
    assert found.phase == "Failed"
    assert condition(found, "Ready") == ("False", "NameTaken", "Taken. (1 more like this.)")


READINESS = st.fixed_dictionaries({"c-server": st.integers(0, 1), "c-executor-ocr": st.integers(0, 3)})
GATEWAYS = st.sampled_from([None, GatewayView(problem="x"), GatewayView(reachable=True), RUNNING])


@pytest.mark.model
@given(READINESS, GATEWAYS, st.booleans())
def test_status_is_a_fixed_point(ready: dict[str, int], gateway: GatewayView | None, suspend: bool) -> None:
    """Looking again at the same things says the same: a reconcile of an object at rest writes nothing."""

    def look(known: Any) -> MarieClusterStatus:
        return status.of(seen(cluster(suspend=suspend, status=known), ready, gateway=gateway))

    once = look(None).model_dump(mode="json", by_alias=True)
    assert look(once).model_dump(mode="json", by_alias=True) == once


@pytest.mark.model
@given(READINESS, READINESS, GATEWAYS, GATEWAYS, st.integers(0, 60))
def test_only_details_wait(
    before: dict[str, int], after: dict[str, int], was: GatewayView | None, now: GatewayView | None, seconds: int
) -> None:
    old = status.of(seen(cluster(), before, gateway=was)).model_copy(update={"last_update_time": NOW})
    new = status.of(seen(cluster(status=old.model_dump(mode="json", by_alias=True)), after, gateway=now))
    write, wait = status.due(new, old, NOW + timedelta(seconds=seconds))
    turned = [(each.type, each.status) for each in new.conditions] != [
        (each.type, each.status) for each in old.conditions
    ]
    if new == old:
        assert (write, wait) == (None, None)
    elif turned or seconds >= DETAIL_INTERVAL.total_seconds():
        assert write is not None
        assert write.last_update_time == NOW + timedelta(seconds=seconds)
    else:
        assert write is not None or wait == DETAIL_INTERVAL - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("reason", "waited", "again"),
    [
        (ClusterReason.CHILD_REFUSED, 0, 15),
        (ClusterReason.CHILD_REFUSED, 40, 40),
        (ClusterReason.NAME_TAKEN, 4000, 300),
        (ClusterReason.INVALID_SPEC, 0, None),
    ],
)
def test_what_was_refused_is_tried_again_ever_more_seldom(
    reason: ClusterReason, waited: int, again: int | None
) -> None:
    told = MarieClusterStatus(last_update_time=NOW - timedelta(seconds=waited))
    found = status.again(seen(cluster(), refusals=[Refusal(reason, "No.")]), told)
    assert found == (None if again is None else timedelta(seconds=again))


def test_nothing_is_tried_again_that_was_not_refused() -> None:
    assert status.again(seen(cluster()), MarieClusterStatus()) is None


def test_a_change_that_does_not_come_about_is_told_although_the_pods_of_before_are_ready() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    old, new = pod("c-executor-ocr-1", "executor", "ocr"), pod("c-executor-ocr-2", "executor", "ocr")
    found = seen(cluster(), ALL_READY, pods=[old, new])
    of_group = found.children[DEPLOYMENTS, "c-executor-ocr"]["status"]
    of_group |= {"replicas": 2, "unavailableReplicas": 1}
    # It may only be starting.
    assert condition(status.of(found), "Ready")[:2] == ("False", "RollingOut")
    new["status"]["conditions"] = [unscheduled]
    assert condition(status.of(found), "Ready") == (
        "False",
        "ExecutorsFailing",
        "A change of executors does not come about, and those of before go on: ocr (pod c-executor-ocr-2 cannot be "
        "scheduled: 0/1 nodes are available).",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("c-server", "The server does not start: its pods cannot be created: quota exceeded."),
        (
            "c-executor-ocr",
            "Waiting for executors: ocr: 0 of 1 ready (its pods cannot be created: quota exceeded).",
        ),
    ],
)
def test_pods_that_cannot_be_created_are_told(name: str, message: str) -> None:
    found = seen(cluster(), {each: count for each, count in ALL_READY.items() if each != name})
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota exceeded."}
    found.children[DEPLOYMENTS, name]["status"]["conditions"] = [refused]
    assert condition(status.of(found), "Ready")[2] == message


def test_a_paused_cluster_has_not_observed_a_spec_of_which_nothing_is_made() -> None:
    known = status.of(seen(cluster(), ALL_READY)).model_dump(mode="json", by_alias=True)
    changed = cluster(status=known).model_dump(mode="json", by_alias=True)
    changed["metadata"] |= {"generation": 3, "annotations": {"marie.ai/reconcile": "paused"}}
    found = status.of(seen(MarieCluster.model_validate(changed), ALL_READY))
    assert found.observed_generation == 2
    assert {each.observed_generation for each in found.conditions} == {2}


def test_a_store_whose_pod_does_not_end_is_not_told_to_start() -> None:
    going = pod("c-etcd-0", "etcd")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    of = cluster(backingServices={"etcd": {"managed": {}}, "postgres": {"managed": {}}})
    message = condition(status.of(seen(of, ALL_READY, pods=[going])), "EtcdReady")[2]
    assert message.startswith("The managed etcd is not ready: pod c-etcd-0 is being deleted")


def test_a_spec_is_observed_when_the_controller_of_its_deployments_has_looked_at_them() -> None:
    known = status.of(seen(cluster(), ALL_READY)).model_dump(mode="json", by_alias=True)
    changed = cluster(status=known).model_dump(mode="json", by_alias=True)
    changed["metadata"]["generation"] = 3
    found = seen(MarieCluster.model_validate(changed), ALL_READY)
    live = found.children[DEPLOYMENTS, "c-executor-ocr"]
    live["metadata"]["generation"], live["status"]["observedGeneration"] = 5, 4
    before = status.of(found)
    assert condition(before, "Ready")[0] == "True"
    assert {before.observed_generation, *(each.observed_generation for each in before.conditions)} == {2}
    live["status"]["observedGeneration"] = 5
    assert status.of(found).observed_generation == 3
    live["status"]["updatedReplicas"] = 0
    assert condition(status.of(found), "Ready")[:2] == ("False", "RollingOut")
