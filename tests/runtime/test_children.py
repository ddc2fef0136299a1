"""What an object owns is written where it differs and nowhere else: on the embedded API server, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from marie_operator.runtime import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    INGRESSES,
    SECRETS,
    SERVICES,
    ApplyConflict,
    Cache,
    Children,
    Client,
    LoopClock,
    NameTaken,
    NotFound,
    Object,
    ObjectKey,
    PatchKind,
    Resource,
    ServerError,
    Writer,
)
from marie_operator.testing import virtual
from marie_operator.testing.api import Api
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.faults import Fault, mute, refuse
from tests.runtime.direct import client_of

# Any kind can own: a ConfigMap needs no definition.
OWNERS = CONFIG_MAPS
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
KINDS = (DEPLOYMENTS, SERVICES)


def deployment(name: str = "web", **container: Any) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i", **container}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


def service(name: str = "web") -> Object:
    body = {"selector": {"app": name}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


@dataclass
class Stage:
    """A server, an owner, and an operator that keeps what it owns."""

    server: EmbeddedApiServer
    api: Api
    client: Client
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def operator(self, owners: Resource = OWNERS) -> Children:
        """A process that begins."""
        cache = Cache(self.client, clock=LoopClock())
        cache.add(owners)
        made = Children(owners, KINDS, cache=cache, writer=Writer(self.client, cache), field_manager="me")
        self.tasks.append(asyncio.create_task(cache.run()))
        await cache.wait_synced()
        return made

    async def owner(self, name: str = "owner") -> Object:
        metadata = {"namespace": "default", "name": name}
        made = await self.client.create(OWNERS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        # Until the copies have it.
        await asyncio.sleep(1)
        return made

    def writes(self, since: int) -> list[str]:
        return [f"{each.verb} {each.resource} {each.name}" for each in self.server.audit.writes(since=since)]


def staged(scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        server = EmbeddedApiServer(seed=1)
        async with server.direct() as api:
            stage = Stage(server, api, client_of(server))
            try:
                await scenario(stage)
            finally:
                for task in stage.tasks:
                    task.cancel()
                await asyncio.gather(*stage.tasks, return_exceptions=True)

    virtual.run(main)


@pytest.mark.semantics("W-22")
def test_what_is_as_it_should_be_is_not_written_again_whatever_the_server_and_others_made_of_it() -> None:
    """Defaults, quantities in another form, a label of somebody else, and a process that begins anew."""
    wanted = [deployment(resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}}, env=[]), service()]

    async def scenario(stage: Stage) -> None:
        children, owner = await stage.operator(), await stage.owner()
        assert await children.apply(owner, wanted) == ("Created Deployment web", "Created Service web")
        mark = stage.server.audit.mark()
        assert await children.apply(owner, wanted) == ()
        await stage.client.patch(
            DEPLOYMENTS, ObjectKey("default", "web"), {"metadata": {"labels": {"team": "x"}}}, kind=PatchKind.MERGE
        )
        await asyncio.sleep(1)
        assert await children.apply(owner, wanted) == ()
        assert await (await stage.operator()).apply(owner, wanted) == ()
        assert stage.writes(mark) == ["patch deployments web"]
        assert (await stage.client.get(DEPLOYMENTS, ObjectKey("default", "web")))["metadata"]["labels"]["team"] == "x"

    staged(scenario)


@pytest.mark.semantics("W-22")
def test_what_differs_is_written_and_a_field_that_is_wanted_no_longer_is_given_up() -> None:
    async def scenario(stage: Stage) -> None:
        children, owner = await stage.operator(), await stage.owner()
        await children.apply(owner, [deployment(command=["sleep"]), service()])
        more = {**deployment(), "spec": {**deployment()["spec"], "replicas": 5}}
        (changed,) = await children.apply(owner, [more, service()])
        assert changed.startswith("Changed Deployment web: ")
        assert "spec.replicas" in changed
        live = await stage.client.get(DEPLOYMENTS, ObjectKey("default", "web"))
        assert live["spec"]["replicas"] == 5
        assert "command" not in live["spec"]["template"]["spec"]["containers"][0]

    staged(scenario)


def test_a_field_that_somebody_else_took_is_not_fought_over() -> None:
    async def scenario(stage: Stage) -> None:
        children, owner = await stage.operator(), await stage.owner()
        await children.apply(owner, [deployment()])
        key, scale = ObjectKey("default", "web"), {"spec": {"replicas": 9}}
        await stage.client.patch(DEPLOYMENTS, key, scale, kind=PatchKind.MERGE)
        await asyncio.sleep(1)
        # Who patched it owns it now; an operator does not fight, it says who has it.
        with pytest.raises(ApplyConflict) as caught:
            await children.apply(owner, [deployment()])
        assert [each.field for each in caught.value.conflicts] == [".spec.replicas"]

    staged(scenario)


def test_what_is_wanted_no_longer_is_removed_and_nothing_of_others_is() -> None:
    async def scenario(stage: Stage) -> None:
        children, one, two = await stage.operator(), await stage.owner("one"), await stage.owner("two")
        await children.apply(one, [deployment("a"), service("a")])
        await children.apply(two, [service("b")])
        assert await children.apply(one, [deployment("a")]) == ("Deleted Service a",)
        assert sorted(name for _, name in children.of(one)) == ["a"]
        assert children.get(SERVICES, two, "b") is not None
        assert children.get(SERVICES, one, "a") is None
        with pytest.raises(NotFound):
            await stage.client.get(SERVICES, ObjectKey("default", "a"))

    staged(scenario)


@pytest.mark.semantics("K-26")
def test_two_kinds_may_own_children_of_one_kind() -> None:
    async def scenario(stage: Stage) -> None:
        cache = Cache(stage.client, clock=LoopClock())
        owned = []
        for kind in (OWNERS, SECRETS):
            cache.add(kind)
            owned.append(Children(kind, KINDS, cache=cache, writer=Writer(stage.client, cache), field_manager="me"))
        stage.tasks.append(asyncio.create_task(cache.run()))
        await cache.wait_synced()
        one, metadata = await stage.owner(), {"namespace": "default", "name": "owner"}
        two = await stage.client.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
        await asyncio.sleep(1)
        for children, owner, name in zip(owned, (one, two), ("a", "b"), strict=True):
            assert await children.apply(owner, [service(name)]) == (f"Created Service {name}",)
        assert [sorted(name for _, name in each.of(owner)) for each, owner in zip(owned, (one, two), strict=True)] == [
            ["a"],
            ["b"],
        ]

    staged(scenario)


@pytest.mark.semantics("K-26")
@pytest.mark.parametrize("dying", [True, False])
def test_a_child_of_an_owner_that_is_made_again_waits_for_the_end_of_its_predecessors(dying: bool) -> None:
    """Garbage collection takes its time; a child that belonged to the owner before is nobody's to rename or delete."""

    async def scenario(stage: Stage) -> None:
        children, owner = await stage.operator(), await stage.owner()
        await children.apply(owner, [service()])
        key = ObjectKey("default", "web")
        if dying:
            await stage.client.patch(SERVICES, key, {"metadata": {"finalizers": ["a.b/c"]}}, kind=PatchKind.MERGE)
            await stage.client.delete(SERVICES, key)
        await stage.client.delete(OWNERS, ObjectKey.of(owner))
        again = await stage.owner()
        with pytest.raises(NameTaken, match=r"Service default/web exists and is about to be deleted") as caught:
            await children.apply(again, [service()])
        assert caught.value.ends
        if dying:
            await stage.client.patch(SERVICES, key, {"metadata": {"finalizers": None}}, kind=PatchKind.MERGE)
        else:
            await stage.client.delete(SERVICES, key)
        await asyncio.sleep(1)
        assert await children.apply(again, [service()]) == ("Created Service web",)

    staged(scenario)


@pytest.mark.semantics("K-26")
def test_a_name_that_is_anothers_is_left_to_them() -> None:
    async def scenario(stage: Stage) -> None:
        children, one, two = await stage.operator(), await stage.owner("one"), await stage.owner("two")
        await children.apply(one, [service()])
        foreign = {**service("theirs"), "metadata": {"namespace": "default", "name": "theirs"}}
        await stage.client.create(SERVICES, foreign)
        before = (await stage.client.list(SERVICES)).items
        for taken in ("web", "theirs"):
            with pytest.raises(NameTaken, match=f"Service default/{taken} exists and belongs to another"):
                await children.apply(two, [service(taken)])
        assert (await stage.client.list(SERVICES)).items == before

    staged(scenario)


@pytest.mark.semantics("K-26")
def test_children_are_where_their_owner_is_or_where_an_owner_of_no_namespace_says() -> None:
    async def scenario(stage: Stage) -> None:
        children, owner = await stage.operator(), await stage.owner()
        elsewhere = {**service(), "metadata": {"name": "web", "namespace": "kube-system"}}
        with pytest.raises(ValueError, match="Service web must be in its owner's namespace"):
            await children.apply(owner, [elsewhere])
        everywhere = await stage.operator(NAMESPACES)
        root = await stage.client.get(NAMESPACES, ObjectKey("", "kube-public"))
        assert await everywhere.apply(root, [elsewhere]) == ("Created Service web",)

    staged(scenario)


def test_a_kind_that_was_not_named_is_refused_before_anything_is_written() -> None:
    async def scenario(stage: Stage) -> None:
        children, owner = await stage.operator(), await stage.owner()
        ingress = {"apiVersion": INGRESSES.api_version, "kind": "Ingress", "metadata": {"name": "web"}}
        mark = stage.server.audit.mark()
        with pytest.raises(ValueError, match=r"networking\.k8s\.io/v1 Ingress is none of the children's kinds"):
            await children.apply(owner, [service(), ingress])
        assert stage.writes(mark) == []

    staged(scenario)


def test_an_owner_that_is_being_deleted_gets_nothing_back() -> None:
    async def scenario(stage: Stage) -> None:
        children, owner = await stage.operator(), await stage.owner()
        key = ObjectKey.of(owner)
        await stage.client.patch(OWNERS, key, {"metadata": {"finalizers": ["a.b/c"]}}, kind=PatchKind.MERGE)
        await stage.client.delete(OWNERS, key)
        await asyncio.sleep(1)
        mark = stage.server.audit.mark()
        assert await children.apply(owner, [service()]) == ()
        assert stage.writes(mark) == []

    staged(scenario)


async def silenced(stage: Stage) -> None:
    """Nothing is told of owners any more."""
    stage.server.server.faults.append(Fault(mute(), verbs={"watch"}, resources={OWNERS.plural}))
    stage.server.server.end_watches()
    await asyncio.sleep(3)


async def vanished(stage: Stage) -> None:
    """Somebody deletes the child, as garbage collection does."""
    await stage.client.delete(SERVICES, ObjectKey("default", "web"))
    await asyncio.sleep(1)


async def remade(stage: Stage) -> None:
    await stage.client.delete(OWNERS, ObjectKey("default", "owner"))
    await stage.owner()


async def in_the_foreground(stage: Stage) -> None:
    key = ObjectKey("default", "owner")
    await stage.client.patch(OWNERS, key, {"metadata": {"finalizers": ["a.b/c"]}}, kind=PatchKind.MERGE)
    await stage.client.delete(OWNERS, key)


async def at_once(stage: Stage) -> None:
    await stage.client.delete(OWNERS, ObjectKey("default", "owner"))


@pytest.mark.semantics("K-26")
@pytest.mark.parametrize("gone", [at_once, in_the_foreground, remade])
def test_an_owner_whose_end_nobody_told_of_gets_nothing_back(gone: Callable[[Stage], Awaitable[None]]) -> None:
    """The watch on owners is silent; that a child has vanished is told, and has its owner read."""

    async def scenario(stage: Stage) -> None:
        children, owner = await stage.operator(), await stage.owner()
        await children.apply(owner, [service()])
        await silenced(stage)
        await gone(stage)
        await vanished(stage)
        mark = stage.server.audit.mark()
        for _ in range(3):
            assert await children.apply(owner, [service()]) == ()
        asked = stage.server.audit.requests(since=mark)
        assert [(each.verb, each.resource) for each in asked] == [("list", OWNERS.plural)]

    staged(scenario)


@pytest.mark.semantics("K-26")
def test_a_child_that_vanishes_comes_back_once_its_owner_is_known_to_be_there() -> None:
    async def scenario(stage: Stage) -> None:
        children, owner = await stage.operator(), await stage.owner()
        await children.apply(owner, [service()])
        await silenced(stage)
        await vanished(stage)
        mark, fault = stage.server.audit.mark(), Fault(refuse(500), verbs={"list"}, resources={OWNERS.plural})
        stage.server.server.faults.append(fault)
        with pytest.raises(ServerError):
            await children.apply(owner, [service()])
        assert stage.writes(mark) == []
        stage.server.server.faults.remove(fault)
        assert await children.apply(owner, [service()]) == ("Created Service web",)
        mark = stage.server.audit.mark()
        assert await children.apply(owner, [service()]) == ()
        assert stage.server.audit.requests(since=mark) == []

    staged(scenario)
