"""A simulated S3: buckets in memory, listed and read as the protocol says; signatures are believed, not checked."""

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import md5
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

from aiohttp import web

PAGE_SIZE = 1000
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")


class _RefusalError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class SimulatedS3:
    """An object store that listens on the loopback interface while it is entered.

    Attributes:
        endpoint: Where it is, once entered.
        access_key: The one that is let in; the secret is not looked at.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.access_key = "simulated"
        self._buckets: dict[str, dict[str, bytes]] = {}
        self._runner: web.ServerRunner | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that let a client in."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": "believed",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Make an object, and its bucket if need be."""
        self._buckets.setdefault(bucket, {})[key] = content

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        try:
            return self._answer(request)
        except _RefusalError as refusal:
            body = f"<Error><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message></Error>"
            return _xml(body, refusal.status)

    def _answer(self, request: web.BaseRequest) -> web.Response:
        found = _CREDENTIAL.search(request.headers.get("Authorization", ""))
        if found is None:
            raise _RefusalError(403, "AccessDenied", "Access Denied")
        if found[1] != self.access_key:
            message = "The AWS Access Key Id you provided does not exist in our records."
            raise _RefusalError(403, "InvalidAccessKeyId", message)
        bucket, _, key = request.path.lstrip("/").partition("/")
        objects = self._buckets.get(bucket)
        if objects is None:
            raise _RefusalError(404, "NoSuchBucket", "The specified bucket does not exist")
        if request.method not in {"GET", "HEAD"}:
            raise _RefusalError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        if not key:
            return _xml(_listing(bucket, objects, request.query))
        if key not in objects:
            raise _RefusalError(404, "NoSuchKey", "The specified key does not exist.")
        return web.Response(body=objects[key], headers={"ETag": _etag(objects[key])})


def _listing(bucket: str, objects: dict[str, bytes], query: Mapping[str, str]) -> str:
    """``ListObjectsV2``."""
    prefix, size = query.get("prefix", ""), min(int(query.get("max-keys", PAGE_SIZE)), PAGE_SIZE)
    keys = sorted(objects)
    after = query.get("continuation-token") or query.get("start-after") or ""
    matching: Iterator[str] = (key for key in keys[bisect_right(keys, after) :] if key.startswith(prefix))
    page = list(itertools.islice(matching, size))
    more = next(matching, None) is not None
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{now}</LastModified><ETag>{escape(_etag(objects[key]))}</ETag>"
        f"<Size>{len(objects[key])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key in page
    )
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    return (
        f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>'
        f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount><MaxKeys>{size}</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
    )


def _etag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


def _xml(body: str, status: int = 200) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
    return web.Response(status=status, body=text.encode(), content_type="application/xml")
