"""The pytest plug-in: a test that takes ``kube`` has an API server of its own, a few milliseconds later."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from marie_operator.testing import manifests
from marie_operator.testing.api import Api
from marie_operator.testing.audit import Requests
from marie_operator.testing.embedded import EmbeddedControlPlane

try:
    from pytest_asyncio import fixture as _fixture
except ModuleNotFoundError:  # pytest without it can load the plug-in all the same
    _fixture = pytest.fixture  # type: ignore[assignment]


@dataclass(frozen=True)
class Kube:
    """A control plane, and a client of it.

    Attributes:
        plane: The control plane; ``plane.apiserver.server`` has the store and takes faults.
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
    def kubeconfig(self) -> Path:
        """For clients that read one."""
        return self.plane.kubeconfig()

    async def apply(self, *paths: Path, namespace: str = "default") -> None:
        """Apply YAML files, or folders of them; returns when the kinds among them are served.

        Raises:
            ApiStatus: the server refuses one.
        """
        await manifests.apply(self.api, manifests.read(*paths), namespace=namespace)


@_fixture
async def kube(tmp_path: Path) -> AsyncIterator[Kube]:
    """A Kubernetes API server for this test alone, on the test's own event loop."""
    async with EmbeddedControlPlane(tmp_path) as plane, plane.api() as api:
        yield Kube(plane, api)
