"""A plain client of an API server for simulators and tests: dictionaries in, dictionaries out."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
import yaml
from pydantic_core import from_json, to_json

RETRY_PERIOD = 0.2


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

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later: the server is busy, starting, or without its store."""
        return self.code == 429 or self.code >= 500


class ApiUnreachable(ConnectionError):  # noqa: N818
    """No answer came; the request may have been carried out."""


class Wire(Protocol):
    """Carries requests to an API server."""

    async def send(self, method: str, target: str, body: bytes | None, content_type: str) -> tuple[int, bytes]:
        """One request; the answer's status and body.

        Raises:
            ApiUnreachable: there is no answer.
        """
        ...

    def stream(self, target: str) -> AbstractAsyncContextManager[tuple[int, AsyncIterator[bytes]]]:
        """An answer that goes on: its status, and what comes of its body.

        Raises:
            ApiUnreachable: there is no answer, or it breaks off; also out of the iterator.
        """
        ...

    async def __aenter__(self) -> Self:
        """Open it."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        ...


class HttpWire:
    """Over HTTP, with a bearer token.

    Args:
        url: The server's address.
        ca: The certificate to trust; None for a server without TLS.
        token: Who calls.
    """

    def __init__(self, url: str, *, ca: Path | None, token: str) -> None:
        self._url = url
        self._tls = ssl.create_default_context(cafile=str(ca)) if ca is not None else True
        self._headers = {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        self._session = aiohttp.ClientSession(self._url, connector=connector, headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, method: str, target: str, body: bytes | None, content_type: str) -> tuple[int, bytes]:
        """One request; the answer's status and body.

        Raises:
            ApiUnreachable: there is no answer.
        """
        headers = {"Content-Type": content_type}
        try:
            async with self._entered().request(method, target, data=body, headers=headers) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiUnreachable(f"{method} {self._url}{target}: {error!r}") from error

    @asynccontextmanager
    async def stream(self, target: str) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """An answer that goes on: its status, and what comes of its body.

        Raises:
            ApiUnreachable: there is no answer, or it breaks off; also out of the iterator.
        """
        try:
            async with self._entered().get(target, timeout=aiohttp.ClientTimeout(total=None)) as response:
                yield response.status, response.content.iter_any()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiUnreachable(f"GET {self._url}{target}: {error!r}") from error

    def _entered(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("enter the client first")
        return self._session


class Api:
    """Calls an API server.

    Args:
        wire: Carries the requests; open while the client is entered.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @classmethod
    def of_kubeconfig(cls, path: Path) -> "Api":
        """From a kubeconfig with one cluster, a CA file and a token."""
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        return cls(HttpWire(cluster["server"], ca=Path(cluster["certificate-authority"]), token=user["token"]))

    async def __aenter__(self) -> Self:
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._wire.__aexit__(kind, error, traceback)

    async def call(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json") -> Any:
        """One request.

        Raises:
            ApiStatus: the answer is an error.
            ApiUnreachable: there is no answer.
        """
        data = None if body is None else to_json(body)
        return _decoded(*await self._wire.send(method, path, data, content_type))

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

    async def watch(
        self, path: str, query: str = "", *, listed: Callable[[], None] = lambda: None
    ) -> AsyncIterator[tuple[str, Any]]:
        """Present objects as ADDED, then every change, for ever.

        A broken watch starts over, with a list: what has gone meanwhile is told as DELETED, in its last known form, and
        what is still there as MODIFIED.

        Args:
            path: Of the collection.
            query: Of the list and of the watch.
            listed: Called when all of a list has been told.

        Raises:
            ApiStatus: the server refuses for good, such as for want of permission.
        """
        known: dict[str, Any] = {}
        while True:
            try:
                found = await self.get(f"{path}?{query}")
                present = {item["metadata"]["uid"]: item for item in found["items"]}
                for uid in [uid for uid in known if uid not in present]:
                    yield "DELETED", known.pop(uid)
                for uid, item in present.items():
                    kind = "MODIFIED" if uid in known else "ADDED"
                    known[uid] = item
                    yield kind, item
                listed()
                version = found["metadata"]["resourceVersion"]
                async for kind, item in self.changes(f"{path}?watch=true&resourceVersion={version}&{query}"):
                    if kind == "DELETED":
                        known.pop(item["metadata"]["uid"], None)
                    else:
                        known[item["metadata"]["uid"]] = item
                    yield kind, item
            except ApiUnreachable:
                await asyncio.sleep(RETRY_PERIOD)
            except ApiStatus as error:
                # 410: the version is forgotten, and the list gives a newer one.
                if not error.passing and error.code != 410:
                    raise
                await asyncio.sleep(RETRY_PERIOD)

    async def changes(self, target: str) -> AsyncIterator[tuple[str, Any]]:
        """The events of one watch, to its end.

        Args:
            target: Path and query, with ``watch=true`` in it.

        Raises:
            ApiStatus: the server refuses, or tells an error in the watch.
            ApiUnreachable: the connection breaks.
        """
        async with self._wire.stream(target) as (status, chunks):
            if status >= 300:
                _decoded(status, b"".join([chunk async for chunk in chunks]))
            buffer = b""
            async for chunk in chunks:
                *lines, buffer = (buffer + chunk).split(b"\n")
                for event in map(from_json, lines):
                    if event["type"] == "ERROR":
                        raise ApiStatus(event["object"]["code"], event["object"])
                    yield event["type"], event["object"]


def _decoded(status: int, content: bytes) -> Any:
    try:
        decoded = from_json(content)
    except ValueError:
        decoded = content.decode(errors="replace")
    if status >= 300:
        raise ApiStatus(status, decoded)
    return decoded
