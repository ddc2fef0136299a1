"""Addresses and node ports of Services: each is given to one, and free again when that is gone."""

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Final

from marie_operator.testing.apiserver import formats
from marie_operator.testing.apiserver.errors import FieldError, Json, Object
from marie_operator.testing.apiserver.errors import invalid as refused
from marie_operator.testing.apiserver.strategies.base import Context, filled, required
from marie_operator.testing.apiserver.strategies.containers import duplicate, invalid, unsupported

NETWORK: Final = IPv4Network("10.0.0.0/16")
"""``--service-cluster-ip-range``."""
PORTS: Final = range(30000, 32768)
"""``--service-node-port-range``."""
# What is asked for by name is rather found below these.
_FIRST_ADDRESS: Final = NETWORK.network_address + 256
_FIRST_PORT: Final = PORTS[0] + 86
_HELD: Final = {str(NETWORK.network_address + 1)}
_FAMILIES = ("IPv4", "IPv6")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_IS_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def headless(spec: Object) -> bool:
    """Whether a Service has no address on purpose."""
    return "None" in (spec.get("clusterIPs") or [spec.get("clusterIP")])[:1]


def exposed(spec: Object) -> bool:
    """Whether a Service has ports on nodes."""
    return spec["type"] == "NodePort" or (
        spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
    )


def reachable(spec: Object) -> bool:
    """Whether a Service is for clients outside of the cluster."""
    return spec["type"] in {"NodePort", "LoadBalancer"} or (
        spec["type"] == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def health_checked(spec: Object) -> bool:
    """Whether a Service has a port where load balancers ask nodes for its health."""
    return spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def kept(spec: Object, before: Object) -> Object:
    """With what was allocated and is left out now (``patchAllocatedValues``)."""
    if "ExternalName" not in {spec["type"], before["type"]}:
        spec = filled(spec, clusterIP=before.get("clusterIP"), clusterIPs=before.get("clusterIPs"))
        spec = filled(spec, ipFamilies=before.get("ipFamilies"), ipFamilyPolicy=before.get("ipFamilyPolicy"))
    if exposed(spec) and exposed(before):
        used = {each.get("nodePort") for each in spec.get("ports") or ()}
        known = {each.get("name"): each.get("nodePort") for each in before.get("ports") or ()}
        ports = []
        for port in spec.get("ports") or ():
            number = known.get(port.get("name"))
            ports.append({**port, "nodePort": number} if not port.get("nodePort") and number not in used else port)
        spec = {**spec, "ports": ports}
    if health_checked(spec) and health_checked(before):
        spec = filled(spec, healthCheckNodePort=before.get("healthCheckNodePort"))
    return {name: value for name, value in spec.items() if value is not None}


def address_errors(spec: Object) -> Iterator[FieldError]:
    """What is wrong with addresses and families (``ValidateServiceClusterIPsRelatedFields``)."""
    if spec["type"] == "ExternalName":
        return
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs") or []
    if address and not addresses:
        yield required("spec.clusterIPs")
    elif address and addresses[0] != address:
        yield invalid(addresses, "first value must match `clusterIP`", "spec.clusterIPs")
    elif addresses and not address:
        yield invalid(addresses, "must be empty when `clusterIP` is not specified", "spec.clusterIPs")
    yield from _family_errors(spec)
    for number, each in enumerate(addresses):
        if each == "None" and not number:
            if len(addresses) > 1:
                yield invalid(addresses, "'None' must be the first and only value", "spec.clusterIPs")
        elif not formats.matches("ipv4", each) and not formats.matches("ipv6", each):
            yield invalid(each, _IS_ADDRESS, f"spec.clusterIPs[{number}]")
    if len(addresses) > 2:
        yield invalid(addresses, "may only hold up to 2 values", "spec.clusterIPs")


def _family_errors(spec: Object) -> Iterator[FieldError]:
    families = spec.get("ipFamilies") or []
    for number, family in enumerate(families):
        yield from unsupported(family, _FAMILIES, f"spec.ipFamilies[{number}]")
        if family in families[:number]:
            yield duplicate(family, f"spec.ipFamilies[{number}]")
    if spec.get("ipFamilyPolicy"):
        yield from unsupported(spec["ipFamilyPolicy"], _POLICIES, "spec.ipFamilyPolicy")


def allocated(new: Object, old: Object | None, context: Context) -> Object:
    """A Service with addresses and ports that nobody else has.

    Raises:
        Refusal: 422, what it asks for is another's, or not this cluster's.
    """
    before = None if old is None else old["spec"]
    name = new["metadata"]["name"]
    spec = new["spec"]
    if spec["type"] != "ExternalName":
        spec = _addressed(_familiar(spec, name), before, name, context)
    if exposed(spec) or any(each.get("nodePort") for each in spec.get("ports") or ()):
        spec = _ported(spec, before, name, context)
    return {**new, "spec": spec}


def _familiar(spec: Object, name: str) -> Object:
    """With families of addresses, of which the cluster has one (``initIPFamilyFields``)."""
    free = headless(spec) and not spec.get("selector")
    spec = filled(spec, ipFamilyPolicy="RequireDualStack" if free else "SingleStack")
    families = list(spec.get("ipFamilies") or [])
    policy, found = spec["ipFamilyPolicy"], []
    if policy == "SingleStack" and len(families) > 1:
        why = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
        found.append(invalid(policy, why, "spec.ipFamilyPolicy"))
    for number, address in enumerate(spec.get("clusterIPs") or () if not headless(spec) else ()):
        if ":" in address and number >= len(families):
            why = "IPv6 is not configured on this cluster"
            found.append(invalid(spec["clusterIPs"], why, f"spec.clusterIPs[{number}]"))
    if not found and free:
        families = families or ["IPv4"]
        if len(families) < 2 and policy != "SingleStack":
            families.append("IPv6" if families[0] == "IPv4" else "IPv4")
        return {**spec, "ipFamilies": families}
    if not found and policy == "RequireDualStack":
        found.append(invalid(policy, "this cluster is not configured for dual-stack services", "spec.ipFamilyPolicy"))
    for number, family in enumerate(families if not found else ()):
        if family == "IPv6":
            found.append(invalid(family, "not configured on this cluster", f"spec.ipFamilies[{number}]"))
    if found:
        raise refused("Service", "", name, found)
    return {**spec, "ipFamilies": families or ["IPv4"]}


def _addressed(spec: Object, before: Object | None, name: str, context: Context) -> Object:
    if headless(spec) or (before is not None and before["type"] != "ExternalName"):
        return spec
    taken = {address for each in context.every("", "services") for address in each["spec"].get("clusterIPs") or ()}
    taken |= _HELD
    if not spec.get("clusterIP"):
        address = next(str(each) for each in _from(_FIRST_ADDRESS) if str(each) not in taken)
        return {**spec, "clusterIP": address, "clusterIPs": [address]}
    address = spec["clusterIP"]
    why = ""
    if address in taken:
        why = "provided IP is already allocated"
    elif not _within(address):
        why = "the provided network does not match the current range"
    if why:
        why = f"failed to allocate IP {address}: {why}"
        raise refused("Service", "", name, [invalid(spec["clusterIPs"], why, "spec.clusterIPs")])
    return spec


def _from(address: IPv4Address) -> Iterator[IPv4Address]:
    while address < NETWORK.broadcast_address:
        yield address
        address += 1


def _within(address: str) -> bool:
    try:
        return NETWORK.network_address < IPv4Address(address) < NETWORK.broadcast_address
    except AddressValueError:
        return False


def _ported(spec: Object, before: Object | None, name: str, context: Context) -> Object:
    own = set(_node_ports(before)) if before is not None else set()
    taken = {port for each in context.every("", "services") for port in _node_ports(each["spec"])} - own
    ports: list[Json] = []
    for number, port in enumerate(spec.get("ports") or ()):
        asked = port.get("nodePort")
        if asked:
            _check_port(asked, taken, f"spec.ports[{number}].nodePort", name)
        elif exposed(spec):
            held = taken | own | set(_node_ports(spec)) | {each.get("nodePort") for each in ports}
            asked = next(each for each in range(_FIRST_PORT, PORTS.stop) if each not in held)
        ports.append({**port, "nodePort": asked} if asked else port)
    spec = {**spec, "ports": ports}
    if health_checked(spec) and not spec.get("healthCheckNodePort"):
        held = taken | own | set(_node_ports(spec))
        spec = {
            **spec,
            "healthCheckNodePort": next(each for each in range(_FIRST_PORT, PORTS.stop) if each not in held),
        }
    return spec


def _node_ports(spec: Object) -> Iterator[int]:
    yield from (each["nodePort"] for each in spec.get("ports") or () if each.get("nodePort"))
    if spec.get("healthCheckNodePort"):
        yield spec["healthCheckNodePort"]


def _check_port(port: int, taken: set[int], at: str, name: str) -> None:
    why = ""
    if port not in PORTS:
        why = f"provided port is not in the valid range. The range of valid ports is {PORTS[0]}-{PORTS[-1]}"
    elif port in taken:
        why = "provided port is already allocated"
    if why:
        raise refused("Service", "", name, [invalid(port, why, at)])
