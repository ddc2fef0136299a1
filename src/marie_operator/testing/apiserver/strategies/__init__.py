"""What a server does with objects of a kind beyond their schema: defaults, preparation, validation, immutability."""

from dataclasses import replace

from marie_operator.testing.apiserver.strategies import (
    autoscaling,
    batch,
    events,
    limits,
    network,
    notices,
    pods,
    rbac,
    services,
    small,
    volumes,
    workloads,
)
from marie_operator.testing.apiserver.strategies.base import PLAIN, Context, Strategy, only_status, without

__all__ = ["Context", "Strategy", "custom", "strategy"]

_KINDS: dict[tuple[str, str], Strategy] = {
    ("", "ConfigMap"): small.CONFIG_MAP,
    ("", "Endpoints"): small.ENDPOINTS,
    ("", "Event"): events.CORE,
    ("", "LimitRange"): limits.LIMIT_RANGE,
    ("", "Namespace"): small.NAMESPACE,
    ("", "Node"): small.NODE,
    ("", "PersistentVolume"): volumes.VOLUME,
    ("", "PersistentVolumeClaim"): volumes.CLAIM,
    ("", "Pod"): pods.POD,
    ("", "PodTemplate"): workloads.POD_TEMPLATE,
    ("", "ReplicationController"): workloads.REPLICATION_CONTROLLER,
    ("", "ResourceQuota"): limits.QUOTA,
    ("", "Secret"): small.SECRET,
    ("", "Service"): services.SERVICE,
    ("", "ServiceAccount"): small.SERVICE_ACCOUNT,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): Strategy(prepare_status=only_status),
    ("apps", "ControllerRevision"): small.CONTROLLER_REVISION,
    ("apps", "DaemonSet"): workloads.DAEMON_SET,
    ("apps", "Deployment"): workloads.DEPLOYMENT,
    ("apps", "ReplicaSet"): workloads.REPLICA_SET,
    ("apps", "StatefulSet"): workloads.STATEFUL_SET,
    ("batch", "CronJob"): batch.CRON_JOB,
    ("batch", "Job"): batch.JOB,
    ("coordination.k8s.io", "Lease"): small.LEASE,
    ("discovery.k8s.io", "EndpointSlice"): small.ENDPOINT_SLICE,
    ("events.k8s.io", "Event"): events.EVENT,
    ("networking.k8s.io", "IPAddress"): PLAIN,
    ("networking.k8s.io", "Ingress"): network.INGRESS,
    ("networking.k8s.io", "IngressClass"): network.INGRESS_CLASS,
    ("networking.k8s.io", "NetworkPolicy"): network.NETWORK_POLICY,
    ("networking.k8s.io", "ServiceCIDR"): small.SERVICE_CIDR,
    ("policy", "PodDisruptionBudget"): autoscaling.BUDGET,
    ("scheduling.k8s.io", "PriorityClass"): small.PRIORITY_CLASS,
    ("storage.k8s.io", "StorageClass"): volumes.CLASS,
    (rbac.GROUP, "ClusterRole"): rbac.CLUSTER_ROLE,
    (rbac.GROUP, "ClusterRoleBinding"): rbac.CLUSTER_BINDING,
    (rbac.GROUP, "Role"): rbac.ROLE,
    (rbac.GROUP, "RoleBinding"): rbac.BINDING,
}
_SCALERS = {"v1": autoscaling.FIRST_AUTOSCALER, "v2": autoscaling.AUTOSCALER}
_CUSTOM = Strategy(
    generation=lambda new, old: without(new, "metadata") != without(old, "metadata") or not old,
    unconditional=False,
    prepare_status=only_status,
    warnings=notices.of_finalizers,
)
_WITH_STATUS = replace(_CUSTOM, prepare_create=lambda new, _: new, prepare_update=lambda new, _, __: new)


def strategy(group: str, version: str, kind: str) -> Strategy:
    """The strategy of a built-in kind."""
    if (group, kind) == ("autoscaling", "HorizontalPodAutoscaler"):
        return _SCALERS[version]
    return _KINDS.get((group, kind), PLAIN)


def custom(*, status: bool) -> Strategy:
    """The strategy of a kind that a definition defines; ``status`` when it has ``/status``."""
    return _CUSTOM if status else _WITH_STATUS
