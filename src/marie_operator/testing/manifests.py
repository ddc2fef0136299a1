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
        ApiStatus: the server refuses one, or serves no such kind.
    """
    known: dict[str, Sequence[dict[str, Any]]] = {}
    for manifest in manifests:
        version = manifest["apiVersion"]
        if version not in known:
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            known[version] = (await api.get(root))["resources"]
        resource = next(each for each in known[version] if each["kind"] == manifest["kind"] and "/" not in each["name"])
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        where = f"/namespaces/{manifest['metadata'].get('namespace', namespace)}" if resource["namespaced"] else ""
        path = f"{root}{where}/{resource['name']}/{manifest['metadata']['name']}"
        await api.apply(path, manifest, manager=MANAGER)
        if manifest["kind"] == "CustomResourceDefinition":
            await _served(api, manifest)
            known.clear()


async def _served(api: Api, definition: dict[str, Any]) -> None:
    """Wait for a definition's kind, which a server takes up some time after the definition."""
    path = f"{_DEFINITIONS}/{definition['metadata']['name']}"
    async with asyncio.timeout(120):
        while True:
            conditions = (await api.get(path)).get("status", {}).get("conditions") or ()
            if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
                spec = definition["spec"]
                group = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
                try:
                    await api.get(f"{group}?limit=1")
                except ApiStatus as error:
                    if error.code != 404:
                        raise
                else:
                    return
            await asyncio.sleep(0.05)
