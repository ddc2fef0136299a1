"""How a cluster is reached, and by whom: its Service, its Ingress, its HTTPRoute, its network policies."""

from typing import Literal

from pydantic import Field

from marie_operator.api.meta import Int32, Model

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
PATH = r"^/.*$"


class ServicePort(Model):
    """One more port of the server's Service."""

    name: str = Field(
        min_length=1, max_length=63, pattern=DNS_LABEL, description="Name of the port, unique in the Service."
    )
    port: Int32 = Field(ge=1, le=65535, description="Number of the port that clients connect to.")
    target_port: Int32 | None = Field(
        default=None, ge=1, le=65535, description="Port of the server's pod; without it, the same."
    )
    protocol: Literal["TCP", "UDP", "SCTP"] = Field(default="TCP", description="Protocol that the port speaks.")
    node_port: Int32 | None = Field(
        default=None, ge=1, le=65535, description="Port of every node, for the types NodePort and LoadBalancer."
    )


class ServiceOptions(Model):
    """What the server's Service has beside its type and ports."""

    annotations: dict[str, str] = Field(
        default_factory=dict, description="Annotations, such as those by which clouds set up a load balancer."
    )
    load_balancer_class: str = Field(
        default="", max_length=253, description="Who provides the load balancer; cannot be changed while it exists."
    )
    load_balancer_source_ranges: tuple[str, ...] = Field(
        default=(), max_length=64, description='Clients that a load balancer lets through, such as "10.0.0.0/8".'
    )
    external_traffic_policy: Literal["Cluster", "Local"] | None = Field(
        default=None, description="Local keeps the address of clients, for the types NodePort and LoadBalancer."
    )


class IngressTLS(Model):
    """A certificate for hosts."""

    hosts: tuple[str, ...] = Field(
        default=(), max_length=32, description="Hosts of the certificate; without them, the Ingress's own host."
    )
    secret_name: str = Field(default="", max_length=253, description="Name of the Secret, of type kubernetes.io/tls.")


class IngressOptions(Model):
    """What the Ingress of ``enableIngress`` is like."""

    class_name: str = Field(default="", max_length=253, description="IngressClass; without it, the default one.")
    host: str = Field(
        default="",
        max_length=253,
        pattern=r"^((\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$",
        description='Host that leads to the server, such as "marie.example.com"; without it, any.',
    )
    path: str = Field(default="/", max_length=1024, pattern=PATH, description="Path that leads to the server.")
    path_type: Literal["Prefix", "Exact", "ImplementationSpecific"] = Field(
        default="Prefix", description="How the paths of requests are compared with it."
    )
    tls: tuple[IngressTLS, ...] = Field(
        default=(), max_length=32, description="Certificates for the host, each in a Secret."
    )
    annotations: dict[str, str] = Field(
        default_factory=dict, description="Annotations, by which ingress controllers are set up."
    )


class RouteParent(Model):
    """A Gateway that is to lead to the server."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Gateway.")
    namespace: str = Field(
        default="", max_length=63, description="Namespace of the Gateway; without it, that of the cluster."
    )
    section_name: str = Field(
        default="", max_length=253, description="Name of the Gateway's listener; without it, all that fit."
    )
    port: Int32 | None = Field(
        default=None, ge=1, le=65535, description="Port of the Gateway's listener; without it, all that fit."
    )


class HTTPRouteOptions(Model):
    """How Gateways of the Gateway API lead to the server's HTTP port."""

    parent_refs: tuple[RouteParent, ...] = Field(
        min_length=1, max_length=32, description="Gateways that are to lead to the server."
    )
    hostnames: tuple[str, ...] = Field(
        default=(),
        max_length=16,
        description='Hosts that lead to the server, such as "marie.example.com"; without it, those of the Gateways.',
    )
    path: str = Field(
        default="/", max_length=1024, pattern=PATH, description="Beginning of the paths that lead to the server."
    )
    annotations: dict[str, str] = Field(
        default_factory=dict, description="Annotations, by which controllers of Gateways are set up."
    )


class SelectorRequirement(Model):
    """One requirement of a label selector."""

    key: str = Field(min_length=1, max_length=317, description="Key of the label that is compared.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label is compared with the values."
    )
    values: tuple[str, ...] = Field(
        default=(), max_length=64, description="What it is compared with, for In and NotIn."
    )


class LabelSelector(Model):
    """A ``metav1.LabelSelector``; an empty one selects everything."""

    match_labels: dict[str, str] = Field(
        default_factory=dict, description="Labels that must be there, with their values."
    )
    match_expressions: tuple[SelectorRequirement, ...] = Field(
        default=(), max_length=32, description="Further requirements, all of which must hold."
    )


class IPBlock(Model):
    """Addresses outside of the Kubernetes cluster."""

    cidr: str = Field(min_length=1, max_length=64, description='Addresses, such as "10.0.0.0/8".')
    except_: tuple[str, ...] = Field(
        default=(), alias="except", max_length=64, description="Addresses within them that are left out."
    )


class PolicyPeer(Model):
    """Who may connect, as a NetworkPolicy says it."""

    pod_selector: LabelSelector | None = Field(
        default=None,
        description="Pods; of the cluster's namespace, or of the namespaces that namespaceSelector selects.",
    )
    namespace_selector: LabelSelector | None = Field(default=None, description="Namespaces by their labels.")
    ip_block: IPBlock | None = Field(default=None, description="Addresses; not together with the selectors.")


class NetworkPolicySpec(Model):
    """Who may connect to the pods of a cluster; what is not said here is refused."""

    clients: tuple[PolicyPeer, ...] = Field(
        default=(),
        max_length=64,
        description="Who may reach the ports of the server beside the cluster's own pods and the operator. "
        "Without it, the pods of the cluster's namespace. An Ingress needs its controller's namespace here.",
    )
    monitoring: tuple[PolicyPeer, ...] = Field(
        default=(), max_length=64, description="Who may reach the metrics ports of all pods."
    )
