"""Where a job's results go, and which documents have ended and wait for theirs to be there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.credentials import Scheme, scheme_named
from marie_operator.controllers.mariejob.source import (
    Inline,
    Prefix,
    SingleDocument,
    Source,
    SourceError,
    is_bucket,
)

MANIFESTS = "_manifests"
"""The folder of manifests beside the results; tools that read folders as tables pass over names like it."""

DocumentEnd: TypeAlias = Literal["Succeeded", "Failed", "Cancelled", "Refused"]
"""How a document ended: with a result, without one, stopped in Marie, or never taken by it."""

_EXAMPLE = '"s3://bucket/results/"'
_LONGEST_FOLDER = 800
"""Bytes of a document's folder, so that what Marie adds fits into the 1024 of a key."""


class Receipt(NamedTuple):
    """How a document ended, and why it failed."""

    state: DocumentEnd
    message: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """Where the user wants results: every key below ``prefix``, which is empty or ends with a slash."""

    bucket: str
    prefix: str
    scheme: Scheme = "s3"

    @property
    def uri(self) -> str:
        """The prefix, as it is told."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a job's results.

    Attributes:
        source: Where Marie keeps them.
        shelf: The folder there that has one of each document, such as ``ocr``.
        target: Where they go.
        prefix: What keys begin with there; empty, or with a slash at its end.
        job: What tells this job from every other that ever was, such as ``ocr-batch-job-3tqkzbz0d1rmk``.
        is_assumed: Whether Marie's store is not configured, and taken to be the one that the documents are in.
        ending: What the names of results end with that are wanted; empty for all.
    """

    source: Bucket
    shelf: str
    target: Bucket
    prefix: str
    job: str
    is_assumed: bool = False
    ending: str = ""

    @property
    def parts(self) -> str:
        """The folder with the parts of the manifest."""
        return f"{self.prefix}{MANIFESTS}/{self.job}"

    @property
    def manifest(self) -> str:
        """The key of the manifest."""
        return f"{self.parts}.jsonl"


@dataclass(frozen=True, slots=True)
class Ended:
    """A document that has come to its end at Marie.

    Attributes:
        uri: Where it is.
        ref_id: What Marie knows it by.
        folder: Where its results go, below the route's prefix.
        attempts: How often it was submitted.
        receipt: How it ended.
        dag_id: Marie's id of the work.
        since: When it was taken up; None where that is not known any more.
    """

    uri: str
    ref_id: str
    folder: str
    attempts: int
    receipt: Receipt
    dag_id: str = ""
    since: datetime | None = None

    @property
    def stem(self) -> str:
        """Marie's name for the folder with its results."""
        return self.ref_id.partition(".")[0].lower()


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """What is to be delivered.

    Attributes:
        route: From where to where.
        documents: All that have ended and are in the job's status still.
        parts: How many parts of the manifest the job's status knows of.
        closing: How many documents the job had, once nothing more will come; None before.
    """

    route: Route
    documents: tuple[Ended, ...]
    parts: int
    closing: int | None = None


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """Why results are not where they should be; delivery is tried again by itself.

    Attributes:
        message: What is wrong and what to do.
        answered: Whether a store gave an answer that only a correction on our side will change.
        since: Since when nothing has come through.
        at_source: Whether it is Marie's store that refuses.
    """

    message: str
    answered: bool
    since: datetime
    at_source: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """What a manifest lists.

    Attributes:
        results: Objects.
        without: Documents that succeeded without one.
    """

    results: int
    without: int


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """How far delivery is.

    Attributes:
        delivered: Documents whose results are there and that the manifest lists, by reference id.
        parts: How many parts the manifest has by now; each document of theirs is among these or has left the status.
        failure: What keeps it from going on.
        totals: What the finished manifest lists; None before it is finished.
    """

    delivered: Mapping[str, Receipt] = field(default_factory=dict)
    parts: int = 0
    failure: DeliveryFailure | None = None
    totals: Totals | None = None


def parse(uri: str) -> Output:
    """What ``spec.output.uri`` names. A slash at the end is not needed.

    Raises:
        SourceError: it is of no object store, or names no bucket.
    """
    scheme, separator, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    kind = scheme_named(scheme)
    if not separator or kind is None:
        raise SourceError(f"spec.output.uri {uri!r} is not in s3://, gs:// or az://: write it like {_EXAMPLE}")
    if not is_bucket(bucket):
        raise SourceError(f"spec.output.uri {uri!r} names no bucket: write it like {_EXAMPLE}")
    prefix = prefix.removesuffix("/")
    if prefix and any(part in {"", ".", ".."} or not part.isprintable() for part in prefix.split("/")):
        raise SourceError(f"spec.output.uri {uri!r} has a part that is empty or made of dots: name other folders")
    return Output(bucket, f"{prefix}/" if prefix else "", kind)


def folder(job: str, source: Source, uri: str, ref_id: str, output: Output) -> str:
    """Where a document's results go, below the output's prefix: named like the document below the input's.

    A document of another job's failures is named like its key in its bucket, and one that the job itself holds and that
    has no name after the job. Names that a key cannot have are changed, and one that is too long for a key gives way to
    Marie's name.
    """
    key = uri.split("/", 3)[3]
    name = key
    if isinstance(source, SingleDocument):
        name = key.rpartition("/")[2]
    elif isinstance(source, Prefix):
        name = source.relative(key)
    elif isinstance(source, Inline):
        name = source.relative(uri) if source.kind else f"{job}/{source.name}"
    plain = "/".join(f"{part}%" if part in {"", ".", ".."} else part for part in name.split("/"))
    if len(f"{output.prefix}{plain}".encode()) > _LONGEST_FOLDER:
        return ref_id.partition(".")[0]
    return plain
