"""Every fault that can be injected, by a rule, over a socket and without one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast

import aiohttp
import pytest

from marie_operator.testing import virtual
from marie_operator.testing.api import Api, ApiStatus, ApiUnreachable
from marie_operator.testing.apiserver.authorization import User
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.faults import (
    Effect,
    Fault,
    cut,
    delay,
    drop,
    expire,
    hang,
    lose_reply,
    mute,
    refuse,
    stale,
)

MAPS, SECRETS = "/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/secrets"
ROBOT = User.service_account("default", "robot")


@dataclass(frozen=True)
class Stage:
    """A server, and clients of it over one kind of wire."""

    server: EmbeddedApiServer
    api: Api
    robot: Api

    def fault(self, effect: Effect, **rule: Any) -> Fault:
        fault = Fault(effect, **rule)
        self.server.server.faults.append(fault)
        return fault

    async def make(self, name: str, value: str = "") -> str:
        """A ConfigMap; the version at which it was made."""
        made = await self.api.create(MAPS, {"metadata": {"name": name}, "data": {"value": value}})
        return str(made["metadata"]["resourceVersion"])


Story: TypeAlias = Callable[[Stage], Awaitable[None]]
Teller: TypeAlias = Callable[[Story], None]


def _directly(story: Story) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        beginning = datetime(2026, 1, 1, tzinfo=UTC)
        server = EmbeddedApiServer(
            seed=1, users={"robot": ROBOT}, now=lambda: beginning + timedelta(seconds=loop.time())
        )
        async with server.direct() as api, server.direct("robot") as robot:
            await story(Stage(server, api, robot))

    virtual.run(main)


def _over_sockets(story: Story) -> None:
    async def main() -> None:
        async with EmbeddedApiServer(users={"robot": ROBOT}) as server, server.api() as api, server.api("robot") as two:
            await story(Stage(server, api, two))

    asyncio.run(main())


@pytest.fixture(params=[_directly, _over_sockets], ids=["in process", "over HTTP"])
def tell(request: pytest.FixtureRequest) -> Teller:
    """Runs a story: without sockets, in virtual time; or over HTTP."""
    teller: Teller = request.param
    return teller


def changes(api: Api, version: str, query: str = "") -> AsyncGenerator[tuple[str, Any], None]:
    """The events of one watch, to its end."""
    return cast(
        "AsyncGenerator[tuple[str, Any], None]", api.changes(f"{MAPS}?watch=true&resourceVersion={version}&{query}")
    )


async def names(watch: AsyncIterator[tuple[str, Any]], seen: list[str]) -> None:
    """What a watch tells, to its end."""
    async for _, found in watch:
        seen.append(found["metadata"]["name"])


async def refused(request: Awaitable[Any]) -> int:
    with pytest.raises(ApiStatus) as caught:
        await request
    return caught.value.code


# Rules.


def _in_order(value: dict[str, Any] | set[str] | str) -> str:
    """A test's id, the same in every process."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_order(part)}" for name, part in value.items()) or "all"
    return value if isinstance(value, str) else "+".join(sorted(value)) or "none"


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ({}, {"get a", "list", "create", "patch a", "patch a/status", "get secret", "robot", "elsewhere"}),
        ({"verbs": {"get"}}, {"get a", "get secret", "robot"}),
        ({"verbs": {"list", "create"}}, {"list", "create", "elsewhere"}),
        ({"resources": {"secrets"}}, {"get secret"}),
        ({"name": "a"}, {"get a", "patch a", "patch a/status", "get secret", "robot"}),
        ({"subresources": {"status"}}, {"patch a/status"}),
        ({"subresources": {""}, "verbs": {"patch"}}, {"patch a"}),
        ({"namespace": "kube-system"}, {"elsewhere"}),
        ({"user": ROBOT.name}, {"robot"}),
        ({"user": "kubernetes-admin", "verbs": {"get"}}, {"get a", "get secret"}),
        ({"verbs": {"delete"}}, set()),
    ],
    ids=_in_order,
)
def test_a_rule_meets_what_it_names_and_nothing_else(tell: Teller, rule: dict[str, Any], met: set[str]) -> None:
    async def story(stage: Stage) -> None:
        api = stage.api
        fault = stage.fault(refuse(418), **rule)
        requests = {
            "get a": api.get(f"{MAPS}/a"),
            "list": api.get(MAPS),
            "create": api.create(MAPS, {"metadata": {"name": "b"}}),
            "patch a": api.patch(f"{MAPS}/a", {}),
            "patch a/status": api.patch("/api/v1/namespaces/default/pods/a/status", {}),
            "get secret": api.get(f"{SECRETS}/a"),
            "robot": stage.robot.get(f"{MAPS}/a"),
            "elsewhere": api.get("/api/v1/namespaces/kube-system/configmaps"),
        }
        told = set()
        for name, request in requests.items():
            try:
                await request
            except ApiStatus as error:
                if error.code == 418:
                    told.add(name)
        assert told == met
        assert len(fault.met) == len(met)

    tell(story)


def test_the_first_rule_that_is_not_spent_has_its_way(tell: Teller) -> None:
    async def story(stage: Stage) -> None:
        first, second = stage.fault(refuse(500), times=2), stage.fault(refuse(503), times=1)
        codes = [await refused(stage.api.get(f"{MAPS}/a")) for _ in range(4)]
        assert codes == [500, 500, 503, 404]
        assert [each.verb for each in first.met + second.met] == ["get"] * 3

    tell(story)


def test_a_rule_that_is_taken_away_is_over(tell: Teller) -> None:
    async def story(stage: Stage) -> None:
        fault = stage.fault(refuse(500))
        assert await refused(stage.make("a")) == 500
        stage.server.server.faults.remove(fault)
        await stage.make("a")

    tell(story)


# Answers.


@pytest.mark.parametrize("code", [400, 401, 403, 409, 410, 422, 429, 500, 503, 504])
def test_a_refused_request_is_not_carried_out(tell: Teller, code: int) -> None:
    async def story(stage: Stage) -> None:
        stage.fault(refuse(code, "no"), verbs={"create"})
        with pytest.raises(ApiStatus) as caught:
            await stage.make("a")
        assert (caught.value.code, caught.value.body["code"], caught.value.body["message"]) == (code, code, "no")
        assert not await stage.api.exists(f"{MAPS}/a")

    tell(story)


async def test_a_client_is_told_when_to_come_again() -> None:
    async with EmbeddedApiServer() as server:
        server.server.faults.append(Fault(refuse(429, retry_after=7)))
        headers = {"Authorization": f"Bearer {server.token()}"}
        async with aiohttp.ClientSession(server.url, headers=headers) as session, session.get(MAPS) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "7")
            status = await response.json()
    assert status["reason"] == "TooManyRequests"
    assert status["details"]["retryAfterSeconds"] == 7


def test_a_dropped_request_is_not_carried_out_and_one_whose_reply_is_lost_is(tell: Teller) -> None:
    async def story(stage: Stage) -> None:
        stage.fault(drop(), verbs={"create"}, times=1)
        stage.fault(lose_reply(), verbs={"create"}, times=1)
        for carried_out in (False, True):
            with pytest.raises(ApiUnreachable):
                await stage.make("a")
            assert await stage.api.exists(f"{MAPS}/a") is carried_out

    tell(story)


def test_a_delayed_request_takes_so_long_and_holds_up_no_other() -> None:
    async def story(stage: Stage) -> None:
        time = asyncio.get_running_loop().time
        stage.fault(delay(90), verbs={"create"}, name="", times=1)
        late = asyncio.create_task(stage.make("late"))
        await asyncio.sleep(1)
        await stage.make("early")
        assert not await stage.api.exists(f"{MAPS}/late")
        assert not late.done()
        await late
        assert time() == 90.0

    _directly(story)


async def test_a_delayed_request_is_overtaken_over_http_too() -> None:
    async with EmbeddedApiServer() as server, server.api() as api:
        server.server.faults.append(Fault(delay(3), verbs={"create"}, times=1))
        late = asyncio.create_task(api.create(MAPS, {"metadata": {"name": "late"}}))
        while not server.server.faults[0].met:
            await asyncio.sleep(0)
        first = await api.create(MAPS, {"metadata": {"name": "early"}})
        assert int(first["metadata"]["resourceVersion"]) < int((await late)["metadata"]["resourceVersion"])


def test_a_half_open_connection_says_nothing_for_ever() -> None:
    async def story(stage: Stage) -> None:
        stage.fault(hang(), verbs={"get"}, times=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(86_400):
                await stage.api.get(f"{MAPS}/a")
        assert await refused(stage.api.get(f"{MAPS}/a")) == 404

    _directly(story)


async def test_a_half_open_connection_stays_over_http_and_others_are_served_meanwhile() -> None:
    async with EmbeddedApiServer() as server, server.api() as api:
        fault = Fault(hang(), verbs={"create"}, times=1)
        server.server.faults.append(fault)
        waiting = asyncio.create_task(api.create(MAPS, {"metadata": {"name": "a"}}))
        while not fault.met:
            await asyncio.sleep(0)
        for number in range(20):
            await api.create(MAPS, {"metadata": {"name": f"b-{number}"}})
        assert not waiting.done()
        await server.stop()
        with pytest.raises(ApiUnreachable):
            await waiting


# Watches.


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_watch_that_is_cut_breaks_after_so_many_events(tell: Teller, after: int) -> None:
    async def story(stage: Stage) -> None:
        version = await stage.make("first")
        for number in range(4):
            await stage.make(f"c-{number}")
        stage.fault(cut(after), verbs={"watch"}, times=1)
        seen: list[str] = []
        with pytest.raises(ApiUnreachable):
            await names(changes(stage.api, version), seen)
        assert seen == [f"c-{number}" for number in range(after)]

    tell(story)


@pytest.mark.parametrize("after", [0, 2])
def test_a_watch_that_expires_is_told_so_in_its_stream(tell: Teller, after: int) -> None:
    async def story(stage: Stage) -> None:
        version = await stage.make("first")
        for number in range(3):
            await stage.make(f"c-{number}")
        stage.fault(expire(after), verbs={"watch"}, times=1)
        seen: list[str] = []
        with pytest.raises(ApiStatus) as caught:
            await names(changes(stage.api, version), seen)
        assert seen == [f"c-{number}" for number in range(after)]
        assert (caught.value.code, caught.value.body["reason"]) == (410, "Expired")

    tell(story)


def test_a_mute_watch_is_open_and_tells_no_more() -> None:
    async def story(stage: Stage) -> None:
        version = await stage.make("first")
        await stage.make("second")
        stage.fault(mute(after=1), verbs={"watch"}, times=1)
        async with aclosing(changes(stage.api, version, "timeoutSeconds=60")) as watch:
            assert (await anext(watch))[1]["metadata"]["name"] == "second"
            await stage.make("third")
            # Not even that its time is up.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3600):
                    await anext(watch)

    _directly(story)


def test_a_client_sees_every_change_whatever_becomes_of_its_watches(tell: Teller) -> None:
    async def story(stage: Stage) -> None:
        stage.fault(cut(1), verbs={"watch"}, times=2)
        stage.fault(expire(1), verbs={"watch"}, times=2)
        stage.fault(refuse(410), verbs={"watch"}, times=1)
        stage.fault(refuse(503), verbs={"list"}, times=1)
        stage.fault(drop(), verbs={"list"}, times=1)
        seen: set[str] = set()
        async with aclosing(stage.api.watch(MAPS)) as watch:  # type: ignore[type-var]
            for number in range(12):
                await stage.make(f"c-{number}")
                while f"c-{number}" not in seen:
                    seen.add((await anext(watch))[1]["metadata"]["name"])
        assert seen == {f"c-{number}" for number in range(12)}

    tell(story)


def test_what_is_forgotten_cannot_be_watched_or_listed(tell: Teller) -> None:
    async def story(stage: Stage) -> None:
        version = await stage.make("a")
        await stage.make("b")
        stage.server.server.store.compact()
        assert await refused(names(changes(stage.api, version), [])) == 410
        exact = f"{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact"
        assert await refused(stage.api.get(exact)) == 410

    tell(story)


def test_a_list_whose_version_is_forgotten_can_go_on_as_things_are_now(tell: Teller) -> None:
    async def story(stage: Stage) -> None:
        for name in "abcde":
            await stage.make(name)
        first = await stage.api.get(f"{MAPS}?limit=2")
        await stage.api.delete(f"{MAPS}/d")
        stage.server.server.store.compact()
        with pytest.raises(ApiStatus, match="too old to display a consistent list result") as caught:
            await stage.api.get(f"{MAPS}?limit=2&continue={first['metadata']['continue']}")
        assert (caught.value.code, caught.value.body["reason"]) == (410, "Expired")
        rest = await stage.api.get(f"{MAPS}?continue={caught.value.body['metadata']['continue']}")
        assert [each["metadata"]["name"] for each in rest["items"]] == ["c", "e"]

    tell(story)


# Stale reads.


def test_a_stale_read_shows_what_was(tell: Teller) -> None:
    async def story(stage: Stage) -> None:
        old = int(await stage.make("a", "old"))
        await stage.api.patch(f"{MAPS}/a", {"data": {"value": "new"}})
        await stage.make("b")
        stage.fault(stale(old), verbs={"get", "list"})
        listed = await stage.api.get(MAPS)
        assert [(each["metadata"]["name"], each["data"]["value"]) for each in listed["items"]] == [("a", "old")]
        assert listed["metadata"]["resourceVersion"] == str(old)
        found = await stage.api.get(f"{MAPS}/a")
        assert (found["kind"], found["apiVersion"], found["data"]["value"]) == ("ConfigMap", "v1", "old")
        with pytest.raises(ApiStatus, match='configmaps "b" not found'):
            await stage.api.get(f"{MAPS}/b")
        # A write that is made of it comes too late.
        assert await refused(stage.api.call("PUT", f"{MAPS}/a", found)) == 409

    tell(story)


# Restarts.


async def test_a_server_that_restarts_keeps_what_is_stored() -> None:
    async with EmbeddedApiServer() as server, server.api() as api:
        made = await api.create(MAPS, {"metadata": {"name": "a"}})
        watch = asyncio.create_task(names(changes(api, made["metadata"]["resourceVersion"]), []))
        while not any(each.verb == "watch" for each in server.audit.requests()):
            await asyncio.sleep(0)
        await server.stop()
        await asyncio.wait([watch])
        with pytest.raises(ApiUnreachable):
            await api.get(f"{MAPS}/a")
        await server.start()
        assert await api.get(f"{MAPS}/a") == made


async def test_a_server_that_restarts_without_its_data_has_what_every_server_has() -> None:
    definition = {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
    }
    things = "/apis/example.com/v1/namespaces/default/things"
    async with EmbeddedApiServer() as server, server.api() as api:
        await api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        await api.create(things, {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}})
        for number in range(30):
            await api.create(MAPS, {"metadata": {"name": f"a-{number}"}})
        before = await api.get("/api/v1/namespaces/default")
        late = (await api.get(MAPS))["metadata"]["resourceVersion"]
        await server.stop()
        await server.start(empty=True)

        assert await refused(api.get(things)) == 404
        listed = await api.get(MAPS)
        assert listed["items"] == []
        assert int(listed["metadata"]["resourceVersion"]) < int(late)
        after = await api.get("/api/v1/namespaces/default")
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        # Versions are given anew, and a watch goes on from them.
        made = await api.create(MAPS, {"metadata": {"name": "b"}})
        async for kind, found in changes(api, listed["metadata"]["resourceVersion"]):
            assert (kind, found) == ("ADDED", {"kind": "ConfigMap", "apiVersion": "v1", **made})
            break
