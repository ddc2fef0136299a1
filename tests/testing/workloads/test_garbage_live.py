"""Owner references."""

from typing import Any

from marie_operator.testing.api import ApiStatus
from tests.testing.workloads.conftest import Room, until
from tests.testing.workloads.test_deployments_live import deployment

GADGETS = {
    "metadata": {"name": "gadgets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def config(
    name: str, *owners: Any, kind: str = "ConfigMap", version: str = "v1", blocks: bool = False
) -> dict[str, Any]:
    references = [
        {
            "apiVersion": version,
            "kind": kind,
            "name": each["metadata"]["name"],
            "uid": each["metadata"]["uid"],
            "blockOwnerDeletion": blocks,
        }
        for each in owners
    ]
    return {"metadata": {"name": name, "ownerReferences": references}}


def names(found: list[Any]) -> set[str]:
    return {each["metadata"]["name"] for each in found} - {"kube-root-ca.crt"}


async def test_dependents_go_with_the_last_of_their_owners(room: Room) -> None:
    a = await room.create("configmaps", config("a"))
    b = await room.create("configmaps", config("b"))
    await room.create("configmaps", config("only-a", a))
    await room.create("configmaps", config("both", a, b))
    await room.api.delete(room.path("configmaps", "a"))
    await room.until_items("configmaps", lambda found: names(found) == {"b", "both"})
    left = await room.until("configmaps", "both", lambda found: len(found["metadata"]["ownerReferences"]) == 1)
    assert left["metadata"]["ownerReferences"][0]["name"] == "b"
    await room.api.delete(room.path("configmaps", "b"))
    await room.until_items("configmaps", lambda found: names(found) == set())


async def test_what_is_made_for_an_owner_that_never_was_goes(room: Room) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": "0b6a1d1a-57a1-4b7d-8f0a-5a1c3ad7d3f5"}}
    await room.create("configmaps", config("late", ghost))
    await room.until_items("configmaps", lambda found: names(found) == set())


async def test_an_owner_waits_for_those_who_block_it(room: Room) -> None:
    a = await room.create("configmaps", config("a"))
    held = config("held", a, blocks=True)
    held["metadata"]["finalizers"] = ["example.org/hold"]
    await room.create("configmaps", held)
    await room.create("configmaps", config("free", a))
    await room.api.delete(room.path("configmaps", "a"), {"propagationPolicy": "Foreground"})
    await room.until("configmaps", "held", lambda found: "deletionTimestamp" in found["metadata"])
    owner = await room.get("configmaps", "a")
    assert owner["metadata"]["finalizers"] == ["foregroundDeletion"]
    await room.api.patch(room.path("configmaps", "held"), {"metadata": {"finalizers": None}})
    await room.until_items("configmaps", lambda found: names(found) == set())


async def test_a_whole_tree_goes_in_the_foreground(room: Room) -> None:
    await room.create("deployments", deployment("web", 2))
    await room.kubectl("rollout", "status", "deployment/web")
    await room.kubectl("delete", "deployment/web", "--cascade=foreground", "--wait=true")
    assert await room.items("replicasets") == await room.items("pods") == []


async def test_orphans_are_let_go(room: Room) -> None:
    await room.create("deployments", deployment("web", 1))
    await room.kubectl("rollout", "status", "deployment/web")
    await room.kubectl("delete", "deployment/web", "--cascade=orphan")
    (left,) = await room.items("replicasets")
    assert "ownerReferences" not in left["metadata"]
    assert len(await room.items("pods")) == 1
    await room.create("deployments", deployment("web", 1))
    await room.until_items("replicasets", lambda found: len(found) == 1 and "ownerReferences" in found[0]["metadata"])
    await room.kubectl("rollout", "status", "deployment/web")


async def test_kinds_defined_later_own_too(room: Room) -> None:
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await room.api.create(
        definitions, {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **GADGETS}
    )
    path = f"/apis/example.org/v1/namespaces/{room.name}/gadgets"

    async def served() -> bool:
        try:
            return await room.api.exists(path)
        except ApiStatus as error:
            if error.code != 429:
                raise
            # Its storage is being prepared.
            return False

    await until(served, "the kind")
    body = {"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": {"name": "owner"}}
    owner = await room.api.create(path, body)
    await room.create("configmaps", config("owned", owner, kind="Gadget", version="example.org/v1"))
    await room.api.delete(f"{path}/owner")
    await room.until_items("configmaps", lambda found: names(found) == set())
    await room.api.delete(f"{definitions}/gadgets.example.org")


async def test_a_namespace_ends_with_all_that_is_in_it(room: Room) -> None:
    await room.create("deployments", deployment("web", 2))
    held = config("held")
    held["metadata"]["finalizers"] = ["example.org/hold"]
    await room.create("configmaps", held)
    await room.kubectl("rollout", "status", "deployment/web")
    path = f"/api/v1/namespaces/{room.name}"
    await room.api.delete(path)

    async def told() -> bool:
        conditions = (await room.api.get(path))["status"].get("conditions") or []
        found = {each["type"]: each["message"] for each in conditions}
        return "example.org/hold in 1 resource instances" in found.get("NamespaceFinalizersRemaining", "")

    await until(told, "what holds the namespace")
    await room.api.patch(room.path("configmaps", "held"), {"metadata": {"finalizers": None}})

    async def gone() -> bool:
        return not await room.api.exists(path)

    await until(gone, "the namespace's end")
