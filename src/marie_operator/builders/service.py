"""Services of the server and of executor groups."""

from collections.abc import Mapping

from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.api.network import ServiceOptions, ServicePort
from marie_operator.builders import association, pod
from marie_operator.builders.association import EXECUTOR, SERVER
from marie_operator.runtime.resource import SERVICES, Object


def server(cluster: MarieCluster) -> Object:
    """Where jobs are submitted; of the type the user chose for the server, else for the cluster."""
    server_spec = cluster.spec.server_spec
    name = association.server_service_name(cluster.metadata.name)
    options = server_spec.service or ServiceOptions()
    wanted = {
        "type": server_spec.service_type or cluster.spec.service_type,
        "ports": [*_ports(pod.server_ports(cluster)), *map(_extra, server_spec.extra_ports)],
        "loadBalancerClass": options.load_balancer_class,
        "loadBalancerSourceRanges": list(options.load_balancer_source_ranges),
        "externalTrafficPolicy": options.external_traffic_policy,
    }
    spec = {field: value for field, value in wanted.items() if value}
    return _service(cluster, name, SERVER, None, spec, options.annotations)


def server_headless(cluster: MarieCluster) -> Object:
    """The server's pod in DNS, also before it is ready."""
    name = association.server_headless_service_name(cluster.metadata.name)
    return _service(cluster, name, SERVER, None, _headless(pod.server_ports(cluster)))


def executor(cluster: MarieCluster, group: ExecutorGroupSpec) -> Object:
    """A group's pods in DNS; the gateway dials workers by the address they register, not through this."""
    name = association.executor_service_name(cluster.metadata.name, group.group_name)
    return _service(cluster, name, EXECUTOR, group, _headless(pod.executor_ports(group)))


def _service(
    cluster: MarieCluster,
    name: str,
    node_type: str,
    group: ExecutorGroupSpec | None,
    spec: Object,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    return association.hashed(
        {
            "apiVersion": SERVICES.api_version,
            "kind": SERVICES.kind,
            "metadata": association.metadata(cluster, name, node_type, group, annotations=annotations),
            "spec": {**spec, "selector": association.selector(cluster, node_type, group)},
        }
    )


def _headless(ports: dict[str, int]) -> Object:
    return {"type": "ClusterIP", "clusterIP": "None", "publishNotReadyAddresses": True, "ports": _ports(ports)}


def _extra(port: ServicePort) -> Object:
    wanted = {
        "name": port.name,
        "port": port.port,
        "targetPort": port.target_port or port.port,
        "protocol": port.protocol,
        "nodePort": port.node_port,
    }
    return {field: value for field, value in wanted.items() if value is not None}


def _ports(ports: dict[str, int]) -> list[Object]:
    return [{"name": name, "port": number, "targetPort": number, "protocol": "TCP"} for name, number in ports.items()]
