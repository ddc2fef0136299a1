"""What a job's input names: one object, or every object under a prefix."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from marie_operator.controllers.mariejob.buckets import Bucket, Folder
from marie_operator.controllers.mariejob.credentials import Scheme, scheme_named

EXAMPLES = '"s3://bucket/invoice.pdf" for one document or "s3://bucket/invoices/" for all under a prefix'
"""How a usable URI looks, for sentences."""
STAGED = "staged"
"""The folder in Marie's bucket with documents that were put there for it."""
# S3's rule for bucket names, with what older buckets and other object stores allow beyond it.
_BUCKET = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){1,254}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class SingleDocument:
    """One object: one document."""

    uri: str

    @property
    def key(self) -> str:
        """The object's key within its bucket."""
        return self.uri.split("/", 3)[3]

    def relative(self, key: str) -> str:
        """A key as filters see it."""
        return key


@dataclass(frozen=True, slots=True)
class Prefix:
    """Every object whose key starts with ``prefix``, which is empty (the whole bucket) or ends with a slash."""

    bucket: str
    prefix: str
    scheme: Scheme = "s3"

    @property
    def uri(self) -> str:
        """The prefix as the user wrote it."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}"

    def document(self, key: str) -> str:
        """The URI of one of its objects."""
        return f"{self.scheme}://{self.bucket}/{key}"

    def relative(self, key: str) -> str:
        """A key as filters see it: without the prefix."""
        return key.removeprefix(self.prefix)


@dataclass(frozen=True, slots=True)
class FailedOf:
    """Every document that another job of the namespace has recorded as failed.

    The key of one is its place in the record and its URI, so that keys are in the order of the record.

    Attributes:
        namespace: of both jobs.
        job: the other job's name.
        uid: its ``metadata.uid``, once it is known.
        parts: how many ConfigMaps its record has; none when its status holds all.
        shown: the documents, when its status holds all.
    """

    namespace: str
    job: str
    uid: str = ""
    parts: int = 0
    shown: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """What this is, for sentences."""
        return f"the failures of MarieJob {self.job}"

    def keys(self, part: int, uris: Sequence[str]) -> tuple[str, ...]:
        """The keys of the documents in a part of the record."""
        return tuple(f"{self.uid}/{part:06}/{line:06}/{uri}" for line, uri in enumerate(uris))

    def part_after(self, key: str) -> int:
        """The part of the record that a key is in; the first one for no key."""
        return int(key.split("/")[1]) if key else 1

    def document(self, key: str) -> str:
        """The URI of the document of a key."""
        return key.split("/", 3)[3]

    def relative(self, key: str) -> str:
        """A key as filters would see it, which are not for these."""
        return self.document(key)


@dataclass(frozen=True, slots=True)
class Inline:
    """Documents that a job itself, a ConfigMap or a Secret holds. They are put where Marie reads from.

    The key of one is its URI there.

    Attributes:
        job: what tells the job from every other that ever was.
        namespace: of the job.
        kind: of what holds them; empty for the job itself.
        name: of what holds them; of the document, where it is the job itself.
        data: the document, where it is the job itself.
        store: the bucket that Marie reads from, once it is known.
    """

    job: str
    namespace: str
    kind: Literal["", "ConfigMap", "Secret"]
    name: str
    data: bytes = field(default=b"", repr=False)
    store: Bucket | None = None

    @property
    def uri(self) -> str:
        """What this is, for sentences."""
        return f"{self.kind} {self.name}" if self.kind else "spec.input.data"

    @property
    def bucket(self) -> Bucket:
        """The bucket that Marie reads from.

        Raises:
            TypeError: it is not known yet.
        """
        if self.store is None:
            raise TypeError(f"it is not known where {self.uri} is to be put")
        return self.store

    @property
    def folder(self) -> Folder:
        """The folder in the bucket, which no other job uses."""
        return staged(self.bucket, self.job)

    def key(self, name: str) -> str:
        """The key of a document."""
        return f"{self.folder.uri}{name}"

    def path(self, key: str) -> str:
        """Where the document of a key is in the bucket."""
        return key.split("/", 3)[3]

    def document(self, key: str) -> str:
        """The URI of the document of a key."""
        return key

    def relative(self, key: str) -> str:
        """A key as filters would see it, which are not for these."""
        return key.rpartition("/")[2]


Source: TypeAlias = SingleDocument | Prefix | FailedOf | Inline
"""Where a job's documents are."""
Several: TypeAlias = Prefix | FailedOf | Inline
"""What is listed page by page."""


class SourceError(ValueError):
    """A URI that names nothing usable; the message says what to write instead."""


def parse(uri: str) -> Source:
    """What ``spec.input.uri`` names.

    Keys are taken verbatim: nothing is percent-decoded, and ``?`` and ``#`` are characters like any other, as in S3.

    Raises:
        SourceError: the URI is empty, of no object store, or names no bucket or object.
    """
    if not uri:
        raise SourceError(f"spec.input.uri is empty: set it, like {EXAMPLES}")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        raise SourceError(f"spec.input.uri {uri!r} has no scheme: write it like {EXAMPLES}")
    kind = scheme_named(scheme)
    if kind is None:
        raise SourceError(
            f"spec.input.uri {uri!r} has the scheme {scheme!r}, but documents are taken from s3://, gs:// and az://: "
            f"write it like {EXAMPLES}"
        )
    bucket, slash, key = rest.partition("/")
    _check_bucket(uri, bucket)
    if not slash:
        raise SourceError(
            f"spec.input.uri {uri!r} names a bucket but no document: end it with / to process the whole bucket"
        )
    if _UNPRINTABLE.search(key):
        raise SourceError(f"spec.input.uri {uri!r} contains control characters: remove them")
    return _named(uri, Prefix(bucket, key, kind))


def _check_bucket(uri: str, bucket: str) -> None:
    if not bucket:
        raise SourceError(f"spec.input.uri {uri!r} names no bucket: write it like {EXAMPLES}")
    if "@" in bucket:
        raise SourceError(
            f"spec.input.uri {uri!r} names an account: write az://container/ and put the account's name under "
            "AZURE_STORAGE_ACCOUNT_NAME into the Secret of spec.input.credentialsSecretRef"
        )
    if not is_bucket(bucket):
        raise SourceError(
            f"spec.input.uri {uri!r} names the bucket {bucket!r}: write the name with letters, digits, - and . only"
        )


def _named(uri: str, place: Prefix) -> Source:
    """One document, or all below a prefix. What the operator itself is to read must have a key that obstore takes."""
    is_single = bool(place.prefix) and not place.prefix.endswith("/")
    if is_single and place.scheme == "s3":
        return SingleDocument(uri)
    *folders, name = place.prefix.split("/")
    if any(segment in {"", ".", ".."} for segment in (*folders, *([name] if is_single else []))):
        what = "names a document" if is_single else "is a prefix"
        then = "which cannot be read" if is_single else "below which documents cannot be listed"
        raise SourceError(
            f"spec.input.uri {uri!r} {what} with a part that is empty or made of dots, "
            f"{then}: name each document in a job of its own, or rename them"
        )
    return SingleDocument(uri) if is_single else place


def scheme_of(uri: str) -> Scheme:
    """What a document's URI begins with; S3 where it names no object store."""
    return scheme_named(uri.partition("://")[0]) or "s3"


def staged(bucket: Bucket, job: str) -> Folder:
    """The folder with documents that were put where Marie reads from, for one job.

    Args:
        bucket: That Marie reads from.
        job: What tells the job from every other that ever was.
    """
    return Folder(bucket, f"{STAGED}/{job}")


def is_bucket(name: str) -> bool:
    """Whether a bucket can have this name."""
    return _BUCKET.fullmatch(name) is not None
