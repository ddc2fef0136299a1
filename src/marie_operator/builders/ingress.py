"""The Ingress in front of the server's HTTP port."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association
from marie_operator.builders.association import HTTP, SERVER
from marie_operator.runtime.resource import INGRESSES, Object


def server(cluster: MarieCluster) -> Object:
    """All paths of the default host to the server; the ingress class is the cluster's default."""
    name = cluster.metadata.name
    backend = {"service": {"name": association.server_service_name(name), "port": {"name": HTTP}}}
    return association.hashed(
        {
            "apiVersion": INGRESSES.api_version,
            "kind": INGRESSES.kind,
            "metadata": association.metadata(cluster, association.ingress_name(name), SERVER),
            "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
        }
    )
