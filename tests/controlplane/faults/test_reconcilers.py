"""What reconciles fails: it blocks, never returns, always raises, or is given more than it expects."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import structlog
from prometheus_client import CollectorRegistry

from marie_operator.runtime import Cache, Client, Controller, LoopClock, Manager, Metrics, ObjectKey, Result
from marie_operator.runtime.election import GRACE
from marie_operator.testing.processes import Process, free_ports
from tests.controlplane.clusters import cluster
from tests.controlplane.faults import stalls
from tests.controlplane.faults.bounds import SLACK
from tests.controlplane.faults.trial import Trial
from tests.controlplane.waiting import until

pytestmark = pytest.mark.real

PROBE_TIMEOUT = 2.0
"""Seconds that a kubelet would give a liveness probe; one is what it gives by default."""
LARGE = 1_000_000
"""Bytes in one field; etcd takes 1.5 MiB for a whole object, of which its child is another."""


async def config_map(trial: Trial, name: str) -> None:
    await trial.api.create(trial.path("configmaps"), {"metadata": {"name": name}})


async def alive(port: int) -> bool:
    """Whether a kubelet would find the process alive."""
    limit = aiohttp.ClientTimeout(total=PROBE_TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(f"http://127.0.0.1:{port}/healthz") as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


@contextlib.asynccontextmanager
async def stalling(trial: Trial, port: int) -> AsyncIterator[Process]:
    command = [sys.executable, stalls.__file__, str(trial.stage.plane.kubeconfig()), trial.namespace, str(port)]
    process = Process(f"stalls-{port}", command, directory=trial.folder)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def test_one_that_blocks_the_event_loop_ends_the_process_and_another_leads(trial: Trial) -> None:
    first, second = free_ports(2)
    async with stalling(trial, first) as process:
        await until("the first leads", lambda: leads(trial, first))
        await until("a kubelet finds it alive", lambda: alive(first))
        async with stalling(trial, second):
            await config_map(trial, "blocks")

            async def stalled() -> bool:
                return not await alive(first)

            await until("a kubelet would see it", stalled)
            async with asyncio.timeout((stalls.RENEW_DEADLINE + GRACE + SLACK) * trial.expected.slowness):
                assert await process.wait() == signal.SIGALRM
            log = await asyncio.to_thread(process.log.read_text)
            assert "the process stands still and is ended by its watchdog" in log
            assert f'File "{stalls.__file__}"' in log
            assert "in reconcile" in log
            # Or the second blocks as well.
            await trial.api.delete(trial.path("configmaps", "blocks"))
            bound = (stalls.LEASE_DURATION + SLACK) * trial.expected.slowness
            await until("the second leads", lambda: leads(trial, second), timeout=bound)


async def leads(trial: Trial, port: int) -> bool:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{trial.namespace}/leases/stalls"
    return bool((await trial.api.get(path))["spec"]["holderIdentity"] == f"stalls-{port}")


async def test_one_that_never_returns_and_one_that_always_raises_leave_the_others_alone(trial: Trial) -> None:
    clock, registry, done = LoopClock(), CollectorRegistry(), set[str]()
    metrics = Metrics(registry)

    async def reconcile(key: ObjectKey) -> Result:
        if key.name == "hangs":
            await asyncio.Event().wait()
        if key.name == "raises":
            raise RuntimeError("a defect")
        done.add(key.name)
        return Result()

    def count(name: str) -> float:
        return registry.get_sample_value(f"controller_runtime_reconcile_{name}_total", {"controller": "trouble"}) or 0.0

    kubeconfig: Path = trial.stage.plane.kubeconfig()
    async with await Client.connect(kubeconfig=kubeconfig, user_agent="test", clock=clock) as client:
        cache = Cache(client, namespaces=[trial.namespace], clock=clock)
        informer = cache.add(stalls.CONFIG_MAPS)
        controller = Controller("trouble", reconcile, timeout=0.3, clock=clock, metrics=metrics).watch(informer)
        stop = asyncio.Event()
        with structlog.testing.capture_logs() as logs:
            running = asyncio.create_task(Manager(cache=cache, controllers=[controller]).run(stop))
            for name in ("hangs", "raises", "a", "b"):
                await config_map(trial, name)

            async def both_fail_again_and_again() -> bool:
                return done >= {"a", "b"} and count("timeouts") >= 3 and count("panics") >= 5

            await until("both have failed several times", both_fail_again_and_again)
            await config_map(trial, "c")

            async def reconciled() -> bool:
                return "c" in done

            await until("another is reconciled", reconciled)
            stop.set()
            await running
    delays = [log["seconds"] for log in logs if log.get("name") == "raises" and "seconds" in log]
    assert delays[:5] == [0.005, 0.01, 0.02, 0.04, 0.08]
    assert any(log["event"] == "took too long" and log["name"] == "hangs" for log in logs)
    assert not [log for log in logs if log.get("name") in done]


async def test_an_object_of_a_megabyte(trial: Trial) -> None:
    async with trial.running():
        await trial.started()
        large = cluster("large")
        container = large["spec"]["serverSpec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": "LARGE", "value": "x" * LARGE}]
        await trial.create(large)

        async def made() -> bool:
            (container,) = (await trial.get("deployments", "large-server"))["spec"]["template"]["spec"]["containers"]
            values = {each["name"]: each.get("value", "") for each in container["env"]}
            return len(values["LARGE"]) == LARGE

        await trial.until("its child is made", made)
        await trial.condition("marieclusters", "large", "Ready", "False", reason="ServerStarting")
        await trial.clusters()
        await trial.until("the others are made", lambda: others(trial))
        await trial.started()


async def others(trial: Trial) -> bool:
    state = await trial.state()
    return {name: each for name, each in state.items() if "/large" not in name} == trial.expected.state
