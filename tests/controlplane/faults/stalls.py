"""An operator of a few lines with a short lease, whose reconciler can be told to block the event loop."""

import asyncio
import sys
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    Cache,
    Client,
    Controller,
    Elector,
    LoopClock,
    Manager,
    Metrics,
    ObjectKey,
    ProcessWatchdog,
    Resource,
    Result,
    SystemClock,
)
from marie_operator.runtime.health import LoopLag, Server, probes

CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD = 12.0, 8.0, 1.0
"""Seconds: short, and far more than a busy machine keeps a process waiting."""


async def reconcile(key: ObjectKey) -> Result:
    if key.name == "blocks":
        # What is to be shown: nothing else runs in this thread meanwhile.
        time.sleep(3600)  # noqa: ASYNC251
    return Result()


async def main(kubeconfig: Path, namespace: str, port: str) -> None:
    clock, metrics = LoopClock(), Metrics(CollectorRegistry())
    connect = Client.connect(kubeconfig=kubeconfig, user_agent="stalls", clock=clock)
    lease = Client.connect(kubeconfig=kubeconfig, user_agent="stalls lease", clock=clock)
    async with await connect as client, await lease as leases:
        elector = Elector(
            leases,
            namespace=namespace,
            name="stalls",
            identity=f"stalls-{port}",
            lease_duration=LEASE_DURATION,
            renew_deadline=RENEW_DEADLINE,
            retry_period=RETRY_PERIOD,
            clock=SystemClock(),
            metrics=metrics,
            watchdog=ProcessWatchdog(),
        )
        cache = Cache(client, namespaces=[namespace], clock=clock)
        informer = cache.add(CONFIG_MAPS)
        controller = Controller("stalls", reconcile, clock=clock, metrics=metrics).watch(informer)
        lag = LoopLag(clock=clock, metrics=metrics)
        app = probes(live={"event-loop": lag.problem, "leader-election": elector.problem}, ready={})
        server = Server(f"127.0.0.1:{port}", setting="the port", app=app)
        manager = Manager(cache=cache, controllers=[controller], standing=[lag.run], servers=[server], elector=elector)
        await manager.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
