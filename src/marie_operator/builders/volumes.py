"""Places where Marie writes, as volumes of bounded size, where the user has put nothing (MA-09)."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TypeAlias

from marie_operator.api.mariecluster import CONFIG_FILE, ExecutorGroupSpec, MarieCluster
from marie_operator.builders import association
from marie_operator.runtime.resource import Object

Mounts: TypeAlias = Mapping[str, Object]
"""Volumes by the path they are mounted at."""

_TMP: Object = {"name": "marie-tmp", "emptyDir": {"sizeLimit": "4Gi"}}
_LOG: Object = {"name": "marie-log", "emptyDir": {"sizeLimit": "1Gi"}}
_SHM: Object = {"name": "marie-shm", "emptyDir": {"medium": "Memory", "sizeLimit": "4Gi"}}

# A debug file for every scheduling cycle goes to /tmp, without end (MA-10).
SERVER: Mounts = {"/tmp": _TMP, "/var/log/marie": _LOG}  # noqa: S108 - a path in the container
EXECUTOR: Mounts = {"/tmp": _TMP, "/var/log/marie": _LOG, "/dev/shm": _SHM}  # noqa: S108

_MODELS = "marie-models"
_FOLDER = str(PurePosixPath(CONFIG_FILE).parent)
_MAPPER_FOLDER = "/etc/marie/config/extract/base"


def model_cache(group: ExecutorGroupSpec) -> Mounts:
    """The models of a group's executors, where it has a cache for them."""
    cache = group.model_cache
    if cache is None:
        return {}
    if cache.claim_name:
        claim = {"claimName": cache.claim_name, **({"readOnly": True} if cache.read_only else {})}
        return {association.MODELS: {"name": _MODELS, "persistentVolumeClaim": claim}}
    limit = {} if cache.size_limit is None else {"sizeLimit": str(cache.size_limit)}
    return {association.MODELS: {"name": _MODELS, "emptyDir": limit}}


def gateway_files(cluster: MarieCluster) -> Mounts:
    """The rendered configuration of the gateway; its mapper has a folder of its own, below Marie's (MA-11)."""
    name = PurePosixPath(CONFIG_FILE).name
    return {
        _FOLDER: _files(cluster, "marie-config", association.GATEWAY_FILE, name),
        _MAPPER_FOLDER: _files(cluster, "marie-mapper", association.MAPPER_FILE, association.MAPPER_FILE),
    }


def group_files(cluster: MarieCluster, group: ExecutorGroupSpec) -> Mounts:
    """The rendered Flow of a group, and nothing of other groups'."""
    name = PurePosixPath(CONFIG_FILE).name
    return {_FOLDER: _files(cluster, "marie-config", association.group_file(group), name)}


def _files(cluster: MarieCluster, name: str, key: str, path: str) -> Object:
    secret = association.config_secret_name(cluster.metadata.name)
    return {"name": name, "secret": {"secretName": secret, "items": [{"key": key, "path": path}]}}


def provides(container: Object, path: str) -> bool:
    """Whether a mount of the user's holds a path."""
    places = [str(mount["mountPath"]).rstrip("/") for mount in container.get("volumeMounts") or ()]
    return any(path == place or path.startswith(f"{place}/") for place in places)


def missing(pod: Object, container: Object, mounts: Mounts) -> list[Object]:
    """Volumes to add to a pod, so that ``missing_mounts`` of its container find them."""
    wanted = {mount["name"] for mount in missing_mounts(container, mounts)}
    present = {volume["name"] for volume in pod.get("volumes") or ()}
    return [volume for volume in mounts.values() if volume["name"] in wanted - present]


def missing_mounts(container: Object, mounts: Mounts) -> list[Object]:
    """Mounts to add to a container: those of paths that no mount of the user's holds.

    The user's may lie below: the kubelet makes the folders they need, and runtimes mount what is above first.
    """
    return [
        {"name": volume["name"], "mountPath": path} for path, volume in mounts.items() if not provides(container, path)
    ]
