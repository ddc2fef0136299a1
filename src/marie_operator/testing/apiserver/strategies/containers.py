"""What may be wrong with the containers and volumes of a pod."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from marie_operator.testing.apiserver.errors import FieldError, Json, Object
from marie_operator.testing.apiserver.names import IS_LABEL, is_label, port_name
from marie_operator.testing.apiserver.strategies.base import required, shown
from marie_operator.testing.apiserver.strategies.quantity import QuantityError, parse

PROTOCOLS = ("SCTP", "TCP", "UDP")
_POLICIES = ("Always", "IfNotPresent", "Never")
_RESTARTS = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_SOURCES = (
    *("emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi"),
    *("glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc"),
    *("flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk"),
    *("storageos", "projected", "scaleIO", "csi", "ephemeral", "image"),
)
"""What a volume may be of, in the order in which a server looks."""
_LARGEST = 2**31 - 1


def spec_errors(spec: Object, path: str) -> list[FieldError]:
    """What is wrong with a pod's spec."""
    return list(_spec_errors(spec, path))


def _spec_errors(spec: Object, path: str) -> Iterator[FieldError]:
    volumes: set[str] = set()
    for number, volume in enumerate(spec.get("volumes") or ()):
        if volume.get("name") in volumes:
            yield duplicate(volume["name"], f"{path}.volumes[{number}].name")
        volumes.add(volume.get("name", ""))
        # A name and a source are what most have.
        sources = [name for name in _SOURCES if volume.get(name) is not None] if len(volume) > 2 else []
        for extra in sources[1:]:
            yield FieldError.forbidden(f"{path}.volumes[{number}].{extra}", "may not specify more than 1 volume type")
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit is not None and parse(limit)[0] < 0:
            where = f"{path}.volumes[{number}].emptyDir.sizeLimit"
            yield FieldError.forbidden(where, "SizeLimit field must be a valid resource quantity")
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    names: set[str] = set()
    for kind in ("containers", "initContainers"):
        for number, container in enumerate(spec.get(kind) or ()):
            at = f"{path}.{kind}[{number}]"
            yield from _name(container, names, at)
            yield from _container(container, volumes, at, host=bool(spec.get("hostNetwork")))
    yield from unsupported(spec.get("restartPolicy", "Always"), _RESTARTS, f"{path}.restartPolicy")
    yield from unsupported(spec.get("dnsPolicy", "ClusterFirst"), _DNS, f"{path}.dnsPolicy")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _LARGEST:
        yield invalid(deadline, f"must be between 1 and {_LARGEST}, inclusive", f"{path}.activeDeadlineSeconds")


def _name(container: Object, names: set[str], at: str) -> Iterator[FieldError]:
    name = container.get("name")
    if not name:
        yield required(f"{at}.name")
        return
    if not is_label(name):
        yield invalid(name, IS_LABEL, f"{at}.name")
    elif name in names:
        yield duplicate(name, f"{at}.name")
    names.add(name)


def _container(container: Object, volumes: set[str], at: str, *, host: bool) -> Iterator[FieldError]:
    if not container.get("image"):
        yield required(f"{at}.image")
    for number, port in enumerate(container.get("ports") or ()):
        yield from _port(port, f"{at}.ports[{number}]", host=host)
    for number, variable in enumerate(container.get("env") or ()):
        if not variable.get("name"):
            yield required(f"{at}.env[{number}].name")
        elif variable.get("value") and variable.get("valueFrom"):
            why = "may not be specified when `value` is not empty"
            yield invalid("", why, f"{at}.env[{number}].valueFrom")
    for number, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            message = f"Not found: {shown(mount.get('name'))}"
            yield FieldError("FieldValueNotFound", message, f"{at}.volumeMounts[{number}].name")
    yield from unsupported(container.get("imagePullPolicy", "Always"), _POLICIES, f"{at}.imagePullPolicy")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        action = (container.get(probe) or {}).get("httpGet")
        if action is not None and not action.get("port"):
            yield invalid(0, PORT_RANGE, f"{at}.{probe}.httpGet.port")
    yield from _resources(container.get("resources") or {}, f"{at}.resources")


PORT_RANGE = "must be between 1 and 65535, inclusive"


def _port(port: Object, at: str, *, host: bool) -> Iterator[FieldError]:
    number = port.get("containerPort")
    if not number:
        yield required(f"{at}.containerPort")
    elif not 1 <= number <= 65535:
        yield invalid(number, PORT_RANGE, f"{at}.containerPort")
    for why in port_name(port["name"]) if port.get("name") else ():
        yield invalid(port["name"], why, f"{at}.name")
    yield from unsupported(port.get("protocol", "TCP"), PROTOCOLS, f"{at}.protocol")
    if host and port.get("hostPort") not in {None, number}:
        why = "must match `containerPort` when `hostNetwork` is true"
        yield invalid(port["hostPort"], why, f"{at}.hostPort")


def _resources(resources: Object, at: str) -> Iterator[FieldError]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            value = _amount(amount)
            if value is not None and value < 0:
                yield invalid(amount, "must be greater than or equal to 0", f"{at}.{kind}[{name}]")
            elif value is not None and _counted(name) and value % 1:
                yield invalid(amount, "must be an integer", f"{at}.{kind}[{name}]")
    for name, amount in requests.items():
        if name not in limits:
            if _counted(name):
                yield required(f"{at}.limits", "Limit must be set for non overcommitable resources")
            continue
        value, most = _amount(amount), _amount(limits[name])
        if value is not None and most is not None and value > most:
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            yield invalid(amount, why, f"{at}.requests")


def _counted(name: str) -> bool:
    """Whether a resource is of whole things that are not shared."""
    return "/" in name and not name.startswith("kubernetes.io/")


def _amount(value: Any) -> Any:
    try:
        return parse(value)[0]
    except QuantityError:
        return None


def unsupported(value: Json, supported: Collection[str], path: str) -> tuple[FieldError, ...]:
    """Complains of a value that is none of those that there are."""
    if value in supported:
        return ()
    listed = ", ".join(f'"{each}"' for each in supported)
    why = f"Unsupported value: {shown(value)}: supported values: {listed}"
    return (FieldError("FieldValueNotSupported", why, path),)


def invalid(value: Json, why: str, path: str) -> FieldError:
    """A value that cannot be."""
    return FieldError("FieldValueInvalid", f"Invalid value: {shown(value)}: {why}", path)


def duplicate(value: Json, path: str) -> FieldError:
    """A value that is there already."""
    return FieldError("FieldValueDuplicate", f"Duplicate value: {shown(value)}", path)


def negative(spec: Mapping[str, Any], names: Iterable[str], path: str = "spec") -> Iterator[FieldError]:
    """Complains of numbers below nought in a spec."""
    for name in names:
        if (spec.get(name) or 0) < 0:
            yield invalid(spec[name], "must be greater than or equal to 0", f"{path}.{name}".lstrip("."))
