"""Where a cluster is reached from inside the Kubernetes cluster."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, pod
from marie_operator.builders.association import GRPC, HTTP


def of(cluster: MarieCluster) -> dict[str, str]:
    """URLs of the server's Service, by protocol."""
    host = f"{association.server_service_name(cluster.metadata.name)}.{cluster.metadata.namespace}.svc"
    ports = pod.server_ports(cluster)
    return {HTTP: f"http://{host}:{ports[HTTP]}", GRPC: f"grpc://{host}:{ports[GRPC]}"}
