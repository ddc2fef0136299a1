"""Servers of the other clouds' protocols, once for all tests of a process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from marie_operator.testing.controlplane import locate_binaries
from marie_operator.testing.s3 import S3Server
from tests.clouds.azurite import Azurite
from tests.clouds.cloud import Cloud
from tests.clouds.google import GoogleStorage

REPOSITORY = Path(__file__).parents[2]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def s3(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[S3Server]:
    """The store that Marie works in."""
    async with S3Server(locate_binaries(REPOSITORY) / "versitygw", tmp_path_factory.mktemp("s3")) as server:
        server.put("marie", "made", b"")
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def google(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GoogleStorage]:
    """Google Cloud Storage."""
    async with (
        S3Server(locate_binaries(REPOSITORY) / "versitygw", tmp_path_factory.mktemp("google")) as store,
        GoogleStorage(store) as server,
    ):
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def azure(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Azurite]:
    """Azure Blob Storage."""
    async with Azurite(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture(params=["google", "azure"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each of them."""
    found: Cloud = request.getfixturevalue(request.param)
    return found
