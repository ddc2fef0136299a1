"""How parts of objects are written in the cells of a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.printers.age import Since

Cells = list[Any]
NONE, UNSET = "<none>", "<unset>"


def meta(obj: Object) -> Object:
    """The metadata."""
    found: Object = obj["metadata"]
    return found


def name(obj: Object) -> str:
    """The name."""
    return str(meta(obj).get("name", ""))


def spec(obj: Object) -> Object:
    """What is wanted."""
    return obj.get("spec") or {}


def status(obj: Object) -> Object:
    """What is."""
    return obj.get("status") or {}


def age(obj: Object, since: Since) -> str:
    """How old the object is."""
    return since(meta(obj).get("creationTimestamp"))


def labels(found: Mapping[str, str] | None) -> str:
    """A map of labels."""
    return ",".join(f"{key}={value}" for key, value in sorted((found or {}).items())) or NONE


def selector(found: Object | None) -> str:
    """A label selector; empty for one that says nothing."""
    if not found:
        return ""
    terms = [(key, f"{key}={value}") for key, value in (found.get("matchLabels") or {}).items()]
    terms += [(each["key"], _requirement(each)) for each in found.get("matchExpressions") or ()]
    return ",".join(text for _, text in sorted(terms, key=lambda term: term[0]))


def _requirement(each: Object) -> str:
    key, values = str(each["key"]), ",".join(sorted(each.get("values") or ()))
    words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "DoesNotExist": f"!{key}"}
    return words.get(each["operator"], key)


def containers(pod_spec: Object | None) -> Cells:
    """Names and images of a pod's containers."""
    found = (pod_spec or {}).get("containers") or ()
    return [",".join(str(each.get(part, "")) for each in found) for part in ("name", "image")]


def template(obj: Object) -> Object:
    """The spec of the pods that an object makes."""
    return (spec(obj).get("template") or {}).get("spec") or {}


def shortened(found: Iterable[str], limit: int, *, empty: str = "", separator: str = ",") -> str:
    """A list of which only the first few are shown."""
    listed = list(found)
    if len(listed) > limit:
        return f"{separator.join(listed[:limit])} + {len(listed) - limit} more..."
    return separator.join(listed) or empty


def holds(conditions: Iterable[Object] | None, type_: str) -> bool:
    """Whether a condition is true."""
    return any(each["type"] == type_ and each["status"] == "True" for each in conditions or ())
