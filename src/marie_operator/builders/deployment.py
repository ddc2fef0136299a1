"""Deployments of the server and of executor groups."""

from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.builders import association, pod, resources
from marie_operator.builders.association import EXECUTOR, SERVER
from marie_operator.runtime.resource import DEPLOYMENTS, Object


def server(cluster: MarieCluster) -> Object:
    """The server: the old pod ends before the new one starts, since two schedulers dispatch every job twice."""
    return _deployment(
        cluster,
        association.server_deployment_name(cluster.metadata.name),
        SERVER,
        None,
        {
            "replicas": 0 if cluster.spec.suspend else cluster.spec.server_spec.replicas,
            "strategy": {"type": "Recreate"},
            "template": pod.server_template(cluster),
        },
    )


def executor(cluster: MarieCluster, group: ExecutorGroupSpec) -> Object:
    """A group: a new pod takes over before an old one, which may be busy, is asked to end."""
    return _asking(
        _deployment(
            cluster,
            association.executor_deployment_name(cluster.metadata.name, group.group_name),
            EXECUTOR,
            group,
            {
                "replicas": association.replicas(cluster, group),
                "strategy": {"type": "RollingUpdate", "rollingUpdate": _rolling(group)},
                "template": pod.executor_template(cluster, group),
            },
        )
    )


def scaled(manifest: Object, replicas: int) -> Object:
    """A group's Deployment with another number of pods."""
    if manifest["spec"]["replicas"] == replicas:
        return manifest
    return _asking({**manifest, "spec": {**manifest["spec"], "replicas": replicas}})


def unsized(manifest: Object) -> Object:
    """A group's Deployment whose number of pods somebody else decides; what the spec asks for is written on it."""
    spec = {name: value for name, value in manifest["spec"].items() if name != "replicas"}
    return association.hashed({**manifest, "spec": spec})


def asked(live: Object) -> int | None:
    """How many pods the operator last asked for in a live Deployment of a group; None where it does not say."""
    text = (live["metadata"].get("annotations") or {}).get(association.REPLICAS, "")
    return int(text) if text.isdecimal() else None


def _asking(manifest: Object) -> Object:
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), association.REPLICAS: str(manifest["spec"]["replicas"])}
    return association.hashed({**manifest, "metadata": {**metadata, "annotations": annotations}})


def _rolling(group: ExecutorGroupSpec) -> Object:
    # GPUs are seldom spare: with a surge the new pod would wait for ever for the one the old pod holds.
    return {"maxSurge": 0, "maxUnavailable": 1} if resources.uses_gpu(group) else {"maxSurge": 1, "maxUnavailable": 0}


def _deployment(
    cluster: MarieCluster, name: str, node_type: str, group: ExecutorGroupSpec | None, spec: Object
) -> Object:
    return association.hashed(
        {
            "apiVersion": DEPLOYMENTS.api_version,
            "kind": DEPLOYMENTS.kind,
            "metadata": association.metadata(cluster, name, node_type, group),
            "spec": {
                "revisionHistoryLimit": 3,
                **spec,
                "selector": {"matchLabels": association.selector(cluster, node_type, group)},
            },
        }
    )
