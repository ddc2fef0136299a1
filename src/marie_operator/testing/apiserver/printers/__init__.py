"""Tables of the built-in kinds: which columns there are, and what stands in a row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.printers import cluster, network, pods, workloads
from marie_operator.testing.apiserver.printers.age import Since
from marie_operator.testing.apiserver.printers.shapes import Cells


@dataclass(frozen=True, slots=True)
class Printer:
    """How objects of a kind are printed.

    Attributes:
        columns: ``columnDefinitions`` of the table.
        cells: The cells of an object's row.
        conditions: What else is told of a row.
    """

    columns: Sequence[Object]
    cells: Callable[[Object, Since], Cells]
    conditions: Callable[[Object], list[Object]] | None = None


def printer(
    headers: str, cells: Callable[[Object, Since], Cells], conditions: Callable[[Object], list[Object]] | None = None
) -> Printer:
    """A printer.

    Args:
        headers: Names of the columns, divided by commas. After a colon comes a type other than string; a plus sign
            is before columns that are only for who wants to see more.
        cells: The cells of an object's row.
        conditions: What else is told of a row.
    """
    return Printer([_column(each) for each in headers.split(",")], cells, conditions)


def _column(header: str) -> Object:
    name, _, type_ = header.removeprefix("+").partition(":")
    return column(name, type_ or "string", priority=int(header.startswith("+")))


def column(name: str, type_: str, *, form: str = "", description: str = "", priority: int = 0) -> Object:
    """A column definition."""
    form = "name" if name == "Name" else form
    return {"name": name, "type": type_, "format": form, "description": description, "priority": priority}


_WIDE = "+Containers,+Images"
_REPLICAS = f"Name,Desired:integer,Current:integer,Ready:integer,Age,{_WIDE},+Selector"
_BINDING = printer("Name,Role,Age,+Users,+Groups,+ServiceAccounts", cluster.binding)
_EVENT = printer(
    "Last Seen,Type,Reason,Object,+Subobject,+Source,Message,+First Seen,+Count,+Name",
    cluster.event,
)

PRINTERS: Final[Mapping[tuple[str, str], Printer]] = {
    ("", "Pod"): printer(
        "Name,Ready,Status,Restarts,Age,+IP,+Node,+Nominated Node,+Readiness Gates", pods.pod, pods.conditions
    ),
    ("", "PodTemplate"): printer("Name,Containers,Images,Pod Labels", workloads.pod_template),
    ("", "ReplicationController"): printer(_REPLICAS, workloads.replication_controller),
    ("apps", "ReplicaSet"): printer(_REPLICAS, workloads.replica_set),
    ("apps", "Deployment"): printer(f"Name,Ready,Up-to-date,Available,Age,{_WIDE},+Selector", workloads.deployment),
    ("apps", "StatefulSet"): printer(f"Name,Ready,Age,{_WIDE}", workloads.stateful_set),
    ("apps", "DaemonSet"): printer(
        "Name,Desired:integer,Current:integer,Ready:integer,Up-to-date:integer,Available:integer,Node Selector,Age,"
        f"{_WIDE},+Selector",
        workloads.daemon_set,
    ),
    ("apps", "ControllerRevision"): printer("Name,Controller,Revision,Age", workloads.controller_revision),
    ("batch", "Job"): printer(f"Name,Status,Completions,Duration,Age,{_WIDE},+Selector", workloads.job),
    ("batch", "CronJob"): printer(
        f"Name,Schedule,Timezone,Suspend:boolean,Active:integer,Last Schedule,Age,{_WIDE},+Selector",
        workloads.cron_job,
    ),
    ("policy", "PodDisruptionBudget"): printer(
        "Name,Min Available,Max Unavailable,Allowed Disruptions:integer,Age", workloads.disruption_budget
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): printer(
        "Name,Reference,Targets,MinPods,MaxPods,Replicas,Age", workloads.autoscaler
    ),
    ("autoscaling", "Scale"): printer("Name,Desired:integer,Available:integer,Age", cluster.scale),
    ("", "Service"): printer("Name,Type,Cluster-IP,External-IP,Port(s),Age,+Selector", network.service),
    ("", "Endpoints"): printer("Name,Endpoints,Age", network.endpoints),
    ("discovery.k8s.io", "EndpointSlice"): printer("Name,AddressType,Ports,Endpoints,Age", network.endpoint_slice),
    ("networking.k8s.io", "Ingress"): printer("Name,Class,Hosts,Address,Ports,Age", network.ingress),
    ("networking.k8s.io", "IngressClass"): printer("Name,Controller,Parameters,Age", network.ingress_class),
    ("networking.k8s.io", "NetworkPolicy"): printer("Name,Pod-Selector,Age", network.network_policy),
    ("networking.k8s.io", "ServiceCIDR"): printer("Name,CIDRs,Age", network.service_cidr),
    # The API server has no column for the age, and sends it.
    ("networking.k8s.io", "IPAddress"): printer("Name,ParentRef", network.ip_address),
    ("", "Node"): printer(
        "Name,Status,Roles,Age,Version,+Internal-IP,+External-IP,+OS-Image,+Kernel-Version,+Container-Runtime",
        cluster.node,
    ),
    ("", "Namespace"): printer("Name,Status,Age", cluster.namespace),
    ("", "ConfigMap"): printer("Name,Data,Age", cluster.config_map),
    ("", "Secret"): printer("Name,Type,Data,Age", cluster.secret),
    ("", "ServiceAccount"): printer("Name,Age", cluster.service_account),
    ("", "Event"): _EVENT,
    ("events.k8s.io", "Event"): _EVENT,
    ("", "PersistentVolume"): printer(
        "Name,Capacity,Access Modes,Reclaim Policy,Status,Claim,StorageClass,VolumeAttributesClass,Reason,Age,"
        "+VolumeMode",
        cluster.volume,
    ),
    ("", "PersistentVolumeClaim"): printer(
        "Name,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age,+VolumeMode", cluster.claim
    ),
    ("", "ResourceQuota"): printer("Name,Request,Limit,Age", cluster.quota),
    ("", "ComponentStatus"): printer("Name,Status,Message,Error", cluster.component),
    ("storage.k8s.io", "StorageClass"): printer(
        "Name,Provisioner,ReclaimPolicy,VolumeBindingMode,AllowVolumeExpansion,Age", cluster.storage_class
    ),
    ("scheduling.k8s.io", "PriorityClass"): printer(
        "Name,Value:integer,Global-Default:boolean,Age,PreemptionPolicy", cluster.priority_class
    ),
    ("coordination.k8s.io", "Lease"): printer("Name,Holder,Age", cluster.lease),
    ("rbac.authorization.k8s.io", "RoleBinding"): _BINDING,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _BINDING,
}
