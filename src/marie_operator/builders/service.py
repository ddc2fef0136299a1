"""Services of the server and of executor groups."""

from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.builders import association, pod
from marie_operator.builders.association import EXECUTOR, SERVER
from marie_operator.runtime.resource import SERVICES, Object


def server(cluster: MarieCluster) -> Object:
    """Where jobs are submitted; of the type the user chose for the server, else for the cluster."""
    name = association.server_service_name(cluster.metadata.name)
    kind = cluster.spec.server_spec.service_type or cluster.spec.service_type
    return _service(cluster, name, SERVER, None, {"type": kind, "ports": _ports(pod.server_ports(cluster))})


def server_headless(cluster: MarieCluster) -> Object:
    """The server's pod in DNS, also before it is ready."""
    name = association.server_headless_service_name(cluster.metadata.name)
    return _service(cluster, name, SERVER, None, _headless(pod.server_ports(cluster)))


def executor(cluster: MarieCluster, group: ExecutorGroupSpec) -> Object:
    """A group's pods in DNS; the gateway dials workers by the address they register, not through this."""
    name = association.executor_service_name(cluster.metadata.name, group.group_name)
    return _service(cluster, name, EXECUTOR, group, _headless(pod.executor_ports(group)))


def _service(cluster: MarieCluster, name: str, node_type: str, group: ExecutorGroupSpec | None, spec: Object) -> Object:
    return association.hashed(
        {
            "apiVersion": SERVICES.api_version,
            "kind": SERVICES.kind,
            "metadata": association.metadata(cluster, name, node_type, group),
            "spec": {**spec, "selector": association.selector(cluster, node_type, group)},
        }
    )


def _headless(ports: dict[str, int]) -> Object:
    return {"type": "ClusterIP", "clusterIP": "None", "publishNotReadyAddresses": True, "ports": _ports(ports)}


def _ports(ports: dict[str, int]) -> list[Object]:
    return [{"name": name, "port": number, "targetPort": number, "protocol": "TCP"} for name, number in ports.items()]
