"""HTTPRoutes, end to end: with the Gateway API, without it, and with one that comes later."""

import asyncio
from typing import Any

import pytest

from tests.controllers.mariecluster.gateway_api import ROUTES, definition, said
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster
from tests.controllers.mariecluster.test_executors import notes

pytestmark = pytest.mark.embedded

WANTED = {"parentRefs": [{"name": "public"}], "hostnames": ["marie.example.com"]}
ROUTE = f"{ROUTES}/c-route"


def routed(**options: Any) -> dict[str, Any]:
    return cluster(backingServices=MANAGED, httpRoute={**WANTED, **options})


async def route(plane: Plane) -> dict[str, Any] | None:
    found = (await plane.api.get(ROUTES))["items"]
    return next((each for each in found if each["metadata"]["name"] == "c-route"), None)


def test_a_gateway_s_word_on_the_route_is_the_cluster_s() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(definition("v1", "v1beta1"), routed())
        await plane.condition("c", "Ready")
        told = await plane.condition("c", "HTTPRouteAccepted", "Unknown", reason="RoutePending")
        assert "for Gateway public yet" in told["message"]
        made = await plane.until(lambda: route(plane))
        assert made["spec"]["rules"][0]["backendRefs"] == [{"name": "c-server-svc", "port": 51000}]

        why = "listener https takes no routes of this namespace"
        await plane.api.patch(f"{ROUTE}/status", said(made, "public", accepted=False, message=why))
        told = await plane.condition("c", "HTTPRouteAccepted", "False", reason="RouteNotAccepted", seconds=20)
        assert told["message"] == f"Gateway public does not take the route: {why}."
        assert await notes(plane, "RouteNotAccepted") == [told["message"]]
        await plane.api.patch(f"{ROUTE}/status", said(made, "public", accepted=True))
        await plane.condition("c", "HTTPRouteAccepted", reason="RouteAccepted", seconds=20)

        since = plane.server.audit.mark()
        await asyncio.sleep(300)
        assert plane.writes(since) == []
        await plane.patch("marieclusters", "c", {"spec": {"httpRoute": {**WANTED, "path": "/marie"}}})

        async def changed() -> bool:
            found = await route(plane)
            return found is not None and found["spec"]["rules"][0]["matches"][0]["path"]["value"] == "/marie"

        await plane.until(changed, seconds=5)

    run(story)


@pytest.mark.kuberay("KR-35")
def test_a_route_comes_when_the_gateway_api_is_installed_later_than_the_cluster() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(routed())
        # A cluster works without its route.
        await plane.condition("c", "Ready")
        told = await plane.condition("c", "HTTPRouteAccepted", "False", reason="RouteKindMissing")
        assert told["message"].startswith(
            "The API server has no HTTPRoute of gateway.networking.k8s.io/v1: install the Gateway API's CRDs"
        )
        assert await notes(plane, "RouteKindMissing") == [told["message"]]
        # One that is too old has no routes of that version.
        await plane.apply(definition("v1beta1"))
        await asyncio.sleep(60)
        await plane.condition("c", "HTTPRouteAccepted", "False", reason="RouteKindMissing")
        await plane.api.delete(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/httproutes.gateway.networking.k8s.io"
        )
        await asyncio.sleep(5)
        await plane.apply(definition("v1"))
        assert await plane.until(lambda: route(plane), seconds=20)
        await plane.condition("c", "HTTPRouteAccepted", "Unknown", reason="RoutePending", seconds=20)

    run(story)


def test_a_route_that_is_no_longer_wanted_goes_and_is_no_longer_told_of() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(definition("v1"), routed())
        await plane.until(lambda: route(plane))
        await plane.condition("c", "HTTPRouteAccepted", "Unknown")
        await plane.patch("marieclusters", "c", {"spec": {"httpRoute": None}})

        async def gone() -> bool:
            conditions = (await plane.get("marieclusters", "c"))["status"]["conditions"]
            return await route(plane) is None and "HTTPRouteAccepted" not in {each["type"] for each in conditions}

        await plane.until(gone, seconds=15)

    run(story)


def test_a_route_of_its_name_that_is_somebody_else_s_is_left_alone() -> None:
    async def story(plane: Plane) -> None:
        await plane.apply(definition("v1"))
        theirs = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "c-route"},
            "spec": {"hostnames": ["theirs.example.com"]},
        }
        await plane.apply(theirs, routed())
        told = await plane.condition("c", "Ready", "False", reason="NameTaken")
        assert "HTTPRoute c-route exists and does not belong to this cluster" in told["message"]
        found = await route(plane)
        assert found is not None
        assert found["spec"] == theirs["spec"]

    run(story)
