"""As much of the Gateway API as routes need: its kind, and a controller of Gateways that says what it thinks."""

from typing import Any

GROUP = "gateway.networking.k8s.io"
ROUTES = f"/apis/{GROUP}/v1/namespaces/default/httproutes"

_APPROVED = {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/891"}
"""Without it no server takes definitions of a group of kubernetes.io's."""
_TEXT = {"type": "string"}
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition(*versions: str) -> dict[str, Any]:
    """The definition of HTTPRoutes, in the versions that an installation serves."""
    spec = {
        "type": "object",
        "properties": {
            "parentRefs": {"type": "array", "items": _ANYTHING},
            "hostnames": {"type": "array", "items": _TEXT},
            "rules": {"type": "array", "items": _ANYTHING},
        },
    }
    schema = {"type": "object", "properties": {"spec": spec, "status": _ANYTHING}}
    served = [
        {
            "name": version,
            "served": True,
            "storage": version == versions[0],
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema},
        }
        for version in versions
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"httproutes.{GROUP}", "annotations": _APPROVED},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": "HTTPRoute",
                "plural": "httproutes",
                "singular": "httproute",
                "listKind": "HTTPRouteList",
            },
            "scope": "Namespaced",
            "versions": served,
        },
    }


def said(route: dict[str, Any], gateway: str, *, accepted: bool, message: str = "") -> dict[str, Any]:
    """The status of a route of which a Gateway's controller says this."""
    condition = {
        "type": "Accepted",
        "status": "True" if accepted else "False",
        "reason": "Accepted" if accepted else "NotAllowedByListeners",
        "message": message,
        "observedGeneration": route["metadata"]["generation"],
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    parent = {"parentRef": {"name": gateway}, "controllerName": "example.com/gateways", "conditions": [condition]}
    return {"status": {"parents": [parent]}}
