"""Objects for tests, small enough to read."""

from typing import Any


def group(name: str, **fields: Any) -> dict[str, Any]:
    """An executor group of CPU pods."""
    container = {"name": "marie", "image": "marieai/marie:4.0.0-cuda"}
    return {"groupName": name, "replicas": 1, "template": {"spec": {"containers": [container]}}} | fields


def cluster(name: str, *groups: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A MarieCluster."""
    container = {"name": "marie", "image": "marieai/marie-gateway:4.0.0-cpu"}
    spec = {
        "serverSpec": {"template": {"spec": {"containers": [container]}}},
        "executorGroupSpecs": list(groups or (group("extract"),)),
    }
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieCluster",
        "metadata": {"name": name},
        "spec": spec | fields,
    }


def job(name: str, cluster: str, uri: str = "s3://bucket/one.pdf", **fields: Any) -> dict[str, Any]:
    """A MarieJob over one document, or a prefix."""
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieJob",
        "metadata": {"name": name},
        "spec": {"clusterRef": cluster, "jobType": "extract", "input": {"uri": uri}} | fields,
    }
