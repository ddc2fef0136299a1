"""One page of a prefix's keys, read from an object store with obstore."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from marie_operator.controllers.mariejob import refusal as refusals
from marie_operator.controllers.mariejob.buckets import Bucket, Buckets, EndpointError
from marie_operator.controllers.mariejob.credentials import AnyCredentials, Scheme
from marie_operator.controllers.mariejob.source import Prefix, Several

PAGE_SIZE = 1000
"""Keys per page; what S3 and Google return to one request."""

_TIMEOUT = 60.0
_NAMED_IN = "spec.input.credentialsSecretRef"


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which keys are wanted: those under ``source`` that come after ``after`` in lexicographic order."""

    source: Several
    after: str = ""
    credentials: AnyCredentials | None = None

    @property
    def prefix(self) -> Prefix:
        """The source, where it is in an object store.

        Raises:
            TypeError: it is elsewhere.
        """
        if not isinstance(self.source, Prefix):
            raise TypeError(f"{self.source.uri} are in no object store")
        return self.source


@dataclass(frozen=True, slots=True)
class Page:
    """Up to 1000 keys in lexicographic order, without directory markers.

    Attributes:
        request: what was asked for.
        keys: the documents' keys.
        end: the last key looked at, document or not: where the next page starts.
        last: whether nothing comes after it.
    """

    request: ListRequest
    keys: tuple[str, ...]
    end: str
    last: bool


class ListingError(Exception):
    """The keys could not be listed; the message says why and what to do.

    Attributes:
        answered: whether the object store gave an answer that only a correction on our side will change.
        missing: whether it is a ConfigMap or Secret with the documents that is not there.
    """

    def __init__(self, message: str, *, answered: bool = True, missing: bool = False) -> None:
        super().__init__(message)
        self.answered = answered
        self.missing = missing


class Lister(Protocol):
    """Reads pages of keys."""

    async def page(self, request: ListRequest) -> Page:
        """Read one page.

        Raises:
            ListingError: it cannot be read.
        """
        ...


class BucketLister:
    """Lists S3 and what speaks its protocol, Google Cloud Storage and Azure Blob Storage.

    Args:
        environ: the operator's environment; see ``Buckets``.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._buckets = Buckets(environ)

    async def page(self, request: ListRequest) -> Page:
        """Read one page; gives up after a minute.

        Raises:
            ListingError: the page cannot be read.
        """
        from obstore.exceptions import BaseError  # noqa: PLC0415 - see Buckets

        place = self._buckets.place(_bucket(request))
        try:
            async with asyncio.timeout(_TIMEOUT):
                objects = await self._objects(request)
        except TimeoutError:
            raise ListingError(
                f"{place} did not list {request.source.uri} within {_TIMEOUT:.0f} s. "
                "Check that the object store is up and that the operator's pod may reach it.",
                answered=False,
            ) from None
        except EndpointError as error:
            raise ListingError(str(error)) from error
        except (BaseError, ValueError) as error:
            raise explained(str(error), request, place) from error
        _check_order(objects, request, place)
        end = objects[-1]["path"] if objects else request.after
        return Page(request, documents(objects), end, last=len(objects) < PAGE_SIZE)

    async def _objects(self, request: ListRequest) -> Sequence[Mapping[str, Any]]:
        import obstore  # noqa: PLC0415 - see Buckets

        store = self._buckets.store(_bucket(request))
        stream = obstore.list(store, request.prefix.prefix or None, offset=request.after or None, chunk_size=PAGE_SIZE)
        async for chunk in stream:
            return chunk
        return ()


def _check_order(objects: Sequence[Mapping[str, Any]], request: ListRequest, place: str) -> None:
    """Refuse a listing that is not in the order of keys, in which documents would be passed over.

    Azure's accounts with a hierarchical namespace list folder by folder.

    Raises:
        ListingError: it is not.
    """
    before = request.after
    # obstore drops the slash at the end of what stands for a folder, which so may seem to be out of order.
    for item in (each for each in objects if each["size"]):
        if item["path"] <= before:
            raise ListingError(
                f"{place} does not list {request.source.uri} in the order of its keys ({item['path']} comes after "
                f"{before}), as an account with a hierarchical namespace does not: a restart could not go on where "
                "the job stopped. Copy the documents to another bucket."
            )
        before = item["path"]


def documents(objects: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The keys that are documents.

    Consoles and file gateways make empty objects to stand for folders ("invoices/"); obstore drops their
    trailing slash. An empty object is one of them when its name has no extension or when it is followed by
    an object below it. Any other empty object is a document, so that Marie says what is wrong with it.
    """
    keys = []
    for index, item in enumerate(objects):
        key = item["path"]
        below = index + 1 < len(objects) and objects[index + 1]["path"].startswith(f"{key}/")
        if item["size"] == 0 and (below or "." not in key.rsplit("/", 1)[-1] or key.endswith("_$folder$")):
            continue
        keys.append(key)
    return tuple(keys)


def explained(error: str, request: ListRequest, place: str) -> ListingError:
    """A sentence for an error text of obstore.

    Args:
        error: the text, which carries the store's XML answer if there was one.
        request: what was asked for.
        place: the object store, as the user knows it.
    """
    reading, uri = refusals.read(error), request.source.uri
    message = refusals.sentence(reading, _bucket(request), place, "list", named_in=_NAMED_IN, uri=uri)
    return ListingError(message, answered=reading.refusal.answered)


def _bucket(request: ListRequest) -> Bucket:
    """Where the documents are."""
    return documents_in(request.prefix.bucket, request.prefix.scheme, request.credentials)


def documents_in(name: str, scheme: Scheme, credentials: AnyCredentials | None) -> Bucket:
    """A bucket with documents.

    Args:
        name: Of the bucket.
        scheme: Which kind of store it is in.
        credentials: Those of the job; ``None`` for the operator's own way.
    """
    if credentials is None:
        return Bucket(name, scheme=scheme)
    return Bucket(name, credentials, f"the credentials of {_NAMED_IN}", scheme=scheme)
