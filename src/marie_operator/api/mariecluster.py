"""MarieCluster: one Marie gateway with its scheduler, and the pools of executors that work for it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from marie_operator.api.meta import API_VERSION, Condition, Model, ObjectMeta, SecretKeyReference

PodTemplate = dict[str, Any]
"""A ``v1.PodTemplateSpec``, kept as the user wrote it; the CRD carries its full schema."""

ServiceType = Literal["ClusterIP", "NodePort", "LoadBalancer"]
ClusterPhase = Literal["Pending", "Creating", "Running", "Suspended", "Failed", "Terminating"]


class ServerSpec(Model):
    """The gateway and its scheduler: one process, one pod."""

    replicas: int = Field(default=1, ge=1)
    config_file: str = "/config/marie.yml"
    server_start_params: dict[str, str] = Field(default_factory=dict)
    service_type: ServiceType | None = None
    template: PodTemplate


class ScaleStrategy(Model):
    """Which pods to take first when a group shrinks."""

    workers_to_delete: tuple[str, ...] = ()


class ExecutorGroupSpec(Model):
    """One pool of identical executor pods."""

    group_name: str
    replicas: int = Field(default=1, ge=0)
    min_replicas: int | None = None
    max_replicas: int | None = None
    executor_type: str = ""
    executor_name: str = ""
    slots: int | None = None
    gpu: bool = False
    suspend: bool = False
    scale_strategy: ScaleStrategy | None = None
    template: PodTemplate


class AuthSpec(Model):
    """How the operator authenticates to the gateway."""

    api_key_secret_ref: SecretKeyReference | None = None


class MarieClusterSpec(Model):
    """What the user wants."""

    server_spec: ServerSpec
    executor_group_specs: tuple[ExecutorGroupSpec, ...] = ()
    service_type: ServiceType = "ClusterIP"
    enable_ingress: bool = False
    suspend: bool = False
    marie_version: str = ""
    auth: AuthSpec | None = None


class ServerInfo(Model):
    """Where the server is."""

    pod_ip: str = Field(default="", alias="podIP")
    pod_name: str = ""
    service_name: str = ""


class ExecutorGroupStatus(Model):
    """Pods of one group."""

    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0


class MarieClusterStatus(Model):
    """What the operator saw."""

    phase: ClusterPhase | None = None
    observed_generation: int | None = None
    server_ready: bool | None = None
    ready_executor_replicas: int | None = None
    available_executor_replicas: int | None = None
    desired_executor_replicas: int | None = None
    desired_cpu: str | int | None = Field(default=None, alias="desiredCPU")
    desired_memory: str | int | None = None
    desired_gpu: str | int | None = Field(default=None, alias="desiredGPU")
    endpoints: dict[str, str] = Field(default_factory=dict)
    executor_group_statuses: dict[str, ExecutorGroupStatus] = Field(default_factory=dict)
    server_info: ServerInfo | None = None
    last_update_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()


class MarieCluster(Model):
    """A Marie gateway with its executor pools."""

    api_version: str = API_VERSION
    kind: Literal["MarieCluster"] = "MarieCluster"
    metadata: ObjectMeta
    spec: MarieClusterSpec
    status: MarieClusterStatus = Field(default_factory=MarieClusterStatus)
