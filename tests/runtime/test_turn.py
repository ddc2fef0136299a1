"""What a reconcile writes itself, and what others do meanwhile: on the embedded API server, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    CONFIG_MAPS,
    Cache,
    Controller,
    LoopClock,
    Metrics,
    Object,
    ObjectKey,
    PatchKind,
    Result,
    TerminalError,
    Writer,
)
from marie_operator.testing import virtual
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from tests.runtime.direct import DirectTransport, client_of

KEY, OTHER = ObjectKey("default", "a"), ObjectKey("default", "b")

ORDERS = [pytest.param(0.0, 5.0, id="answers first"), pytest.param(5.0, 0.0, id="events first")]
in_any_order = pytest.mark.parametrize(("answers", "lag"), ORDERS)


def config_map(key: ObjectKey = KEY) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": key.namespace, "name": key.name}}


class Stage:
    """A server with a ConfigMap, one that writes to it as its own operator does, and one that is somebody else.

    Attributes:
        ran: Keys that were reconciled, in order.
    """

    def __init__(self, answers: float, lag: float) -> None:
        server = EmbeddedApiServer(seed=1)
        self.transport = DirectTransport(server)
        self._late = answers, lag
        self.client = client_of(server, self.transport)
        self.somebody = client_of(server)
        self.cache = Cache(self.client, clock=LoopClock())
        self.copy = self.cache.add(CONFIG_MAPS)
        self.writer = Writer(self.client, self.cache)
        self.ran: list[ObjectKey] = []

    def controller(self, reconcile: Callable[[ObjectKey], Awaitable[Result]], name: str = "test") -> Controller:
        metrics = Metrics(CollectorRegistry())
        return Controller(name, reconcile, clock=LoopClock(), metrics=metrics).watch(self.copy)

    async def write(self, key: ObjectKey, **data: str) -> None:
        """On the version that is known."""
        live = self.copy.get(key)
        assert live is not None
        body = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}, "data": data}
        await self.writer.patch(CONFIG_MAPS, key, body, kind=PatchKind.MERGE)

    async def run(self, *controllers: Controller) -> None:
        """Make the ConfigMap known, then let whatever happens happen for two minutes."""
        stopping = asyncio.Event()
        await self.somebody.create(CONFIG_MAPS, config_map())
        copying = asyncio.create_task(self.cache.run())
        await self.cache.wait_synced()
        self.transport.answers, self.transport.lag = self._late
        running = [asyncio.create_task(each.run(stopping)) for each in controllers]
        try:
            await asyncio.sleep(120)
            stopping.set()
            await asyncio.gather(*running)
        finally:
            copying.cancel()
            await asyncio.gather(copying, *running, return_exceptions=True)


@pytest.mark.semantics("W-02")
@in_any_order
@pytest.mark.parametrize(("result", "times"), [(Result(), 2), (Result(conclusive=True), 1)])
def test_what_a_reconcile_writes_runs_it_again_unless_it_has_concluded(
    answers: float, lag: float, result: Result, times: int
) -> None:
    async def main() -> None:
        stage = Stage(answers, lag)

        async def reconcile(key: ObjectKey) -> Result:
            stage.ran.append(key)
            await stage.write(key, x="1")
            return result

        await stage.run(stage.controller(reconcile))
        assert stage.ran == [KEY] * times

    virtual.run(main)


@in_any_order
def test_one_that_has_concluded_and_wants_to_run_later_does(answers: float, lag: float) -> None:
    async def main() -> None:
        stage = Stage(answers, lag)

        async def reconcile(key: ObjectKey) -> Result:
            stage.ran.append(key)
            await stage.write(key, x="1")
            return Result(requeue_after=50, conclusive=True)

        await stage.run(stage.controller(reconcile))
        assert len(stage.ran) == 3

    virtual.run(main)


@in_any_order
@pytest.mark.parametrize("deed", ["changed before its write", "changed after its write", "deleted after its write"])
def test_what_others_do_meanwhile_is_looked_at(answers: float, lag: float, deed: str) -> None:
    async def main() -> None:
        stage, seen = Stage(answers, lag), list[Any]()

        async def interfere(moment: str) -> None:
            if deed == f"changed {moment} its write":
                await stage.somebody.patch(CONFIG_MAPS, KEY, {"data": {"y": "2"}}, kind=PatchKind.MERGE)
            elif deed == f"deleted {moment} its write":
                await stage.somebody.delete(CONFIG_MAPS, KEY)
            # All is heard before it ends.
            await asyncio.sleep(10)

        async def reconcile(key: ObjectKey) -> Result:
            live = stage.copy.get(key)
            seen.append(None if live is None else live.get("data", {}))
            if len(seen) == 1:
                await interfere("before")
                await stage.write(key, x="1")
                await interfere("after")
            return Result(conclusive=True)

        await stage.run(stage.controller(reconcile))
        assert seen == [{}, None if deed == "deleted after its write" else {"x": "1", "y": "2"}]

    virtual.run(main)


@in_any_order
def test_what_a_write_of_its_own_brings_along_of_others_is_looked_at(answers: float, lag: float) -> None:
    async def main() -> None:
        stage, seen = Stage(answers, lag), list[Any]()

        async def reconcile(key: ObjectKey) -> Result:
            seen.append((stage.copy.get(key) or {}).get("data", {}))
            if len(seen) == 1:
                await stage.somebody.patch(CONFIG_MAPS, key, {"data": {"y": "2"}}, kind=PatchKind.MERGE)
                # On whatever is there, whether or not it was heard of.
                await stage.writer.patch(CONFIG_MAPS, key, {"data": {"x": "1"}}, kind=PatchKind.MERGE)
            return Result(conclusive=True)

        await stage.run(stage.controller(reconcile))
        assert seen == [{}, {"x": "1", "y": "2"}]

    virtual.run(main)


@in_any_order
def test_a_write_of_one_controller_is_news_to_another(answers: float, lag: float) -> None:
    async def main() -> None:
        stage, heard = Stage(answers, lag), list[Any]()

        async def writing(key: ObjectKey) -> Result:
            stage.ran.append(key)
            await asyncio.sleep(10)
            await stage.write(key, x="1")
            return Result(conclusive=True)

        async def reading(key: ObjectKey) -> Result:
            heard.append((stage.copy.get(key) or {}).get("data"))
            return Result(conclusive=True)

        await stage.run(stage.controller(writing), stage.controller(reading, "other"))
        assert stage.ran == [KEY]
        assert heard == [None, {"x": "1"}]

    virtual.run(main)


@in_any_order
def test_a_write_for_another_key_runs_that_one(answers: float, lag: float) -> None:
    async def main() -> None:
        stage = Stage(answers, lag)

        async def reconcile(key: ObjectKey) -> Result:
            stage.ran.append(key)
            if key == KEY:
                await stage.writer.create(CONFIG_MAPS, config_map(OTHER))
            return Result(conclusive=True)

        await stage.run(stage.controller(reconcile))
        assert stage.ran == [KEY, OTHER]

    virtual.run(main)


@in_any_order
def test_a_reconcile_that_failed_has_concluded_nothing(answers: float, lag: float) -> None:
    async def main() -> None:
        stage = Stage(answers, lag)

        async def reconcile(key: ObjectKey) -> Result:
            stage.ran.append(key)
            await stage.write(key, x="1")
            if len(stage.ran) == 1:
                raise TerminalError("cannot be helped")
            return Result(conclusive=True)

        await stage.run(stage.controller(reconcile))
        assert len(stage.ran) == 2

    virtual.run(main)


@in_any_order
def test_what_a_reconcile_has_left_running_writes_for_itself(answers: float, lag: float) -> None:
    async def main() -> None:
        stage, left = Stage(answers, lag), list[asyncio.Task[None]]()

        async def later() -> None:
            await asyncio.sleep(30)
            await stage.write(KEY, x="1")

        async def reconcile(key: ObjectKey) -> Result:
            stage.ran.append(key)
            if not left:
                left.append(asyncio.create_task(later()))
            return Result(conclusive=True)

        await stage.run(stage.controller(reconcile))
        assert len(stage.ran) == 2

    virtual.run(main)
