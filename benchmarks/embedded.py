"""The embedded API server: requests per second on one core, a watch's fan-out, memory for each stored pod."""

import asyncio
import gc
import json
import time
import tracemalloc
from collections.abc import Awaitable, Callable

from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.requests import Call

STORED = 10_000
WATCHERS = 100
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


async def rate(times: int, request: Callable[[int], Awaitable[int]], expected: int) -> float:
    began = time.perf_counter()
    for number in range(times):
        assert await request(number) == expected
    return times / (time.perf_counter() - began)


async def measure() -> dict[str, float]:
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
    found["memory per stored pod, KB"] = (tracemalloc.get_traced_memory()[0] - before) / 1000 / 1024
    tracemalloc.stop()
    found["creates/s, in process"] = await rate(STORED - 1000, lambda n: create(n + 1000), 201)
    found["gets/s, in process"] = await rate(20_000, get, 200)
    async with embedded, embedded.api() as api:

        async def http_get(number: int) -> int:
            await api.get(f"{PODS}/pod-{number * 7919 % STORED:06}")
            return 200

        async def http_create(number: int) -> int:
            await api.create(PODS, json.loads(pod(STORED + number)))
            return 201

        found["gets/s over HTTP, client included"] = await rate(3000, http_get, 200)
        found["creates/s over HTTP, client included"] = await rate(3000, http_create, 201)
        found["events/s to 100 watchers"] = await fan_out(embedded, headers, create)
    return found


async def fan_out(
    embedded: EmbeddedApiServer, headers: dict[str, str], create: Callable[[int], Awaitable[int]]
) -> float:
    changes, heard = 200, 0

    async def watch() -> None:
        nonlocal heard
        query = {"watch": "true", "resourceVersion": str(embedded.server.store.revision)}
        answer = await embedded.server.handle(Call("GET", PODS, query, headers))
        assert answer.stream is not None
        lines = 0
        async for chunk in answer.stream:
            lines += chunk.count(b"\n")
            if lines >= changes:
                heard += lines
                return

    tasks = [asyncio.create_task(watch()) for _ in range(WATCHERS)]
    await asyncio.sleep(0)
    began = time.perf_counter()
    for number in range(changes):
        await create(10 * STORED + number)
    await asyncio.gather(*tasks)
    return heard / (time.perf_counter() - began)


async def run() -> list[str]:
    """The figures as lines."""
    return [f"embedded API server: {name:38} {value:10,.1f}" for name, value in (await measure()).items()]
