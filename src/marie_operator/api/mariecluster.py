"""MarieCluster: one Marie gateway with its scheduler, and the pools of executors that work for it."""

from typing import Literal

from pydantic import Field

from marie_operator.api.backing import BackingServices, FlowExecutor, Scheduler
from marie_operator.api.meta import (
    API_VERSION,
    Bool,
    Condition,
    Int32,
    Int64,
    ManagedBy,
    Model,
    ObjectMeta,
    PodTemplate,
    Quantity,
    SecretKeyReference,
    Time,
)
from marie_operator.api.network import HTTPRouteOptions, IngressOptions, NetworkPolicySpec, ServiceOptions, ServicePort

ServiceType = Literal["ClusterIP", "NodePort", "LoadBalancer"]
ClusterPhase = Literal["Pending", "Creating", "Running", "Suspended", "Failed", "Terminating"]

MAX_GROUPS = 256
"""Bounds the cost of the rules over groups, which the API server estimates before it accepts the CRD."""


CONFIG_FILE = "/config/marie.yml"
"""Where a server's configuration is, and an executor's that the operator renders."""


class ServerSpec(Model):
    """The gateway and its scheduler: one process, one pod."""

    replicas: Int32 = Field(
        default=1, ge=1, description="Number of server pods. Leave it at 1: two schedulers dispatch the same job twice."
    )
    config_file: str = Field(
        default=CONFIG_FILE,
        description="Path, in the container, of the gateway's configuration that a volume of the template provides. "
        "With spec.backingServices, and without such a volume, the operator renders it there.",
    )
    server_start_params: dict[str, str] = Field(
        default_factory=dict,
        description='Further flags of "marie gateway", by name without the dashes. '
        "Used only when the template gives neither command nor args.",
    )
    service_type: ServiceType | None = Field(
        default=None, description="Type of the server's Service; overrides spec.serviceType for the server alone."
    )
    service: ServiceOptions | None = Field(
        default=None, description="What the Service that clients reach the server by has beside its type and ports."
    )
    extra_ports: tuple[ServicePort, ...] = Field(
        default=(),
        max_length=32,
        description="Further ports of the server's Service, such as those of sidecars in the template.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    template: PodTemplate = Field(
        description="Pod template of the server. A container with a name and an image is enough: command, ports, "
        "probes and environment are filled in where the template says nothing. Marie's container is the one named "
        '"marie", else the first.'
    )


class ScaleStrategy(Model):
    """Which pods to take first when a group shrinks."""

    workers_to_delete: tuple[str, ...] = Field(
        default=(),
        max_length=1024,
        description="Names of pods of the group to delete first when replicas go down, and in any case: where "
        "replicas stay as they are, others take their place. Each goes once it is idle; a name whose pod is gone, or "
        "is none of the group's, means nothing and can stay.",
    )


class ModelCache(Model):
    """Where models that executors load are kept, so that the next pod need not load them again."""

    claim_name: str = Field(
        default="",
        max_length=253,
        description="Name of a PersistentVolumeClaim in the cluster's namespace, shared by the group's pods: "
        "one that many nodes can mount (ReadWriteMany), or that holds all models already (ReadOnlyMany). "
        "Without it, each pod has a cache of its own, which goes with it.",
    )
    read_only: Bool = Field(default=False, description="Set to true when the claim holds all models already.")
    size_limit: Quantity | None = Field(
        default=None, description="Most that a pod's own cache may hold, such as 50Gi; without it, what the node has."
    )


class ExecutorGroupSpec(Model):
    """One pool of identical executor pods."""

    group_name: str = Field(
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="Name of the group, unique in the cluster: lower-case letters, digits and dashes. It becomes part "
        "of the names of the group's Deployment and Service.",
    )
    replicas: Int32 = Field(
        default=1,
        ge=0,
        description="Number of executor pods; 0 keeps none. Below minReplicas the group has minReplicas, above "
        "maxReplicas it has maxReplicas, and an event says so. Pods that work are not removed before they are idle.",
    )
    min_replicas: Int32 | None = Field(
        default=None, ge=0, description="Fewest pods the group may have, unless it is suspended."
    )
    max_replicas: Int32 | None = Field(default=None, ge=0, description="Most pods the group may have.")
    executor_type: str = Field(
        default="",
        max_length=253,
        description="What the executors do, such as ocr, classifier or ner. Selects the executor's name "
        "when executorName is not given.",
    )
    executor_name: str = Field(
        default="",
        max_length=253,
        description="Name under which the executors register at the gateway, as query plans address them "
        "(extract_executor): letters, digits and underscores. Needed when it does not follow from executorType.",
    )
    config_file: str = Field(
        default="",
        max_length=4096,
        description="Path, in the container, of a Flow that the image or a volume of the template provides. "
        "With spec.backingServices, and without it, the operator renders one.",
    )
    uses: FlowExecutor | None = Field(
        default=None,
        description="Class that the rendered Flow runs, where it does not follow from executorType or executorName.",
    )
    slots: Int32 | None = Field(
        default=None,
        ge=1,
        description="Documents that one executor pod works on at the same time; Marie's default is 1.",
    )
    gpu: Bool = Field(
        default=False,
        description="Whether the executors compute on GPUs. The GPUs themselves are asked for by the template's "
        "resource limits, such as nvidia.com/gpu.",
    )
    suspend: Bool = Field(
        default=False,
        description="Set to true to remove the group's pods, each once it is idle, and keep everything else; false "
        "brings them back.",
    )
    model_cache: ModelCache | None = Field(
        default=None,
        description="Write {} for a cache of models at /etc/marie/model_zoo in each pod, or name a claim to share one. "
        "Without it, models are what the image has there.",
    )
    scale_strategy: ScaleStrategy | None = Field(
        default=None, description="Which pods to take first when the group shrinks."
    )
    template: PodTemplate = Field(
        description="Pod template of the executors. A container with a name and an image is enough: command, ports, "
        "probes and environment are filled in where the template says nothing. Marie's container is the one named "
        '"marie", else the first.'
    )


class AuthSpec(Model):
    """How the operator authenticates to the gateway."""

    api_key_secret_ref: SecretKeyReference | None = Field(
        default=None,
        description="Secret with an API key that the gateway's configuration accepts. "
        "Without it, the key apiKey of the Secret <cluster>-api-key is used, which the operator makes "
        "when it renders the gateway's configuration.",
    )
    client_key_secret_refs: tuple[SecretKeyReference, ...] = Field(
        default=(),
        max_length=256,
        description="Secrets with API keys of other clients, for the configuration that the operator renders.",
    )


class UpgradeStrategy(Model):
    """When a change that replaces pods is made."""

    type: Literal["WhenIdle", "Immediate"] = Field(
        default="WhenIdle",
        description="WhenIdle makes changes that replace pods of the server, of managed services or of executors when "
        "Marie has no document in hand; until then the cluster's MarieJobs submit no more. Immediate makes them at "
        "once: documents in hand are then lost with the server, or have the executors' grace period to end.",
    )
    deadline_seconds: Int32 = Field(
        default=3600,
        ge=0,
        description="How long a change waits at most; then it is made although documents are in hand.",
    )


class MarieClusterSpec(Model):
    """What the user wants."""

    server_spec: ServerSpec = Field(description="The server: Marie's gateway and scheduler in one pod.")
    executor_group_specs: tuple[ExecutorGroupSpec, ...] = Field(
        default=(),
        max_length=MAX_GROUPS,
        description="The pools of executors that work for the server, one entry for each kind of pod.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["groupName"]},
    )
    service_type: ServiceType = Field(
        default="ClusterIP", description="Type of the Service that clients reach the server by."
    )
    enable_ingress: Bool = Field(
        default=False, description="Set to true for an Ingress that leads to the server's HTTP port."
    )
    ingress: IngressOptions | None = Field(
        default=None, description="Class, host, path, certificates and annotations of that Ingress."
    )
    http_route: HTTPRouteOptions | None = Field(
        default=None,
        alias="httpRoute",
        description="With it, an HTTPRoute by which Gateways lead to the server's HTTP port; needs the CRDs of the "
        "Gateway API.",
    )
    network_policy: NetworkPolicySpec | None = Field(
        default=None,
        description="With it, even if empty, NetworkPolicies let nobody connect to the pods who has no need to: "
        "executors hear the server alone, managed services the cluster's pods and the operator.",
    )
    suspend: Bool = Field(
        default=False,
        description="Set to true to remove all pods of the cluster and keep everything else; false brings them back.",
    )
    upgrade_strategy: UpgradeStrategy | None = Field(
        default=None, description="When changes that replace pods are made; without it, when Marie is idle."
    )
    managed_by: ManagedBy = ""
    successful_jobs_history_limit: Int32 | None = Field(
        default=None,
        ge=0,
        description="How many of its MarieJobs that succeeded are kept; older ones are deleted. Without it, all are.",
    )
    failed_jobs_history_limit: Int32 | None = Field(
        default=None,
        ge=0,
        description="How many of its MarieJobs that failed are kept; older ones are deleted. Without it, all are.",
    )
    max_documents_in_flight: Int32 | None = Field(
        default=None,
        ge=1,
        description="Documents of all its MarieJobs together that Marie is given at a time; the others wait, in the "
        "order of priority and deadlines. Without it: 100, or more where the workers or a batch's maxInFlight need it.",
    )
    marie_version: str = Field(
        default="", description="Version of Marie in the images, such as 3.0; for people, the images decide what runs."
    )
    auth: AuthSpec | None = Field(default=None, description="How the operator authenticates to the gateway.")
    backing_services: BackingServices | None = Field(
        default=None,
        description="The etcd, PostgreSQL, object store and broker that Marie works with. With it the operator renders "
        "the configuration of server and executors, so that an image is all that a template needs.",
    )
    scheduler: Scheduler | None = Field(
        default=None, description="Queues, planners and bounds of the scheduler, for the rendered configuration."
    )


class ServerInfo(Model):
    """Where the server is."""

    pod_ip: str = Field(default="", alias="podIP", description="IP address of the server's pod.")
    pod_name: str = Field(default="", description="Name of the server's pod.")
    service_name: str = Field(default="", description="Name of the Service that clients reach the server by.")
    marie_version: str = Field(
        default="", description="Version of Marie as the gateway tells it, and in parentheses which of its APIs it has."
    )


class ExecutorGroupStatus(Model):
    """Pods of one group."""

    replicas: Int32 = Field(default=0, description="Pods that exist, ready or not.")
    ready_replicas: Int32 = Field(default=0, description="Pods whose readiness probe succeeds.")
    available_replicas: Int32 = Field(default=0, description="Pods that have been ready for minReadySeconds.")
    desired_replicas: Int32 | None = Field(
        default=None, description="Pods the group is to have: replicas, between minReplicas and maxReplicas."
    )
    busy_replicas: Int32 | None = Field(
        default=None,
        description="Pods that have work in hand, or had within the last minute, as far as it was ever known.",
    )
    idle_replicas: Int32 | None = Field(
        default=None, description="Pods that have had no work for a minute, as far as it was ever known."
    )
    message: str = Field(
        default="", description="Why the group has other pods than replicas says; empty when there is nothing to say."
    )


class MarieClusterStatus(Model):
    """What the operator saw."""

    phase: ClusterPhase | None = Field(
        default=None, description="The state in one word, for people; programs watch the conditions."
    )
    observed_generation: Int64 | None = Field(
        default=None, description="The metadata.generation this status was computed from."
    )
    server_ready: Bool | None = Field(
        default=None, description="Whether the server's pod is ready and its scheduler takes jobs."
    )
    ready_executor_replicas: Int32 | None = Field(
        default=None, description="Ready executor pods of all groups together."
    )
    available_executor_replicas: Int32 | None = Field(
        default=None, description="Available executor pods of all groups together."
    )
    desired_executor_replicas: Int32 | None = Field(
        default=None, description="Executor pods that the spec asks for, of all groups together."
    )
    desired_cpu: Quantity | None = Field(
        default=None, alias="desiredCPU", description="CPU that all pods of the spec request together."
    )
    desired_memory: Quantity | None = Field(
        default=None, description="Memory that all pods of the spec request together."
    )
    desired_gpu: Quantity | None = Field(
        default=None, alias="desiredGPU", description="GPUs that all pods of the spec request together."
    )
    endpoints: dict[str, str] = Field(
        default_factory=dict, description="Addresses of the server inside the cluster, by the port's name."
    )
    executor_group_statuses: dict[str, ExecutorGroupStatus] = Field(
        default_factory=dict, description="Counts of pods, by the group's name."
    )
    server_info: ServerInfo | None = Field(default=None, description="Where the server is: its pod and its Service.")
    last_update_time: Time | None = Field(default=None, description="When this status last changed.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="What is true of the cluster; Ready is the summary, with a sentence that says what is missing.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


class MarieCluster(Model):
    """A Marie gateway with its scheduler, and the pools of executors that work for it."""

    api_version: str = API_VERSION
    kind: Literal["MarieCluster"] = "MarieCluster"
    metadata: ObjectMeta
    spec: MarieClusterSpec = Field(
        description="What should run: the server, the executor groups and how to reach them."
    )
    status: MarieClusterStatus = Field(
        default_factory=MarieClusterStatus, description="What the operator saw last; written by the operator alone."
    )
