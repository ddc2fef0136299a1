"""B5: how long nobody leads, after the leader was told to end, and after it was killed."""

import asyncio
import time

from benchmarks import rig
from benchmarks.rig import Options
from marie_operator.testing.api import Api

LEASES = "/apis/coordination.k8s.io/v1/namespaces/marie-system/leases"
ELECTION = ("--leader-election", "--lease-namespace=marie-system", "--lease-name=bench")


async def run(options: Options) -> list[str]:
    """Rows of the table."""
    if options.peer:
        return [rig.unmeasured("B5", "where its lease is, and how it is told of one, is not known")]
    rows: list[str] = []
    async with rig.control_plane(options) as (plane, api):
        for what, sure in (("told to end", False), ("killed", True)):
            found, duration = [], 0
            for turn in range(max(options.rounds, 3)):
                leader = options.subject(plane, *ELECTION, name=f"leader{sure}{turn}")
                await leader.start()
                first = await _holder(api, besides="")
                duration = (await api.get(f"{LEASES}/bench"))["spec"]["leaseDurationSeconds"]
                standby = options.subject(plane, *ELECTION, name=f"standby{sure}{turn}")
                await standby.start()
                await standby.until_idle(share=0.05)
                began = time.perf_counter()
                if sure:
                    leader.kill()
                else:
                    leader.terminate()
                second = await _holder(api, besides=first)
                found.append(time.perf_counter() - began)
                assert second != first
                await leader.stop()
                await standby.stop()
            seconds = ", ".join(f"{each:.2f}" for each in found)
            told = f"B5, until another leads when the leader was {what}; the lease lasts {duration} s"
            rows.append(f"| {told} | {seconds} s | | |")
    return rows


async def _holder(api: Api, *, besides: str) -> str:
    """Who holds the lease, as soon as it is somebody else."""
    async with asyncio.timeout(120):
        while True:
            if await rig.exists(api, f"{LEASES}/bench"):
                holder = str((await api.get(f"{LEASES}/bench"))["spec"].get("holderIdentity") or "")
                if holder not in {"", besides}:
                    return holder
            await asyncio.sleep(0.02)
