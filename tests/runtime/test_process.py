"""A process, put together: what its parts do for one another."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from marie_operator.runtime import CONFIG_MAPS, EVENTS, SERVICES, ObjectKey, ObjectReference, Options, Process, Result
from marie_operator.runtime.transport import CALL_CONNECTIONS
from marie_operator.testing.apiserver.faults import Fault, hang, refuse
from marie_operator.testing.kube import Kube
from marie_operator.testing.processes import free_ports

pytestmark = pytest.mark.embedded


@pytest_asyncio.fixture
async def process(kube: Kube) -> AsyncIterator[Process]:
    (port,) = free_ports(1)
    options = Options(
        name="test",
        kubeconfig=kube.kubeconfig,
        leader_election=True,
        metrics_bind_address="0",
        health_probe_bind_address=f"127.0.0.1:{port}",
    )
    async with Process(options) as entered:
        yield entered


@pytest.mark.semantics("L-11")
async def test_a_lease_is_taken_although_every_other_connection_waits_for_an_answer(
    kube: Kube, process: Process
) -> None:
    fault = Fault(hang(), verbs={"get"}, resources={"configmaps"})
    kube.plane.apiserver.server.faults.append(fault)
    key = ObjectKey("default", "a")
    calls = [asyncio.create_task(process.client.get(CONFIG_MAPS, key)) for _ in range(CALL_CONNECTIONS + 8)]
    while len(fault.met) < CALL_CONNECTIONS:
        await asyncio.sleep(0.01)
    assert process.elector is not None
    await process.elector.acquire()
    assert len(fault.met) == CALL_CONNECTIONS
    await process.elector.release()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.semantics("C-03", "W-16", "M-12")
async def test_a_kind_that_may_not_be_read_is_named_in_readiness_and_holds_up_the_work_until_it_may(
    kube: Kube, process: Process
) -> None:
    fault = Fault(refuse(403, "you may not"), verbs={"list", "watch"}, resources={"services"})
    kube.plane.apiserver.server.faults.append(fault)
    ran = asyncio.Event()

    async def reconcile(_: ObjectKey) -> Result:
        ran.set()
        return Result()

    process.cache.add(SERVICES)
    controller = process.controller("test", reconcile)
    controller.enqueue(ObjectKey("n", "a"))
    running = asyncio.create_task(process.run(controller))
    probe = f"http://{process.options.health_probe_bind_address}/readyz"
    async with aiohttp.ClientSession() as session:

        async def until(wanted: int, part: str) -> None:
            while True:
                try:
                    async with session.get(probe) as response:
                        if (response.status, part in await response.text()) == (wanted, True):
                            return
                except aiohttp.ClientConnectionError:
                    # It has not begun to listen.
                    pass
                await asyncio.sleep(0.05)

        await until(500, "may not list and watch services in all namespaces: you may not")
        assert not ran.is_set()
        kube.plane.apiserver.server.faults.remove(fault)
        await until(200, "ok")
        await ran.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.semantics("E-03", "M-05")
async def test_what_the_last_reconcile_records_is_sent_before_the_process_ends(kube: Kube, process: Process) -> None:
    begun = asyncio.Event()

    async def reconcile(_: ObjectKey) -> Result:
        begun.set()
        await asyncio.sleep(0.5)
        about = ObjectReference("example.com/v1", "Website", "default", "w", "uid")
        for number in range(20):
            process.events.record(about, type="Normal", reason="Stopped", action="Stop", note=str(number))
        return Result()

    controller = process.controller("test", reconcile)
    controller.enqueue(ObjectKey("n", "a"))
    running = asyncio.create_task(process.run(controller))
    await begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert len((await process.client.list(EVENTS)).items) == 20


STUBBORN = """
import asyncio, sys
from marie_operator.runtime import run

async def absorb():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def main():
    global task
    task = asyncio.create_task(absorb(), name="stubborn")
    await asyncio.sleep(0)
    if sys.argv[1:]:
        raise ValueError("a defect")

sys.exit(run(main))
"""


@pytest.mark.semantics("M-07")
@pytest.mark.parametrize("fails", [False, True])
def test_a_task_that_absorbs_its_cancellation_does_not_hold_the_process(fails: bool) -> None:
    command = [sys.executable, "-c", STUBBORN, *(["fails"] if fails else [])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 1
    assert "stubborn" in ended.stdout + ended.stderr
    assert ("ValueError: a defect" in ended.stderr) is fails
