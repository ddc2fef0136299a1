"""Services and Ingresses."""

import re
from collections.abc import Iterator

from marie_operator.testing.apiserver import formats
from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies.base import (
    Context,
    Strategy,
    filled,
    immutable,
    never,
    required,
    without,
)
from marie_operator.testing.apiserver.strategies.containers import (
    PORT_RANGE,
    PROTOCOLS,
    duplicate,
    invalid,
    unsupported,
)

_EXPOSED = frozenset({"NodePort", "LoadBalancer"})


def _default(new: Object) -> Object:
    spec = filled(new.get("spec") or {}, sessionAffinity="None", type="ClusterIP")
    if spec["type"] != "ExternalName":
        spec = filled(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in _EXPOSED:
        spec = filled(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        spec = filled(spec, allocateLoadBalancerNodePorts=True)
    if spec.get("ports"):
        ports = [filled(each, protocol="TCP", targetPort=each.get("port")) for each in spec["ports"]]
        spec = {**spec, "ports": ports}
    return {**new, "spec": spec}


def _allocated(new: Object, context: Context) -> Object:
    spec = new["spec"]
    if spec["type"] == "ExternalName":
        return new
    address = spec.get("clusterIP") or context.allocate_ip()
    spec = {**spec, "clusterIP": address, "clusterIPs": spec.get("clusterIPs") or [address]}
    spec = filled(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if spec["type"] in _EXPOSED and spec.get("ports"):
        ports = [
            each if each.get("nodePort") else {**each, "nodePort": context.allocate_node_port()}
            for each in spec["ports"]
        ]
        spec = {**spec, "ports": ports}
    return {**new, "spec": spec}


def _create(new: Object, context: Context) -> Object:
    return {**_allocated(without(new, "status"), context), "status": {"loadBalancer": {}}}


def _update(new: Object, old: Object, context: Context) -> Object:
    kept = {
        name: old["spec"][name]
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if name in old["spec"]
    }
    spec = new["spec"]
    if spec["type"] != "ExternalName":
        spec = filled(spec, **kept)
    ports = {(each.get("port"), each.get("protocol")): each.get("nodePort") for each in old["spec"].get("ports") or ()}
    if spec["type"] in _EXPOSED and spec.get("ports"):
        held = [filled(each, nodePort=ports.get((each.get("port"), each.get("protocol")))) for each in spec["ports"]]
        spec = {**spec, "ports": [without(each, "nodePort") if each.get("nodePort") is None else each for each in held]}
    elif old["spec"]["type"] in _EXPOSED and spec.get("ports"):
        spec = {**spec, "ports": [without(each, "nodePort") for each in spec["ports"]]}
        spec = without(spec, "externalTrafficPolicy", "allocateLoadBalancerNodePorts")
    new = _allocated({**new, "spec": spec}, context)
    return {**without(new, "status"), "status": old.get("status", {"loadBalancer": {}})}


def _errors(new: Object) -> list[FieldError]:
    return list(_problems(new["spec"]))


def _problems(spec: Object) -> Iterator[FieldError]:
    ports = spec.get("ports") or ()
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    names: set[str] = set()
    for number, port in enumerate(ports):
        yield from _port(port, f"spec.ports[{number}]", names, several=len(ports) > 1)
    yield from unsupported(spec["type"], ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"), "spec.type")
    yield from unsupported(spec["sessionAffinity"], ("ClientIP", "None"), "spec.sessionAffinity")
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    address = spec.get("clusterIP", "None")
    if address not in {"None", ""} and not formats.matches("ipv4", address) and not formats.matches("ipv6", address):
        why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        yield invalid(address, why, "spec.clusterIPs[0]")


def _port(port: Object, at: str, names: set[str], *, several: bool) -> Iterator[FieldError]:
    name = port.get("name")
    if several and not name:
        yield required(f"{at}.name")
    elif name in names:
        yield duplicate(name, f"{at}.name")
    names.add(name or "")
    if not 1 <= port.get("port", 0) <= 65535:
        yield invalid(port.get("port", 0), PORT_RANGE, f"{at}.port")
    yield from unsupported(port.get("protocol", "TCP"), PROTOCOLS, f"{at}.protocol")
    target = port.get("targetPort", 0)
    if isinstance(target, str) and not re.fullmatch(r"[-a-z0-9]+", target):
        why = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        yield invalid(target, why, f"{at}.targetPort")
    elif isinstance(target, int) and not 1 <= target <= 65535:
        yield invalid(target, PORT_RANGE, f"{at}.targetPort")


def _changed(new: Object, old: Object) -> list[FieldError]:
    found = _errors(new)
    if new["spec"]["type"] == old["spec"]["type"] != "ExternalName":
        found += immutable(new, old, "spec.clusterIP")
    return found


SERVICE = Strategy(
    default=_default,
    prepare_create=_create,
    prepare_update=_update,
    validate=_errors,
    validate_update=_changed,
    generation=never,
)
INGRESS = Strategy(prepare_create=lambda new, _: {**without(new, "status"), "status": {"loadBalancer": {}}})
