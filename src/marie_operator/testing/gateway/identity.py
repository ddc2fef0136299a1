"""What a gateway says about itself: versions, environment, paths."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

VERSION = "4.0.0"

_UNSET = (
    "DEFAULT_TIMEOUT_CTRL DEPLOYMENT_NAME DISABLE_UVLOOP EARLY_STOP FULL_CLI GATEWAY_IMAGE GRPC_RECV_BYTES"
    " GRPC_SEND_BYTES HUB_NO_IMAGE_REBUILD LOG_CONFIG LOG_NO_COLOR RANDOM_PORT_MAX RANDOM_PORT_MIN LOCKS_ROOT"
    " K8S_ACCESS_MODES K8S_STORAGE_CLASS_NAME K8S_STORAGE_CAPACITY"
)

PATHS: dict[str, tuple[str, ...]] = {
    "/": ("GET",),
    "/status": ("GET",),
    "/check": ("GET",),
    "/dry_run": ("GET",),
    "/openapi.json": ("GET",),
    "/job/submit": ("GET",),
    "/api/debug": ("GET",),
    "/api/debug/reset-dags": ("POST",),
    "/api/jobs": ("GET",),
    "/api/jobs/{state}": ("GET", "DELETE"),
    "/api/jobs/{job_id}/stop": ("GET",),
    "/api/jobsXX/{job_id}": ("GET",),
    "/api/v1/invoke": ("POST",),
    "/api/deployments": ("GET",),
    "/api/deployment-nodes": ("GET",),
    "/api/deployment-status": ("GET",),
    "/api/capacity": ("GET",),
    "/api/planners": ("GET",),
}
"""Methods by path; a name in braces stands for one segment."""


FIFTH_PATHS: dict[str, tuple[str, ...]] = {
    "/api/operations/dags/{dag_id}": ("GET",),
    "/api/operations/health": ("GET",),
    "/api/discovery/readiness": ("GET",),
    "/api/scheduler/pause": ("POST",),
    "/api/scheduler/unpause": ("POST",),
}
"""What Marie 5 has beside them."""
_GONE = frozenset({"/job/submit"})
"""What it has no more."""


def is_fifth(version: str) -> bool:
    """Whether a version shows what Marie 5 does."""
    return not version.startswith("4.")


@lru_cache(maxsize=16)
def paths(version: str) -> Mapping[str, tuple[str, ...]]:
    """What a version serves: methods by path."""
    kept = {path: methods for path, methods in PATHS.items() if path not in _GONE}
    return {**kept, **FIFTH_PATHS} if is_fifth(version) else PATHS


@lru_cache(maxsize=4096)
def route(path: str, version: str = VERSION) -> str | None:
    """The entry of ``paths`` that a path falls under."""
    known = paths(version)
    if path in known:
        return path
    parts = path.split("/")
    for pattern in known:
        names = pattern.split("/")
        if len(names) == len(parts) and all(
            (part and name.startswith("{")) or name == part for name, part in zip(names, parts, strict=True)
        ):
            return pattern
    return None


def status(started: str, version: str = VERSION) -> dict[str, Any]:
    """The status page.

    Args:
        started: When the gateway did.
        version: What it calls itself.
    """
    marie = {
        "marie": version,
        "docarray": "0.40.0",
        "jcloud": "not-available",
        "jina-hubble-sdk": "v0.0.0",
        "marie-proto": "0.1.28",
        "protobuf": "5.29.6",
        "proto-backend": "upb",
        "grpcio": "1.71.2",
        "pyyaml": "6.0.3",
        "python": "3.11.7",
        "platform": "Simulated",
        "platform-release": "",
        "platform-version": "",
        "architecture": "x86_64",
        "processor": "",
        "uid": "0",
        "session-id": "00000000-0000-1000-8000-000000000000",
        "uptime": started,
        "ci-vendor": "(unset)",
        "internal": "False",
    }
    envs = {
        "JINA_DEFAULT_HOST": "127.0.0.1",
        "JINA_LOG_LEVEL": "INFO",
        "JINA_MP_START_METHOD": "fork",
        "JINA_OPTOUT_TELEMETRY": "1",
        "JINA_STREAMER_ARGS": "{}",
        **{f"JINA_{name}": "(unset)" for name in _UNSET.split()},
    }
    return {"jina": None, "marie": marie, "envs": envs}


def openapi(version: str = VERSION) -> dict[str, Any]:
    """The description of the API: version, paths and methods only."""
    described: dict[str, dict[str, Any]] = {
        path: {method.lower(): {"responses": {}} for method in methods}
        for path, methods in paths(version).items()
        if path not in {"/openapi.json", "/api/jobs/{state}"}
    }
    described["/api/jobs/{state}"] = {"get": {"responses": {}}}
    described["/api/jobs/{job_id}"] = {"delete": {"responses": {}}}
    info = {"title": "My Marie Service", "description": "A simulation.", "version": version}
    return {"openapi": "3.1.0", "info": info, "paths": described, "components": {"schemas": {}}}
