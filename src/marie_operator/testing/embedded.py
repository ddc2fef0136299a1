"""An embedded control plane: the API server inside the process, and what controller manager and scheduler do."""

import signal
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from marie_operator.testing.api import Api
from marie_operator.testing.apiserver.authorization import User
from marie_operator.testing.apiserver.direct import DirectWire
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.apiserver.faults import Fault
from marie_operator.testing.audit import Requests
from marie_operator.testing.controlplane import ADMIN, OPERATOR, PERIODS
from marie_operator.testing.processes import ProcessError, kubectl
from marie_operator.testing.workloads import Periods, Workloads

WORKLOADS = "workloads"
_USERS = {
    OPERATOR: User.service_account("marie-system", "marie-operator"),
    WORKLOADS: User("system:kube-controller-manager", frozenset({"system:masters", "system:authenticated"})),
}


class EmbeddedControlPlane:
    """A control plane that runs, in this process, while it is entered.

    Args:
        directory: For its kubeconfigs and its certificate; clients like kubectl send their tokens over TLS only.
        controllers: Whether Deployments, Jobs, garbage collection and the like work.
        periods: How long they wait before they take a node for lost, and the like.
        kubectl: The program, for who wants to run it.

    Attributes:
        apiserver: The API server.
    """

    def __init__(
        self,
        directory: Path,
        *,
        controllers: bool = True,
        periods: Periods = PERIODS,
        kubectl: Path | None = None,
    ) -> None:
        self._directory = directory
        self._kubectl = kubectl
        self.apiserver = EmbeddedApiServer(directory, tls=True, users=_USERS)
        self._controllers = controllers
        self._periods = periods
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where the API server is."""
        return self.apiserver.url

    @property
    def audit(self) -> Requests:
        """What the API server was asked for."""
        return self.apiserver.audit

    @property
    def faults(self) -> list[Fault]:
        """What can go wrong between clients and the API server: the first rule that meets a request has its way."""
        return self.apiserver.server.faults

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.apiserver)
            if self._controllers:
                await stack.enter_async_context(Workloads(Api(self._wire()), periods=self._periods))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _wire(self) -> DirectWire:
        """What the controllers call the API server by: they are many, and live in its process."""
        return DirectWire(
            self.apiserver.server,
            token=self.apiserver.token(WORKLOADS),
            agent="kube-controller-manager",
            reachable=lambda: self.apiserver.listening,
        )

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """The kubeconfig of ADMIN, or of OPERATOR under its own role."""
        return self.apiserver.kubeconfig(user)

    def api(self, user: str = ADMIN) -> Api:
        """A client, to be entered."""
        return self.apiserver.api(user)

    async def start_apiserver(self, *, empty: bool = False) -> None:
        """Start the API server again, with what it had stored or with nothing."""
        await self.apiserver.start(empty=empty)

    async def stop_apiserver(self, _: signal.Signals = signal.SIGTERM) -> None:
        """Stop the API server; its connections break."""
        await self.apiserver.stop()

    async def kill_apiserver(self) -> None:
        """The same: what is stored in this process outlives no crash, and its server has nothing else to lose."""
        await self.stop_apiserver()

    def check(self) -> None:
        """Nothing here ends by itself."""

    async def kubectl(self, *arguments: str, stdin: str = "", user: str = ADMIN) -> str:
        """Run kubectl; what it prints.

        Raises:
            ProcessError: it failed, and the message is its own; or there is none.
        """
        if self._kubectl is None:
            raise ProcessError("name the kubectl program when the control plane is made")
        return await kubectl(self._kubectl, self.kubeconfig(user), self._directory, *arguments, stdin=stdin)
