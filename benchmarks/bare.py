"""The floor: a client that sends requests which were prepared before, and does nothing else.

    python -m benchmarks.bare KUBECONFIG FILE CONCURRENCY

Each line of FILE is a list of requests that must follow each other: [method, path, content type, body]. It says
``ready`` when it is connected, starts at a line on its input, and says ``done``.
"""

import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

Requests: TypeAlias = list[list[tuple[str, str, str, bytes]]]


def prepared(file: Path) -> Requests:
    """The requests, encoded."""
    return [
        [(method, path, kind, json.dumps(body, separators=(",", ":")).encode()) for method, path, kind, body in line]
        for line in map(json.loads, file.read_text(encoding="utf-8").splitlines())
    ]


def session(config: Any, concurrency: int) -> aiohttp.ClientSession:
    """Connections to the API server of a kubeconfig."""
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
    connector = aiohttp.TCPConnector(limit=concurrency, ssl=trust)
    headers = {"Authorization": f"Bearer {user['token']}"}
    return aiohttp.ClientSession(cluster["server"], connector=connector, headers=headers)


async def main(config: Any, groups: Requests, concurrency: int) -> None:
    waiting = iter(groups)
    async with session(config, concurrency) as client:

        async def work() -> None:
            for requests in waiting:
                for method, path, kind, body in requests:
                    async with client.request(method, path, data=body, headers={"Content-Type": kind}) as response:
                        content = await response.read()
                        if response.status >= 300:
                            raise RuntimeError(f"{method} {path}: {response.status} {content.decode()}")

        async with client.get("/version") as response:
            await response.read()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(concurrency):
                tasks.create_task(work())
        print("done", flush=True)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    kubeconfig = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    asyncio.run(main(kubeconfig, prepared(Path(sys.argv[2])), int(sys.argv[3])))
