"""What /debug shows of a runtime at work, and to whom."""

import asyncio

import aiohttp
import pytest
import yaml
from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    BindError,
    Controller,
    LoopClock,
    Metrics,
    Object,
    ObjectKey,
    Resource,
    Result,
    Unreachable,
)
from marie_operator.runtime.debug import debug_pages, tasks
from marie_operator.runtime.health import Server
from marie_operator.runtime.informer import Informer

THINGS = Resource("example.com", "v1", "Thing", "things")


@pytest.mark.parametrize("address", ["0.0.0.0:0", ":0", "[::]:0", "10.0.0.1:0", "example.com:0"])
async def test_nobody_can_look_in_from_another_machine(address: str) -> None:
    server = Server(address, setting="DEBUG_BIND_ADDRESS", app=debug_pages({}), private=True)
    with pytest.raises(BindError, match=r"can be reached from other machines.*; give 127\.0\.0\.1:0"):
        await server.__aenter__()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0"])
async def test_pages_are_yaml_for_people_and_json_for_programs(address: str) -> None:
    found = [{"name": "x", "count": 1}]
    async with (
        Server(address, setting="X", app=debug_pages({"things": lambda: found}), private=True) as server,
        aiohttp.ClientSession(f"http://{address.split(':', maxsplit=1)[0]}:{server.port}") as session,
    ):

        async def text(path: str, **headers: str) -> str:
            async with session.get(path, headers=headers) as response:
                assert response.status == 200
                return await response.text()

        assert await text("/debug") == "- /debug/things\n"
        assert await text("/debug/things") == "- name: x\n  count: 1\n"
        for shown in (
            await text("/debug/things?format=json"),
            await text("/debug/things", Accept="application/json"),
        ):
            assert shown.startswith("[\n  {")
            assert yaml.safe_load(shown) == found


async def test_a_task_is_shown_down_to_where_it_waits() -> None:
    started = asyncio.Event()

    async def inner() -> None:
        started.set()
        await asyncio.Event().wait()

    async def outer() -> None:
        await inner()

    task = asyncio.create_task(outer(), name="the one")
    await started.wait()
    (shown,) = [each for each in tasks() if each["task"] == "the one"]
    task.cancel()
    calls = [line.rpartition(".")[2] for line in shown["stack"]]
    assert calls == ["outer", "inner", "wait"]
    assert f"{__file__}:" in shown["stack"][0]


@pytest.mark.looptime
async def test_keys_are_shown_with_what_they_wait_for_and_why() -> None:
    async def reconcile(key: ObjectKey) -> Result:
        if key.name == "failing":
            raise Unreachable("down", maybe_sent=False)
        await asyncio.Event().wait()
        return Result()

    things, metrics = informer(), Metrics(CollectorRegistry())
    controller = Controller("thing", reconcile, concurrency=2, clock=LoopClock(), metrics=metrics, timeout=1000)
    controller.watch(things)
    things.replace("", [thing("hanging")], "7")
    controller.enqueue(ObjectKey("n", "failing"), cause="gateway")
    controller.enqueue(ObjectKey("n", "later"), after=100, cause="schedule")
    running = asyncio.create_task(controller.run(asyncio.Event()))
    await asyncio.sleep(10)
    shown = controller.report()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (shown["controller"], shown["workers"]) == ("thing", 2)
    assert shown["working"] == [{"key": "n/hanging", "age": 10.0, "failures": 0, "cause": "things.example.com added"}]
    waiting = {each["key"]: each for each in shown["waiting"]}
    assert waiting["n/later"] == {"key": "n/later", "age": -90.0, "failures": 0, "priority": 0, "cause": "schedule"}
    assert waiting["n/failing"]["failures"] == 11
    assert waiting["n/failing"]["cause"] == "failed before"


def test_a_copy_is_shown_with_its_size_and_versions() -> None:
    things = informer()
    things.replace("", [thing("a")], "7")
    assert things.report() == {
        "resource": "things.example.com", "objects": 1, "synced": True, "age": 0.0, "versions": {"*": 7}, "problem": "",
    }  # fmt: skip


def informer() -> Informer:
    return Informer(THINGS, namespaces=("",), label_selector="", field_selector="", indexes={}, transform=None)


def thing(name: str) -> Object:
    return {"metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": "1"}}
