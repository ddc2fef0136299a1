"""Ingresses, their classes, and NetworkPolicies."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from marie_operator.testing.apiserver import names
from marie_operator.testing.apiserver.errors import FieldError, Json, Object
from marie_operator.testing.apiserver.strategies.base import Strategy, filled, forbidden, immutable, required
from marie_operator.testing.apiserver.strategies.containers import PORT_RANGE, invalid, unsupported
from marie_operator.testing.apiserver.strategies.selectors import selector_errors

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_IN_NO_PATH = ("//", "/./", "/../", "%2f", "%2F")
_ENDS_NO_PATH = ("/..", "/.")
_IS_WILDCARD = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', "
    "regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_CLASS_NOTE = "kubernetes.io/ingress.class"


def _errors(new: Object) -> list[FieldError]:
    return list(_spec_errors(new["spec"]))


def _errors_at_first(new: Object) -> list[FieldError]:
    found = _errors(new)
    note = (new["metadata"].get("annotations") or {}).get(_CLASS_NOTE)
    if note is not None and new["spec"].get("ingressClassName") not in {None, note}:
        why = "must match `ingressClassName` when both are specified"
        found.append(invalid(note, why, f"annotations.{_CLASS_NOTE}"))
    return found


def _spec_errors(spec: Object) -> Iterator[FieldError]:
    given = spec.get("ingressClassName")
    for why in () if given is None else names.subdomain(given):
        yield invalid(given, why, "spec.ingressClassName")
    rules, backend = spec.get("rules") or [], spec.get("defaultBackend")
    if not rules and backend is None:
        yield invalid(spec, "either `defaultBackend` or `rules` must be specified", "spec")
    if backend is not None:
        yield from _backend(backend, "spec.defaultBackend")
    for number, rule in enumerate(rules):
        at = f"spec.rules[{number}]"
        if rule.get("host"):
            yield from _host(rule["host"], f"{at}.host", named=True)
        if rule.get("http") is not None:
            yield from _paths(rule["http"], f"{at}.http.paths")
    for number, each in enumerate(spec.get("tls") or ()):
        for index, host in enumerate(each.get("hosts") or ()):
            yield from _host(host, f"spec.tls[{number}].hosts[{index}]")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _host(host: str, at: str, *, named: bool = False) -> Iterator[FieldError]:
    if named and _is_address(host):
        yield invalid(host, "must be a DNS name, not an IP address", at)
    if "*" in host:
        if not host.startswith("*.") or not names.is_subdomain(host[2:]):
            yield invalid(host, _IS_WILDCARD, at)
    elif not names.is_subdomain(host):
        yield invalid(host, names.IS_SUBDOMAIN, at)


def _paths(rule: Object, at: str) -> Iterator[FieldError]:
    if not rule.get("paths"):
        yield required(at)
    for number, path in enumerate(rule.get("paths") or ()):
        yield from _path(path, f"{at}[{number}]")


def _path(path: Object, at: str) -> Iterator[FieldError]:
    kind, text = path.get("pathType"), str(path.get("path", ""))
    if kind is None:
        yield required(f"{at}.pathType", "pathType must be specified")
        return
    yield from unsupported(kind, _PATH_TYPES, f"{at}.pathType")
    if kind in _PATH_TYPES and not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        yield invalid(text, "must be an absolute path", f"{at}.path")
    if kind in {"Exact", "Prefix"}:
        yield from (invalid(text, f"must not contain '{each}'", f"{at}.path") for each in _IN_NO_PATH if each in text)
        for each in _ENDS_NO_PATH:
            if text.endswith(each):
                yield invalid(text, f"cannot end with '{each}'", f"{at}.path")
    yield from _backend(path.get("backend") or {}, f"{at}.backend")


def _backend(backend: Object, at: str) -> Iterator[FieldError]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        yield invalid("", "cannot set both resource and service backends", at)
    elif resource is not None:
        yield from (required(f"{at}.resource.{name}") for name in ("kind", "name") if not resource.get(name))
    elif service is None:
        yield invalid("", "resource or service backend is required", at)
    else:
        yield from _service(service, at)


def _service(service: Object, at: str) -> Iterator[FieldError]:
    if not service.get("name"):
        yield required(f"{at}.service.name")
    elif not names.is_label(service["name"]):
        yield invalid(service["name"], names.IS_LABEL, f"{at}.service.name")
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        yield invalid("", "cannot set both port name & port number", at)
    elif port.get("number"):
        if not 1 <= port["number"] <= 65535:
            yield invalid(port["number"], PORT_RANGE, f"{at}.service.port.number")
    elif not port.get("name"):
        yield required(at, "port name or number is required")


INGRESS = Strategy(validate=_errors_at_first, validate_update=lambda new, _: _errors(new))


def _class_errors(new: Object) -> list[FieldError]:
    parameters = new["spec"].get("parameters")
    if parameters is None:
        return []
    return [required(f"spec.parameters.{name}") for name in ("kind", "name") if not parameters.get(name)]


def _class_changed(new: Object, old: Object) -> list[FieldError]:
    return [*immutable(new, old, "spec.controller"), *_class_errors(new)]


def _class(new: Object) -> Object:
    spec = new.get("spec") or {}
    if spec.get("parameters"):
        spec = {**spec, "parameters": filled(spec["parameters"], scope="Cluster")}
    return {**new, "spec": spec}


INGRESS_CLASS = Strategy(default=_class, validate=_class_errors, validate_update=_class_changed)


# NetworkPolicies.


def _policy(new: Object) -> Object:
    spec = new.get("spec") or {}
    for name in ("ingress", "egress"):
        if spec.get(name):
            spec = {**spec, name: [_rule(each) for each in spec[name]]}
    if not spec.get("policyTypes"):
        spec = {**spec, "policyTypes": ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]}
    return {**new, "spec": spec}


def _rule(rule: Object) -> Object:
    return {**rule, "ports": [filled(each, protocol="TCP") for each in rule["ports"]]} if rule.get("ports") else rule


def _policy_errors(new: Object) -> list[FieldError]:
    return list(_policy_problems(new["spec"]))


def _policy_problems(spec: Object) -> Iterator[FieldError]:
    yield from selector_errors(spec.get("podSelector"), "spec.podSelector")
    for kind, end in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(spec.get(kind) or ()):
            at = f"spec.{kind}[{number}]"
            for index, port in enumerate(rule.get("ports") or ()):
                yield from _policy_port(port, f"{at}.ports[{index}]")
            for index, peer in enumerate(rule.get(end) or ()):
                yield from _peer(peer, f"{at}.{end}[{index}]")
    for number, kind in enumerate(spec.get("policyTypes") or ()):
        yield from unsupported(kind, ("Ingress", "Egress"), f"spec.policyTypes[{number}]")


def _policy_port(rule: Object, at: str) -> Iterator[FieldError]:
    yield from unsupported(rule.get("protocol", "TCP"), ("TCP", "UDP", "SCTP"), f"{at}.protocol")
    port, end = rule.get("port"), rule.get("endPort")
    if isinstance(port, int) and not 1 <= port <= 65535:
        yield invalid(port, PORT_RANGE, f"{at}.port")
    if isinstance(port, str):
        for why in names.port_name(port):
            yield invalid(port, why, f"{at}.port")
    if end is None:
        return
    if port is None:
        yield invalid(end, "may not be specified when `port` is not specified", f"{at}.endPort")
    elif isinstance(port, str):
        yield invalid(end, "may not be specified when `port` is non-numeric", f"{at}.endPort")
    elif end < port:
        yield invalid(port, "must be greater than or equal to `port`", f"{at}.endPort")


def _peer(peer: Object, at: str) -> Iterator[FieldError]:
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    for name in given:
        if name != "ipBlock":
            yield from selector_errors(peer[name], f"{at}.{name}")
    if "ipBlock" in given:
        yield from _block(peer["ipBlock"], f"{at}.ipBlock")
    if not given:
        yield required(at, "must specify a peer")
    elif len(given) > 1 and "ipBlock" in given:
        yield forbidden(at, "may not specify both ipBlock and another peer")


def _block(block: Object, at: str) -> Iterator[FieldError]:
    if not block.get("cidr"):
        yield required(f"{at}.cidr")
        return
    whole = _network(block["cidr"])
    if whole is None:
        yield invalid(block["cidr"], _IS_CIDR, f"{at}.cidr")
        return
    for number, each in enumerate(block.get("except") or ()):
        part = _network(each)
        if part is None:
            yield invalid(each, _IS_CIDR, f"{at}.except[{number}]")
        elif part.version != whole.version or part == whole or not part.subnet_of(whole):
            yield invalid(each, "must be a strict subset of `cidr`", f"{at}.except[{number}]")


_IS_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def _network(text: str) -> Json:
    try:
        return ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


NETWORK_POLICY = Strategy(default=_policy, validate=_policy_errors, validate_update=lambda new, _: _policy_errors(new))
