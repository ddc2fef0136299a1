"""A control plane for one test, with a client of it."""

from dataclasses import dataclass
from pathlib import Path

from marie_operator.testing import manifests
from marie_operator.testing.api import Api
from marie_operator.testing.apiserver.faults import Fault
from marie_operator.testing.audit import Requests
from marie_operator.testing.embedded import EmbeddedControlPlane


@dataclass(frozen=True)
class Kube:
    """A control plane, and a client of it.

    Attributes:
        plane: The control plane; ``plane.apiserver.server`` has the store.
        api: A client with every right.
    """

    plane: EmbeddedControlPlane
    api: Api

    @property
    def url(self) -> str:
        """Where the API server is."""
        return self.plane.url

    @property
    def audit(self) -> Requests:
        """What the API server was asked for."""
        return self.plane.audit

    @property
    def faults(self) -> list[Fault]:
        """What can go wrong between clients and the API server: the first rule that meets a request has its way."""
        return self.plane.faults

    @property
    def kubeconfig(self) -> Path:
        """For clients that read one."""
        return self.plane.kubeconfig()

    async def apply(self, *paths: Path, namespace: str = "default") -> None:
        """Apply YAML files, or folders of them; returns when the kinds among them are served.

        Raises:
            ApiStatus: the server refuses one.
            LookupError: it serves no such kind.
        """
        await manifests.apply(self.api, manifests.read(*paths), namespace=namespace)
