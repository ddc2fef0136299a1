"""What users are told of children that the API server refuses."""

import asyncio

import pytest

from marie_operator.api.conditions import ClusterReason
from marie_operator.controllers.mariecluster import refusals
from marie_operator.runtime import BadRequest, Forbidden, Invalid
from marie_operator.testing.apiserver.answers import Answer
from marie_operator.testing.apiserver.faults import Fault, Serve, refuse
from marie_operator.testing.apiserver.requests import Call
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import MANAGED, cluster
from tests.simulation.world import OPERATOR

OPERATORS = 'User "system:serviceaccount:marie-system:marie-operator"'


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            Forbidden(403, "Forbidden", f'services "s" is forbidden: {OPERATORS} cannot patch resource "services"'),
            ClusterReason.PERMISSION_DENIED,
        ),
        (
            Forbidden(
                403,
                "Forbidden",
                'services "s" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource '
                "you can't set finalizers on: , <nil>",
            ),
            ClusterReason.PERMISSION_DENIED,
        ),
        (
            Forbidden(403, "Forbidden", 'services "s" is forbidden: exceeded quota: q, requested: services=1'),
            ClusterReason.CHILD_REFUSED,
        ),
        (
            Forbidden(403, "", 'admission webhook "v.gatekeeper.sh" denied the request: [labels] no team'),
            ClusterReason.CHILD_REFUSED,
        ),
        (
            BadRequest(400, "", 'admission webhook "p.example.com" denied the request: no'),
            ClusterReason.CHILD_REFUSED,
        ),
        (Invalid(422, "Invalid", 'Service "s" is invalid: spec.ports: Required value'), ClusterReason.CHILD_REFUSED),
    ],
)
def test_a_right_is_asked_for_only_where_one_is_missing(
    error: Forbidden | BadRequest | Invalid, reason: ClusterReason
) -> None:
    found = refusals.worded("Service s", error)
    assert found.reason == reason
    assert error.message in found.message


@pytest.mark.embedded
@pytest.mark.parametrize("name", ["c-api-key", "c-config"])
def test_a_secret_that_is_refused_is_told_and_comes_once_it_is_not(name: str) -> None:
    async def story(plane: Plane) -> None:
        message = f'secrets "{name}" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=9'
        refused = refuse(403, message)

        async def one(call: Call, serve: Serve) -> Answer:
            return await (refused if name.encode() in call.body else _passed)(call, serve)

        full = Fault(one, verbs={"create", "patch"}, resources={"secrets"}, user=OPERATOR.name)
        plane.server.server.faults.append(full)
        await plane.apply(cluster(backingServices=MANAGED))
        told = await plane.condition("c", "Ready", "False", reason="ChildRefused")
        assert "exceeded quota" in told["message"]
        # What needs no Secret is made all the same.
        assert "c-server-svc" in await plane.names("services")
        await asyncio.sleep(60)
        plane.server.server.faults.remove(full)
        await plane.condition("c", "Ready")

    run(story)


@pytest.mark.embedded
def test_a_webhook_that_does_not_answer_for_one_child_is_told_and_holds_up_no_other() -> None:
    async def story(plane: Plane) -> None:
        message = (
            'Internal error occurred: failed calling webhook "validate.nginx.ingress.kubernetes.io": failed to call '
            "webhook: connection refused"
        )
        down = Fault(refuse(500, message), verbs={"create", "patch"}, resources={"ingresses"}, user=OPERATOR.name)
        plane.server.server.faults.append(down)
        await plane.apply(cluster(backingServices=MANAGED, enableIngress=True))
        told = await plane.condition("c", "Ready", "False", reason="ChildRefused")
        assert told["message"] == f"The API server refuses Ingress c-ingress: {message}."
        # What comes after it in the chain is made all the same.
        await plane.until(lambda: _budgeted(plane), seconds=60)
        await asyncio.sleep(600)
        assert len(down.met) < 40
        plane.server.server.faults.remove(down)
        await plane.condition("c", "Ready")

    run(story)


async def _budgeted(plane: Plane) -> bool:
    return bool((await plane.api.get("/apis/policy/v1/namespaces/default/poddisruptionbudgets"))["items"])


async def _passed(call: Call, serve: Serve) -> Answer:
    return await serve(call)
