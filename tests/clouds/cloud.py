"""One of the other clouds, as tests put documents into it and find results in it."""

import secrets
from collections.abc import Mapping
from typing import Protocol

import obstore

from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.credentials import AnyCredentials, Scheme, from_secret
from marie_operator.controllers.mariejob.source import Prefix
from marie_operator.controllers.mariejob.store import ListRequest, documents_in
from tests.clouds.azurite import Azurite
from tests.clouds.google import GoogleStorage

FIELD = "spec.input.credentialsSecretRef"


class Cloud(Protocol):
    """A cloud.

    Attributes:
        scheme: What its URIs begin with.
        endpoint: Where it is.
    """

    scheme: Scheme
    endpoint: str

    @property
    def secret(self) -> dict[str, str]:
        """What a Secret for it holds."""
        ...

    @property
    def requests(self) -> list[str]:
        """What was asked: method, path and query."""
        ...

    async def bucket(self) -> str:
        """Make a bucket; its name."""
        ...

    async def put(self, bucket: str, key: str, content: bytes = b"%PDF") -> None:
        """Make an object."""
        ...

    async def objects(self, bucket: str) -> Mapping[str, bytes]:
        """What is in a bucket."""
        ...


class Google:
    """Google Cloud Storage."""

    scheme: Scheme = "gs"

    def __init__(self, server: GoogleStorage) -> None:
        self.server = server
        self.endpoint = server.endpoint

    @property
    def secret(self) -> dict[str, str]:
        return self.server.secret

    @property
    def requests(self) -> list[str]:
        return self.server.requests

    async def bucket(self) -> str:
        name = _new()
        self.server.create(name)
        return name

    async def put(self, bucket: str, key: str, content: bytes = b"%PDF") -> None:
        await self.server.put(bucket, key, content)

    async def objects(self, bucket: str) -> Mapping[str, bytes]:
        found = self.server.objects(bucket)
        return {key: content for key, content in found.items() if key != "made" and not key.startswith(".sgwtmp")}


class Azure:
    """Azure Blob Storage."""

    scheme: Scheme = "az"

    def __init__(self, server: Azurite) -> None:
        self.server = server
        self.endpoint = server.endpoint

    @property
    def secret(self) -> dict[str, str]:
        return self.server.secret

    @property
    def requests(self) -> list[str]:
        return self.server.requests

    async def bucket(self) -> str:
        name = _new()
        await self.server.create(name)
        return name

    async def put(self, bucket: str, key: str, content: bytes = b"%PDF") -> None:
        await obstore.put_async(self.server.store(bucket), key, content)

    async def objects(self, bucket: str) -> Mapping[str, bytes]:
        return await self.server.objects(bucket)


def credentials(cloud: Cloud, **changes: str) -> AnyCredentials:
    """What a Secret for a cloud says, or one with other keys."""
    return from_secret(cloud.scheme, "cloud", {**cloud.secret, **changes}, FIELD)


def bucket(cloud: Cloud, name: str, known: AnyCredentials | None = None) -> Bucket:
    """A bucket of a cloud."""
    return documents_in(name, cloud.scheme, known or credentials(cloud))


def asked(
    cloud: Cloud, name: str, prefix: str = "in/", after: str = "", known: AnyCredentials | None = None
) -> ListRequest:
    """A page of keys."""
    return ListRequest(Prefix(name, prefix, cloud.scheme), after, known or credentials(cloud))


def _new() -> str:
    return f"bucket-{secrets.token_hex(4)}"
