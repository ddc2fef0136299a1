"""What a write does to an object and to the copy, and what reads it: on the embedded API server, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    ApplyConflict,
    Cache,
    Client,
    Conflict,
    EventRecorder,
    LoopClock,
    Metrics,
    NotFound,
    Object,
    ObjectKey,
    ObjectReference,
    PatchKind,
    Writer,
    write_status,
)
from marie_operator.runtime.resource import CONFIG_MAPS, DEPLOYMENTS, EVENTS, PODS, SERVICES, Resource
from marie_operator.testing import virtual
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from tests.runtime.direct import client_of

KEY = ObjectKey("default", "a")


@dataclass
class Stage:
    """A server, a copy of its ConfigMaps and Deployments, and who writes."""

    server: EmbeddedApiServer
    client: Client
    cache: Cache
    writer: Writer

    def asked(self) -> list[str]:
        """What came to the server since this was asked last, other than what the copy is made of."""
        found = self.server.audit.requests(since=self._mark)
        self._mark = self.server.audit.mark()
        return [each.verb for each in found if each.verb not in {"list", "watch"}]

    _mark: int = 0


def staged(scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        server = EmbeddedApiServer(seed=1)
        client = client_of(server)
        cache = Cache(client, clock=LoopClock())
        for resource in (CONFIG_MAPS, DEPLOYMENTS, SERVICES, PODS):
            cache.add(resource)
        running = asyncio.create_task(cache.run())
        await cache.wait_synced()
        try:
            await scenario(Stage(server, client, cache, Writer(client, cache)))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    virtual.run(main)


def config_map(**data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": KEY.namespace, "name": KEY.name},
        "data": data,
    }


def deployment(replicas: int = 1) -> Object:
    labels = {"app": "a"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": KEY.namespace, "name": KEY.name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }


def data_of(obj: Object | None) -> Any:
    assert obj is not None
    return obj["data"]


@pytest.mark.semantics("K-20")
def test_reads_are_of_the_copy_and_ask_nobody_and_writes_and_reads_past_it_ask_the_server() -> None:
    async def scenario(stage: Stage) -> None:
        copy = stage.cache[CONFIG_MAPS]
        assert stage.asked() == []
        assert copy.get(KEY) is None
        assert copy.list() == []
        assert stage.asked() == []
        await stage.writer.create(CONFIG_MAPS, config_map(x="1"))
        assert data_of(copy.get(KEY)) == {"x": "1"}
        assert stage.asked() == ["create"]
        assert data_of(await stage.writer.get(CONFIG_MAPS, KEY)) == {"x": "1"}
        assert stage.asked() == ["get"]

    staged(scenario)


@pytest.mark.semantics("K-20", "W-01", "K-28")
@pytest.mark.kuberay("KU-04")
def test_each_way_of_writing_is_in_the_copy_when_it_returns() -> None:
    async def scenario(stage: Stage) -> None:
        copy, writer = stage.cache[CONFIG_MAPS], stage.writer
        made = await writer.create(CONFIG_MAPS, config_map(x="1"))
        assert data_of(copy.get(KEY)) == {"x": "1"}
        await writer.update(CONFIG_MAPS, {**made, "data": {"x": "2"}})
        assert data_of(copy.get(KEY)) == {"x": "2"}
        await writer.apply(CONFIG_MAPS, config_map(x="3"), field_manager="me", force=True)
        assert data_of(copy.get(KEY)) == {"x": "3"}
        await writer.patch(CONFIG_MAPS, KEY, {"data": {"x": "4"}}, kind=PatchKind.MERGE)
        assert data_of(copy.get(KEY)) == {"x": "4"}
        await writer.delete(CONFIG_MAPS, KEY, uid=made["metadata"]["uid"])
        assert copy.get(KEY) is None

    staged(scenario)


def simple(resource: Resource, **more: Any) -> Object:
    metadata = {"namespace": KEY.namespace, "name": KEY.name, **more.pop("metadata", {})}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **more}


POD = {"containers": [{"name": "c", "image": "i"}]}


@pytest.mark.semantics("W-01", "K-28")
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("resource", "made", "stays"),
    [
        (CONFIG_MAPS, {}, False),
        (CONFIG_MAPS, {"metadata": {"finalizers": ["example.com/x"]}}, True),
        # These are shown a last time by the answer to their deletion.
        (SERVICES, {"spec": {"ports": [{"port": 80}]}}, False),
        (PODS, {"spec": POD}, False),
        (PODS, {"spec": {**POD, "nodeName": "node"}}, True),
    ],
)
def test_what_was_deleted_is_not_in_the_copy_unless_it_stays(
    resource: Resource, made: Object, stays: bool, named: bool
) -> None:
    async def scenario(stage: Stage) -> None:
        created = await stage.writer.create(resource, simple(resource, **made))
        uid = created["metadata"]["uid"] if named else ""
        await stage.writer.delete(resource, KEY, uid=uid)
        assert (stage.cache[resource].get(KEY) is not None) is stays
        await asyncio.sleep(1)
        assert (stage.cache[resource].get(KEY) is not None) is stays

    staged(scenario)


@pytest.mark.semantics("W-01", "S-13")
def test_what_is_found_to_be_gone_is_gone_from_the_copy() -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.writer.create(CONFIG_MAPS, config_map())
        await stage.client.delete(CONFIG_MAPS, KEY)
        with pytest.raises(NotFound):
            await stage.writer.delete(CONFIG_MAPS, KEY, uid=made["metadata"]["uid"])
        assert stage.cache[CONFIG_MAPS].get(KEY) is None
        again = await stage.writer.create(CONFIG_MAPS, config_map(x="1"))
        await asyncio.sleep(1)
        assert data_of(stage.cache[CONFIG_MAPS].get(KEY)) == again["data"]

    staged(scenario)


@pytest.mark.semantics("K-25")
def test_a_status_that_says_the_same_is_not_written_whatever_it_says_it_with() -> None:
    """None for what is not there, and tuples; a field that becomes None goes."""

    async def scenario(stage: Stage) -> None:
        await stage.writer.create(DEPLOYMENTS, deployment())

        async def written(status: Object) -> bool:
            live = stage.cache[DEPLOYMENTS].get(KEY)
            assert live is not None
            return await write_status(stage.writer, DEPLOYMENTS, live, status)

        condition = {"type": "Available", "status": "True", "reason": "R", "message": None}
        status = {"replicas": 1, "readyReplicas": None, "conditions": (condition,)}
        assert await written(status)
        assert not await written(status)
        assert await written({**status, "replicas": None})
        live = stage.cache[DEPLOYMENTS].get(KEY)
        assert live is not None
        assert "replicas" not in live["status"]

    staged(scenario)


@pytest.mark.semantics("K-23", "K-22")
def test_an_apply_takes_fields_from_others_only_by_force() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.client.apply(CONFIG_MAPS, config_map(x="theirs"), field_manager="others")
        with pytest.raises(ApplyConflict) as caught:
            await stage.client.apply(CONFIG_MAPS, config_map(x="ours"), field_manager="me")
        assert [(each.manager, each.field) for each in caught.value.conflicts] == [("others", ".data.x")]
        taken = await stage.client.apply(CONFIG_MAPS, config_map(x="ours"), field_manager="me", force=True)
        assert taken["data"] == {"x": "ours"}
        # Whoever applies no longer names a field gives it up.
        assert "x" not in (await stage.client.apply(CONFIG_MAPS, config_map(), field_manager="me")).get("data", {})

    staged(scenario)


@pytest.mark.semantics("K-23")
def test_what_the_server_gave_can_be_applied_although_it_says_who_owns_its_fields() -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.client.create(CONFIG_MAPS, config_map(x="1"))
        assert made["metadata"]["managedFields"]
        applied = await stage.client.apply(CONFIG_MAPS, made, field_manager="me", force=True)
        assert applied["data"] == {"x": "1"}
        assert "me" in {each["manager"] for each in applied["metadata"]["managedFields"]}

    staged(scenario)


@pytest.mark.semantics("K-24")
def test_patches_are_as_given_and_one_with_a_version_fails_when_the_object_has_changed() -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.client.create(CONFIG_MAPS, config_map(x="1", y="1"))
        merged = await stage.client.patch(CONFIG_MAPS, KEY, {"data": {"x": None, "z": "2"}}, kind=PatchKind.MERGE)
        assert merged["data"] == {"y": "1", "z": "2"}
        steps = [{"op": "test", "path": "/data/y", "value": "1"}, {"op": "replace", "path": "/data/y", "value": "3"}]
        stepped = await stage.client.patch(CONFIG_MAPS, KEY, steps, kind=PatchKind.JSON)
        assert stepped["data"] == {"y": "3", "z": "2"}
        old = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"y": "9"}}
        with pytest.raises(Conflict):
            await stage.client.patch(CONFIG_MAPS, KEY, old, kind=PatchKind.MERGE)
        assert (await stage.client.get(CONFIG_MAPS, KEY))["data"] == {"y": "3", "z": "2"}

    staged(scenario)


@pytest.mark.semantics("K-23", "K-25")
@pytest.mark.parametrize("way", ["update", "merge", "apply"])
def test_a_write_of_the_status_changes_nothing_else_and_a_write_of_the_rest_not_the_status(way: str) -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.client.create(DEPLOYMENTS, deployment())
        wanted = {**made, "spec": {**made["spec"], "replicas": 7}, "status": {"observedGeneration": 1}}
        match way:
            case "update":
                got = await stage.client.update(DEPLOYMENTS, wanted, subresource="status")
            case "merge":
                body = {"spec": {"replicas": 7}, "status": {"observedGeneration": 1}}
                got = await stage.client.patch(DEPLOYMENTS, KEY, body, kind=PatchKind.MERGE, subresource="status")
            case _:
                body = {**deployment(7), "status": {"observedGeneration": 1}}
                got = await stage.client.apply(DEPLOYMENTS, body, field_manager="me", force=True, subresource="status")
        assert (got["spec"]["replicas"], got["status"]["observedGeneration"]) == (1, 1)
        assert got["metadata"]["generation"] == 1
        wanted = {**got, "spec": {**got["spec"], "replicas": 7}, "status": {"observedGeneration": 99}}
        got = await stage.client.update(DEPLOYMENTS, wanted)
        assert (got["spec"]["replicas"], got["status"]["observedGeneration"]) == (7, 1)

    staged(scenario)


@pytest.mark.semantics("E-01")
@pytest.mark.parametrize("namespace", ["default", ""])
def test_an_event_says_of_what_and_why_and_what_was_being_done(namespace: str) -> None:
    async def scenario(stage: Stage) -> None:
        record = EventRecorder(
            stage.client,
            controller="example.com/websites",
            instance="pod-1",
            clock=LoopClock(),
            metrics=Metrics(CollectorRegistry()),
        )
        about = ObjectReference("example.com/v1", "Website", namespace, "w", "some-uid")
        record.record(about, type="Warning", reason="NoImage", action="Deploy", note="There is no image.")
        await record.flush()
        (event,) = (await stage.client.list(EVENTS)).items
        assert event["regarding"] == {
            "apiVersion": "example.com/v1",
            "kind": "Website",
            "name": "w",
            "uid": "some-uid",
            **({"namespace": namespace} if namespace else {}),
        }
        # An object without a namespace has its events where kubectl looks for them.
        assert event["metadata"]["namespace"] == "default"
        told = ("type", "reason", "action", "note", "reportingController", "reportingInstance")
        assert [event[name] for name in told] == [
            "Warning", "NoImage", "Deploy", "There is no image.", "example.com/websites", "pod-1",
        ]  # fmt: skip
        assert event["eventTime"]

    staged(scenario)
