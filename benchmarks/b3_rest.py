"""B3 and B4: many clusters and finished jobs, at rest and after a restart, beside much that is not the operator's.

There are no controllers, so that the clusters stay as they are when their children are made. Resting gateways are not
part of it: each that runs is asked how it is every five seconds.
"""

import asyncio
import json
import time
from typing import Any

from benchmarks import rig
from benchmarks.rig import Options, Tail
from benchmarks.subject import Subject
from marie_operator.testing.api import Api
from marie_operator.testing.controlplane import ControlPlane

MINUTE = 60.0
ENDED = "2026-01-01T00:00:00Z"


async def run(options: Options) -> list[str]:
    """Rows of the table."""
    many = options.clusters
    async with rig.control_plane(options) as (plane, api):
        empty = await _restarted(options, plane, api, "empty")
        rows = [
            f"| B4, start on an empty API server: to the first write of a new object | {empty.first:.2f} s | | |",
            f"| B4, start on an empty API server: processor time | {empty.cpu:.2f} s | | |",
            f"| B3, memory on an empty API server | {empty.resident:.0f} MiB | | |",
        ]
        subject = options.subject(plane, name="first")
        await subject.start()
        try:
            owners = rig.collection(options.manifest(0))
            tail = Tail.of(plane)
            await rig.create(api, owners, [options.manifest(number) for number in range(many)])
            await tail.until_quiet(subject, at_least=many)
            if not options.peer:
                await _finished_jobs(api, many)
            await subject.until_idle()
            rows.append(await _rest(options, plane, subject, f"{many} objects at rest"))
            before = subject.usage.resident
            rows.append(f"| B3, memory with {many} objects, their children and as many jobs | {before:.0f} MiB | | |")
            await _foreign(api, options.foreign)
            await subject.until_idle()
            rows.append(await _rest(options, plane, subject, f"the same beside {options.foreign} foreign pods"))
            moved = subject.usage.resident - before
            rows.append(f"| B3, memory for foreign pods and a quarter as many Secrets | {moved:+.1f} MiB | | |")
        finally:
            await subject.stop()
        again = await _restarted(options, plane, api, "")
        rows += [
            f"| B4, restart with {many}: processor time beyond an empty start | {again.cpu - empty.cpu:.2f} s | | |",
            f"| B4, restart with {many}: until quiet | {again.seconds:.1f} s | | |",
            f"| B4, restart with {many}: writes; reads | {again.writes}; {again.reads} | | |",
            f"| B4, restart with {many}: peak memory | {again.peak:.0f} MiB | | |",
        ]
    return rows


class _Start:
    seconds = cpu = first = resident = peak = 0.0
    writes = reads = 0


async def _restarted(options: Options, plane: ControlPlane, api: Api, name: str) -> _Start:
    """Start a subject until it is quiet; with a name, it finds one new object of it, which it then loses."""
    found = _Start()
    owners, first = rig.collection(options.manifest("x")), options.manifest(name)
    if name:
        await api.create(owners, first)
        warm = options.subject(plane, name="warm")
        # Its bytecode is compiled, as it is in an image.
        await warm.start()
        await warm.until_idle()
        await warm.stop()
        await api.delete(f"{owners}/{first['metadata']['name']}")
        await api.create(owners, options.manifest(f"{name}2"))
    tail, began = Tail.of(plane), time.time()
    subject = options.subject(plane, name="again")
    await subject.start()
    try:
        await subject.until_idle()
        found.seconds = time.time() - began - 1.0
        tail.read()
        found.cpu, found.resident, found.peak = subject.usage.cpu, subject.usage.resident, subject.usage.peak
        found.writes, found.reads = len(tail.writes), sum(tail.reads.values())
        if name:
            found.first = min((each.at for each in tail.children), default=began) - began
            await api.delete(f"{owners}/c{name}2")
            await asyncio.sleep(1)
    finally:
        await subject.stop()
    return found


async def _rest(options: Options, plane: ControlPlane, subject: Subject, what: str) -> str:
    tail, cpu = Tail.of(plane), subject.usage.cpu
    await asyncio.sleep(MINUTE)
    tail.read()
    share = (subject.usage.cpu - cpu) / MINUTE
    return f"| B3, {what}: writes in a minute; share of a core | {len(tail.writes)}; {share:.2%} | | |"


async def _finished_jobs(api: Api, many: int) -> None:
    spec = {"clusterRef": "c0", "jobType": "extract", "input": {"uri": "s3://bucket/one.pdf"}}
    kind = {"apiVersion": "marie.ai/v1alpha1", "kind": "MarieJob"}
    condition = {"type": "Complete", "status": "True", "reason": "DocumentsDone", "message": "Done."}
    status = {
        "phase": "Succeeded",
        "clusterName": "c0",
        "startTime": ENDED,
        "completionTime": ENDED,
        "conditions": [condition | {"lastTransitionTime": ENDED}],
    }
    path = rig.collection(kind)
    await rig.create(api, path, [kind | {"metadata": {"name": f"j{n}"}, "spec": spec} for n in range(many)])
    limit = asyncio.Semaphore(16)

    async def finish(number: int) -> None:
        async with limit:
            await api.patch(f"{path}/j{number}/status", {"status": status})

    await asyncio.gather(*map(finish, range(many)))


async def _foreign(api: Api, pods: int) -> None:
    """Pods and Secrets of somebody else, of the size that they have."""
    await api.create("/api/v1/namespaces", {"metadata": {"name": "foreign"}})
    if not await rig.exists(api, "/api/v1/namespaces/foreign/serviceaccounts/default"):
        await api.create("/api/v1/namespaces/foreign/serviceaccounts", {"metadata": {"name": "default"}})
    env = [{"name": f"VARIABLE_{number}", "value": "x" * 40} for number in range(30)]
    container = {"name": "main", "image": "registry.example/app:1", "env": env}

    def pod(number: int) -> dict[str, Any]:
        return {"metadata": {"name": f"p{number}", "labels": {"app": "x"}}, "spec": {"containers": [container]}}

    def secret(number: int) -> dict[str, Any]:
        return {"metadata": {"name": f"s{number}"}, "stringData": {"key": json.dumps(env)}}

    await rig.create(api, "/api/v1/namespaces/foreign/pods", [pod(number) for number in range(pods)])
    await rig.create(api, "/api/v1/namespaces/foreign/secrets", [secret(number) for number in range(pods // 4)])
