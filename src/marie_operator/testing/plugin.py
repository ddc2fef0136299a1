"""The pytest plug-in: a test that takes ``kube`` has an API server of its own some tens of milliseconds later.

pytest loads it wherever the package is installed, also without what only the fixture needs; that is imported in it.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from marie_operator.testing.kube import Kube

try:
    from pytest_asyncio import fixture as _fixture
except ModuleNotFoundError:
    _fixture = pytest.fixture  # type: ignore[assignment]


@_fixture
async def kube(tmp_path: Path) -> AsyncIterator["Kube"]:
    """A Kubernetes API server for this test alone, on the test's own event loop."""
    from marie_operator.testing.embedded import EmbeddedControlPlane  # noqa: PLC0415 - see above
    from marie_operator.testing.kube import Kube  # noqa: PLC0415

    async with EmbeddedControlPlane(tmp_path) as plane, plane.api() as api:
        yield Kube(plane, api)
