"""Manifests: read from files, brought to an API server."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from marie_operator.testing.api import Api, ApiStatus

MANAGER = "manifests"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_KUSTOMIZATION = "kustomization.yaml"


def read(*paths: Path) -> list[dict[str, Any]]:
    """The objects of YAML files, and of all those in folders, in the order of their names."""
    files = [
        file
        for path in paths
        for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])
        if file.name != _KUSTOMIZATION
    ]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [
        manifest
        for file in files
        for manifest in yaml.load_all(file.read_text(encoding="utf-8"), Loader=loader)
        if manifest
    ]


async def apply(api: Api, manifests: Iterable[dict[str, Any]], *, namespace: str = "default") -> None:
    """Apply objects in their order (server-side apply), and wait until the kinds among them are served.

    Args:
        api: Where to.
        manifests: What.
        namespace: For objects of namespaced kinds that name none.

    Raises:
        ApiStatus: the server refuses one, or serves no such version.
        LookupError: it serves the version, but no such kind.
    """
    known: dict[str, Sequence[dict[str, Any]]] = {}
    for manifest in manifests:
        version = manifest["apiVersion"]
        if version not in known:
            known[version] = await _resources(api, version)
        resource = _of_kind(known[version], manifest["kind"])
        if resource is None:
            raise LookupError(f"{version} has no kind {manifest['kind']}")
        where = f"/namespaces/{manifest['metadata'].get('namespace', namespace)}" if resource["namespaced"] else ""
        path = f"{_root(version)}{where}/{resource['name']}/{manifest['metadata']['name']}"
        await api.apply(path, manifest, manager=MANAGER)
        if manifest["kind"] == "CustomResourceDefinition":
            await _served(api, manifest)
            known.clear()


async def _served(api: Api, definition: dict[str, Any]) -> None:
    """Wait for a definition's kind, which a server takes up some time after the definition."""
    path = f"{_DEFINITIONS}/{definition['metadata']['name']}"
    async with asyncio.timeout(120):
        while True:
            if _is_established(await api.get(path)) and await _is_served(api, definition["spec"]):
                return
            await asyncio.sleep(0.05)


def _is_established(definition: dict[str, Any]) -> bool:
    conditions = definition.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


async def _is_served(api: Api, spec: dict[str, Any]) -> bool:
    """Whether discovery tells of a kind, and its objects can be listed."""
    version, names = f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]
    try:
        known = await _resources(api, version)
        # All of them: pages come from the store, while the cache, of which watches live, refuses until it is filled.
        await api.get(f"{_root(version)}/{names['plural']}")
    except ApiStatus as error:
        if error.code not in {404, 429}:
            raise
        return False
    return _of_kind(known, names["kind"]) is not None


async def _resources(api: Api, version: str) -> Sequence[dict[str, Any]]:
    return list((await api.get(_root(version)))["resources"])


def _of_kind(resources: Sequence[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    return next((each for each in resources if each["kind"] == kind and "/" not in each["name"]), None)


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
