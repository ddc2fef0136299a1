"""What only real processes show: signals, stops of the world, event loops that are stuck, and sudden ends."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from marie_operator.testing.kube import Kube
from marie_operator.testing.processes import killed_with_parent

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parents[2]
BY_WATCHDOG = int(signal.SIGALRM)


@asynccontextmanager
async def program(
    module: str, *arguments: str, kube: Kube | None = None, stderr: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    told = {"METRICS_BIND_ADDRESS": "0", "HEALTH_PROBE_BIND_ADDRESS": "0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"tests.runtime.{module}",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **told} | ({} if kube is None else {"KUBECONFIG": str(kube.kubeconfig)}),
        preexec_fn=killed_with_parent(),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


@pytest.mark.semantics("M-11", "C-15")
async def test_a_signal_lets_what_is_begun_finish(kube: Kube) -> None:
    async with program("slow_reconcile", "1", kube=kube) as process:
        assert await said(process) == "begun"
        process.send_signal(signal.SIGTERM)
        assert await said(process) == "done"
        assert await process.wait() == 0


@pytest.mark.semantics("M-11")
async def test_a_second_signal_ends_at_once(kube: Kube) -> None:
    async with program("slow_reconcile", "3600", kube=kube) as process:
        assert await said(process) == "begun"
        process.send_signal(signal.SIGINT)
        # Two of one kind that are not taken yet are one.
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 1
        assert await said(process) == ""


@dataclass
class Candidates:
    """Two processes of which one leads, and what the API server saw them write."""

    kube: Kube
    processes: dict[str, asyncio.subprocess.Process]
    waiting: dict[str, asyncio.Task[str]]

    def reigns(self) -> list[str]:
        """Whose writes were carried out, one entry for each time that the writer was another than before."""
        names = [
            each.name.partition("-")[0]
            for each in self.kube.audit.requests(verbs={"patch"})
            if each.resource == "configmaps" and each.code == 201
        ]
        return [name for before, name in zip(["", *names], names, strict=False) if name != before]

    async def leader(self, *among: str) -> str:
        """Who of these leads, once one does."""
        tasks = {self.waiting[name]: name for name in among or self.waiting}
        (task, *_), _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert task.result() == "writes"
        return tasks[task]

    async def written(self, name: str) -> None:
        """Return when this one has written."""
        while name not in self.reigns():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def candidates(kube: Kube) -> AsyncIterator[Candidates]:
    async with (
        program("candidate", str(kube.kubeconfig), "one") as one,
        program("candidate", str(kube.kubeconfig), "two") as two,
    ):
        processes = {"one": one, "two": two}
        waiting = {name: asyncio.create_task(said(process)) for name, process in processes.items()}
        try:
            yield Candidates(kube, processes, waiting)
        finally:
            for task in waiting.values():
                task.cancel()
            await asyncio.gather(*waiting.values(), return_exceptions=True)


OTHER = {"one": "two", "two": "one"}


@pytest.mark.semantics("L-03", "L-07", "W-17", "W-18")
async def test_a_leader_whose_world_stood_still_writes_nothing_when_it_goes_on(kube: Kube) -> None:
    async with candidates(kube) as both:
        first = await both.leader()
        second = OTHER[first]
        await both.written(first)
        both.processes[first].send_signal(signal.SIGSTOP)
        assert await both.leader(second) == second
        await both.written(second)
        both.processes[first].send_signal(signal.SIGCONT)
        # It learns at once that its time has passed, and ends: by itself, or by its watchdog.
        assert await both.processes[first].wait() in {1, BY_WATCHDOG}
        mark = both.kube.audit.mark()
        while len(both.kube.audit.requests(since=mark, verbs={"patch"})) < 10:
            await asyncio.sleep(0.05)
        assert both.reigns() == [first, second]


@pytest.mark.semantics("L-10", "W-18", "W-26")
async def test_an_event_loop_that_is_stuck_cannot_keep_the_lease_nor_its_process(kube: Kube) -> None:
    async with candidates(kube) as both:
        first = await both.leader()
        second = OTHER[first]
        await both.written(first)
        # From now on it runs code that never returns: no timer, no renewal and no handler of its own runs any more.
        both.processes[first].send_signal(signal.SIGUSR1)
        assert await both.processes[first].wait() == BY_WATCHDOG
        assert await both.leader(second) == second
        await both.written(second)
        assert both.reigns() == [first, second]


@pytest.mark.semantics("L-03", "L-08")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_leader_that_ends_is_followed(kube: Kube, how: signal.Signals) -> None:
    async with candidates(kube) as both:
        first = await both.leader()
        second = OTHER[first]
        await both.written(first)
        both.processes[first].send_signal(how)
        assert await both.processes[first].wait() == (0 if how == signal.SIGTERM else -signal.SIGKILL)
        assert await both.leader(second) == second
        await both.written(second)
        assert both.reigns() == [first, second]


@pytest.mark.semantics("W-26")
@pytest.mark.parametrize("way", ["loop", "sleep"])
async def test_a_process_that_stands_still_is_ended_and_tells_where(way: str) -> None:
    async with program("guarded", "0.5", way, stderr=asyncio.subprocess.PIPE) as process:
        told, complaint = await process.communicate()
        assert process.returncode == BY_WATCHDOG
        assert told.decode().split("\n") == ["stands still", ""]
        line = json.loads(complaint)
        assert line["event"] == "the process stands still and is ended by its watchdog"
        assert f"in {way}\n" in line["stack"]


@pytest.mark.semantics("W-26")
@pytest.mark.parametrize("way", ["hold", "complain"])
async def test_nothing_that_holds_up_the_telling_holds_up_the_end(way: str) -> None:
    unread, stderr = os.pipe()
    try:
        async with program("guarded", "0.5", way, stderr=stderr) as process:
            assert await process.wait() == BY_WATCHDOG
            assert await said(process) == "stands still"
            assert await said(process) == ""
    finally:
        os.close(unread)
        os.close(stderr)


@pytest.mark.parametrize("way", ["heard_from", "let_be"])
async def test_a_process_that_is_heard_from_or_let_be_goes_on(way: str) -> None:
    async with program("guarded", "3", way) as process:
        assert await said(process) == "goes on"
        assert await process.wait() == 0
