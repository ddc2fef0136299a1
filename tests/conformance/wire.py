"""What the cases speak: raw requests and replies, streams of watch events, and comparisons of objects."""

import io
import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


class _Any:
    """Equal to whatever is there and not empty."""

    def __repr__(self) -> str:
        return "<something>"


SOMETHING = _Any()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    warnings: tuple[str, ...]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def ok(self, status: int = 200) -> Any:
        """The object, given that all went well."""
        assert self.status == status, f"{self.status}: {self.text}"
        return self.json

    def refused(self, code: int, reason: str, message: str | re.Pattern[str]) -> Any:
        """The ``Status``, given that it is this one; ``details`` are returned for a closer look."""
        assert self.status == code, f"{self.status}: {self.text}"
        body = self.json
        expected = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason or None,
            "message": message,
        }
        assert_includes(body, expected)
        return body.get("details", {})


def assert_includes(actual: Any, expected: Any, path: str = "") -> None:
    """Whether everything expected is there; None stands for a field that must not be, patterns for texts."""
    match expected:
        case dict():
            assert isinstance(actual, dict), f"{path}: {actual!r} is no object"
            for name, value in expected.items():
                if value is None:
                    assert name not in actual, f"{path}.{name} is there: {actual[name]!r}"
                else:
                    assert name in actual, f"{path}.{name} is missing in {json.dumps(actual)}"
                    assert_includes(actual[name], value, f"{path}.{name}")
        case list():
            assert isinstance(actual, list), f"{path}: {actual!r} is no list"
            assert len(actual) == len(expected), f"{path}: {json.dumps(actual)} instead of {expected!r}"
            for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
                assert_includes(one, other, f"{path}[{index}]")
        case re.Pattern():
            assert isinstance(actual, str), f"{path}: {actual!r} is no text"
            assert expected.fullmatch(actual), f"{path}: {actual!r} does not match {expected.pattern!r}"
        case _Any():
            assert actual, f"{path} is empty: {actual!r}"
        case _:
            assert actual == expected, f"{path}: {actual!r} instead of {expected!r}"


def names(listed: Any) -> list[str]:
    """The names of a list's items, in their order."""
    return [item["metadata"]["name"] for item in listed["items"]]


def without(obj: Any, *paths: str) -> Any:
    """A copy without some fields, such as ``metadata.managedFields``."""
    result = json.loads(json.dumps(obj))
    for path in paths:
        *parents, last = path.split(".")
        inner = result
        for parent in parents:
            inner = inner.get(parent, {})
        inner.pop(last, None)
    return result


class Events:
    """The events of one watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> tuple[str, Any]:
        """The next event: its type and its object."""
        event = await self.next_or_end()
        assert event is not None, "the watch has ended"
        return event

    async def next_or_end(self) -> tuple[str, Any] | None:
        """The next event; None when the server has ended the watch."""
        line = await self._response.content.readline()
        if not line:
            return None
        event = json.loads(line)
        return event["type"], event["object"]

    async def take(self, count: int) -> list[tuple[str, str]]:
        """The next events as types and names."""
        events = [await self.next() for _ in range(count)]
        return [(kind, obj["metadata"].get("name", "")) for kind, obj in events]

    async def rest(self) -> list[tuple[str, Any]]:
        """Every event until the server ends the watch."""
        events = []
        while (event := await self.next_or_end()) is not None:
            events.append(event)
        return events


class Client:
    """Sends what it is told to, and judges nothing.

    Args:
        url: Where the server is.
        ca: The certificate to trust, when it has TLS.
        token: Who asks; None for nobody.
    """

    def __init__(self, url: str, *, ca: Path | None, token: str | None) -> None:
        self._url = url
        self._tls = ssl.create_default_context(cafile=str(ca)) if ca is not None else True
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        self._session = aiohttp.ClientSession(
            self._url,
            connector=connector,
            headers=self._headers,
            read_bufsize=2**22,
            skip_auto_headers=["Content-Type"],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Reply:
        """One request; a body that is neither text nor bytes is sent as JSON."""
        assert self._session is not None
        given = {name: str(value) for name, value in (headers or {}).items()}
        if body is not None and "Content-Type" not in given:
            given["Content-Type"] = JSON
        text = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        data = io.BytesIO(text.encode() if isinstance(text, str) else text) if text is not None else None
        async with self._session.request(method, path, data=data, headers=given, params=_texts(query)) as response:
            content = await response.read()
            warnings = tuple(response.headers.getall("Warning", []))
            return Reply(response.status, dict(response.headers), warnings, content.decode())

    @asynccontextmanager
    async def raw(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A reply that is no text, or to what is no proper request; ``target`` is sent as it is."""
        assert self._session is not None
        url = URL(self._url + target, encoded=True)
        data = None if body is None else io.BytesIO(body)
        async with self._session.request(method, url, headers=headers, data=data) as response:
            yield response

    async def get(self, path: str, *, accept: str | None = None, **query: Any) -> Reply:
        return await self.request("GET", path, headers={"Accept": accept} if accept else None, query=query)

    async def post(self, path: str, body: Any, **query: Any) -> Reply:
        return await self.request("POST", path, body, query=query)

    async def put(self, path: str, body: Any, **query: Any) -> Reply:
        return await self.request("PUT", path, body, query=query)

    async def delete(self, path: str, body: Any = None, **query: Any) -> Reply:
        return await self.request("DELETE", path, body, query=query)

    async def patch(self, path: str, body: Any, content_type: str = MERGE_PATCH, **query: Any) -> Reply:
        return await self.request("PATCH", path, body, headers={"Content-Type": content_type}, query=query)

    async def apply(self, path: str, body: Any, manager: str | None = "one", **query: Any) -> Reply:
        """Server-side apply."""
        named = {"fieldManager": manager} if manager else {}
        return await self.patch(path, body, APPLY, **named, **query)

    @asynccontextmanager
    async def watch(self, path: str, *, accept: str | None = None, **query: Any) -> AsyncIterator[Events]:
        """A watch that the server has accepted."""
        assert self._session is not None
        headers = {"Accept": accept} if accept else {}
        timeout = aiohttp.ClientTimeout(total=None)
        params = _texts({"watch": "true", **query})
        async with self._session.get(path, params=params, headers=headers, timeout=timeout) as response:
            assert response.status == 200, await response.text()
            yield Events(response)


def _texts(query: Mapping[str, Any] | None) -> dict[str, str]:
    """A query as it is sent; Python's True is the API's true."""
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}


@dataclass(frozen=True, slots=True)
class Namespace:
    """Paths within a namespace: ``ns("configmaps", "a")``, ``ns("apps/v1/deployments", "a", "status")``."""

    name: str

    def __call__(self, resource: str, *rest: str) -> str:
        version, _, plural = resource.rpartition("/")
        prefix = f"/apis/{version}" if version else "/api/v1"
        return "/".join((prefix, "namespaces", self.name, plural, *rest))
