"""What the simulated API server does when its cache is older than what it is asked for."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marie_operator.runtime import ApiError, Client
from marie_operator.runtime.resource import SECRETS, ObjectKey
from marie_operator.testing import virtual
from marie_operator.testing.virtual import Process
from tests.simulation.wires import ApiWire, Port
from tests.simulation.world import World, installed

PATH = "/api/v1/namespaces/default/secrets"


def behind(what: Callable[[World, Client, str], Awaitable[Any]]) -> Any:
    """Do something while the cache lacks the last of two objects; it is given the version of that one."""
    origin = installed()

    async def main() -> Any:
        async with World(origin, random.Random(1), replicas=0, lease_period=600) as world:
            port = Port(world.network, Process(), "reader", world.trace, world.on_send)
            wire = ApiWire(world.server.server, world.server.token(), port)
            client = Client(wire, clock=world.clock, jitter=lambda: 0.0)
            await world.api.create(PATH, {"metadata": {"name": "old"}})
            world.network.fall_behind(world.server.server.store.revision)
            new = await world.api.create(PATH, {"metadata": {"name": "new"}})
            return await what(world, client, new["metadata"]["resourceVersion"])

    return virtual.run(main)


async def names(client: Client, version: str) -> list[str]:
    found = await client.list(SECRETS, "default", resource_version=version, limit=0)
    return [each["metadata"]["name"] for each in found.items]


async def streamed(client: Client, version: str) -> list[str]:
    """The objects that a streamed list brings."""
    found = []
    events = client.watch(SECRETS, "default", resource_version=version, timeout=60, send_initial_events=True)
    async for event in events:
        if event.type == "BOOKMARK":
            break
        found.append(event.object["metadata"]["name"])
    await events.aclose()
    return found


@pytest.mark.parametrize("read", [names, streamed])
def test_what_an_older_cache_has_not_reached_is_refused(read: Callable[[Client, str], Awaitable[list[str]]]) -> None:
    async def refused(_: World, client: Client, version: str) -> tuple[int, str, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(ApiError) as told:
            await read(client, version)
        return told.value.code, told.value.details["causes"][0]["reason"], loop.time() - began

    code, reason, seconds = behind(refused)
    assert (code, reason) == (504, "ResourceVersionTooLarge")
    assert seconds >= 3.0


@pytest.mark.parametrize("read", [names, streamed])
def test_an_older_cache_is_waited_for(read: Callable[[Client, str], Awaitable[list[str]]]) -> None:
    async def waits(world: World, client: Client, version: str) -> list[str]:
        asyncio.get_running_loop().call_later(2.0, world.network.catch_up)
        return await read(client, version)

    assert behind(waits) == ["new", "old"]


def test_an_older_cache_gives_what_it_has() -> None:
    async def old(_: World, client: Client, version: str) -> list[list[str]]:
        before = str(int(version) - 1)
        return [await names(client, before), await streamed(client, before), await names(client, "0")]

    assert behind(old) == [["old"]] * 3


def test_storage_is_asked_past_an_older_cache() -> None:
    async def new(_: World, client: Client, __: str) -> tuple[list[str], str]:
        found = await client.get(SECRETS, ObjectKey("default", "new"))
        return await names(client, ""), found["metadata"]["name"]

    assert behind(new) == (["new", "old"], "new")
