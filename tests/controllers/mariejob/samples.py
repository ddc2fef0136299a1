"""Jobs, clusters and observations as tests need them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob, MarieJobStatus
from marie_operator.builders import own_cluster as building
from marie_operator.controllers.mariejob import own_cluster as seeing
from marie_operator.controllers.mariejob import refs
from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.choice import choose
from marie_operator.controllers.mariejob.delivery import Route
from marie_operator.controllers.mariejob.observation import Observation
from marie_operator.controllers.mariejob.source import Prefix
from marie_operator.controllers.mariejob.store import ListRequest, Page
from marie_operator.marie.gateways import GatewayView
from tests.controllers.mariejob.clusters import Clusters

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SINGLE = "s3://bucket/invoices/one.pdf"
PREFIX = "s3://bucket/invoices/"
UP = GatewayView(
    reachable=True, running=True, problem="", planners=frozenset({"extract"}), executors={"extract_executor": 1}
)


def job(uri: str = PREFIX, *, status: MarieJobStatus | None = None, **spec: Any) -> MarieJob:
    """A job on cluster c; ``spec`` in the words of the wire."""
    content = {"clusterRef": "c", "jobType": "ocr", **spec}
    content["input"] = {"uri": uri, **content.get("input", {})}
    parsed = MarieJob.model_validate(
        {
            "metadata": {
                "name": "scan",
                "namespace": "docs",
                "uid": "6e5c9f0a-2f6e-4a44-8c8e-0a1c2b3d4e5f",
                "resourceVersion": "1",
                "generation": 1,
            },
            "spec": {name: value for name, value in content.items() if value is not None},
        }
    )
    return parsed if status is None else parsed.model_copy(update={"status": status})


TEMPLATE: dict[str, Any] = {"spec": {"containers": [{"name": "marie", "image": "marie"}]}}
OWN: dict[str, Any] = {
    "clusterRef": None,
    "clusterSpec": {
        "serverSpec": {"template": TEMPLATE},
        "executorGroupSpecs": [{"groupName": "ocr", "template": TEMPLATE}],
    },
}
"""In the spec of a job with a cluster of its own."""
OWN_NAME = "scan-7b6vmh"


def own_cluster(subject: MarieJob, *, deleting: bool = False) -> MarieCluster:
    """The cluster that a job has made."""
    made = building.manifest(subject)
    when = "2026-03-01T11:00:00Z" if deleting else None
    return MarieCluster.model_validate(
        {**made, "metadata": {**made["metadata"], "uid": "uid-own", "deletionTimestamp": when}}
    )


def cluster(
    name: str = "c", *, labels: Mapping[str, str] | None = None, deleting: bool = False, **spec: Any
) -> MarieCluster:
    """A cluster that asks for nothing but a server."""
    return MarieCluster.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": "docs",
                "uid": f"uid-{name}",
                "labels": dict(labels or {}),
                "deletionTimestamp": "2026-03-01T11:00:00Z" if deleting else None,
            },
            "spec": {"serverSpec": {"template": TEMPLATE}, **spec},
        }
    )


def page(*keys: str, after: str = "", last: bool = True) -> Page:
    """A page of the prefix's keys; ``a`` stands for ``invoices/a.pdf``."""
    full = tuple(f"invoices/{key}.pdf" for key in keys)
    return Page(ListRequest(Prefix("bucket", "invoices/"), after), full, full[-1] if full else after, last)


def seen(**what: Any) -> Observation:
    """What is seen when all is well."""
    return Observation(**{"now": NOW, "cluster": cluster(), "gateway": UP, "api_key": "mas_key", **what})


def seen_own(subject: MarieJob, found: MarieCluster | None, **what: Any) -> Observation:
    """What is seen of a job with a cluster of its own."""
    chosen = choose(subject, Clusters(*filter(None, [found])))
    return seen(**{"cluster": chosen, "own": seeing.of(subject, found), **what})


OUTPUT = {"uri": "s3://bucket/results/"}


def route(*, assumed: bool = False) -> Route:
    """The way of the results of a job whose output is ``OUTPUT``."""
    marie = Bucket("marie", named_by="spec.backingServices.s3 of MarieCluster c")
    stem = refs.stem("scan", job().metadata.uid)
    target = Bucket("bucket", named_by="spec.output.uri")
    return Route(marie, "ocr", target, "results/", stem, is_assumed=assumed)


def later(**time: float) -> datetime:
    """A time after ``NOW``."""
    return NOW + timedelta(**time)
