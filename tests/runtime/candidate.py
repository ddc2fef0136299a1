"""A process that writes for as long as it leads, for tests that stop, block and kill it.

    python -m tests.runtime.candidate KUBECONFIG NAME

SIGUSR1 keeps its event loop busy for good. It prints a line when it begins to write.
"""

import asyncio
import itertools
import signal
import sys
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry

from marie_operator.runtime import (
    CONFIG_MAPS,
    ApiError,
    Cache,
    Client,
    Elector,
    LoopClock,
    Manager,
    Metrics,
    ProcessWatchdog,
    SystemClock,
    Unreachable,
    configure_logs,
    run,
)

NAMESPACE, LEASE = "default", "lease"
DURATION, DEADLINE, PERIOD = 6.0, 4.0, 1.0
"""Short for a test, long for a machine that is busy with others."""


def busy() -> None:
    """What a defect may do."""
    while True:
        pass


async def main() -> None:
    """Lead, and write; or wait for it."""
    kubeconfig, name = Path(sys.argv[1]), sys.argv[2]
    clock = LoopClock()
    async with (
        await Client.connect(kubeconfig=kubeconfig, user_agent=name, clock=clock) as client,
        await Client.connect(kubeconfig=kubeconfig, user_agent=name, clock=clock) as lease,
    ):
        elector = Elector(
            lease,
            namespace=NAMESPACE,
            name=LEASE,
            identity=name,
            lease_duration=DURATION,
            renew_deadline=DEADLINE,
            retry_period=PERIOD,
            clock=SystemClock(),
            metrics=Metrics(CollectorRegistry()),
            watchdog=ProcessWatchdog(),
        )
        fenced = client.fenced(elector.check)

        async def write() -> None:
            print("writes", flush=True)
            for number in itertools.count():
                with suppress(ApiError, Unreachable):
                    metadata = {"namespace": NAMESPACE, "name": f"{name}-{number}"}
                    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
                    await fenced.apply(CONFIG_MAPS, made, field_manager=name)
                await asyncio.sleep(0.1)

        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, busy)
        await Manager(cache=Cache(client, clock=clock), controllers=[], leading=[write], elector=elector).run(stop)


if __name__ == "__main__":
    configure_logs()
    sys.exit(run(main))
