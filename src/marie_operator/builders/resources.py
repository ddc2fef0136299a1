"""What containers ask for: their quantities as the API server stores them, and the GPUs among them."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marie_operator.api.mariecluster import ExecutorGroupSpec
from marie_operator.runtime import quantity
from marie_operator.runtime.resource import Object

# Of every vendor, whole, shared or sliced: nvidia.com/gpu, amd.com/gpu, nvidia.com/gpu.shared, nvidia.com/mig-1g.10gb.
_GPU = re.compile(r".+/gpu(\.shared)?|nvidia\.com/mig-.+|gpu\.intel\.com/(i915|xe)")


def is_gpu(name: str) -> bool:
    """Whether a resource of this name is a GPU, or a part of one."""
    return _GPU.fullmatch(name) is not None


def uses_gpu(group: ExecutorGroupSpec) -> bool:
    """Whether a group computes on GPUs: it says so, or a container of it asks for one."""
    containers = group.template.get("spec", {}).get("containers") or ()
    return group.gpu or any(is_gpu(name) and amount for item in containers for name, amount in asked(item).items())


def asked(container: Object) -> dict[str, Decimal]:
    """Amounts by resource: the request, or the limit where there is none."""
    resources = container.get("resources") or {}
    return _parsed(resources.get("limits") or {}) | _parsed(resources.get("requests") or {})


def canonical_pod(spec: Object) -> Object:
    """A pod's spec in which every quantity is as the API server stores it, so that it compares equal later."""
    result = _with_canonical_resources(spec)
    for part in ("containers", "initContainers"):
        if spec.get(part):
            result[part] = [_canonical_container(item) for item in spec[part]]
    if spec.get("volumes"):
        result["volumes"] = [_canonical_volume(item) for item in spec["volumes"]]
    if spec.get("overhead"):
        result["overhead"] = _canonical_amounts(spec["overhead"])
    return result


def _parsed(amounts: Mapping[str, str | int]) -> dict[str, Decimal]:
    result = {}
    for name, amount in amounts.items():
        try:
            result[name] = quantity.parse(amount)
        except ValueError:
            # The API server refuses the pod and says why; what the others ask for is still worth telling.
            continue
    return result


def _canonical_container(container: Object) -> Object:
    result = _with_canonical_resources(container)
    if container.get("env"):
        result["env"] = [_canonical_variable(item) for item in container["env"]]
    return result


def _canonical_variable(variable: Object) -> Object:
    source = variable.get("valueFrom") or {}
    reference = (source and source.get("resourceFieldRef")) or {}
    if "divisor" not in reference:
        return variable
    divided = {**reference, "divisor": quantity.canonical(reference["divisor"])}
    return {**variable, "valueFrom": {**source, "resourceFieldRef": divided}}


def _canonical_volume(volume: Object) -> Object:
    folder = volume.get("emptyDir") or {}
    if "sizeLimit" not in folder:
        return volume
    return {**volume, "emptyDir": {**folder, "sizeLimit": quantity.canonical(folder["sizeLimit"])}}


def _with_canonical_resources(owner: Object) -> Object:
    resources: dict[str, Any] = dict(owner.get("resources") or {})
    for part in ("limits", "requests"):
        if resources.get(part):
            resources[part] = _canonical_amounts(resources[part])
    return {**owner, "resources": resources} if resources else dict(owner)


def _canonical_amounts(amounts: Mapping[str, str | int]) -> dict[str, str]:
    return {name: quantity.canonical(amount, finest=quantity.MILLI) for name, amount in amounts.items()}
