"""What a server does with objects of a kind beyond their schema: defaults, preparation, validation, immutability."""

from dataclasses import replace

from marie_operator.testing.apiserver.strategies import batch, events, network, pods, rbac, services, small, workloads
from marie_operator.testing.apiserver.strategies.base import PLAIN, Context, Strategy, without

__all__ = ["Context", "Strategy", "strategy"]

_KINDS: dict[tuple[str, str], Strategy] = {
    ("", "Pod"): pods.POD,
    ("", "Service"): services.SERVICE,
    ("", "Namespace"): small.NAMESPACE,
    ("", "Secret"): small.SECRET,
    ("", "ConfigMap"): small.CONFIG_MAP,
    ("", "PersistentVolumeClaim"): small.CLAIM,
    ("apps", "Deployment"): workloads.DEPLOYMENT,
    ("apps", "ReplicaSet"): workloads.REPLICA_SET,
    ("apps", "StatefulSet"): workloads.STATEFUL_SET,
    ("apps", "DaemonSet"): workloads.DAEMON_SET,
    ("batch", "Job"): batch.JOB,
    ("batch", "CronJob"): batch.CRON_JOB,
    ("networking.k8s.io", "Ingress"): network.INGRESS,
    ("networking.k8s.io", "IngressClass"): network.INGRESS_CLASS,
    ("networking.k8s.io", "NetworkPolicy"): network.NETWORK_POLICY,
    ("", "Event"): events.CORE,
    ("events.k8s.io", "Event"): events.EVENT,
    ("scheduling.k8s.io", "PriorityClass"): small.PRIORITY_CLASS,
    ("coordination.k8s.io", "Lease"): small.LEASE,
    (rbac.GROUP, "Role"): rbac.ROLE,
    (rbac.GROUP, "ClusterRole"): rbac.CLUSTER_ROLE,
    (rbac.GROUP, "RoleBinding"): rbac.BINDING,
    (rbac.GROUP, "ClusterRoleBinding"): rbac.CLUSTER_BINDING,
    ("policy", "PodDisruptionBudget"): small.BUDGET,
    ("autoscaling", "HorizontalPodAutoscaler"): small.AUTOSCALER,
}
_SPECIFIED = Strategy()
_CUSTOM = Strategy(generation=lambda new, old: without(new, "metadata") != without(old, "metadata") or not old)
_WITH_STATUS = replace(_CUSTOM, prepare_create=lambda new, _: new, prepare_update=lambda new, _, __: new)
_GROUPS = frozenset({"apiextensions.k8s.io", "policy", "autoscaling", "batch", "apps", "networking.k8s.io"})


def strategy(group: str, kind: str, *, custom: bool = False, status: bool = True) -> Strategy:
    """The strategy of a kind.

    Args:
        group: Its API group.
        kind: Its name.
        custom: Whether it comes from a CRD.
        status: Whether it has ``/status``.
    """
    if custom:
        return _CUSTOM if status else _WITH_STATUS
    known = _KINDS.get((group, kind))
    if known is not None:
        return known
    return _SPECIFIED if group in _GROUPS else PLAIN
