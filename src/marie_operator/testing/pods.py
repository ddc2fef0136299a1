"""Ties a fake kubelet's pods to simulated gateways: a server pod serves, an executor pod registers its workers."""

import base64
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import yaml

from marie_operator.testing.api import Api
from marie_operator.testing.gateway import SimulatedGateways, SimulatedMarie
from marie_operator.testing.kubelet import Pod


class MariePods:
    """What containers would do, for the kubelet's hooks.

    Args:
        gateways: Where servers serve.
        cluster_label: Label whose value is the cluster's name.
        role_label: Label whose value is ``server`` for a server's pod, and ``executor`` for an executor's.
        executors: Names under which a pod's workers register; decided by the Flow in its image.
        api_key: What the servers' configuration holds, unless a Secret that they mount says otherwise.
        worker_port: Where workers listen.
        api: Reads the Secrets that servers mount; None where their configuration is in the image.
    """

    def __init__(
        self,
        gateways: SimulatedGateways,
        *,
        cluster_label: str,
        role_label: str,
        executors: Callable[[Pod], Iterable[str]],
        api_key: str,
        worker_port: int = 52110,
        api: Api | None = None,
    ) -> None:
        self._gateways = gateways
        self._cluster_label = cluster_label
        self._role_label = role_label
        self._executors = executors
        self._api_key = api_key
        self._worker_port = worker_port
        self._api = api
        self._addresses: dict[str, str] = {}
        self._servers: defaultdict[SimulatedMarie, set[str]] = defaultdict(set)

    async def ready(self, pod: Pod) -> None:
        """A pod has become ready."""
        marie = self._of(pod)
        if marie is None:
            return
        uid, address = pod["metadata"]["uid"], f"{pod['status']['podIP']}:{self._worker_port}"
        if self._role(pod) == "server":
            marie.api_keys = {key async for key in self._configured_keys(pod)} or {self._api_key}
            self._servers[marie].add(uid)
            marie.start()
            return
        if self._role(pod) != "executor":
            return
        self._addresses[uid] = address
        for executor in self._executors(pod):
            marie.register(executor, address)

    async def gone(self, pod: Pod) -> None:
        """A pod that was ready has ended."""
        marie, uid = self._of(pod), pod["metadata"]["uid"]
        if marie is None:
            return
        if self._role(pod) == "server":
            # Its successor, or another beside it, may serve already.
            self._servers[marie].discard(uid)
            if not self._servers[marie]:
                marie.kill()
            return
        address = self._addresses.pop(uid, None)
        if address is None:
            return
        for executor in self._executors(pod):
            marie.unregister(executor, address, crash=True)

    async def _configured_keys(self, pod: Pod) -> AsyncIterator[str]:
        """The keys in the configuration that a server mounts from a Secret, read as a gateway reads it."""
        if self._api is None:
            return
        for volume in pod["spec"].get("volumes", ()):
            source = volume.get("secret") or {}
            for item in source.get("items", ()):
                path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{source['secretName']}"
                data = (await self._api.get(path))["data"]
                settings = yaml.load(base64.b64decode(data[item["key"]]), Loader=_GatewayLoader)  # noqa: S506 - a safe one
                for key in settings.get("with", {}).get("auth", {}).get("keys", ()):
                    yield key["api_key"]

    def _role(self, pod: Pod) -> str:
        return str(pod["metadata"]["labels"].get(self._role_label, ""))

    def _of(self, pod: Pod) -> SimulatedMarie | None:
        labels = pod["metadata"].get("labels", {})
        if self._cluster_label not in labels:
            return None
        return self._gateways.cluster(pod["metadata"]["namespace"], labels[self._cluster_label])


class _GatewayLoader(yaml.SafeLoader):
    """Reads a gateway's configuration, at whose head its class is a tag."""


def _gateway(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_GatewayLoader.add_constructor("!MarieGateway", _gateway)
