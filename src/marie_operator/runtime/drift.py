"""Whether a live object is what its manifest says: only the manifest's own fields count."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from marie_operator.runtime import quantity
from marie_operator.runtime.resource import Object

# The fields by which the API merges lists of objects (x-kubernetes-list-map-keys), by the list's name.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "hostAliases": ("ip",),
    "claims": ("name",),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
}
_QUANTITIES = re.compile(r"\.(limits|requests|overhead)\.[^.]|\.emptyDir\.sizeLimit$|\.resourceFieldRef\.divisor$")
# Zero and false are values of their own wherever the API has a pointer; these fields have none, and are left out then.
_LEFT_OUT = frozenset({
    "chapAuthDiscovery", "chapAuthSession", "hostIPC", "hostNetwork", "hostPID", "initialDelaySeconds",
    "minReadySeconds", "partition", "paused", "publishNotReadyAddresses", "readOnly", "stdin", "stdinOnce", "tty",
})  # fmt: skip
# Here a zero, or a text without a character, asks for the default.
_DEFAULTED = frozenset({
    "dnsPolicy", "failureThreshold", "hostPort", "imagePullPolicy", "nodePort", "periodSeconds", "restartPolicy",
    "schedulerName", "scheme", "successThreshold", "terminationMessagePath", "terminationMessagePolicy",
    "timeoutSeconds",
})  # fmt: skip


class Difference(NamedTuple):
    """A place at which an object is not what a manifest says.

    Attributes:
        path: Where.
        desired: What the manifest says.
        live: What there is; None for nothing.
    """

    path: str
    desired: Any
    live: Any


def differs(desired: Object, live: Object) -> list[str]:
    """Paths at which ``live`` is not what ``desired`` says; empty when an apply would change nothing."""
    return [each.path for each in differences(desired, live)]


def differences(desired: Object, live: Object) -> list[Difference]:
    """As ``differs``, with what is there and what ought to be."""
    # Nearly always nothing does, which is seen much faster than where something does.
    return [] if _agrees(desired, live, "") else list(_object(desired, live, ""))


def _agrees(desired: Any, live: Any, name: str) -> bool:
    """Whether surely nothing differs; lists are only compared in the order they have."""
    if desired == live:
        return True
    if isinstance(desired, dict) and isinstance(live, dict):
        for key, value in desired.items():
            found = live.get(key)
            if value is not found and (value.__class__ is not str or value != found) and not _agrees(value, found, key):
                return False
        return True
    if isinstance(desired, list) and isinstance(live, list):
        return _agree_in_order(desired, live, name)
    return (
        desired is None
        or bool(desired == live)
        or (_empty(desired, name) and _empty(live, name))
        or (desired in (0, "") and name in _DEFAULTED)
    )


def _agree_in_order(desired: list[Any], live: list[Any], name: str) -> bool:
    keys = _keys(name, desired)
    if len(desired) > len(live) or (keys is None and len(desired) != len(live)):
        return False
    # Keys are fields like others, and compared with them, but for the one that has a default.
    defaulted = keys is not None and "protocol" in keys
    for wanted, found in zip(desired, live, strict=False):
        if defaulted and wanted.get("protocol", "TCP") != found.get("protocol", "TCP"):
            return False
        if not _agrees(wanted, found, name):
            return False
    return True


def _value(desired: Any, live: Any, path: str, name: str) -> Iterator[Difference]:
    if desired is None or (_empty(desired, name) and _empty(live, name)) or (desired in (0, "") and name in _DEFAULTED):
        return
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        yield from _object(desired, live, path)
    elif isinstance(desired, list) and isinstance(live, list):
        yield from _list(desired, live, path, name)
    elif desired != live and not _same_quantity(desired, live, path):
        yield Difference(path, desired, live)


def _object(desired: Mapping[str, Any], live: Mapping[str, Any], path: str) -> Iterator[Difference]:
    for name, value in desired.items():
        yield from _value(value, live.get(name), f"{path}.{name}" if path else name, name)


def _list(desired: Sequence[Any], live: Sequence[Any], path: str, name: str) -> Iterator[Difference]:
    keys = _keys(name, desired)
    if keys is None:
        if len(desired) != len(live):
            yield Difference(path, desired, live)
            return
        for position, (wanted, found) in enumerate(zip(desired, live, strict=True)):
            yield from _value(wanted, found, f"{path}[{position}]", name)
        return
    present = {_identity(item, keys): item for item in live if isinstance(item, Mapping)}
    for item in desired:
        identity = _identity(item, keys)
        place = f"{path}[{','.join(map(str, identity))}]"
        if identity in present:
            yield from _object(item, present[identity], place)
        else:
            yield Difference(place, item, None)


def _keys(name: str, items: Sequence[Any]) -> tuple[str, ...] | None:
    if name == "ports" and items and isinstance(items[0], Mapping):
        return ("containerPort", "protocol") if "containerPort" in items[0] else ("port", "protocol")
    return _KEYS.get(name)


def _identity(item: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple([item.get(key, "TCP" if key == "protocol" else None) for key in keys])


def _empty(value: Any, name: str) -> bool:
    """Whether the API server leaves a field of this value out."""
    return value is None or value in ("", [], {}) or (value == 0 and name in _LEFT_OUT)


def _same_quantity(desired: Any, live: Any, path: str) -> bool:
    if not _QUANTITIES.search(path) or not isinstance(desired, str | int | float) or not isinstance(live, str | int):
        return False
    try:
        return quantity.parse(desired) == quantity.parse(live)
    except ValueError:
        return False
