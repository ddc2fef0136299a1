"""How children belong to their cluster: every name, label, selector, owner reference, port and annotation.

So it is with what belongs to a job.

Nothing else in the operator spells them out.
"""

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping

from marie_operator.api.cluster_rules import DATABASE_AFFIXES, EXECUTOR_AFFIXES, LONGEST_NAME
from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.meta import API_VERSION, GROUP
from marie_operator.runtime import children
from marie_operator.runtime.resource import Object

FIELD_MANAGER = "marie-operator"

CLUSTER_LABEL = f"{GROUP}/cluster"
NODE_TYPE_LABEL = f"{GROUP}/node-type"
GROUP_LABEL = f"{GROUP}/group"
EXECUTOR_LABEL = f"{GROUP}/executor"
"""On a group's objects but not on its pods, so that a corrected name of the executor rolls nothing."""
VERSION_LABEL = "app.kubernetes.io/version"
"""On objects but not on pods: the images decide what runs."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
JOB_LABEL = f"{GROUP}/job"
"""On what a job owns: the job's name, or as much of it as a label can hold."""
MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}={FIELD_MANAGER},{CLUSTER_LABEL}"

SERVER = "server"
EXECUTOR = "executor"
ETCD = "etcd"
POSTGRES = "postgres"
SUBMITTER = "submitter"

BUSY_LABEL = f"{GROUP}/busy"
"""On executor pods that have work in hand, or had a moment ago."""
BUSY = {BUSY_LABEL: "true"}

_DIGEST = 6
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")

SPEC_HASH = f"{GROUP}/spec-hash"
"""Annotation: what the child was built as, so that a field given up is noticed."""
TEMPLATE_HASH = f"{GROUP}/template-hash"
"""Annotation on what makes pods: what its template was built as, so that a change that replaces them is told apart."""
REPLICAS = f"{GROUP}/replicas"
"""Annotation on a group's Deployment: how many pods the operator asked for; other numbers are somebody else's."""
EXECUTOR_NAME = f"{GROUP}/executor-name"
"""Annotation on a group's template: the executor's name, where the spec has none."""

CONTAINER = "marie"
MODELS = "/etc/marie/model_zoo"
"""Where Marie keeps models; those of torch are in cache/torch (MA-09)."""
HTTP, GRPC, METRICS, WORKER, FLOW = "http", "grpc", "metrics", "worker", "flow"
SERVER_PORTS = {HTTP: 51000, GRPC: 52000}
WORKER_PORT = 52110
FLOW_PORT = 52010

GATEWAY_FILE, MAPPER_FILE, POSTGRES_FILE = "gateway.yml", "mapper.yml", "postgres-init.sql"
"""Keys of the Secret with the rendered configuration."""

_NAMES_BY_TYPE = {
    "ocr": "extract_executor",
    "extract": "extract_executor",
    "classifier": "classifier_t",
    "classify": "classifier_t",
    "ner": "ner_t",
}


def server_deployment_name(cluster: str) -> str:
    """The server's Deployment."""
    return f"{cluster}-server"


def server_service_name(cluster: str) -> str:
    """The Service that jobs are submitted to."""
    return f"{cluster}-server-svc"


def server_headless_service_name(cluster: str) -> str:
    """The headless Service that gives the server's pod a name in DNS."""
    return f"{cluster}-server-headless"


def executor_deployment_name(cluster: str, group: str) -> str:
    """A group's Deployment."""
    return f"{cluster}-executor-{group}"


def executor_service_name(cluster: str, group: str) -> str:
    """A group's headless Service."""
    return f"{cluster}-executor-{group}-svc"


def ingress_name(cluster: str) -> str:
    """The Ingress in front of the server's HTTP port."""
    return f"{cluster}-ingress"


def route_name(cluster: str) -> str:
    """The HTTPRoute to the server's HTTP port."""
    return f"{cluster}-route"


def executors_policy_name(cluster: str) -> str:
    """The NetworkPolicy of all executors; the server's has the name of its Deployment."""
    return f"{cluster}-executors"


def stores_policy_name(cluster: str) -> str:
    """The NetworkPolicy of managed services."""
    return f"{cluster}-stores"


def etcd_name(cluster: str) -> str:
    """The managed etcd: its Service, StatefulSet and volume."""
    return f"{cluster}-etcd"


def postgres_name(cluster: str) -> str:
    """The managed PostgreSQL: its Service, StatefulSet and volume, and the Secret with its password."""
    return f"{cluster}-postgres"


def config_secret_name(cluster: str) -> str:
    """The Secret with the rendered configuration."""
    return f"{cluster}-config"


def budget_name(cluster: str) -> str:
    """The PodDisruptionBudget of executors at work."""
    return f"{cluster}-busy"


def group_file(group: ExecutorGroupSpec) -> str:
    """The key of a group's Flow in the Secret with the rendered configuration."""
    return f"executor-{group.group_name}.yml"


def api_key_secret_name(cluster: str) -> str:
    """The Secret with the API key, where the spec names no other."""
    return f"{cluster}-api-key"


def own_cluster_name(job: str, uid: str, groups: Iterable[str]) -> str:
    """The cluster of a job's own: after the job, and different for each job that ever had its name.

    What is named after the cluster, its groups and its database must fit into 63 characters.

    Args:
        job: The job's name.
        uid: Its uid.
        groups: The names of the executor groups.
    """
    longest = max((len(group) for group in groups), default=0)
    room = LONGEST_NAME - max(DATABASE_AFFIXES, EXECUTOR_AFFIXES + longest if longest else 0)
    digest, named = uid_digest(uid, _DIGEST), plain(job)
    if not named[:1].isalpha():
        named = f"job-{named}"
    return f"{named[: max(1, room - len(digest) - 1)].strip('-')}-{digest}"


def submitter_name(job: str, uid: str, attempt: int) -> str:
    """The Job that submits in one attempt at a job's document, other than that of any job that ever had its name."""
    tail = f"-submit-{uid_digest(uid, _DIGEST)}" + (f"-{attempt}" if attempt else "")
    return f"{plain(job)[: LONGEST_NAME - len(tail)].strip('-')}{tail}"


def uid_digest(uid: str, length: int) -> str:
    """Letters and digits that tell an object from every other that ever had its name."""
    return base64.b32hexencode(hashlib.sha256(uid.encode()).digest()).decode().lower()[:length]


def plain(text: str) -> str:
    """A text as a part of a name: in lower case, with a dash for all that is neither letter nor digit."""
    return _NOT_PLAIN.sub("-", text.lower()).strip("-")


def executor_name(group: ExecutorGroupSpec) -> str:
    """The name under which a group's workers register with the gateway, which counts slots and routes by it.

    It is decided by the Flow that the image runs; ``spec.executorName`` says it, then the annotation, then what the
    executor type means in Marie's own Flows, then the type or the group as written.
    """
    annotated = group.template.get("metadata", {}).get("annotations", {}).get(EXECUTOR_NAME, "")
    kind = group.executor_type
    return group.executor_name or annotated or _NAMES_BY_TYPE.get(kind, kind) or group.group_name


def replicas(cluster: MarieCluster, group: ExecutorGroupSpec) -> int:
    """Pods a group wants now: none while it, or the cluster, is suspended."""
    return 0 if cluster.spec.suspend or group.suspend else clamped(group)


def clamped(group: ExecutorGroupSpec) -> int:
    """Pods a group wants unless it is suspended: ``replicas``, within its bounds."""
    least = group.min_replicas or 0
    most = group.replicas if group.max_replicas is None else group.max_replicas
    return max(least, min(group.replicas, most))


def store_replicas(cluster: MarieCluster) -> int:
    """Pods of each managed service: one, and none while the cluster is suspended."""
    return 0 if cluster.spec.suspend else 1


def labels(cluster: MarieCluster, node_type: str, group: ExecutorGroupSpec | None = None) -> dict[str, str]:
    """Labels of a child and, unless the user's template says otherwise, of its pods."""
    return {
        "app.kubernetes.io/name": "marie",
        "app.kubernetes.io/instance": cluster.metadata.name,
        "app.kubernetes.io/component": node_type,
        MANAGED_BY_LABEL: FIELD_MANAGER,
        **selector(cluster, node_type, group),
    }


def selector(cluster: MarieCluster, node_type: str, group: ExecutorGroupSpec | None = None) -> dict[str, str]:
    """Labels that select the pods of a child, and of no other; they never change in a child's life."""
    chosen = {CLUSTER_LABEL: cluster.metadata.name, NODE_TYPE_LABEL: node_type}
    return chosen if group is None else {**chosen, GROUP_LABEL: group.group_name}


def owner_reference(cluster: MarieCluster) -> Object:
    """Deletes the child with its cluster, and keeps a foreground deletion waiting for it."""
    return {
        "apiVersion": API_VERSION,
        "kind": cluster.kind,
        "name": cluster.metadata.name,
        "uid": cluster.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def of_job(job: MarieJob, name: str, *, labels: Mapping[str, str] | None = None) -> Object:
    """Metadata of what a job owns."""
    return {
        "name": name,
        "namespace": job.metadata.namespace,
        "labels": {
            MANAGED_BY_LABEL: FIELD_MANAGER,
            JOB_LABEL: _label_value(job.metadata.name),
            **(labels or {}),
        },
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": job.kind,
                "name": job.metadata.name,
                "uid": job.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def metadata(
    cluster: MarieCluster,
    name: str,
    node_type: str,
    group: ExecutorGroupSpec | None = None,
    *,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """Metadata of a child."""
    told = {VERSION_LABEL: cluster.spec.marie_version}
    if group is not None:
        told[EXECUTOR_LABEL] = executor_name(group)
    kept = {key: value for key, text in told.items() if (value := _label_value(text))}
    return {
        "name": name,
        "namespace": cluster.metadata.namespace,
        "labels": labels(cluster, node_type, group) | kept,
        "ownerReferences": [owner_reference(cluster)],
        **({"annotations": dict(annotations)} if annotations else {}),
    }


def hashed(manifest: Object) -> Object:
    """The manifest with its own hash in an annotation, and that of its template, where it makes pods."""
    if manifest["kind"] in {"Deployment", "StatefulSet"}:
        metadata = manifest["metadata"]
        annotations = {**metadata.get("annotations", {}), TEMPLATE_HASH: children.digest(manifest["spec"]["template"])}
        manifest = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    return children.stamped(manifest, SPEC_HASH)


def spec_hash(live: Object) -> str:
    """The hash that ``hashed`` gave an object; empty for none."""
    return str((live["metadata"].get("annotations") or {}).get(SPEC_HASH, ""))


@functools.lru_cache(maxsize=1024)
def _label_value(text: str) -> str:
    """As much of a text as a label can hold."""
    return re.sub(r"[^-A-Za-z0-9_.]", "-", text)[:63].strip("-_.")
