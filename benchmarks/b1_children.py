"""B1: the children of many new objects, on an API server and etcd alone.

The subject is warmed up with one object and stopped (SIGSTOP) while the others are created, so that neither its start
nor their creation counts. The floor is a bare client that then does the same writes on a fresh control plane.
"""

import time

from benchmarks import rig
from benchmarks.rig import Bare, Cost, Options, Tail


async def run(options: Options) -> list[str]:
    """Rows of the table."""
    subjects: list[Cost] = []
    floors: list[Cost] = []
    told = ""
    for _ in range(options.rounds):
        async with rig.control_plane(options) as (plane, api):
            subject = options.subject(plane)
            tail = Tail.of(plane)
            await subject.start()
            try:
                first = options.manifest("warm")
                owners = rig.collection(first)
                await api.create(owners, first)
                await tail.until_quiet(subject)
                subject.pause()
                objects = [options.manifest(number) for number in range(options.clusters)]
                await rig.create(api, owners, objects)
                tail = Tail.of(plane)
                began, cpu = time.time(), subject.usage.cpu
                subject.resume()
                await tail.until_quiet(subject, at_least=options.clusters)
                last = max(each.at for each in tail.children)
                subjects.append(Cost(last - began, subject.usage.cpu - cpu, subject.usage.peak))
                told = (
                    f"{len(tail.writes) / options.clusters:.2f} writes for each ({tail.counted()}), "
                    f"{sum(tail.reads.values())} reads, {tail.refused} refused"
                )
                requests = await rig.replayed(api, tail, owners)
            finally:
                await subject.stop()
        async with rig.control_plane(options) as (plane, api):
            owners_made = await rig.create(api, owners, [first, *objects])
            floors.append(await Bare(plane, rig.owned_by(requests, owners_made)).run())
    return [
        *rig.compared(f"B1, children of {options.clusters}", options, subjects, floors),
        f"| its writes | {told} | | |",
    ]
