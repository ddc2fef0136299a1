"""What users may, as roles and bindings come, change and go between two requests that ask the same."""

import contextlib

import pytest

from marie_operator.testing.api import ApiStatus
from marie_operator.testing.apiserver.authorization import User
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer

RBAC = "/apis/rbac.authorization.k8s.io/v1"
READER = {
    "metadata": {"name": "reader"},
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
}
BINDING = {
    "metadata": {"name": "readers"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "robot"}],
}


@pytest.mark.parametrize(
    ("bindings", "pods"),
    [("clusterrolebindings", "/api/v1/pods"), ("namespaces/default/rolebindings", "/api/v1/namespaces/default/pods")],
)
async def test_every_change_of_roles_and_bindings_counts_at_once(bindings: str, pods: str) -> None:
    server = EmbeddedApiServer(users={"robot": User("robot")})

    async def allowed() -> bool:
        with contextlib.suppress(ApiStatus):
            await robot.get(pods)
        code = server.audit.requests(user="robot")[-1].code
        assert code in {200, 403}
        return code == 200

    async with server.direct() as admin, server.direct("robot") as robot:
        assert not await allowed()
        await admin.create(f"{RBAC}/{bindings}", BINDING)
        assert not await allowed()
        await admin.create(f"{RBAC}/clusterroles", READER)
        assert await allowed()
        await admin.patch(f"{RBAC}/clusterroles/reader", {"rules": []})
        assert not await allowed()
        await admin.patch(f"{RBAC}/clusterroles/reader", {"rules": READER["rules"]})
        assert await allowed()
        await admin.delete(f"{RBAC}/{bindings}/readers")
        assert not await allowed()
