"""Objects that the cases start from."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.conformance.wire import Client, Namespace, Reply

GROUP = "conformance.example"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def config_map(name: str, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **rest}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    """A pod with one container, ``main``."""
    containers = [{"name": "main", "image": "example/main:1"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": containers, **spec},
    }


def template(app: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "example/main:1"}]
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": containers, **spec}}


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(name), **spec},
    }


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}], **spec},
    }


def job(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}},
            **spec,
        },
    }


def widget(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


def definition(plural: str, kind: str, schema: dict[str, Any], *, group: str = GROUP, **version: Any) -> dict[str, Any]:
    """A CustomResourceDefinition with one version, v1, in namespaces; ``schema`` holds the properties of its spec."""
    spec = schema if "type" in schema else {"type": "object", "properties": schema}
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    whole = {"type": "object", "properties": {"spec": spec, "status": status}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}, **version}
            ],
        },
    }


WIDGETS = definition(
    "widgets",
    "Widget",
    {
        "size": {"type": "integer", "default": 1, "minimum": 0, "maximum": 100},
        "color": {"type": "string", "enum": ["red", "green", "blue"]},
        "replicas": {"type": "integer", "minimum": 0},
        "note": {"type": "string", "nullable": True},
        "settings": {"type": "object", "additionalProperties": {"type": "string"}},
        "plain": {"type": "array", "items": {"type": "string"}},
        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "count": {"type": "integer"},
                    "mode": {"type": "string", "default": "plain"},
                },
            },
        },
        "exact": {
            "type": "object",
            "x-kubernetes-map-type": "atomic",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
    subresources={
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    },
    additionalPrinterColumns=[
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Color", "type": "string", "jsonPath": ".spec.color", "description": "What it looks like."},
        {"name": "Note", "type": "string", "jsonPath": ".spec.note", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ],
)
WIDGETS["spec"]["names"] |= {"shortNames": ["wd"], "categories": ["conforming"]}


async def established(api: Client, crd: dict[str, Any], *, listed: bool = False) -> dict[str, Any]:
    """Create a CustomResourceDefinition, and return when its objects can be asked for, or discovery knows of them."""
    (await api.post(CRDS, crd)).ok(201)
    name = crd["metadata"]["name"]
    current: dict[str, Any] = {}
    async with api.watch(CRDS, fieldSelector=f"metadata.name={name}") as events:
        while not holds(current, "Established"):
            _, current = await events.next()
    for version in crd["spec"]["versions"]:
        if version["served"]:
            path = f"/apis/{crd['spec']['group']}/{version['name']}/{crd['spec']['names']['plural']}"
            await served(api, path, listed=listed)
    return current


async def served(api: Client, path: str, status: int = 200, *, listed: bool = False) -> None:
    """Handlers and discovery of a real server follow a definition after a moment."""
    async with asyncio.timeout(120):
        while (await api.get(path)).status != status:
            await asyncio.sleep(0.02)
        while listed and not await _listed(api, path):
            await asyncio.sleep(0.02)


async def _listed(api: Client, path: str) -> bool:
    """Whether a kind is known to its version, its version to its group, and its paths to OpenAPI.

    In a real server each goes by what it has heard of by itself, the last by a look once a second.
    """
    part, _, plural = path.rpartition("/")
    version = await api.get(part)
    if version.status != 200 or plural not in [each["name"] for each in version.json["resources"]]:
        return False
    groups = (await api.get("/apis")).ok()["groups"]
    if part.removeprefix("/apis/") not in [each["groupVersion"] for group in groups for each in group["versions"]]:
        return False
    schemas = await api.get(f"/openapi/v3{part}")
    return schemas.status == 200 and path in schemas.json["paths"]


async def admitted(api: Client, ns: Namespace, wanted: Callable[[Reply], bool]) -> None:
    """Try pods until one is answered so: plug-ins of a real server learn of what they go by after a moment."""
    async with asyncio.timeout(120):
        while not wanted(await api.post(ns("pods"), pod("tried"), dryRun="All")):
            await asyncio.sleep(0.01)


def holds(obj: dict[str, Any], condition: str) -> bool:
    found = {each["type"]: each["status"] for each in obj.get("status", {}).get("conditions") or []}
    return found.get(condition) == "True"
