"""The S3 server, seen by the client that the operator lists with."""

from collections.abc import AsyncIterator
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from marie_operator.testing.controlplane import locate_binaries
from marie_operator.testing.processes import ProcessError
from marie_operator.testing.s3 import S3Server

pytestmark = pytest.mark.controlplane

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
async def s3(tmp_path: Path) -> AsyncIterator[S3Server]:
    async with S3Server(locate_binaries(REPOSITORY) / "versitygw", tmp_path) as server:
        yield server


def store(s3: S3Server, secret: str = "") -> S3Store:
    return S3Store(
        "bucket",
        endpoint=s3.endpoint,
        region="us-east-1",
        access_key_id=s3.access_key,
        secret_access_key=secret or s3.secret_key,
        client_options={"allow_http": True},
    )


async def test_files_of_a_folder_are_objects_of_a_bucket(s3: S3Server) -> None:
    for key in ("in/b.pdf", "in/a.pdf", "in/sub/c.pdf", "out/d.pdf"):
        s3.put("bucket", key, b"%PDF")

    listed = [each["path"] async for chunk in obstore.list(store(s3), prefix="in") for each in chunk]
    after = [each["path"] async for chunk in obstore.list(store(s3), prefix="in", offset="in/b.pdf") for each in chunk]

    assert listed == ["in/a.pdf", "in/b.pdf", "in/sub/c.pdf"]
    assert after == ["in/sub/c.pdf"]
    assert bytes(await (await obstore.get_async(store(s3), "in/a.pdf")).bytes_async()) == b"%PDF"


async def test_a_wrong_key_is_refused(s3: S3Server) -> None:
    s3.put("bucket", "in/a.pdf", b"%PDF")
    with pytest.raises(BaseError, match="SignatureDoesNotMatch"):
        _ = [chunk async for chunk in obstore.list(store(s3, secret="wrong"), prefix="in")]


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="versitygw cannot be started"):
        async with S3Server(tmp_path / "versitygw", tmp_path):
            pass
