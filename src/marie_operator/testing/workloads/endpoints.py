"""EndpointSlices: the addresses behind a Service."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marie_operator.testing.workloads.controller import Controller, Mapper, itself
from marie_operator.testing.workloads.objects import (
    ENDPOINT_SLICES,
    FINISHED_PHASES,
    PODS,
    SERVICES,
    Key,
    Object,
    Resource,
    is_deleting,
    is_ready,
    key_of,
    labels_of,
    owner_reference,
    uid_of,
)

MANAGER = "endpointslice-controller.k8s.io"
SERVICE_LABEL = "kubernetes.io/service-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_MOST = 100


def desired(service: Object, pods: Sequence[Object]) -> list[dict[str, Any]]:
    """What the slices of a service hold: endpoints and ports, one slice for each way that pods name their ports."""
    groups: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
    selector = service["spec"].get("selector") or {}
    for pod in sorted(pods, key=lambda each: str(each["metadata"]["name"])):
        if selector.items() <= labels_of(pod).items() and _has_endpoint(pod):
            ports = _ports(service, pod)
            groups.setdefault(repr(ports), (ports, []))[1].append(endpoint(service, pod))
    slices = [
        {"ports": ports, "endpoints": found[start : start + _MOST]}
        for ports, found in groups.values()
        for start in range(0, len(found), _MOST)
    ]
    return slices or [{"ports": [], "endpoints": []}]


def endpoint(service: Object, pod: Object) -> dict[str, Any]:
    """A pod's address, and whether it is to be used."""
    metadata, ready = pod["metadata"], is_ready(pod)
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    conditions = {
        "ready": published or (ready and not is_deleting(pod)),
        "serving": published or ready,
        "terminating": is_deleting(pod),
    }
    target = {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
    spec = pod["spec"]
    named = spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": conditions,
        **({"hostname": spec["hostname"]} if named else {}),
        **({"nodeName": spec["nodeName"]} if "nodeName" in spec else {}),
        "targetRef": target,
    }


def _has_endpoint(pod: Object) -> bool:
    status = pod.get("status", {})
    return bool(status.get("podIP")) and status.get("phase") not in FINISHED_PHASES


def _ports(service: Object, pod: Object) -> list[dict[str, Any]]:
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        number = _number(port.get("targetPort") or port["port"], protocol, pod)
        if number is not None:
            extra = {"appProtocol": port["appProtocol"]} if "appProtocol" in port else {}
            found.append({"name": port.get("name", ""), "port": number, "protocol": protocol, **extra})
    return found


def _number(target: int | str, protocol: str, pod: Object) -> int | None:
    if isinstance(target, int):
        return target
    ports = (each for container in pod["spec"]["containers"] for each in container.get("ports") or ())
    named = (each for each in ports if each.get("name") == target and each.get("protocol", "TCP") == protocol)
    return next((int(each["containerPort"]) for each in named), None)


class EndpointSlices(Controller):
    """The controller of EndpointSlices."""

    name = "endpointslice-controller"

    def watches(self) -> Mapping[Resource, Mapper]:
        """Services, their pods, and their slices."""
        return {SERVICES: itself, PODS: self._of_pod, ENDPOINT_SLICES: _of_slice}

    def _of_pod(self, pod: Object) -> Iterable[Key]:
        near = self.cluster[SERVICES].within(key_of(pod).namespace)
        labels = labels_of(pod).items()
        return [key_of(each) for each in near if (each["spec"].get("selector") or {"": ""}).items() <= labels]

    async def reconcile(self, key: Key) -> float | None:
        """Make slices hold what they should."""
        service = self.cluster[SERVICES].get(key)
        if service is None or not service["spec"].get("selector") or is_deleting(service):
            return None
        near = self.cluster[ENDPOINT_SLICES].owned(uid_of(service))
        there = sorted(near, key=lambda each: str(each["metadata"]["name"]))
        there = [each for each in there if labels_of(each).get(MANAGED_BY) == MANAGER and not is_deleting(each)]
        wanted = desired(service, self.cluster[PODS].within(key.namespace))
        labels = _labels(service)
        # What is right already stays as it is; the others change places.
        pending = [each for each in wanted if not any(_same(each, labels, found) for found in there)]
        wrong = [found for found in there if not any(_same(each, labels, found) for each in wanted)]
        for body, found in zip(pending, wrong, strict=False):
            await self.cluster.patch(ENDPOINT_SLICES, found, {**body, "metadata": {"labels": labels}})
        for body in pending[len(wrong) :]:
            metadata = {
                "generateName": f"{key.name}-",
                "namespace": key.namespace,
                "labels": labels,
                "ownerReferences": [owner_reference(service, SERVICES)],
            }
            await self.cluster.create(ENDPOINT_SLICES, {"metadata": metadata, "addressType": "IPv4", **body})
        for found in wrong[len(pending) :]:
            await self.cluster.delete(ENDPOINT_SLICES, found)
        return None


def _labels(service: Object) -> dict[str, str]:
    headless = {HEADLESS_LABEL: ""} if service["spec"].get("clusterIP") == "None" else {}
    return {**labels_of(service), **headless, SERVICE_LABEL: service["metadata"]["name"], MANAGED_BY: MANAGER}


def _same(body: Mapping[str, Any], labels: Mapping[str, str], found: Object) -> bool:
    kept = all((found.get(name) or []) == body[name] for name in ("ports", "endpoints"))
    return kept and labels == labels_of(found)


def _of_slice(found: Object) -> Iterable[Key]:
    service = labels_of(found).get(SERVICE_LABEL)
    return [Key(key_of(found).namespace, service)] if service else []
