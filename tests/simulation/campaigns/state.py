"""What there is, without what no two histories have in common: ids, versions, times, addresses, and random names."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tests.simulation.campaigns.stage import KINDS, Object, Stage

State = Mapping[str, Any]
"""Objects by kind and name, as they compare."""

_OWN_METADATA = ("labels", "annotations", "finalizers", "deletionTimestamp")
_REVISION = "deployment.kubernetes.io/revision"
_ALLOCATED = {
    "services": ("clusterIP", "clusterIPs", "healthCheckNodePort"),
    "persistentvolumeclaims": ("volumeName",),
}
_OPERATOR = "marie-operator"


async def children(stage: Stage) -> State:
    """Everything in the namespace that is of the operator's doing; pods and the status of workloads included."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        if kind in {"marieclusters", "mariejobs"}:
            continue
        for each in await stage.list(kind):
            if not _is_foreign(kind, each):
                name = _pod_name(each) if kind == "pods" else each["metadata"]["name"]
                found.setdefault(f"{kind}/{name}", []).append(_comparable(kind, each))
    return {name: sorted(same, key=_encoded) if len(same) > 1 else same[0] for name, same in sorted(found.items())}


def _is_foreign(kind: str, obj: Object) -> bool:
    return kind in {"secrets", "configmaps"} and not obj["metadata"].get("ownerReferences")


def _encoded(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _pod_name(pod: Object) -> str:
    (owner,) = pod["metadata"].get("ownerReferences") or ({"name": pod["metadata"]["name"]},)
    return str(owner["name"])


def _comparable(kind: str, obj: Object) -> Object:
    metadata = {key: obj["metadata"][key] for key in _OWN_METADATA if key in obj["metadata"]}
    metadata["labels"] = {
        key: value for key, value in metadata.get("labels", {}).items() if key != "controller-revision-hash"
    }
    metadata["annotations"] = {key: value for key, value in metadata.get("annotations", {}).items() if key != _REVISION}
    metadata["owners"] = [(each["kind"], each["name"]) for each in obj["metadata"].get("ownerReferences") or ()]
    metadata["fields"] = _owned(obj["metadata"].get("managedFields") or ())
    rest = {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
    if kind == "pods":
        rest["spec"] = _pod_spec(rest["spec"])
        status = {"phase": obj["status"].get("phase")}
    else:
        status = _workload_status(obj.get("status") or {})
    if spec := rest.get("spec"):
        kept = {key: value for key, value in spec.items() if key not in _ALLOCATED.get(kind, ()) or value == "None"}
        if "ports" in kept:
            kept["ports"] = [{key: value for key, value in port.items() if key != "nodePort"} for port in kept["ports"]]
        rest["spec"] = kept
    return {"metadata": metadata, **rest, "status": status}


def _owned(managed: Iterable[Object]) -> Any:
    """The fields that the operator owns, by the way it came to own them."""
    return sorted(
        (each["operation"], each.get("subresource", ""), each["fieldsV1"])
        for each in managed
        if each["manager"] == _OPERATOR
    )


def _pod_spec(spec: Object) -> Object:
    text = re.sub(r"kube-api-access-\w{5}", "kube-api-access", json.dumps(spec))
    return {key: value for key, value in json.loads(text).items() if key not in {"nodeName", "hostname"}}


def _workload_status(status: Object) -> Object:
    untold = {"observedGeneration", "collisionCount", "conditions", "loadBalancer"}
    untold |= {"currentRevision", "currentReplicas", "updateRevision", "updatedReplicas"}
    return {key: value for key, value in status.items() if key not in untold}


def status(obj: Object) -> Object:
    """The status of a cluster or job, without times and ids."""
    told = dict(obj.get("status") or {})
    for key in ("lastUpdateTime", "observedGeneration", "startTime", "completionTime", "duration", "jobId", "dagId"):
        told.pop(key, None)
    told["conditions"] = {
        each["type"]: (each["status"], each["reason"], _plain(each["message"])) for each in told.get("conditions") or ()
    }
    if "documents" in told:
        # In how many parts the manifest was kept follows from how many documents each look found ended.
        told["documents"] = {key: value for key, value in told["documents"].items() if key != "manifestParts"}
    for part in ("documents", "result", "message", "error"):
        if part in told:
            told[part] = json.loads(_plain(json.dumps(told[part])))
    if "serverInfo" in told:
        told["serverInfo"] = {
            key: value for key, value in told["serverInfo"].items() if key not in {"podIP", "podName"}
        }
    return told


def _plain(message: str) -> str:
    """A sentence without the times and the random parts of names in it."""
    message = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", message)
    message = re.sub(r"-[0-9a-v]{13}(?=[-./])", "-DIGEST", message)
    return re.sub(r"\b(c-[\w-]+?)-[a-z0-9]{8,10}-[a-z0-9]{5}\b", r"\1-POD", message)


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two states differ, in words."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        found = []
        for key in sorted({*one, *other}):
            if key not in one or key not in other:
                where, value = ("left", one.get(key)) if key in one else ("right", other.get(key))
                found.append(f"{at}/{key}: only {where}: {_encoded(value)[:200]}")
            else:
                found += differences(one[key], other[key], f"{at}/{key}")
        return found
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [
            each
            for number, pair in enumerate(zip(one, other, strict=True))
            for each in differences(*pair, f"{at}[{number}]")
        ]
    return [] if one == other else [f"{at}: {_encoded(one)[:300]} != {_encoded(other)[:300]}"]


def without_ids(value: Any) -> Any:
    """A state without what follows from the order in which objects were made: uids, and hashes of what names them."""
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID", json.dumps(value))
    return json.loads(re.sub(r'"marie.ai/spec-hash": "[0-9a-f]{16}"', '"marie.ai/spec-hash": "HASH"', text))
