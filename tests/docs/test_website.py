"""The example of the guide, run as its reader runs it: as a process, against an API server."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from marie_operator.testing.api import ApiStatus
from marie_operator.testing.apiserver.authorization import ADMIN
from marie_operator.testing.embedded import WORKLOADS
from marie_operator.testing.kube import Kube
from marie_operator.testing.kubelet import FakeKubelet
from marie_operator.testing.processes import killed_with_parent

pytestmark = pytest.mark.embedded

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SITES = "/apis/example.com/v1/namespaces/default/websites"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SERVICES = "/api/v1/namespaces/default/services"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/website-operator"


@asynccontextmanager
async def operator(kube: Kube) -> AsyncIterator[asyncio.subprocess.Process]:
    """The example, on ports of its own."""
    told = {"KUBECONFIG": str(kube.kubeconfig), "METRICS_BIND_ADDRESS": "0", "HEALTH_PROBE_BIND_ADDRESS": "0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLES / "website.py", env={**os.environ, **told}, preexec_fn=killed_with_parent()
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(read: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """What ``read`` yields, once ``holds`` says so; the test's timeout is the limit."""
    while True:
        try:
            found = await read()
        except ApiStatus as error:
            if error.code != 404:
                raise
            found = None
        if holds(found):
            return found
        await asyncio.sleep(0.05)


def test_it_has_sixty_lines() -> None:
    assert len((EXAMPLES / "website.py").read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.semantics("M-11", "L-08", "W-22")
async def test_a_website_is_served_followed_at_rest_and_let_go(kube: Kube) -> None:
    def ready(site: Any) -> Any:
        return site and {each["type"]: each for each in site.get("status", {}).get("conditions", [])}.get("Ready")

    async def site() -> Any:
        return await kube.api.get(f"{SITES}/hello")

    async def deployment() -> Any:
        return await kube.api.get(f"{DEPLOYMENTS}/hello")

    await kube.apply(EXAMPLES / "website.yaml")
    # The kubelet has a name of its own: what the reader and the operator write is counted.
    async with operator(kube) as process, kube.plane.api(WORKLOADS) as reports, AsyncExitStack() as stack:
        made = await until(deployment, bool)
        assert made["spec"]["replicas"] == 2
        assert made["metadata"]["ownerReferences"][0]["name"] == "hello"
        served = await until(lambda: kube.api.get(f"{SERVICES}/hello"), bool)
        assert served["spec"]["ports"][0]["port"] == 80
        told = ready(await until(site, ready))
        assert (told["status"], told["message"]) == ("False", "0 of 2 pods are ready.")

        # From now on there is a node for the pods.
        await stack.enter_async_context(FakeKubelet(reports))
        told = ready(await until(site, lambda found: ready(found)["status"] == "True"))
        assert (told["reason"], told["observedGeneration"]) == ("Serving", 1)

        await kube.api.patch(f"{SITES}/hello", {"spec": {"replicas": 3}})
        told = ready(await until(site, lambda found: "3 of 3" in ready(found)["message"]))
        assert (told["status"], told["observedGeneration"]) == ("True", 2)
        assert (await deployment())["spec"]["replicas"] == 3

        # Somebody's own label makes no difference to what is wanted: nothing is written.
        mark = kube.audit.mark()
        await kube.api.patch(f"{DEPLOYMENTS}/hello", {"metadata": {"labels": {"team": "web"}}})
        await kube.api.delete(f"{SERVICES}/hello")
        await until(lambda: kube.api.get(f"{SERVICES}/hello"), bool)
        written = [f"{each.verb} {each.resource}" for each in kube.audit.writes(ADMIN.name, since=mark)]
        assert [each for each in written if "leases" not in each] == [
            "patch deployments",  # the label
            "delete services",
            "patch services",
        ]

        # Foreground deletion waits for what the website owns, and nothing of that comes back.
        await kube.api.delete(f"{SITES}/hello", {"propagationPolicy": "Foreground"})
        for gone in (deployment, lambda: kube.api.get(f"{SERVICES}/hello"), site):
            await until(gone, lambda found: found is None)

        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert (await kube.api.get(LEASE))["spec"]["holderIdentity"] == ""
