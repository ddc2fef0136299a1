"""The HTTPRoute by which Gateways lead to the server's HTTP port."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.network import HTTPRouteOptions, RouteParent
from marie_operator.builders import association, pod
from marie_operator.builders.association import HTTP, SERVER
from marie_operator.runtime.resource import HTTP_ROUTES, Object


def server(cluster: MarieCluster, options: HTTPRouteOptions) -> Object:
    """One prefix of paths to the server, at the hosts and Gateways of ``spec.httpRoute``."""
    name = cluster.metadata.name
    backend = {"name": association.server_service_name(name), "port": pod.server_ports(cluster)[HTTP]}
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": options.path}}], "backendRefs": [backend]}
    spec = {
        "parentRefs": [_parent(each) for each in options.parent_refs],
        **({"hostnames": list(options.hostnames)} if options.hostnames else {}),
        "rules": [rule],
    }
    metadata = association.metadata(cluster, association.route_name(name), SERVER, annotations=options.annotations)
    return association.hashed(
        {"apiVersion": HTTP_ROUTES.api_version, "kind": HTTP_ROUTES.kind, "metadata": metadata, "spec": spec}
    )


def _parent(parent: RouteParent) -> Object:
    wanted = {
        "name": parent.name,
        "namespace": parent.namespace,
        "sectionName": parent.section_name,
        "port": parent.port,
    }
    return {field: value for field, value in wanted.items() if value}
