"""The servers that the same cases run on, and a namespace for each case.

The servers live on the session's event loop, so everything here and every case runs on it.
"""

import asyncio
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from marie_operator.testing.apiserver.authorization import User
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.controlplane import ADMIN, OPERATOR, OPERATOR_USER, ControlPlane, locate_binaries
from tests.conformance.differences import DIFFERENCES
from tests.conformance.samples import WIDGETS, established
from tests.conformance.specimens import GUARDED
from tests.conformance.wire import Client, Namespace

SERVERS = ("real", "embedded")
ALIKE = PROGRAMS, STEPS, REQUESTS = "random programs", "steps of programs", "malformed requests"
"""What is asked of both servers at once and counted, since each is answered alike."""

ROOT = Path(__file__).parents[2]

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue
        # What is about both servers has no parameter.
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        embedded = parameters.get("server") == "embedded"
        item.add_marker(pytest.mark.embedded if embedded else pytest.mark.controlplane)
        item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many cases of each group hold on each server, what was asked of both at random, and what differs."""
    held: Counter[tuple[str, str]] = Counter()
    alike: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", ()):
        alike.update(dict(count for count in report.user_properties if count[0] in ALIKE))
        found = re.match(r"tests/conformance/test_(\w+)\.py::.*\[(real|embedded)\b", report.nodeid)
        if found is not None and report.when == "call":
            held[found[1], found[2]] += 1
    if not held and not alike:
        return
    terminalreporter.section("conformance")
    for group in sorted({group for group, _ in held}):
        terminalreporter.line(f"{group:12}" + "".join(f"{held[group, each]:6} {each}" for each in SERVERS))
    total = {each: sum(count for (_, server), count in held.items() if server == each) for each in SERVERS}
    terminalreporter.line(f"{'all':12}" + "".join(f"{total[each]:6} {each}" for each in SERVERS))
    for what in ALIKE:
        terminalreporter.line(f"{'alike':12}{alike[what]:6} {what}")
    terminalreporter.line("")
    terminalreporter.line(f"{len(DIFFERENCES)} known differences of the embedded server:")
    for each in DIFFERENCES:
        terminalreporter.line(f"  {each.id}: {each.what}")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Attributes:
        url: Where it is.
        ca: The certificate to trust, when it has TLS.
        tokens: By user: ``admin`` may everything; ``operator`` is OPERATOR_USER, and may what a case lets it.
        kubeconfigs: By user.
        binaries: Where kubectl is.
        directory: For kubectl's cache.
        real: Whether it is a kube-apiserver.
    """

    url: str
    ca: Path | None
    tokens: dict[str, str]
    kubeconfigs: dict[str, Path]
    binaries: Path
    directory: Path
    real: bool
    robot: str = field(default=OPERATOR_USER)

    def client(self, token: str | None) -> Client:
        """Requests of whom a token names, to be entered."""
        return Client(self.url, ca=self.ca, token=token)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=SERVERS)
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """The server, without controllers: nothing changes an object but the cases."""
    async with STARTS[request.param](tmp_path_factory.mktemp(request.param)) as started:
        yield started


@asynccontextmanager
async def _real(folder: Path) -> AsyncIterator[Server]:
    binaries = await asyncio.to_thread(locate_binaries, ROOT)
    async with ControlPlane(binaries, folder, controllers=False) as plane:
        users = (ADMIN, OPERATOR)
        yield Server(
            url=plane.url,
            ca=folder / "pki" / "apiserver.crt",
            tokens={user: _token(plane.kubeconfig(user)) for user in users},
            kubeconfigs={user: plane.kubeconfig(user) for user in users},
            binaries=binaries,
            directory=folder,
            real=True,
        )


@asynccontextmanager
async def _embedded(folder: Path) -> AsyncIterator[Server]:
    binaries = await asyncio.to_thread(locate_binaries, ROOT)
    _, _, home, account = OPERATOR_USER.split(":")
    robot = User.service_account(home, account)
    # Clients built on client-go send their tokens over TLS only.
    async with EmbeddedApiServer(folder, tls=True, users={OPERATOR: robot}) as embedded:
        kubeconfigs = {user: embedded.kubeconfig(user) for user in (ADMIN, OPERATOR)}
        clusters = json.loads(kubeconfigs[ADMIN].read_text())["clusters"]
        yield Server(
            url=embedded.url,
            ca=Path(clusters[0]["cluster"]["certificate-authority"]),
            tokens={user: _token(path) for user, path in kubeconfigs.items()},
            kubeconfigs=kubeconfigs,
            binaries=binaries,
            directory=folder,
            real=False,
        )


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Counts what was asked of both, for the report."""
    counted: Counter[str] = Counter()

    def count(what: str, number: int) -> None:
        counted[what] += number
        request.node.user_properties[:] = counted.items()

    return count


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Client]]:
    """Administrators of a real and of an embedded server, with the same definitions on each."""
    async with AsyncExitStack() as stack:
        clients = []
        for name in SERVERS:
            started = await stack.enter_async_context(STARTS[name](tmp_path_factory.mktemp(f"both-{name}")))
            clients.append(await stack.enter_async_context(started.client(started.tokens[ADMIN])))
        for client in clients:
            for each in (WIDGETS, GUARDED):
                await established(client, each, listed=True)
        yield clients


STARTS = {"real": _real, "embedded": _embedded}


def _token(kubeconfig: Path) -> str:
    return str(json.loads(kubeconfig.read_text())["users"][0]["user"]["token"])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(server: Server) -> AsyncIterator[Client]:
    """Requests of an administrator."""
    async with server.client(server.tokens[ADMIN]) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def robot(server: Server) -> AsyncIterator[Client]:
    """Requests of somebody who may nothing but what a case lets them."""
    async with server.client(server.tokens[OPERATOR]) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def ns(api: Client) -> Namespace:
    """A namespace of the case's own, with the account that pods need."""
    return await namespace(api)


async def namespace(api: Client, **metadata: Any) -> Namespace:
    name = f"case-{next(_numbers)}"
    (await api.post("/api/v1/namespaces", {"metadata": {"name": name, **metadata}})).ok(201)
    account = await api.post(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    # A server may have made it already.
    assert account.status in {201, 409}, account.text
    return Namespace(name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def widgets(api: Client) -> str:
    """A custom resource with status and scale; its name as ``Namespace`` takes it."""
    await established(api, WIDGETS, listed=True)
    return "conformance.example/v1/widgets"


@pytest.fixture
def kubectl(server: Server, ns: Namespace) -> Any:
    """Runs kubectl in the case's namespace; its exit code and what it prints."""

    async def run(*arguments: str, stdin: str = "", user: str = ADMIN, editor: str = "false") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            server.binaries / "kubectl",
            f"--kubeconfig={server.kubeconfigs[user]}",
            f"--cache-dir={server.directory}/kubectl",
            f"--namespace={ns.name}",
            *arguments,
            env={**os.environ, "KUBE_EDITOR": editor},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate(stdin.encode())
        return process.returncode or 0, output.decode(), errors.decode()

    return run


@pytest_asyncio.fixture(loop_scope="session")
async def cleanup() -> AsyncIterator[AsyncExitStack]:
    """For what lives outside of namespaces."""
    async with AsyncExitStack() as stack:
        yield stack
