"""A plain client of an API server for simulators and tests: dictionaries in, dictionaries out."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml


class ApiStatus(Exception):  # noqa: N818
    """The API server refused.

    Attributes:
        code: HTTP status.
        body: The decoded Status.
    """

    def __init__(self, code: int, body: Any) -> None:
        super().__init__(f"{code}: {body.get('message') if isinstance(body, dict) else body}")
        self.code = code
        self.body = body


class Api:
    """Calls an API server with a bearer token.

    Args:
        url: Its address.
        ca: The certificate to trust.
        token: Who calls.
    """

    def __init__(self, url: str, *, ca: Path, token: str) -> None:
        self._url = url
        self._tls = ssl.create_default_context(cafile=str(ca))
        self._headers = {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def of_kubeconfig(cls, path: Path) -> "Api":
        """From a kubeconfig with one cluster, a CA file and a token."""
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        return cls(cluster["server"], ca=Path(cluster["certificate-authority"]), token=user["token"])

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        self._session = aiohttp.ClientSession(self._url, connector=connector, headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json") -> Any:
        """One request.

        Raises:
            ApiStatus: the answer is an error.
        """
        if self._session is None:
            raise RuntimeError("enter the client first")
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, path, data=data, headers={"Content-Type": content_type}) as response:
            content = await response.read()
        try:
            decoded = json.loads(content)
        except ValueError:
            decoded = content.decode(errors="replace")
        if response.status >= 300:
            raise ApiStatus(response.status, decoded)
        return decoded

    async def get(self, path: str) -> Any:
        """Read."""
        return await self.call("GET", path)

    async def create(self, path: str, body: Any) -> Any:
        """Create in a collection."""
        return await self.call("POST", path, body)

    async def patch(self, path: str, body: Any) -> Any:
        """Merge-patch an object or a subresource."""
        return await self.call("PATCH", path, body, content_type="application/merge-patch+json")

    async def apply(self, path: str, body: Any, *, manager: str = "test") -> Any:
        """Server-side apply, by force."""
        query = f"?fieldManager={manager}&force=true"
        return await self.call("PATCH", path + query, body, content_type="application/apply-patch+yaml")

    async def delete(self, path: str, body: Any = None) -> Any:
        """Delete."""
        return await self.call("DELETE", path, body)

    async def exists(self, path: str) -> bool:
        """Whether a GET finds something."""
        try:
            await self.get(path)
        except ApiStatus as error:
            if error.code == 404:
                return False
            raise
        return True

    async def watch(self, path: str, query: str = "") -> AsyncIterator[tuple[str, Any]]:
        """Present objects as ADDED, then every change, for ever; a broken watch starts over."""
        if self._session is None:
            raise RuntimeError("enter the client first")
        while True:
            try:
                listed = await self.get(f"{path}?{query}")
                for item in listed["items"]:
                    yield "ADDED", item
                version = listed["metadata"]["resourceVersion"]
                target = f"{path}?watch=true&resourceVersion={version}&{query}"
                timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
                async with self._session.get(target, timeout=timeout) as response:
                    buffer = b""
                    async for chunk in response.content.iter_any():
                        *lines, buffer = (buffer + chunk).split(b"\n")
                        for line in lines:
                            event = json.loads(line)
                            if event["type"] == "ERROR":
                                break
                            yield event["type"], event["object"]
            except (aiohttp.ClientError, ApiStatus, OSError):
                # The server is down or has forgotten the version; it is asked anew.
                await asyncio.sleep(0.2)
