"""The Ingress in front of the server's HTTP port."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.network import IngressOptions, IngressTLS
from marie_operator.builders import association
from marie_operator.builders.association import HTTP, SERVER
from marie_operator.runtime.resource import INGRESSES, Object


def server(cluster: MarieCluster) -> Object:
    """One path to the server; without options all paths of the default host, by the default class."""
    name, options = cluster.metadata.name, cluster.spec.ingress or IngressOptions()
    metadata = association.metadata(cluster, association.ingress_name(name), SERVER, annotations=options.annotations)
    backend = {"service": {"name": association.server_service_name(name), "port": {"name": HTTP}}}
    path = {"path": options.path, "pathType": options.path_type, "backend": backend}
    rule = {"host": options.host} if options.host else {}
    wanted = {
        "ingressClassName": options.class_name,
        "tls": [_tls(each, options.host) for each in options.tls],
        "rules": [{**rule, "http": {"paths": [path]}}],
    }
    return association.hashed(
        {
            "apiVersion": INGRESSES.api_version,
            "kind": INGRESSES.kind,
            "metadata": metadata,
            "spec": {field: value for field, value in wanted.items() if value},
        }
    )


def _tls(certificate: IngressTLS, host: str) -> Object:
    wanted = {"hosts": list(certificate.hosts) or ([host] if host else []), "secretName": certificate.secret_name}
    return {field: value for field, value in wanted.items() if value}
