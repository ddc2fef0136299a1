"""The operator's manifests on a control plane, and what servers take some time to know of them."""

from typing import TypeAlias

from marie_operator.testing import manifests
from marie_operator.testing.controlplane import OPERATOR, ControlPlane
from marie_operator.testing.embedded import EmbeddedControlPlane
from tests.controlplane.waiting import until
from tests.controlplane.world import ROOT

Plane: TypeAlias = ControlPlane | EmbeddedControlPlane


async def install(plane: Plane) -> None:
    """CRDs, role and namespace, without the operator's own Deployment: the tests run the operator."""
    folders = (ROOT / "config/default/namespace.yaml", ROOT / "config/crd", ROOT / "config/rbac")
    async with plane.api() as api:
        await manifests.apply(api, manifests.read(*folders))
    await owners_known(plane)


async def owners_known(plane: Plane) -> None:
    """Wait until the operator may make what a MarieCluster owns.

    Rights hold some time after their binding. Admission of owner references, where a server has it, looks at the kinds
    twice a minute: it learns late of a new one, and where it was asked while the server started, of any that a
    definition makes.
    """
    owner = {"apiVersion": "marie.ai/v1alpha1", "kind": "MarieCluster", "name": "x", "uid": "x"}
    probe = {"metadata": {"name": "probe", "ownerReferences": [owner | {"blockOwnerDeletion": True}]}}
    async with plane.api(OPERATOR) as operator:

        async def known() -> bool:
            await operator.create("/api/v1/namespaces/default/configmaps?dryRun=All", probe)
            return True

        await until("what a MarieCluster owns can be made", known)


async def is_allowed(plane: Plane, verb: str, what: str, namespace: str) -> bool:
    """Whether the operator may do something, as far as the API server knows by now.

    Args:
        plane: Where.
        verb: Such as ``patch``.
        what: Resource and group, such as ``deployments.apps``.
        namespace: In which.
    """
    resource, _, group = what.partition(".")
    asked = {"verb": verb, "resource": resource, "group": group, "namespace": namespace}
    review = {"spec": {"resourceAttributes": asked}}
    async with plane.api(OPERATOR) as operator:
        answer = await operator.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(answer["status"]["allowed"])
