"""What a server warns of in objects that it takes: what was hardly meant so, and what goes out of use."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from marie_operator.testing.apiserver.errors import Object, quoted
from marie_operator.testing.apiserver.names import STANDARD_FINALIZERS

Notices = Callable[[Object, Object | None], list[str]]
_EXTERNAL: Final = "ExternalName"


def of_pod(new: Object, old: Object | None) -> list[str]:
    """What a new Pod is warned of (``GetWarningsForPod``)."""
    return [] if old is not None else list(_template(new, ""))


def of_template(*path: str) -> Notices:
    """What an object is warned of whose pods' template is at a path, whenever its generation moves."""

    def notices(new: Object, old: Object | None) -> list[str]:
        if old is not None and old["metadata"].get("generation") == new["metadata"].get("generation"):
            return []
        found: Any = new
        for step in path:
            found = found.get(step) or {}
        return list(_template(found, f"{'.'.join(path)}."))

    return notices


def _template(template: Object, path: str) -> Iterator[str]:
    spec = template.get("spec") or {}
    yield from _spread(spec, f"{path}spec")
    yield from _secrets(spec, f"{path}spec")
    containers = [
        (each, f"{path}spec.{kind}[{number}]")
        for kind in ("initContainers", "containers")
        for number, each in enumerate(spec.get(kind) or ())
    ]
    for container, at in containers:
        yield from _variables(container, at)
    yield from _ports(containers)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        why = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path}spec.terminationGracePeriodSeconds: {why}"


def _spread(spec: Object, at: str) -> Iterator[str]:
    for number, each in enumerate(spec.get("topologySpreadConstraints") or ()):
        if each.get("labelSelector") is None:
            where = f"{at}.topologySpreadConstraints[{number}].labelSelector"
            yield f"{where}: a null labelSelector results in matching no pod"


def _secrets(spec: Object, at: str) -> Iterator[str]:
    names = [each.get("name") or "" for each in spec.get("imagePullSecrets") or ()]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield f"{at}.imagePullSecrets[{number}].name: duplicate name {quoted(name)}"
    for number, name in enumerate(names):
        if not name:
            yield f'{at}.imagePullSecrets[{number}].name: invalid empty name ""'


def _variables(container: Object, at: str) -> Iterator[str]:
    seen: set[str] = set()
    for number, each in enumerate(container.get("env") or ()):
        name, value = each.get("name", ""), each.get("value") or ""
        reference = f"$({name})"
        hidden = each.get("valueFrom") is not None or value == reference or reference not in value
        if name in seen and hidden:
            why = f"hides previous definition of {quoted(name)}, which may be dropped when using apply"
            yield f"{at}.env[{number}]: {why}"
        seen.add(name)


def _ports(containers: list[tuple[Object, str]]) -> Iterator[str]:
    known: defaultdict[tuple[int, str], list[tuple[str, Object]]] = defaultdict(list)
    named: dict[str, str] = {}
    ports = [
        (port, f"{at}.ports[{number}]")
        for container, at in containers
        for number, port in enumerate(container.get("ports") or ())
    ]
    for port, at in ports:
        others = known[port["containerPort"], port.get("protocol", "TCP")]
        for other_at, other in others:
            if word := _conflict(port, other):
                yield f"{at}: {word} port definition with {other_at}"
        others.append((at, port))
    for port, at in ports:
        name = port.get("name")
        if name and name in named:
            first = f"services and probes that select ports by name will use {named[name]}"
            yield f"{at}: duplicate port name {quoted(name)} with {named[name]}, {first}"
        elif name:
            named[name] = at


def _conflict(port: Object, other: Object) -> str:
    (host, outer), (other_host, other_outer) = (
        (each.get("hostIP") or "", each.get("hostPort") or 0) for each in (port, other)
    )
    if (host, outer) == (other_host, other_outer):
        return "duplicate"
    if not outer or not other_outer:
        return "overlapping"
    return "dangerously ambiguous" if outer == other_outer and bool(host) is not bool(other_host) else ""


def of_finalizers(new: Object, old: Object | None) -> list[str]:
    """What an object of a custom kind is warned of when it comes to have finalizers."""
    before = () if old is None else old["metadata"].get("finalizers") or ()
    added = sorted(set(new["metadata"].get("finalizers") or ()) - set(before))
    why = "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"
    return [
        f"metadata.finalizers: {quoted(each)}: {why}"
        for each in added
        if "/" not in each and each not in STANDARD_FINALIZERS
    ]


def of_service(new: Object, _: Object | None) -> list[str]:
    """What a Service is warned of (``GetWarningsForService``)."""
    return list(_service(new["spec"]))


def _service(spec: Object) -> Iterator[str]:
    headless = spec["type"] == "ClusterIP" and spec.get("clusterIP") == "None"
    if headless:
        for name in ("loadBalancerIP", "externalIPs"):
            if spec.get(name):
                yield f"spec.{name} is ignored for headless services"
        if spec.get("sessionAffinity") != "None":
            yield "spec.SessionAffinity is ignored for headless services"
    if spec.get("externalIPs") and not headless and spec["type"] != _EXTERNAL:
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    if spec["type"] == _EXTERNAL and spec.get("externalIPs"):
        yield f"spec.externalIPs is ignored when spec.type is {quoted(_EXTERNAL)}"
    if spec["type"] != _EXTERNAL and spec.get("externalName"):
        yield f"spec.externalName is ignored when spec.type is not {quoted(_EXTERNAL)}"
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'
