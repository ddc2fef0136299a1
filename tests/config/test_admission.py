import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.validation import problems
from tests.api.refused import REFUSED, REFUSED_TWICE, TEMPLATE, Refused, given_object
from tests.config.kubectl import ROOT, Kubectl, RefusedError

pytestmark = pytest.mark.controlplane

MODELS: Mapping[str, type[MarieCluster] | type[MarieJob]] = {"MarieCluster": MarieCluster, "MarieJob": MarieJob}
SAMPLES = sorted((ROOT / "config/samples").rglob("marie*.yaml")) + sorted((ROOT / "tests/api/upstream").glob("*.yaml"))

samples = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.fixture
def namespace(kubectl: Kubectl) -> str:
    """A namespace of the test's own."""
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}}
    return str(kubectl.object("create", "-f", "-", stdin=manifest)["metadata"]["name"])


def objects(path: Path, namespace: str) -> list[dict[str, Any]]:
    """The objects of a file, in the test's own namespace."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(path.read_text()))
    return [{**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in documents]


def minimal(**container: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{**TEMPLATE["spec"]["containers"][0], **container}]}}
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieCluster",
        "metadata": {"name": "c"},
        "spec": {"serverSpec": {"template": template}},
    }


@samples
def test_a_sample_applies_on_the_client_side_and_again_without_change(
    kubectl: Kubectl, namespace: str, path: Path
) -> None:
    for sample in objects(path, namespace):
        first = kubectl.object("apply", "-f", "-", stdin=sample)
        again = kubectl.object("apply", "-f", "-", stdin=sample)
        assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
        assert first["metadata"]["generation"] == 1


@samples
def test_a_sample_applies_on_the_server_side(kubectl: Kubectl, namespace: str, path: Path) -> None:
    for sample in objects(path, namespace):
        kubectl("apply", "--server-side", "-f", "-", stdin=sample)


@samples
def test_what_the_server_stores_means_what_was_written(kubectl: Kubectl, namespace: str, path: Path) -> None:
    for sample in objects(path, namespace):
        stored = MODELS[sample["kind"]].model_validate(kubectl.object("create", "-f", "-", stdin=sample))
        written = MODELS[sample["kind"]].model_validate(sample)
        # Inside pod templates the server adds its own defaults, such as a port's protocol.
        assert without_templates(stored.spec.model_dump()) == without_templates(written.spec.model_dump())
        assert problems(stored) == []


def without_templates(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_templates(part) for name, part in value.items() if not name.endswith("template")}
    return [without_templates(part) for part in value] if isinstance(value, (list, tuple)) else value


def test_the_samples_apply_together(kubectl: Kubectl, namespace: str) -> None:
    assert "created" in kubectl("apply", "--namespace", namespace, "-k", str(ROOT / "config/samples"))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.field}-{case.message[:24]}")
@pytest.mark.kuberay("KR-36")
def test_a_contradiction_is_refused_with_its_sentence_alone(kubectl: Kubectl, case: Refused) -> None:
    with pytest.raises(RefusedError) as refusal:
        kubectl("create", "--dry-run=server", "-f", "-", stdin=given_object(case))
    messages = {each.message for each in (*REFUSED, *REFUSED_TWICE)}
    assert {message for message in messages if message in str(refusal.value)} == {case.message}


@pytest.mark.parametrize("case", REFUSED_TWICE, ids=lambda case: f"{case.field}-{case.message[:24]}")
def test_contradictions_that_come_together_are_all_shown(kubectl: Kubectl, case: Refused) -> None:
    with pytest.raises(RefusedError) as refusal:
        kubectl("create", "--dry-run=server", "-f", "-", stdin=given_object(case))
    expected = problems(MODELS[case.kind].model_validate(given_object(case)))
    assert [problem for problem in expected if problem.message not in str(refusal.value)] == []


@pytest.mark.parametrize(
    ("container", "named"),
    [
        ({"imagePullPolcy": "Always"}, "containers[0].imagePullPolcy"),
        ({"env": [{"name": "A", "vale": "b"}]}, "containers[0].env[0].vale"),
        ({"resources": {"limit": {"cpu": "1"}}}, "containers[0].resources.limit"),
        ({"ports": [{"containerport": 80}]}, "containers[0].ports[0].containerport"),
        ({"readinessProbe": {"httpget": {"port": 80}}}, "containers[0].readinessProbe.httpget"),
    ],
)
def test_a_typo_in_a_pod_template_is_refused_by_name(kubectl: Kubectl, container: dict[str, Any], named: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        kubectl("create", "--validate=strict", "--dry-run=server", "-f", "-", stdin=minimal(**container))
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    "container",
    [
        {"resources": {"limits": {"cpu": "lots"}}},
        {"ports": [{"containerPort": "http"}]},
        {"env": [{"name": "A", "value": 1}]},
        {"volumeMounts": [{"name": "v"}]},
    ],
)
def test_a_wrong_type_in_a_pod_template_is_refused(kubectl: Kubectl, container: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match=r"(?i)invalid|required"):
        kubectl("create", "--dry-run=server", "-f", "-", stdin=minimal(**container))


def test_an_own_typo_is_refused_by_name(kubectl: Kubectl) -> None:
    cluster = minimal()
    cluster["spec"]["executorGroups"] = []
    with pytest.raises(RefusedError, match=r"unknown field .*spec\.executorGroups"):
        kubectl("create", "--validate=strict", "--dry-run=server", "-f", "-", stdin=cluster)


def test_a_template_as_kubectl_writes_it_is_taken(kubectl: Kubectl) -> None:
    cluster = minimal()
    cluster["spec"]["serverSpec"]["template"]["metadata"] = {"creationTimestamp": None, "labels": {"a": "b"}}
    stored = kubectl.object("create", "--validate=strict", "--dry-run=server", "-f", "-", stdin=cluster)
    assert stored["spec"]["serverSpec"]["template"]["metadata"] == {"labels": {"a": "b"}}


CLUSTER_STATUS: dict[str, Any] = {
    "phase": "Creating",
    "observedGeneration": 1,
    "serverReady": True,
    "readyExecutorReplicas": 1,
    "availableExecutorReplicas": 1,
    "desiredExecutorReplicas": 3,
    "desiredCPU": "4500m",
    "desiredMemory": "9Gi",
    "desiredGPU": 2,
    "endpoints": {"http": "http://c-server-svc:51000"},
    "executorGroupStatuses": {
        "ocr": {
            "replicas": 3,
            "readyReplicas": 1,
            "availableReplicas": 1,
            "desiredReplicas": 3,
            "busyReplicas": 1,
            "idleReplicas": 0,
            "message": "c-executor-ocr-1 works: the group shrinks when it is idle",
        }
    },
    "serverInfo": {
        "podIP": "10.0.0.1",
        "podName": "c-server-0",
        "serviceName": "c-server-svc",
        "marieVersion": "4.0.0 (jobs API)",
    },
    "lastUpdateTime": "2026-01-31T12:00:00Z",
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "ExecutorsStarting",
            "message": "2 of 3 executors are starting: wait",
            "lastTransitionTime": "2026-01-31T12:00:00Z",
            "observedGeneration": 1,
        }
    ],
}

JOB_STATUS: dict[str, Any] = {
    "phase": "Running",
    "message": "12 of 50 documents have ended",
    "observedGeneration": 1,
    "clusterName": "c",
    "jobId": "j-1",
    "dagId": "d-1",
    "progress": 24,
    "queuePosition": 1,
    "documents": {
        "total": 50,
        "listed": 50,
        "filtered": 3,
        "cursor": "documents/50.pdf",
        "succeeded": 11,
        "failed": 1,
        "inFlight": [
            {
                "uri": "s3://b/1",
                "refId": "r",
                "attempt": 1,
                "dagId": "d",
                "notBefore": "2026-01-31T12:00:00Z",
                "since": "2026-01-31T11:00:00Z",
                "cancelling": True,
                "interrupted": 1,
            }
        ],
        "failures": [{"uri": "s3://b/2", "message": "no pages"}],
        "failureParts": 1,
        "manifestParts": 2,
    },
    "retryCount": 2,
    "startTime": "2026-01-31T12:00:00Z",
    "completionTime": "2026-01-31T12:30:00Z",
    "duration": "12m30s",
    "submitterJobName": "j-submitter",
    "result": {
        "outputUri": "s3://b/o/",
        "manifestUri": "s3://b/o/_manifests/j.jsonl",
        "documentCount": 11,
        "pageCount": 40,
        "summary": {"a": "b"},
    },
    "error": {"code": "DocumentsFailed", "message": "one failed", "details": "no pages"},
    "conditions": deepcopy(CLUSTER_STATUS["conditions"]),
}

JOB: dict[str, Any] = {
    "apiVersion": "marie.ai/v1alpha1",
    "kind": "MarieJob",
    "metadata": {"name": "j"},
    "spec": {"clusterRef": "c", "jobType": "ocr", "input": {"uri": "s3://bucket/one.pdf"}},
}


@pytest.mark.parametrize(
    ("manifest", "status"), [(minimal(), CLUSTER_STATUS), (JOB, JOB_STATUS)], ids=["cluster", "job"]
)
def test_every_field_of_a_status_is_stored_as_the_model_writes_it(
    kubectl: Kubectl, namespace: str, manifest: dict[str, Any], status: dict[str, Any]
) -> None:
    kubectl("create", "--namespace", namespace, "-f", "-", stdin=manifest)
    parsed = MODELS[manifest["kind"]].model_validate({**manifest, "status": status}).status
    written = parsed.model_dump(mode="json", by_alias=True, exclude_none=True)
    name = f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"
    live = kubectl.object("get", name, "--namespace", namespace)
    stored = kubectl.object("replace", "--subresource=status", "-f", "-", stdin={**live, "status": written})
    assert stored["status"] == status == written
    assert set(written) == {field.alias for field in type(parsed).model_fields.values()}


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"input": {"uri": "s3://other/one.pdf"}}, "keeps to where they are"),
        ({"jobType": "ner"}, "whose results are kept by jobType"),
        ({"clusterRef": "d"}, "the cluster has documents of the job in hand"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_what_a_job_has_begun_with_stays(kubectl: Kubectl, namespace: str, edit: dict[str, Any], told: str) -> None:
    kubectl("create", "--namespace", namespace, "-f", "-", stdin=JOB)
    change = ("patch", "mj", "j", "--namespace", namespace, "--type=merge", "-p")
    kubectl(*change, json.dumps({"spec": edit}))
    kubectl(*change, json.dumps({"spec": JOB["spec"]}))
    live = kubectl.object("get", "mj", "j", "--namespace", namespace)
    kubectl("replace", "--subresource=status", "-f", "-", stdin={**live, "status": JOB_STATUS})
    with pytest.raises(RefusedError) as refusal:
        kubectl(*change, json.dumps({"spec": edit}))
    assert told in str(refusal.value)


def test_columns_read_well(kubectl: Kubectl, namespace: str) -> None:
    for manifest, status in ((minimal(), CLUSTER_STATUS), (JOB, JOB_STATUS)):
        kubectl("create", "--namespace", namespace, "-f", "-", stdin=manifest)
        name = f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"
        live = kubectl.object("get", name, "--namespace", namespace)
        kubectl("replace", "--subresource=status", "-f", "-", stdin={**live, "status": status})
    header, row = kubectl("get", "mc", "--namespace", namespace).splitlines()
    assert header.split() == ["NAME", "PHASE", "REASON", "SERVER", "EXECUTORS", "DESIRED", "AGE"]
    assert row.split()[:6] == ["c", "Creating", "ExecutorsStarting", "true", "1", "3"]
    header, row = kubectl("get", "mj", "--namespace", namespace).splitlines()
    assert header.split()[:8] == ["NAME", "CLUSTER", "TYPE", "PHASE", "PROGRESS", "DOCUMENTS", "FAILED", "DURATION"]
    assert row.split()[:8] == ["j", "c", "ocr", "Running", "24", "50", "1", "12m30s"]
    wide = kubectl("get", "marie", "--namespace", namespace, "-o", "wide")
    assert "2 of 3 executors are starting: wait" in wide


def test_both_kinds_are_in_the_category(kubectl: Kubectl) -> None:
    names = kubectl("api-resources", "--categories=marie", "-o", "name").split()
    assert sorted(names) == ["marieclusters.marie.ai", "mariejobs.marie.ai"]


def test_explain_says_what_to_write(kubectl: Kubectl) -> None:
    explained = kubectl("explain", "mariecluster.spec.executorGroupSpecs.executorName")
    assert "Name under which the executors register at the gateway" in explained
    assert "FIELD: spec" in kubectl("explain", "mj.spec")
