"""A simulated S3: buckets in memory, used as the protocol says; signatures are believed, not checked."""

import itertools
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import md5
from types import TracebackType
from typing import Self
from urllib.parse import unquote
from xml.sax.saxutils import escape, unescape

from aiohttp import web

PAGE_SIZE = 1000
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_KEYS = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)
_LONG_AGO = "Thu, 01 Jan 2026 00:00:00 GMT"


class _RefusalError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class SimulatedS3:
    """An object store that listens on the loopback interface while it is entered.

    Attributes:
        endpoint: Where it is, once entered.
        access_key: The one that is let in; the secret is not looked at.
        requests: How often what was asked: a method, and for a copy ``COPY``, for a listing ``LIST``.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.access_key = "simulated"
        self.requests: Counter[str] = Counter()
        self._buckets: dict[str, dict[str, bytes]] = {}
        self._uploads: dict[str, dict[int, bytes]] = {}
        self._ids = itertools.count(1)
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

    def objects(self, bucket: str) -> Mapping[str, bytes]:
        """What is in a bucket; nothing when it is not there."""
        return self._buckets.get(bucket, {})

    async def __aenter__(self) -> Self:
        server = web.Server(self._serve, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.5)
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
            body = await request.content.read()
        except ConnectionResetError:
            # Whoever sent it gave up in the middle.
            return web.Response(status=400)
        try:
            return self._answer(request, body)
        except _RefusalError as refusal:
            told = f"<Error><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message></Error>"
            return _xml(told, refusal.status)

    def _answer(self, request: web.BaseRequest, body: bytes) -> web.Response:
        found = _CREDENTIAL.search(request.headers.get("Authorization", ""))
        if found is None:
            raise _RefusalError(403, "AccessDenied", "Access Denied")
        if found[1] != self.access_key:
            message = "The AWS Access Key Id you provided does not exist in our records."
            raise _RefusalError(403, "InvalidAccessKeyId", message)
        bucket, _, key = request.path.lstrip("/").partition("/")
        objects = self._found(bucket)
        match request.method:
            case "GET" if not key:
                self.requests["LIST"] += 1
                return _xml(_listing(bucket, objects, request.query))
            case "GET" | "HEAD":
                self.requests[request.method] += 1
                return _read(objects, key)
            case "PUT" if source := request.headers.get("x-amz-copy-source"):
                self.requests["COPY"] += 1
                return self._copy(unquote(source), objects, key)
            case "PUT":
                self.requests["PUT"] += 1
                return self._write(objects, key, request.query, body)
            case "POST":
                self.requests["POST"] += 1
                return self._post(objects, key, request.query, body)
            case "DELETE":
                self.requests["DELETE"] += 1
                objects.pop(key, None)
                self._uploads.pop(request.query.get("uploadId", ""), None)
                return web.Response(status=204)
            case _:
                pass
        raise _RefusalError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")

    def _found(self, bucket: str) -> dict[str, bytes]:
        if bucket not in self._buckets:
            raise _RefusalError(404, "NoSuchBucket", "The specified bucket does not exist")
        return self._buckets[bucket]

    def _copy(self, source: str, objects: dict[str, bytes], key: str) -> web.Response:
        bucket, _, old = source.lstrip("/").partition("/")
        content = _of(self._found(bucket), old)
        objects[key] = content
        return _xml(f"<CopyObjectResult><ETag>{escape(_etag(content))}</ETag></CopyObjectResult>")

    def _write(self, objects: dict[str, bytes], key: str, query: Mapping[str, str], body: bytes) -> web.Response:
        """``PutObject`` and ``UploadPart``."""
        if upload := query.get("uploadId"):
            if upload not in self._uploads:
                raise _RefusalError(404, "NoSuchUpload", "The specified upload does not exist.")
            self._uploads[upload][int(query["partNumber"])] = body
        else:
            objects[key] = body
        return web.Response(headers={"ETag": _etag(body)})

    def _post(self, objects: dict[str, bytes], key: str, query: Mapping[str, str], body: bytes) -> web.Response:
        """``DeleteObjects``, ``CreateMultipartUpload`` and ``CompleteMultipartUpload``."""
        if "delete" in query:
            names = _KEYS.findall(body.decode())
            for name in names:
                objects.pop(unescape(name, {"&quot;": '"', "&apos;": "'"}), None)
            deleted = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            return _xml(f"<DeleteResult>{deleted}</DeleteResult>")
        if upload := query.get("uploadId"):
            parts = self._uploads.pop(upload)
            objects[key] = b"".join(parts[number] for number in sorted(parts))
            etag = escape(_etag(objects[key]))
            return _xml(f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>")
        upload = str(next(self._ids))
        self._uploads[upload] = {}
        return _xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")


def _of(objects: Mapping[str, bytes], key: str) -> bytes:
    if key not in objects:
        raise _RefusalError(404, "NoSuchKey", "The specified key does not exist.")
    return objects[key]


def _read(objects: Mapping[str, bytes], key: str) -> web.Response:
    content = _of(objects, key)
    return web.Response(body=content, headers={"ETag": _etag(content), "Last-Modified": _LONG_AGO})


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
