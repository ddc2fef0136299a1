"""Events, which are one kind in two groups."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies.base import PLAIN, Strategy, required, without
from marie_operator.testing.apiserver.strategies.containers import invalid

_NAMES: Final[Mapping[str, str]] = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
"""What fields of ``events.k8s.io`` are called in the core group, where events are stored."""
_THERE: Final = {core: name for name, core in _NAMES.items()}
_LIMITS: Final = {"reportingInstance": 128, "action": 128, "reason": 128}
_LONGEST_NOTE: Final = 1024
_FIXED: Final = (
    *("involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type"),
    *("eventTime", "action", "related", "reportingController", "reportingInstance"),
)


def stored(event: Object) -> Object:
    """An event of ``events.k8s.io`` as it is stored."""
    found = {_NAMES.get(name, name): value for name, value in event.items()}
    return {"reportingComponent": "", "reportingInstance": "", **found}


def served(event: Object) -> Object:
    """A stored event as ``events.k8s.io`` has it."""
    found = {_THERE.get(name, name): value for name, value in event.items()}
    empty = [name for name in ("reportingController", "reportingInstance") if not found.get(name)]
    return without(found, *empty)


def _core_errors(new: Object) -> list[FieldError]:
    return list(_legacy(new, "reportingComponent"))


def _legacy(new: Object, controller: str) -> Iterator[FieldError]:
    namespace, about = new["metadata"].get("namespace", ""), new["involvedObject"].get("namespace", "")
    elsewhere = "does not match event.namespace"
    if not new.get("eventTime"):
        if namespace != about and (about or namespace != "default"):
            yield invalid(about, elsewhere, "involvedObject.namespace")
        return
    if not about and namespace not in {"default", "kube-system"}:
        yield invalid(about, elsewhere, "involvedObject.namespace")
    if not new.get("reportingComponent"):
        yield required(controller)
    yield from (required(name) for name in ("reportingInstance", "action", "reason") if not new.get(name))
    for name, limit in _LIMITS.items():
        if len(new.get(name, "")) > limit:
            yield invalid("", f"can have at most {limit} characters", name)
    if len(new.get("message", "")) > _LONGEST_NOTE:
        yield invalid("", f"can have at most {_LONGEST_NOTE} characters", "message")


def _errors(new: Object) -> list[FieldError]:
    return list(_strict(stored(new)))


def _strict(new: Object) -> Iterator[FieldError]:
    yield from _legacy(new, "reportingController")
    yield from _series(new)
    if not new.get("eventTime"):
        yield required("eventTime")
    if new.get("type") not in {"Normal", "Warning"}:
        yield invalid("", f"has invalid value: {new.get('type', '')}", "type")
    for name in ("firstTimestamp", "lastTimestamp", "count", "source"):
        if new.get(name):
            yield invalid("", "needs to be unset", name)


def _series(new: Object) -> Iterator[FieldError]:
    series = new.get("series")
    if series is None:
        return
    if series["count"] < 2:
        yield invalid("", "should be at least 2", "series.count")
    if not series.get("lastObservedTime"):
        yield required("series.lastObservedTime")


def _changed(new: Object, old: Object) -> list[FieldError]:
    one, other = stored(new), stored(old)
    found = list(_legacy(one, "reportingController"))
    if one.get("series") != other.get("series"):
        found += _series(one)
    for name in _FIXED:
        core = _NAMES.get(name, name)
        if one.get(core) != other.get(core):
            found.append(invalid(one.get(core), "field is immutable", name))
    return found


CORE = replace(PLAIN, validate=_core_errors, validate_update=lambda new, _: _core_errors(new))
EVENT: Strategy = replace(PLAIN, validate=_errors, validate_update=_changed)
