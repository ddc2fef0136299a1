"""The reader of workers on a real etcd, with what a real Marie wrote into one."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from marie_operator.marie.client import Gateway
from marie_operator.marie.etcd import Etcd
from marie_operator.marie.occupancy import OccupancyWatch, Question
from marie_operator.marie.transport import HttpTransport, Unanswered
from marie_operator.runtime import NotLeader
from marie_operator.runtime.clock import LoopClock
from marie_operator.testing.controlplane import locate_binaries
from marie_operator.testing.processes import Process, free_ports

RECORDINGS = Path(__file__).parents[1] / "recordings"
FIRST, SECOND = "127.0.0.1:53021", "127.0.0.1:64969"
NODE = "06b03d75-1206-703f-8000-17e5dada00b5"


class Store:
    """A real etcd, and a client of it that writes as Marie does."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.etcd = Etcd(HttpTransport(session), url)

    async def call(self, path: str, body: Any) -> Any:
        async with self.session.post(f"{self.url}/v3/{path}", json=body) as response:
            return await response.json()

    async def put(self, key: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        await self.call("kv/put", {"key": coded(key), "value": coded(text)})

    async def keys(self, prefix: str) -> list[str]:
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        answer = await self.call("kv/range", {"key": coded(prefix), "range_end": coded(end), "keys_only": True})
        return [base64.b64decode(each["key"]).decode() for each in answer.get("kvs", ())]

    async def play(self, recording: str) -> None:
        """Write what was read from a real Marie's etcd."""
        for key, value in pairs(recording):
            await self.put(key, value)

    async def assign(self, address: str, epoch: int, executor: str = "extract_executor") -> None:
        """As a gateway that gives work to a worker: a ticket first."""
        await self.put(f"/marie/semaphores/{executor}/count", "1")
        await self.put(f"/marie/semaphores/{executor}/holders/{NODE}", {"ticket_id": NODE})
        desired = {"phase": "SCHEDULED", "epoch": epoch, "params": {"job_id": NODE}}
        await self.put(f"/marie/deployments/{address}/{executor}/desired", desired)


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def pairs(recording: str) -> Iterator[tuple[str, str]]:
    lines = (RECORDINGS / recording).read_text(encoding="utf-8").splitlines()
    return zip(lines[::2], lines[1::2], strict=True)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Store]:
    client, peer = free_ports(2)
    url, other = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    process = Process(
        "etcd",
        [
            str(locate_binaries(Path(__file__).parents[2]) / "etcd"),
            *(f"--data-dir={folder}/data", f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
            *(f"--listen-peer-urls={other}", f"--initial-advertise-peer-urls={other}"),
            *(f"--initial-cluster=default={other}", "--unsafe-no-fsync", "--log-level=error"),
        ],
        directory=folder,
    )
    await process.start()
    try:
        async with aiohttp.ClientSession() as session:
            store = Store(url, session)
            while not await answers(store):
                await asyncio.sleep(0.1)
            yield store
    finally:
        await process.stop()


async def answers(store: Store) -> bool:
    try:
        await store.etcd.workers()
    except Unanswered:
        return False
    return True


async def test_what_a_real_marie_wrote_is_read(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await store.play("1b-exec-etcd-idle.txt")
        (idle,) = (await store.etcd.workers()).values()
        assert (idle.address, idle.executor) == ("127.0.0.1:59081", "extract_executor")
        assert (idle.busy, idle.registered, idle.free) == (False, True, True)
        await store.play("3-01-etcd-running.txt")
        (busy,) = (await store.etcd.workers()).values()
        assert (busy.busy, busy.free) == (True, False)
        assert busy.task == "06b03d4b-0b02-7e50-8000-79e47b19bfb6"
    (tmp_path / "other").mkdir()
    async with running(tmp_path / "other") as store:
        await store.play("3-07-etcd-two-running.txt")
        both = await store.etcd.workers()
        assert {address: worker.busy for address, worker in both.items()} == {FIRST: True, SECOND: True}


async def test_a_worker_is_withdrawn_unless_work_was_given_since(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await two_idle(store)
        read = await store.etcd.workers()
        assert read[FIRST].free
        await store.assign(FIRST, 2)
        assert not await store.etcd.withdraw(read[FIRST])
        # A ticket alone is work that may be on its way to any of them.
        assert not await store.etcd.withdraw(read[SECOND])
        assert sorted(await store.keys("/marie/gateway/")) == [f"/marie/gateway/marie/{at}" for at in (FIRST, SECOND)]

        read = await store.etcd.workers()
        assert read[FIRST].busy
        assert read[SECOND].free
        assert await store.etcd.withdraw(read[SECOND])
        assert await store.keys("/marie/gateway/") == [f"/marie/gateway/marie/{FIRST}"]
        left = (await store.etcd.workers())[SECOND]
        assert (left.registered, left.free) == (False, False)


async def test_a_ticket_without_a_busy_worker_keeps_all_of_its_kind(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await two_idle(store)
        await store.put("/marie/semaphores/extract_executor/count", "1")
        await store.put(f"/marie/semaphores/extract_executor/holders/{NODE}", {"ticket_id": NODE})
        read = (await store.etcd.workers()).values()
        assert [(each.busy, each.free) for each in read] == [(False, False)] * 2


async def test_a_worker_with_several_slots_is_idle_when_none_of_its_kind_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await two_idle(store)
        await store.put("/marie/capacity/extract_executor", {"limit": 4})
        assert [each.busy for each in (await store.etcd.workers()).values()] == [False, False]
        await store.put(f"/marie/semaphores/extract_executor/holders/{NODE}", {"ticket_id": NODE})
        assert [each.busy for each in (await store.etcd.workers()).values()] == [True, True]


async def test_the_watch_withdraws_whom_it_is_asked_to_and_tells_of_work_that_came_too_late(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        await two_idle(store)
        news = asyncio.Event()
        gateway = Gateway(HttpTransport(store.session), "http://127.0.0.1:9")
        watch = OccupancyWatch(gateway, store.etcd, clock=LoopClock(), on_change=news.set)
        task = asyncio.create_task(watch.run())
        watch.ask(Question(hurried=True, withdraw=frozenset([FIRST, "10.0.0.1:1"])))

        async def until(holds: Any) -> Any:
            while watch.view is None or not (found := holds(watch.view)):
                news.clear()
                await news.wait()
            return found

        await until(lambda view: view.withdrawn.get(FIRST, 0.0) > 1.0)
        assert await store.keys("/marie/gateway/") == [f"/marie/gateway/marie/{SECOND}"]
        await store.assign(FIRST, 2)
        assert await until(lambda view: view.lost) == {FIRST: NODE}
        task.cancel()


async def test_what_is_no_etcd_is_told_apart(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        elsewhere = Etcd(HttpTransport(store.session), f"{store.url}/elsewhere")
        with pytest.raises(Unanswered, match="does not answer as etcd does: HTTP 404"):
            await elsewhere.workers()
        await store.put("/marie/deployments/10.0.0.1:1/x/status", "no document")
        with pytest.raises(Unanswered, match="has no workers as Marie writes them"):
            await store.etcd.workers()

        def refuse() -> None:
            raise NotLeader("another leads")

        await two_idle(store)
        fenced = Etcd(HttpTransport(store.session), store.url, fence=refuse)
        (await store.call("kv/deleterange", {"key": coded("/marie/deployments/10.0.0.1:1/x/status")}))
        read = await fenced.workers()
        with pytest.raises(Unanswered, match="was not asked: another leads"):
            await fenced.withdraw(read[FIRST])


async def two_idle(store: Store) -> None:
    for address in (FIRST, SECOND):
        served = json.dumps({"extract_executor": [f"grpc://{address}"]})
        registration = {"Op": 0, "Addr": address, "Metadata": json.dumps(served)}
        await store.put(f"/marie/gateway/marie/{address}", registration)
        await store.put(
            f"/marie/deployments/{address}/extract_executor/status", {"status_name": "NOT_SERVING", "epoch": 1}
        )
        await store.put(f"/marie/deployments/{address}/extract_executor/desired", {"epoch": 1, "params": {}})
    await store.put("/marie/capacity/extract_executor", {"limit": 2})
    await store.put("/marie/semaphores/extract_executor/count", "0")
