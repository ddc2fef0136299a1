"""Rows of what makes pods reachable."""

from collections.abc import Iterator

from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.printers.age import Since
from marie_operator.testing.apiserver.printers.shapes import (
    NONE,
    UNSET,
    Cells,
    age,
    labels,
    meta,
    name,
    selector,
    shortened,
    spec,
    status,
)


def service(obj: Object, since: Since) -> Cells:
    """Cells of a Service."""
    wanted = spec(obj)
    ports = [
        f"{each['port']}{':' + str(each['nodePort']) if each.get('nodePort') else ''}/{each.get('protocol', '')}"
        for each in wanted.get("ports") or ()
    ]
    return [
        name(obj),
        wanted.get("type", ""),
        next(iter(wanted.get("clusterIPs") or ()), NONE),
        _external(obj),
        ",".join(ports) or NONE,
        age(obj, since),
        labels(wanted.get("selector")),
    ]


def _external(obj: Object) -> str:
    wanted = spec(obj)
    own = ",".join(wanted.get("externalIPs") or ())
    match wanted.get("type"):
        case "ClusterIP" | "NodePort":
            return own or NONE
        case "LoadBalancer":
            return ",".join(filter(None, (_balancer(obj), own))) or "<pending>"
        case "ExternalName":
            return str(wanted.get("externalName", ""))
        case _:
            return "<unknown>"


def _balancer(obj: Object) -> str:
    found = (status(obj).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(sorted({each.get("ip") or each.get("hostname") or "" for each in found} - {""}))


def ingress(obj: Object, since: Since) -> Cells:
    """Cells of an Ingress."""
    wanted = spec(obj)
    rules = wanted.get("rules") or ()
    return [
        name(obj),
        wanted.get("ingressClassName") or NONE,
        _hosts([each.get("host", "") for each in rules]),
        _balancer(obj),
        "80, 443" if wanted.get("tls") else "80",
        age(obj, since),
    ]


def _hosts(hosts: list[str]) -> str:
    """The first three hosts; rules without one count as rules, but are not shown."""
    shown: list[str] = []
    for host in hosts:
        if len(shown) == 3:
            return f"{','.join(shown)} + {len(hosts) - 3} more..."
        if host:
            shown.append(host)
    return ",".join(shown) or "*"


def ingress_class(obj: Object, since: Since) -> Cells:
    """Cells of an IngressClass."""
    default = (meta(obj).get("annotations") or {}).get("ingressclass.kubernetes.io/is-default-class") == "true"
    found = spec(obj).get("parameters")
    parameters = NONE
    if found:
        group = f".{found['apiGroup']}" if found.get("apiGroup") is not None else ""
        parameters = f"{found['kind']}{group}/{found['name']}"
    return [name(obj) + (" (default)" if default else ""), spec(obj).get("controller", ""), parameters, age(obj, since)]


def network_policy(obj: Object, since: Since) -> Cells:
    """Cells of a NetworkPolicy."""
    return [name(obj), selector(spec(obj).get("podSelector")) or NONE, age(obj, since)]


def endpoint_slice(obj: Object, since: Since) -> Cells:
    """Cells of an EndpointSlice."""
    ports = (
        str(each["port"]) if each.get("port") is not None else each["name"] if each.get("name") is not None else "*"
        for each in obj.get("ports") or ()
    )
    addresses = (address for each in obj.get("endpoints") or () for address in each.get("addresses") or ())
    return [
        name(obj),
        obj.get("addressType", ""),
        shortened(ports, 3, empty=UNSET),
        shortened(addresses, 3, empty=UNSET),
        age(obj, since),
    ]


def endpoints(obj: Object, since: Since) -> Cells:
    """Cells of Endpoints."""
    subsets = obj.get("subsets")
    return [name(obj), shortened(_addresses(subsets), 3) if subsets else NONE, age(obj, since)]


def _addresses(subsets: list[Object]) -> Iterator[str]:
    for subset in subsets:
        found = [each["ip"] for each in subset.get("addresses") or ()]
        if not subset.get("ports"):
            yield from found
        for port in subset.get("ports") or ():
            yield from (f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}" for ip in found)


def service_cidr(obj: Object, since: Since) -> Cells:
    """Cells of a ServiceCIDR."""
    return [name(obj), ",".join(spec(obj).get("cidrs") or ()), age(obj, since)]


def ip_address(obj: Object, since: Since) -> Cells:
    """Cells of an IPAddress."""
    found = spec(obj).get("parentRef")
    parent = NONE
    if found:
        resource = found.get("resource", "") + (f".{found['group']}" if found.get("group") else "")
        parts = (resource.lower(), found.get("namespace", ""), found.get("name", ""))
        parent = "/".join(each for place, each in enumerate(parts) if each or place != 1)
    return [name(obj), parent, age(obj, since)]
