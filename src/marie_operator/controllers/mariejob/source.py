"""What a job's input names: one object, or every object under a prefix."""

import re
from dataclasses import dataclass
from typing import TypeAlias

EXAMPLES = '"s3://bucket/invoice.pdf" for one document or "s3://bucket/invoices/" for all under a prefix'
"""How a usable URI looks, for sentences."""
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

    @property
    def uri(self) -> str:
        """The prefix as the user wrote it."""
        return f"s3://{self.bucket}/{self.prefix}"

    def document(self, key: str) -> str:
        """The URI of one of its objects."""
        return f"s3://{self.bucket}/{key}"

    def relative(self, key: str) -> str:
        """A key as filters see it: without the prefix."""
        return key.removeprefix(self.prefix)


Source: TypeAlias = SingleDocument | Prefix


class SourceError(ValueError):
    """An input that names no documents; the message says what to write instead."""


def parse(uri: str) -> Source:
    """What ``spec.input.uri`` names.

    Keys are taken verbatim: nothing is percent-decoded, and ``?`` and ``#`` are characters like any other, as in S3.

    Raises:
        SourceError: the URI is empty, not an S3 URI, or names no bucket or object.
    """
    if not uri:
        raise SourceError(f"spec.input.uri is empty: set it, like {EXAMPLES}")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        raise SourceError(f"spec.input.uri {uri!r} has no scheme: write it like {EXAMPLES}")
    if scheme != "s3":
        raise SourceError(
            f"spec.input.uri {uri!r} has the scheme {scheme!r}, but Marie reads documents from S3 only: "
            f"write it like {EXAMPLES}"
        )
    bucket, slash, key = rest.partition("/")
    if not bucket:
        raise SourceError(f"spec.input.uri {uri!r} names no bucket: write it like {EXAMPLES}")
    if not _BUCKET.fullmatch(bucket):
        raise SourceError(
            f"spec.input.uri {uri!r} names the bucket {bucket!r}: write the name with letters, digits, - and . only"
        )
    if not slash:
        raise SourceError(
            f"spec.input.uri {uri!r} names a bucket but no document: end it with / to process the whole bucket"
        )
    if _UNPRINTABLE.search(key):
        raise SourceError(f"spec.input.uri {uri!r} contains control characters: remove them")
    if key and not key.endswith("/"):
        return SingleDocument(uri)
    if any(segment in {"", ".", ".."} for segment in key.split("/")[:-1]):
        raise SourceError(
            f"spec.input.uri {uri!r} is a prefix with a part that is empty or made of dots, "
            "below which documents cannot be listed: name each document in a job of its own, or rename them"
        )
    return Prefix(bucket, key)
