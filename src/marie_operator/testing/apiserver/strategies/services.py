"""Services."""

import re
from collections.abc import Iterator

from marie_operator.testing.apiserver import names
from marie_operator.testing.apiserver.errors import FieldError, Json, Object
from marie_operator.testing.apiserver.strategies import allocation, notices
from marie_operator.testing.apiserver.strategies.base import (
    Context,
    Strategy,
    filled,
    forbidden,
    never,
    required,
    shown,
    without,
)
from marie_operator.testing.apiserver.strategies.containers import (
    PORT_RANGE,
    PROTOCOLS,
    duplicate,
    invalid,
    unsupported,
)

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_AFFINITY_SECONDS = 10800
_LONGEST_AFFINITY = 86400


def _default(new: Object) -> Object:
    """Fill in what is absent (``SetDefaults_Service``)."""
    spec = filled(new.get("spec") or {}, sessionAffinity="None", type="ClusterIP")
    if spec["sessionAffinity"] == "None":
        spec = without(spec, "sessionAffinityConfig")
    elif spec["sessionAffinity"] == "ClientIP" and _affinity_seconds(spec) is None:
        spec = {**spec, "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": _AFFINITY_SECONDS}}}
    if spec.get("ports"):
        ports = [filled(each, protocol="TCP") for each in spec["ports"]]
        spec = {**spec, "ports": [{**each, "targetPort": each.get("targetPort") or each["port"]} for each in ports]}
    if allocation.reachable(spec):
        spec = filled(spec, externalTrafficPolicy="Cluster")
    if spec["type"] in {"NodePort", "LoadBalancer", "ClusterIP"}:
        spec = filled(spec, internalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        spec = filled(spec, allocateLoadBalancerNodePorts=True)
        new = {**new, "status": _balanced(new.get("status") or {})}
    return {**new, "spec": spec}


def _balanced(status: Object) -> Object:
    """Addresses of load balancers are their own, unless it is told otherwise."""
    ends = (status.get("loadBalancer") or {}).get("ingress")
    if not ends:
        return status
    told = [filled(each, ipMode="VIP") if each.get("ip") else each for each in ends]
    return {**status, "loadBalancer": {**status["loadBalancer"], "ingress": told}}


def _affinity_seconds(spec: Object) -> Json:
    return ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")


def _create(new: Object, _: Context) -> Object:
    spec = new["spec"]
    if spec.get("clusterIP"):
        spec = filled(spec, clusterIPs=[spec["clusterIP"]])
    return {**without(new, "status"), "spec": spec, "status": {"loadBalancer": {}}}


def _update(new: Object, old: Object, _: Context) -> Object:
    """What changes of type leave behind goes, and what was allocated stays (``patchAllocatedValues``)."""
    spec, before = new["spec"], old["spec"]
    spec = _synchronized(allocation.kept(_dropped(spec, before), before), before)
    status = old["status"] if spec["type"] == "LoadBalancer" else {**old["status"], "loadBalancer": {}}
    return {**new, "spec": spec, "status": status}


def _dropped(spec: Object, before: Object) -> Object:
    """Without what does not go with a new type (``dropTypeDependentFields``), as long as it was left alone."""
    if before["type"] != "ExternalName" and spec["type"] == "ExternalName":
        if _same(spec, before, "clusterIP", "clusterIPs"):
            spec = without(spec, "clusterIP", "clusterIPs")
        for name in ("ipFamilies", "ipFamilyPolicy"):
            spec = _unless_changed(spec, before, name)
    ports = [[each.get("nodePort") for each in value.get("ports") or ()] for value in (spec, before)]
    if allocation.exposed(before) and not allocation.exposed(spec) and ports[0] == ports[1]:
        spec = {**spec, "ports": [without(each, "nodePort") for each in spec.get("ports") or ()]}
    if allocation.health_checked(before) and not allocation.health_checked(spec):
        spec = _unless_changed(spec, before, "healthCheckNodePort")
    if before["type"] == "LoadBalancer" != spec["type"]:
        spec = _unless_changed(spec, before, "allocateLoadBalancerNodePorts")
        spec = _unless_changed(spec, before, "loadBalancerClass")
    if allocation.reachable(before) and not allocation.reachable(spec):
        spec = _unless_changed(spec, before, "externalTrafficPolicy")
    return spec


def _same(spec: Object, before: Object, *fields: str) -> bool:
    return all(spec.get(name) == before.get(name) for name in fields)


def _unless_changed(spec: Object, before: Object, name: str) -> Object:
    return without(spec, name) if _same(spec, before, name) else spec


def _synchronized(spec: Object, before: Object) -> Object:
    """The list of addresses follows a client that knows of one only (``normalizeClusterIPs``)."""
    if spec.get("clusterIP") == before.get("clusterIP") or not _same(spec, before, "clusterIPs"):
        return spec
    return {**spec, "clusterIPs": [spec["clusterIP"]]} if spec.get("clusterIP") else without(spec, "clusterIPs")


# What may be wrong.


def _errors(new: Object) -> list[FieldError]:
    return list(_problems(new["spec"]))


def _errors_at_first(new: Object) -> list[FieldError]:
    """Addresses are looked at first, and nothing else when there is something wrong with them."""
    return [*allocation.address_errors(new["spec"])] or _errors(new)


def _problems(spec: Object) -> Iterator[FieldError]:
    ports: list[Object] = spec.get("ports") or []
    if not ports and not allocation.headless(spec) and spec["type"] != "ExternalName":
        yield required("spec.ports")
    yield from _of_type(spec)
    known: set[str] = set()
    for number, port in enumerate(ports):
        yield from _port(port, f"spec.ports[{number}]", known, several=len(ports) > 1)
    yield from names.label_errors(spec.get("selector") or {}, "spec.selector")
    yield from unsupported(spec["sessionAffinity"], ("ClientIP", "None"), "spec.sessionAffinity")
    if spec["sessionAffinity"] == "ClientIP" and not 0 < _affinity_seconds(spec) <= _LONGEST_AFFINITY:
        why = f"must be greater than 0 and less than {_LONGEST_AFFINITY}"
        yield invalid(_affinity_seconds(spec), why, "spec.sessionAffinityConfig.clientIP.timeoutSeconds")
    yield from allocation.address_errors(spec)
    yield from unsupported(spec["type"], _TYPES, "spec.type")
    if spec["type"] == "ClusterIP":
        why = "may not be used when `type` is 'ClusterIP'"
        yield from (forbidden(f"{at}.nodePort", why) for at, port in _numbered(ports) if port.get("nodePort"))
    yield from _repeated(ports)
    yield from _traffic(spec)


def _of_type(spec: Object) -> Iterator[FieldError]:
    kind = spec["type"]
    if kind in {"LoadBalancer", "NodePort"} and allocation.headless(spec):
        yield invalid("None", f"may not be set to 'None' for {kind} services", "spec.clusterIPs[0]")
    if kind != "ExternalName":
        return
    for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(name):
            yield forbidden(f"spec.{name}", "may not be set for ExternalName services")
    target = str(spec.get("externalName", "")).removesuffix(".")
    if not target:
        yield required("spec.externalName")
    elif not names.is_subdomain(target):
        yield invalid(target, names.IS_SUBDOMAIN, "spec.externalName")


def _numbered(ports: list[Object]) -> list[tuple[str, Object]]:
    return [(f"spec.ports[{number}]", port) for number, port in enumerate(ports)]


def _port(port: Object, at: str, known: set[str], *, several: bool) -> Iterator[FieldError]:
    name = port.get("name")
    if several and not name:
        yield required(f"{at}.name")
    elif name and not names.is_label(name):
        yield invalid(name, names.IS_LABEL, f"{at}.name")
    elif name in known:
        yield duplicate(name, f"{at}.name")
    known.add(name or "")
    if not 1 <= port["port"] <= 65535:
        yield invalid(port["port"], PORT_RANGE, f"{at}.port")
    yield from unsupported(port["protocol"], PROTOCOLS, f"{at}.protocol")
    target = port["targetPort"]
    if isinstance(target, str) and not re.fullmatch(r"[-a-z0-9]+", target):
        why = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        yield invalid(target, why, f"{at}.targetPort")
    elif isinstance(target, int) and not 1 <= target <= 65535:
        yield invalid(target, PORT_RANGE, f"{at}.targetPort")


def _repeated(ports: list[Object]) -> Iterator[FieldError]:
    """Ports and node ports are told apart by their protocols."""
    seen: set[tuple[str, int]] = set()
    for at, port in _numbered(ports):
        key = (port["protocol"], port.get("nodePort", 0))
        if key[1] and key in seen:
            yield duplicate(key[1], f"{at}.nodePort")
        seen.add(key)
    seen = set()
    for at, port in _numbered(ports):
        key = (port["protocol"], port["port"])
        if key in seen:
            yield FieldError("FieldValueDuplicate", f"Duplicate value: {_internal(*key)}", at)
        seen.add(key)


def _internal(protocol: str, port: int) -> str:
    """A port as the server has it inside, of which only what tells ports apart is set."""
    fields = {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": port, "TargetPort": 0, "NodePort": 0}
    return "{" + ",".join(f'"{name}":{shown(value)}' for name, value in fields.items()) + "}"


def _traffic(spec: Object) -> Iterator[FieldError]:
    for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if spec["type"] != "LoadBalancer" and spec.get(name) is not None:
            yield forbidden(f"spec.{name}", "may only be used when `type` is 'LoadBalancer'")
    if spec["type"] != "LoadBalancer" and spec.get("loadBalancerSourceRanges"):
        yield forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
    policy = spec.get("externalTrafficPolicy")
    if allocation.reachable(spec):
        yield from unsupported(policy, ("Cluster", "Local"), "spec.externalTrafficPolicy")
    elif policy:
        yield invalid(policy, "may only be set for externally-accessible services", "spec.externalTrafficPolicy")
    if spec.get("healthCheckNodePort") and not allocation.health_checked(spec):
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid(spec["healthCheckNodePort"], why, "spec.healthCheckNodePort")
    if spec.get("internalTrafficPolicy") is not None:
        yield from unsupported(spec["internalTrafficPolicy"], ("Cluster", "Local"), "spec.internalTrafficPolicy")


def _changed(new: Object, old: Object) -> list[FieldError]:
    return [*allocation.address_errors(new["spec"])] or [*_fixed(new["spec"], old["spec"]), *_errors(new)]


def _fixed(spec: Object, before: Object) -> Iterator[FieldError]:
    """Addresses stay what they are (``validateUpgradeDowngradeClusterIPs``)."""
    if "ExternalName" in {spec["type"], before["type"]} or (allocation.headless(spec) and allocation.headless(before)):
        return
    have, had = spec.get("clusterIPs") or [], before.get("clusterIPs") or []
    for number, address in enumerate(had):
        if number >= len(have):
            yield invalid(have, "primary clusterIP can not be unset", f"spec.clusterIPs[{number}]")
        elif have[number] != address:
            yield invalid(have, "may not change once set", f"spec.clusterIPs[{number}]")
    if spec["type"] == before["type"] == "LoadBalancer" and not _same(spec, before, "loadBalancerClass"):
        yield invalid(spec.get("loadBalancerClass"), "may not change once set", "spec.loadBalancerClass")


SERVICE = Strategy(
    default=_default,
    prepare_create=_create,
    prepare_update=_update,
    validate=_errors_at_first,
    validate_update=_changed,
    allocate=allocation.allocated,
    generation=never,
    warnings=notices.of_service,
)
