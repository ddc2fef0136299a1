"""The floor of B6: a client that answers each change of a cluster with one write, and does nothing else.

    python -m benchmarks.echo KUBECONFIG

The write is of the Service that is named as the cluster with ``-echo`` after it.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import bare

CLUSTERS = "/apis/marie.ai/v1alpha1/namespaces/default/marieclusters"
SERVICES = "/api/v1/namespaces/default/services"


async def main(config: Any) -> None:
    async with bare.session(config, 8) as session, asyncio.TaskGroup() as answers:
        async with session.get(CLUSTERS, params={"limit": "1"}) as response:
            version = (await response.json())["metadata"]["resourceVersion"]
        follow = {"watch": "1", "resourceVersion": version}
        patient = aiohttp.ClientTimeout(total=None)
        async with session.get(CLUSTERS, params=follow, timeout=patient) as response:
            async for line in response.content:
                cluster = json.loads(line)["object"]
                answers.create_task(_answer(session, cluster["metadata"]["name"], cluster["spec"]["marieVersion"]))


async def _answer(session: aiohttp.ClientSession, name: str, version: str) -> None:
    body = json.dumps({"metadata": {"labels": {"answer": version}}}).encode()
    headers = {"Content-Type": "application/merge-patch+json"}
    async with session.patch(f"{SERVICES}/{name}-echo", data=body, headers=headers) as response:
        response.raise_for_status()
        await response.read()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
