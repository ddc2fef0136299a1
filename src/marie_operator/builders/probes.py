"""Probes, on the endpoints that tell the truth (MA-14, MA-24)."""

from collections.abc import Mapping

from marie_operator.runtime.resource import Object


def server(http: int) -> Mapping[str, Object]:
    """Of the gateway: ``/status`` answers once the process serves; ``/health`` and ``/ready`` do not exist."""
    status = {"httpGet": {"path": "/status", "port": http, "scheme": "HTTP"}}
    return {
        # Ten minutes for a first start that pulls models.
        "startupProbe": _probe(status, period=5, failures=120, timeout=5),
        "livenessProbe": _probe(status, period=20, failures=3, timeout=10),
        "readinessProbe": _probe(status, period=5, failures=2, timeout=5),
    }


def executor(worker: int) -> Mapping[str, Object]:
    """Of an executor: its worker, since the node's own health stays green when the worker is dead."""
    check = {"grpc": {"port": worker, "service": ""}}
    return {
        # Models load for minutes.
        "startupProbe": _probe(check, period=10, failures=120, timeout=5),
        "livenessProbe": _probe(check, period=20, failures=3, timeout=10),
        "readinessProbe": _probe(check, period=10, failures=2, timeout=5),
    }


def _probe(check: Object, *, period: int, failures: int, timeout: int) -> Object:
    return {
        **check,
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
        "successThreshold": 1,
    }
