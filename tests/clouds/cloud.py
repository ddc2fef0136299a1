"""One of the other clouds, as tests put documents into it and find results in it."""

from collections.abc import Mapping
from typing import Protocol

from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.credentials import AnyCredentials, Scheme, from_secret
from marie_operator.controllers.mariejob.source import Prefix
from marie_operator.controllers.mariejob.store import ListRequest, documents_in

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
