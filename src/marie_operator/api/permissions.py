"""What the operator may do, and why.

config/rbac/role.yaml is generated from these tables, so no verb is there without a reason.
"""

from typing import NamedTuple

from marie_operator.api.meta import GROUP


class Permission(NamedTuple):
    """Verbs on kinds of one API group, and what they are for."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    reason: str


CLUSTER_PERMISSIONS = (
    Permission(
        GROUP,
        ("marieclusters",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "The clusters to run; those of jobs with clusterSpec are made, changed and deleted by the operator.",
    ),
    Permission(
        GROUP,
        ("mariejobs",),
        ("list", "watch", "patch", "delete"),
        "The jobs to run; deleted after their end, when they say so. Those whose documents can be cancelled in Marie's "
        "database get a finalizer.",
    ),
    Permission(
        GROUP, ("marieclusters/status", "mariejobs/status"), ("patch",), "What the operator saw, for users and tools."
    ),
    Permission(
        GROUP,
        ("marieclusters/finalizers", "mariejobs/finalizers"),
        ("update",),
        "Owner references that block deletion, where the API server's OwnerReferencesPermissionEnforcement is on.",
    ),
    Permission(
        "",
        ("services",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "The Services of servers and executor groups.",
    ),
    Permission(
        "apps",
        ("deployments",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "The pods of servers and executor groups.",
    ),
    Permission(
        "apps",
        ("statefulsets",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "The pods of managed etcd and PostgreSQL.",
    ),
    Permission(
        "",
        ("persistentvolumeclaims",),
        ("get", "list", "watch", "create", "patch"),
        "The volumes of managed etcd and PostgreSQL; never deleted, they go with their cluster.",
    ),
    Permission(
        "batch",
        ("jobs",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "The submitters of jobs with submissionMode K8sJobSubmission.",
    ),
    Permission(
        "networking.k8s.io",
        ("ingresses",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "The Ingress of clusters with enableIngress.",
    ),
    Permission(
        "gateway.networking.k8s.io",
        ("httproutes",),
        ("get", "list", "create", "patch", "delete"),
        "The HTTPRoute of clusters with httpRoute; listed by its name alone, since its kind may not be installed.",
    ),
    Permission(
        "networking.k8s.io",
        ("networkpolicies",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "Who may connect to the pods of clusters with networkPolicy.",
    ),
    Permission(
        "policy",
        ("poddisruptionbudgets",),
        ("get", "list", "watch", "create", "patch", "delete"),
        "The budget that keeps executors at work from being evicted.",
    ),
    Permission(
        "",
        ("pods",),
        ("list", "watch", "patch", "delete"),
        "Why a pod does not start is told in conditions; busy and leaving executors are marked, those that are named "
        "in workersToDelete deleted, and those that are at rest no longer waited for.",
    ),
    Permission(
        "",
        ("secrets",),
        ("get", "create", "patch", "delete"),
        "API keys, passwords and credentials, read by name, never listed; a cluster's own are made by the operator. "
        "Deleted is the rendered configuration alone, when nothing reads it any more.",
    ),
    Permission("", ("configmaps",), ("get", "create", "patch"), "A job's failed documents, and how it ended."),
    Permission(
        "events.k8s.io", ("events",), ("create", "patch"), "Events on clusters and jobs; repeated ones are counted up."
    ),
)
"""In every namespace, or in those of --namespaces when the ClusterRole is bound there only."""

LEADER_ELECTION_PERMISSIONS = (
    Permission(
        "coordination.k8s.io",
        ("leases",),
        ("get", "watch", "create", "update"),
        "The lease by which one replica leads.",
    ),
)
"""In the operator's own namespace."""
