"""Services and Ingresses."""

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
    spec = new["spec"]
    if not spec.get("ports") and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        return [required("spec.ports")]
    if len(spec.get("ports") or ()) > 1:
        return [required(f"spec.ports[{n}].name") for n, each in enumerate(spec["ports"]) if not each.get("name")]
    return []


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
