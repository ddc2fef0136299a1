"""The embedded API server: requests per second of one core, a watch's fan-out, memory for each pod, time to start.

Over HTTP the server is a process of its own, and its processor time for each request is what counts: the load
comes from another core, and what else runs on the machine does not change it much.
"""

import asyncio
import contextlib
import gc
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from benchmarks import load
from benchmarks.rig import Options
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.requests import Call
from marie_operator.testing.embedded import EmbeddedControlPlane

STORED = 10_000
WATCHERS = 100
CHANGES = 200
CONNECTIONS = 4
BATCH = 100
MEMORY = "memory"
PODS = "/api/v1/namespaces/default/pods"


def pod(number: int) -> bytes:
    container = {
        "name": "main",
        "image": "registry.example/app:1",
        "env": [{"name": f"VARIABLE_{n}", "value": str(n)} for n in range(5)],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "ports": [{"containerPort": 8080, "name": "http"}],
    }
    labels = {"app": "bench", "number": str(number)}
    meta = {"name": f"pod-{number:06}", "labels": labels}
    return json.dumps({"metadata": meta, "spec": {"containers": [container]}}).encode()


# In process.


async def rate(times: int, request: Callable[[int], Awaitable[int]], expected: int) -> float:
    began = time.process_time()
    for number in range(times):
        assert await request(number) == expected
    return times / (time.process_time() - began)


async def in_process() -> dict[str, float]:
    found: dict[str, float] = {}
    embedded = EmbeddedApiServer(seed=1)
    server = embedded.server
    headers = {"content-type": "application/json", "authorization": f"Bearer {embedded.token()}"}

    async def create(number: int) -> int:
        return (await server.handle(Call("POST", PODS, {}, headers, pod(number)))).code

    async def get(number: int) -> int:
        return (await server.handle(Call("GET", f"{PODS}/pod-{number * 7919 % STORED:06}", {}, headers))).code

    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(1000):
        await create(number)
    found[MEMORY] = (tracemalloc.get_traced_memory()[0] - before) / 1000 / 1024
    tracemalloc.stop()
    found["creates in process"] = await rate(STORED - 1000, lambda n: create(n + 1000), 201)
    found["gets in process"] = await rate(20_000, get, 200)
    return found


# Over HTTP.


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    process: int
    address: tuple[str, int]
    headers: dict[str, str]

    def busy(self) -> float:
        """Processor time that it has taken so far, in seconds."""
        return int(Path(f"/proc/{self.process}/schedstat").read_text().split()[0]) / 1e9

    def version(self) -> str:
        """The version of the collection of pods."""
        connection = HTTPConnection(*self.address)
        connection.request("GET", f"{PODS}?limit=1", headers=self.headers)
        with contextlib.closing(connection), connection.getresponse() as response:
            return str(json.load(response)["metadata"]["resourceVersion"])

    def request(self, method: str, target: str, body: bytes = b"") -> bytes:
        return load.request(method, target, self.headers, body)


async def serve() -> None:
    """Be the server, until standard input ends."""
    async with EmbeddedApiServer(seed=1) as embedded:
        print(embedded.url, embedded.token(), flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def served() -> Iterator[Served]:
    command = [sys.executable, "-c", "import asyncio; from benchmarks import embedded; asyncio.run(embedded.serve())"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url, token = process.stdout.readline().split()
        host, port = urlsplit(url).hostname, urlsplit(url).port
        assert host is not None
        assert port is not None
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            yield Served(process.pid, (host, port), headers)
        finally:
            process.stdin.close()


async def throughput(server: Served, requests: Sequence[bytes], code: int) -> float:
    """Requests per second of the server's processor time: of batches, the middle one."""
    found = []
    for start in range(0, len(requests), BATCH):
        batch, before = requests[start : start + BATCH], server.busy()
        await load.send(server.address, batch, code=code, connections=CONNECTIONS)
        found.append(len(batch) / (server.busy() - before))
    return median(found)


async def over_http() -> dict[str, float]:
    with served() as server:
        creates = [server.request("POST", PODS, pod(number)) for number in range(STORED + 2000)]
        await load.send(server.address, creates[:STORED], code=201, connections=CONNECTIONS)
        gets = [server.request("GET", f"{PODS}/pod-{number * 7919 % STORED:06}") for number in range(5000)]
        return {
            "creates over HTTP": await throughput(server, creates[STORED:], 201),
            "gets over HTTP": await throughput(server, gets, 200),
            f"events to {WATCHERS} watchers over HTTP": await fan_out(server),
        }


async def fan_out(server: Served) -> float:
    """Events per second of the server's processor time, creates included."""
    query = f"watch=true&resourceVersion={server.version()}"
    watches = [
        await load.watch(server.address, server.request("GET", f"{PODS}?{query}"), CHANGES) for _ in range(WATCHERS)
    ]
    creates = [server.request("POST", PODS, pod(10 * STORED + number)) for number in range(CHANGES)]
    before = server.busy()
    await load.send(server.address, creates, code=201, connections=1)
    await asyncio.gather(*watches)
    return WATCHERS * CHANGES / (server.busy() - before)


# Start.


async def start() -> float:
    """Seconds until a control plane, as the fixture ``kube`` has it, has answered: of several, the middle one."""
    found = []
    for _ in range(9):
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            async with EmbeddedControlPlane(Path(folder)) as plane, plane.api() as api:
                await api.get("/api/v1/namespaces")
                found.append(time.process_time() - began)
    return median(found)


def floor() -> float:
    """What a second of processor time is worth here and now: how often it writes and reads one pod in plain JSON."""
    document, times = json.loads(pod(0)), 2000
    began = time.process_time()
    for _ in range(times):
        json.loads(json.dumps(document))
    return times / (time.process_time() - began)


async def run(_: Options) -> list[str]:
    """Rows of the table; the floor is one pod written and read as plain JSON."""
    found: dict[str, float] = {}
    floors = [floor()]
    for measured in (in_process, over_http):
        found |= await measured()
        floors.append(floor())
    least = median(floors)
    rows = [f"| embedded API server, memory for each stored pod | {found.pop(MEMORY):.1f} KB | | |"]
    rows += [
        f"| embedded API server, {name} | {value:,.0f} /s | {least:,.0f} /s | {least / value:.1f}x |"
        for name, value in found.items()
    ]
    milliseconds = 1000 * await start()
    ratio = milliseconds * least / 1000
    return [*rows, f"| embedded control plane, processor time to start | {milliseconds:.0f} ms | | {ratio:.0f}x |"]
