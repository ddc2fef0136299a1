import asyncio
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from marie_operator.testing.controlplane import ControlPlane
from tests.config.kubectl import ROOT, Kubectl, until


@pytest.fixture(scope="session")
def binaries() -> Path:
    build = subprocess.run([ROOT / "hack/controlplane/build.sh"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(build.stdout.strip())


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread of its own: these tests block on kubectl while the servers' output is read."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def bare(
    binaries: Path, loop: asyncio.AbstractEventLoop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubectl]:
    """An API server with nothing installed."""
    server = ControlPlane(binaries, tmp_path_factory.mktemp("server"), controllers=False)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    yield Kubectl(binaries / "kubectl", server.kubeconfig("admin"))
    asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()


@pytest.fixture(scope="session")
def kubectl(bare: Kubectl) -> Kubectl:
    """An API server on which config/default is installed, by client-side apply."""
    bare("apply", "-k", str(ROOT / "config/default"))
    # By its path: kubectl refuses to wait for a condition of what has no conditions yet.
    established = '--for=jsonpath={.status.conditions[?(@.type=="Established")].status}=True'
    bare("wait", established, "--timeout=120s", "crd/marieclusters.marie.ai", "crd/mariejobs.marie.ai")
    # A kind is served, and rights hold, a moment after they are accepted.
    account = "--as=system:serviceaccount:marie-system:marie-operator"
    until(lambda: bare.succeeds("get", "marieclusters.marie.ai,mariejobs.marie.ai", "--all-namespaces", account))
    leases = ("auth", "can-i", "get", "leases.coordination.k8s.io", "--namespace=marie-system")
    until(lambda: bare.succeeds(*leases, account))
    return bare
