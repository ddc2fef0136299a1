from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from marie_operator.api.mariecluster import MarieCluster, MarieClusterStatus
from marie_operator.api.mariejob import MarieJob, MarieJobStatus
from marie_operator.api.validation import problems

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "config/samples").rglob("marie*.yaml")) + sorted((ROOT / "tests/api/upstream").glob("*.yaml"))


def cluster(**spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "marie", "image": "marie"}]}}
    return {"metadata": {"name": "c"}, "spec": {"serverSpec": {"template": template}, **spec}}


def group(**fields: Any) -> dict[str, Any]:
    return cluster(executorGroupSpecs=[{"groupName": "g", "template": {}, **fields}])


def container(**fields: Any) -> dict[str, Any]:
    return group(template={"spec": {"containers": [{"name": "marie", **fields}]}})


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_sample_parses_and_has_no_problem(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        model = MarieCluster if document["kind"] == "MarieCluster" else MarieJob
        assert problems(model.model_validate(document)) == []


def test_fields_of_a_newer_version_are_ignored() -> None:
    parsed = MarieCluster.model_validate(cluster(executorGroupSpecs=[], autoscaler={"enabled": True}))
    assert parsed.spec.executor_group_specs == ()


def test_null_is_as_good_as_absent() -> None:
    parsed = MarieCluster.model_validate(cluster(executorGroupSpecs=None, serviceType=None, suspend=None))
    assert (parsed.spec.executor_group_specs, parsed.spec.service_type, parsed.spec.suspend) == ((), "ClusterIP", False)


def test_a_template_is_kept_as_written() -> None:
    template = {"spec": {"containers": [{"name": "marie", "resources": {"limits": {"cpu": 2}}}]}, "unknown": None}
    parsed = MarieCluster.model_validate({"metadata": {}, "spec": {"serverSpec": {"template": template}}})
    assert parsed.spec.server_spec.template == template


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (group(replicas="2"), "replicas"),
        (group(replicas=2.0), "replicas"),
        (group(replicas=True), "replicas"),
        (group(replicas=-1), "replicas"),
        (group(gpu="yes"), "gpu"),
        (group(gpu=1), "gpu"),
        (group(groupName="Big"), "groupName"),
        (group(groupName=7), "groupName"),
        (group(template=[]), "template"),
        (group(template={"spec": []}), "template"),
        (group(template={"spec": {"containers": {}}}), "template"),
        (group(template={"spec": {"containers": [{}]}}), "template"),
        (group(template={"metadata": {"labels": {"a": 1}}}), "template"),
        (container(ports=[{"name": "http"}]), "template"),
        (container(env={"A": "b"}), "template"),
        (container(volumeMounts=["config"]), "template"),
        (container(resources={"limits": ["cpu"]}), "template"),
        (container(resources={"limits": {"cpu": {}}}), "template"),
        (cluster(serviceType="ExternalName"), "serviceType"),
        (cluster(executorGroupSpecs={}), "executorGroupSpecs"),
        (cluster(auth={"apiKeySecretRef": {}}), "name"),
        ({"metadata": {"name": "c"}, "spec": {}}, "serverSpec"),
        ({"metadata": {"name": "c", "creationTimestamp": 5}, "spec": {}}, "creationTimestamp"),
    ],
)
def test_a_wrong_type_is_reported_where_it_is(wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as raised:
        MarieCluster.model_validate(wrong)
    assert where in {part for error in raised.value.errors() for part in error["loc"]}


@pytest.mark.parametrize(("seconds", "fits"), [(2**31 - 1, True), (2**31, False), (3 * 10**11, False)])
def test_a_deadline_ends_where_times_do(seconds: int, fits: bool) -> None:
    job = {"metadata": {"name": "j"}, "spec": {"clusterRef": "c", "activeDeadlineSeconds": seconds}}
    if fits:
        MarieJob.model_validate(job)
        return
    with pytest.raises(ValidationError, match="activeDeadlineSeconds"):
        MarieJob.model_validate(job)


def test_times_are_written_in_utc_to_the_second() -> None:
    local = datetime(2026, 1, 31, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    status = MarieClusterStatus(last_update_time=local)
    assert status.model_dump(mode="json", by_alias=True, exclude_none=True)["lastUpdateTime"] == "2026-01-31T12:00:00Z"


def test_a_status_reads_back_as_it_was_written() -> None:
    written = {
        "phase": "Running",
        "startTime": "2026-01-31T12:00:00Z",
        "documents": {"listed": 2, "inFlight": [{"uri": "s3://b/k", "refId": "r", "attempt": 1, "dagId": "d"}]},
        "result": {"outputUri": "s3://b/o/", "documentCount": 1},
    }
    parsed = MarieJobStatus.model_validate(written)
    assert parsed.start_time == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert parsed.model_dump(mode="json", by_alias=True, exclude_unset=True) == written


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        MarieClusterStatus(last_update_time=datetime(2026, 1, 31, 12))  # noqa: DTZ001 - what is refused


def backed(**services: Any) -> MarieCluster:
    given = {"etcd": {"managed": {}}, "postgres": {"managed": {}}, **services}
    return MarieCluster.model_validate(cluster(backingServices=given))


@pytest.mark.parametrize(
    "host", ["db", "db.infra.svc.cluster.local.", "DB_1.infra", "10.0.0.1", "fd00::1", "::ffff:10.0.0.1"]
)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    postgres = {"host": host, "credentialsSecretRef": {"name": "s"}}
    assert problems(backed(postgres=postgres)) == []


@pytest.mark.parametrize(("region", "fine"), [("eu-central-1", True), ("eu central", False), ("eu\nregion: x", False)])
def test_a_region_is_a_single_word(region: str, fine: bool) -> None:
    store = {"endpoint": "http://s3:9000", "region": region, "credentialsSecretRef": {"name": "s"}}
    with nullcontext() if fine else pytest.raises(ValidationError, match="region"):
        backed(s3=store)
