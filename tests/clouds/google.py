"""A server that speaks Google Cloud Storage's XML API, which is what obstore uses.

That API is S3's, but for who is let in: so a real S3 server keeps the objects, lists them and puts parts together, and
what stands before it checks the tokens that Google would, signed with the key of a service account, and signs anew.
"""

import base64
import binascii
import hashlib
import hmac
import io
import json
import secrets
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from urllib.parse import quote

import aiohttp
import obstore
from aiohttp import hdrs, web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from obstore.store import S3Store
from yarl import URL

from marie_operator.controllers.mariejob.credentials import Scheme
from marie_operator.testing.gateway import serving
from marie_operator.testing.s3 import S3Server

_KEPT = ("Content-Type", "ETag", "Last-Modified", "Content-Range")


class GoogleStorage:
    """The server, while it is entered: a cloud to tests.

    Args:
        store: Keeps the objects; it must run.

    Attributes:
        endpoint: Where it is, once entered.
        email: Of the service account that is let in.
        requests: What was asked: method, path and query.
    """

    scheme: Scheme = "gs"

    def __init__(self, store: S3Server) -> None:
        self.endpoint = ""
        self.email = "operator@project.iam.gserviceaccount.com"
        self.requests: list[str] = []
        self._store = store
        self._key = rsa.generate_private_key(65537, 2048)
        self._session: aiohttp.ClientSession | None = None
        self._stack = AsyncExitStack()

    def service_account(self, *, email: str = "", forged: bool = False) -> str:
        """The key of a service account, as Google's console gives it.

        Args:
            email: Of the account, if it is not the one that is let in.
            forged: Whether it is another key than the account's.
        """
        key = rsa.generate_private_key(65537, 2048) if forged else self._key
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        content = {
            "type": "service_account",
            "private_key_id": "key-1",
            "private_key": pem.decode(),
            "client_email": email or self.email,
        }
        return json.dumps(content)

    @property
    def secret(self) -> dict[str, str]:
        """What a Secret for it holds."""
        return {"GOOGLE_APPLICATION_CREDENTIALS_JSON": self.service_account(), "GOOGLE_BASE_URL": self.endpoint}

    async def bucket(self) -> str:
        """Make a bucket; its name."""
        bucket = f"bucket-{secrets.token_hex(4)}"
        self._store.put(bucket, "made", b"")
        return bucket

    async def put(self, bucket: str, key: str, content: bytes = b"%PDF") -> None:
        """Make an object, with the tag that one has which was written by a request."""
        own = self._store
        store = S3Store(
            bucket,
            config={
                "access_key_id": own.access_key,
                "secret_access_key": own.secret_key,
                "endpoint": own.endpoint,
                "region": "us-east-1",
            },
            client_options={"allow_http": True},
        )
        await obstore.put_async(store, key, content, use_multipart=False)

    async def objects(self, bucket: str) -> dict[str, bytes]:
        """What is in a bucket, but for what its server needs."""
        found = self._store.objects(bucket)
        return {key: content for key, content in found.items() if key != "made" and not key.startswith(".sgwtmp")}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
            app = web.Application()
            app.router.add_route(hdrs.METH_ANY, "/{path:.*}", self._serve)
            self.endpoint = await stack.enter_async_context(serving(app))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _serve(self, request: web.Request) -> web.Response:
        body = await request.content.read()
        self.requests.append(f"{request.method} {request.raw_path}")
        if refused := self._refusal(request.headers.get("Authorization", "")):
            text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{refused}</Code></Error>"
            return web.Response(status=401, text=text, content_type="application/xml")
        assert self._session is not None
        path = quote(request.path, safe="/-_.~")
        query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(request.query.items()))
        headers = {"Range": request.headers["Range"]} if "Range" in request.headers else {}
        headers |= self._signed(request.method, path, query)
        url = URL(f"{self._store.endpoint}{path}" + (f"?{query}" if query else ""), encoded=True)
        async with self._session.request(request.method, url, headers=headers, data=io.BytesIO(body)) as answer:
            kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    def _refusal(self, authorization: str) -> str:
        """Why Google would not let a request in; empty when it would."""
        try:
            head, claims, signature = authorization.removeprefix("Bearer ").split(".")
            self._key.public_key().verify(
                _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            content = json.loads(_decoded(claims))
        except (ValueError, binascii.Error, InvalidSignature):
            return "AuthenticationRequired"
        lives = content["iat"] - 60 < datetime.now(UTC).timestamp() < content["exp"]
        return "" if lives and content["iss"] == self.email else "AuthenticationRequired"

    def _signed(self, method: str, path: str, query: str) -> dict[str, str]:
        """Headers by which the S3 server lets a request in."""
        now = datetime.now(UTC)
        day, time, region = f"{now:%Y%m%d}", f"{now:%Y%m%dT%H%M%SZ}", "us-east-1"
        scope = f"{day}/{region}/s3/aws4_request"
        host = self._store.endpoint.removeprefix("http://")
        names, payload = "host;x-amz-content-sha256;x-amz-date", "UNSIGNED-PAYLOAD"
        lines = (method, path, query, f"host:{host}", f"x-amz-content-sha256:{payload}", f"x-amz-date:{time}", "")
        canonical = "\n".join((*lines, names, payload))
        text = "\n".join(("AWS4-HMAC-SHA256", time, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        key = f"AWS4{self._store.secret_key}".encode()
        for part in (day, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"{self._store.access_key}/{scope}"
        return {
            "x-amz-date": time,
            "x-amz-content-sha256": payload,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}",
        }


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
