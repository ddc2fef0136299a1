"""Azurite, Microsoft's own server of Azure Blob Storage's protocol for tests."""

import base64
import secrets
import subprocess
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

import aiohttp
import obstore
from obstore.store import AzureStore

from marie_operator.controllers.mariejob.credentials import Scheme
from marie_operator.testing.processes import Process, free_ports

if TYPE_CHECKING:
    from obstore.store import AzureConfig

_BUILD = Path(__file__).parents[2] / "hack" / "azurite" / "build.sh"
_VERSION = "2021-12-02"


class Azurite:
    """The server, while it is entered: a cloud to tests.

    Args:
        directory: For its log.

    Attributes:
        account: The storage account that it has.
        key: Of the account.
        endpoint: Where the account is.
    """

    scheme: Scheme = "az"

    def __init__(self, directory: Path) -> None:
        (port,) = free_ports(1)
        self.account = "marieaccount"
        self.key = base64.b64encode(secrets.token_bytes(64)).decode()
        self.endpoint = f"http://127.0.0.1:{port}/{self.account}"
        node, program = subprocess.run([_BUILD], check=True, capture_output=True, text=True).stdout.splitlines()
        self._process = Process(
            "azurite",
            [
                node,
                program,
                "--blobHost",
                "127.0.0.1",
                "--blobPort",
                str(port),
                "--inMemoryPersistence",
                "--disableTelemetry",
                "--skipApiVersionCheck",
            ],
            directory=directory,
            environment={"AZURITE_ACCOUNTS": f"{self.account}:{self.key}"},
        )

    @property
    def secret(self) -> dict[str, str]:
        """What a Secret for it holds."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.account,
            "AZURE_STORAGE_ACCOUNT_KEY": self.key,
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
        }

    @property
    def requests(self) -> list[str]:
        """What was asked: method, path and query."""
        log = self._process.log.read_text()
        return [line.split('"')[1].rpartition(" ")[0] for line in log.splitlines() if '"' in line]

    def sas(self, permissions: str) -> str:
        """A shared access signature for everything in the account.

        Args:
            permissions: What it allows, a letter each: ``r`` reads, ``l`` lists, ``w`` writes.
        """
        until = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        fields = (self.account, permissions, "b", "sco", "", until, "", "https,http", _VERSION, "", "")
        signature = base64.b64encode(digest(base64.b64decode(self.key), "\n".join(fields).encode(), "sha256"))
        named = {"sv": _VERSION, "ss": "b", "srt": "sco", "sp": permissions, "se": until, "spr": "https,http"}
        return urlencode({**named, "sig": signature.decode()})

    async def bucket(self) -> str:
        """Make a container; its name."""
        container = f"container-{secrets.token_hex(4)}"
        now = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S GMT}"
        headers = {"x-ms-date": now, "x-ms-version": _VERSION}
        lines = ("PUT", *[""] * 11, f"x-ms-date:{now}", f"x-ms-version:{_VERSION}")
        text = "\n".join((*lines, f"/{self.account}/{self.account}/{container}", "restype:container"))
        signature = base64.b64encode(digest(base64.b64decode(self.key), text.encode(), sha256)).decode()
        headers["Authorization"] = f"SharedKey {self.account}:{signature}"
        url = f"{self.endpoint}/{container}?restype=container"
        async with (
            aiohttp.ClientSession() as session,
            session.put(url, headers=headers, skip_auto_headers=["Content-Type"]) as answer,
        ):
            assert answer.status == 201, await answer.text()
        return container

    async def put(self, bucket: str, key: str, content: bytes = b"%PDF") -> None:
        """Make an object."""
        await obstore.put_async(self._store(bucket), key, content)

    async def objects(self, bucket: str) -> dict[str, bytes]:
        """What is in a container."""
        store = self._store(bucket)
        keys = [item["path"] async for chunk in obstore.list(store) for item in chunk]
        return {key: bytes(await (await obstore.get_async(store, key)).bytes_async()) for key in keys}

    async def __aenter__(self) -> Self:
        await self._process.start_serving(self.endpoint)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._process.stop()

    def _store(self, container: str) -> AzureStore:
        config: AzureConfig = {"account_name": self.account, "account_key": self.key, "endpoint": self.endpoint}
        return AzureStore(container, config=config, client_options={"allow_http": True})
