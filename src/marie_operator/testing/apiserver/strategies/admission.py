"""What admission makes of new pods and of others (``plugin/pkg/admission``)."""

from collections.abc import Iterator
from typing import Final

from marie_operator.testing.apiserver.errors import Json, Object, Refusal
from marie_operator.testing.apiserver.errors import forbidden as refused
from marie_operator.testing.apiserver.strategies.base import Context

_TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where it is
_TOKEN_VOLUME: Final = "kube-api-access-"  # noqa: S105 - a name
_TOLERATED: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_SECONDS: Final = 300
_SYSTEM: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
"""Priority classes that every server makes for itself."""


def pod(new: Object, context: Context) -> Object:
    """A new pod with its account's token, its priority, and tolerations.

    Raises:
        Refusal: 403, its account or its priority class is not there.
    """
    spec = _accounted(new, context)
    spec = _prioritized({**new, "spec": spec}, context)
    return {**new, "spec": {**spec, "tolerations": tolerations(spec)}}


# The account (``ServiceAccount``).


def _accounted(new: Object, context: Context) -> Object:
    spec: Object = new["spec"]
    meta = new["metadata"]
    namespace, name = meta.get("namespace", ""), spec.get("serviceAccountName") or "default"
    account = context.find("", "serviceaccounts", namespace, name)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise _refused(new, why)
    spec = {**spec, "serviceAccountName": name, "serviceAccount": name}
    # The pod's wish counts before the account's.
    wishes = [each.get("automountServiceAccountToken") for each in (spec, account)]
    if next((each for each in wishes if each is not None), True):
        spec = _with_token(spec, context)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec = {**spec, "imagePullSecrets": account["imagePullSecrets"]}
    return spec


def _with_token(spec: Object, context: Context) -> Object:
    """With the token mounted in every container that has nothing else there."""
    volumes = list(spec.get("volumes") or ())
    held = next((each["name"] for each in volumes if str(each.get("name", "")).startswith(_TOKEN_VOLUME)), "")
    name = held or _TOKEN_VOLUME + context.random_suffix()
    mount = {"name": name, "readOnly": True, "mountPath": _TOKEN_PATH}
    changes: dict[str, Json] = {}
    for kind in ("initContainers", "containers"):
        if spec.get(kind):
            changes[kind] = [_mounted(each, mount) for each in spec[kind]]
    mounts = [each for kind in changes for each in changes[kind]]
    if not held and mount in (one for each in mounts for one in each["volumeMounts"]):
        changes["volumes"] = [*volumes, {"name": name, "projected": {"sources": _sources(), "defaultMode": 420}}]
    return {**spec, **changes}


def _mounted(container: Object, mount: Object) -> Object:
    mounts = container.get("volumeMounts") or []
    if any(each.get("mountPath") == _TOKEN_PATH for each in mounts):
        return container
    return {**container, "volumeMounts": [*mounts, mount]}


def _sources() -> list[Object]:
    authority = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    own = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": authority},
        {"downwardAPI": {"items": [own]}},
    ]


# Priority (``Priority``).


def _prioritized(new: Object, context: Context) -> Object:
    spec = new["spec"]
    name, priority, policy = _priority(new, context)
    asked = spec.get("priority")
    if asked is not None and asked != priority:
        why = (
            f"the integer value of priority ({asked}) must not be provided in pod spec; priority admission controller "
            f"computed {priority} from the given PriorityClass name"
        )
        raise _refused(new, why)
    if spec.get("preemptionPolicy") not in {None, policy}:
        why = (
            f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
            f"priority admission controller computed {policy} from the given PriorityClass name"
        )
        raise _refused(new, why)
    named = {"priorityClassName": name} if name else {}
    return {**spec, **named, "priority": priority, "preemptionPolicy": policy}


def _priority(new: Object, context: Context) -> tuple[str, int, str]:
    name = str(new["spec"].get("priorityClassName") or "")
    if not name:
        usual = sorted(_defaults(context), key=lambda each: int(each["value"]))
        if not usual:
            return "", 0, "PreemptLowerPriority"
        return usual[0]["metadata"]["name"], usual[0]["value"], usual[0]["preemptionPolicy"]
    if name in _SYSTEM:
        return name, _SYSTEM[name], "PreemptLowerPriority"
    found = context.find("scheduling.k8s.io", "priorityclasses", "", name)
    if found is None:
        raise _refused(new, f"no PriorityClass with name {name} was found")
    return name, found["value"], found["preemptionPolicy"]


def _defaults(context: Context) -> Iterator[Object]:
    return (each for each in context.every("scheduling.k8s.io", "priorityclasses") if each.get("globalDefault"))


# Tolerations (``DefaultTolerationSeconds``).


def tolerations(spec: Object) -> list[Object]:
    """Tolerations of a pod, with those of nodes that are not there for a while."""
    found = list(spec.get("tolerations") or ())
    for key in _TOLERATED:
        if not any(_tolerates(each, key) for each in found):
            found.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS})
    return found


def _tolerates(toleration: Object, key: str) -> bool:
    return toleration.get("key", "") in {"", key} and toleration.get("effect", "") in {"", "NoExecute"}


def _refused(new: Object, why: str) -> Refusal:
    return refused("pods", "", str(new["metadata"].get("name", "")), why)


def priority_class(new: Object, context: Context) -> Object:
    """A new priority class, which is the usual one only when no other is.

    Raises:
        Refusal: 403, another is.
    """
    usual = next((each["metadata"]["name"] for each in _defaults(context)), "")
    if new.get("globalDefault") and usual:
        why = f"PriorityClass {usual} is already marked as default. Only one default can exist"
        raise refused("priorityclasses", "scheduling.k8s.io", str(new["metadata"].get("name", "")), why)
    return new
