"""Which jobs a change concerns."""

from typing import Any

from marie_operator.controllers import kinds
from marie_operator.controllers.mariejob import INDEXES, of_cluster
from marie_operator.controllers.mariejob.wiring import concerns_jobs_of_cluster
from marie_operator.runtime import Event
from marie_operator.runtime.resource import Object, ObjectKey
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.operator_process import wired
from tests.controllers.mariejob.samples import cluster


def stored(name: str, namespace: str = "docs", *, ended: str = "", **spec: Any) -> Object:
    conditions = [{"type": ended, "status": "True"}] if ended else []
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec, "status": {"conditions": conditions}}


def test_a_cluster_concerns_the_unfinished_jobs_that_name_or_may_select_it() -> None:
    api = ApiServer()
    jobs = api.inform(kinds.MARIE_JOBS, **INDEXES)
    for job in (
        stored("named", clusterRef="c"),
        stored("other", clusterRef="d"),
        stored("selecting", clusterSelector={"env": "prod"}),
        stored("elsewhere", "more", clusterRef="c"),
        stored("complete", clusterRef="c", ended="Complete"),
        stored("failed", clusterSelector={"env": "prod"}, ended="Failed"),
    ):
        api.put(kinds.MARIE_JOBS, job)
    found = of_cluster(jobs, ObjectKey("docs", "c"))
    assert [key.name for key in found] == ["named", "selecting"]


def changed(**change: Any) -> bool:
    before = {**wired(cluster()), "status": {"phase": "Creating"}}
    before["metadata"] = {**before["metadata"], "generation": 1}
    after = {**before, **change, "metadata": {**before["metadata"], **change.get("metadata", {})}}
    return concerns_jobs_of_cluster(Event("modified", after, before))


def test_what_executors_do_is_no_news_for_jobs() -> None:
    executors = {"type": "AllExecutorsReady", "status": "True", "reason": "ExecutorsReady", "message": ""}
    assert not changed(status={"phase": "Running", "readyExecutorReplicas": 3, "conditions": [executors]})


def test_the_server_the_spec_and_the_labels_are_news_for_jobs() -> None:
    server = {"type": "ServerPodReady", "status": "True", "reason": "ServerReady", "message": ""}
    assert changed(status={"conditions": [server]})
    assert changed(metadata={"generation": 2})
    assert changed(metadata={"labels": {"env": "prod"}})
    assert changed(metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"})
    assert concerns_jobs_of_cluster(Event("deleted", wired(cluster())))
