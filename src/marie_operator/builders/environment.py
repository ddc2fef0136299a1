"""Environment variables that Marie reads (marie.md 1.6); the user's own of the same name always win.

Only what ``env`` names counts as the user's: what ``envFrom`` brings along is unknown here, and ``env`` goes before it.
"""

import re
from collections.abc import Mapping

from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.builders import association, resources
from marie_operator.runtime.resource import Object

_COMMON = {
    "PYTHONUNBUFFERED": "1",
    "COLUMNS": "180",
    "MARIE_DEFAULT_MOUNT": "/etc/marie",
    "MARIE_CACHE_SKIP_LOAD": "true",
    "MARIE_LOG_CONFIG": "docker",
    "JINA_LOG_LEVEL": "INFO",
    "JINA_OPTOUT_TELEMETRY": "1",
    "NO_VERSION_CHECK": "1",
}
_POD = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_IP": "status.podIP"}


def server(cluster: MarieCluster) -> list[Object]:
    """Of the gateway: it forks, and it counts the slots that each kind of executor offers."""
    slots: dict[str, int] = {}
    for group in cluster.spec.executor_group_specs:
        if group.slots is not None:
            # Marie has one number for all pods of an executor: the least overloads none of them.
            variable = _slots_variable(association.executor_name(group))
            slots[variable] = min(group.slots, slots.get(variable, group.slots))
    plain = {
        **_COMMON,
        "MARIE_DEPLOYMENT_NAME": cluster.metadata.name,
        "JINA_MP_START_METHOD": "fork",
        **{variable: str(number) for variable, number in sorted(slots.items())},
    }
    return [*_plain(plain), *_fields()]


def executor(cluster: MarieCluster, group: ExecutorGroupSpec, ports: Mapping[str, int]) -> list[Object]:
    """Of an executor: it spawns its workers, on known ports, with or without GPUs."""
    plain = {
        **_COMMON,
        "MARIE_DEPLOYMENT_NAME": cluster.metadata.name,
        "JINA_MP_START_METHOD": "spawn",
        "MARIE_PORT": str(ports[association.FLOW]),
        "MARIE_WORKER_PORT": str(ports[association.WORKER]),
    }
    if not resources.uses_gpu(group):
        plain["MARIE_DISABLE_CUDA"] = "1"
    return [*_plain(plain), *_fields()]


def _plain(values: dict[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _fields() -> list[Object]:
    # The API version is what the API server would fill in; written out, the manifest compares equal later.
    return [
        {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
        for name, path in _POD.items()
    ]


def _slots_variable(executor: str) -> str:
    # Marie looks for the name in capitals and otherwise as it is, dashes included; the API server takes no others.
    return f"MARIE_SLOTS_{re.sub(r'[^-._A-Z0-9]', '_', executor.upper())}_PER_NODE"
