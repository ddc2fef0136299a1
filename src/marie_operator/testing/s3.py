"""A real S3 server on this machine; a bucket is a folder."""

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from marie_operator.testing.processes import Process, free_ports


class S3Server:
    """A server (versitygw) that runs while it is entered.

    Args:
        binary: The versitygw program.
        directory: Holds the buckets as sub-folders.
    """

    def __init__(self, binary: Path, directory: Path) -> None:
        (port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{port}"
        self.access_key = secrets.token_hex(8)
        self.secret_key = secrets.token_hex(16)
        self._buckets = directory / "buckets"
        self._process = Process(
            "versitygw",
            [str(binary), "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(self._buckets)],
            directory=directory,
            environment={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables that let a client in."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._buckets.mkdir, parents=True, exist_ok=True)
        await self._process.start_serving(self.endpoint)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._process.stop()

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Make an object, and its bucket if need be."""
        path = self._buckets / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def objects(self, bucket: str) -> Mapping[str, bytes]:
        """What is in a bucket; nothing when it is not there."""
        folder = self._buckets / bucket
        return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
