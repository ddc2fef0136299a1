"""Reference ids: the name under which Marie knows a document, and files its results.

Marie stores the results of a document under ``s3://marie/<ref_type>/<stem>``, where the stem is what
precedes the first dot of the last path segment of ``ref_id``, in lower case. Two documents whose ids
differ only elsewhere overwrite each other. Its result table holds 64 characters of the id. So an id here
is one segment, in lower case, at most 64 characters long, and unique before its only dot::

    <job>-<digest of the job's uid>-<ordinal>[r<attempt>]-<document>.<extension>
    ocr-batch-job-3tqkzbz0d1rmk-17-invoice-0017.pdf

The digest makes ids of different jobs differ (also of a job deleted and made again), the ordinal those of
one job's documents, the attempt those of one document. The names are there for people.
"""

import re
from functools import lru_cache

from marie_operator.builders.association import plain, uid_digest

_LONGEST = 64
_LONGEST_JOB = 20
_LONGEST_EXTENSION = 5
_EXTENSIONS = {
    "application/pdf": "pdf",
    "image/tiff": "tif",
    "image/png": "png",
    "image/jpeg": "jpg",
}
_DIGEST = 13


def ref_id(*, job: str, uid: str, ordinal: int, key: str, attempt: int, content_type: str) -> str:
    """The reference id of one attempt at one document.

    Args:
        job: name of the MarieJob.
        uid: its ``metadata.uid``.
        ordinal: which of the job's documents it is, in the order of their listing, from 1.
        key: the document's key in its bucket.
        attempt: 0 for the first.
        content_type: says the extension when the key has none.
    """
    name, _, suffix = key.rsplit("/", 1)[-1].rpartition(".")
    ending = plain(suffix)[:_LONGEST_EXTENSION] if name else extension(content_type)
    head = f"{stem(job, uid)}-{ordinal}" + (f"r{attempt}" if attempt else "")
    tail = f".{ending or 'bin'}"
    document = plain(name or suffix)[: max(0, _LONGEST - len(head) - len("-") - len(tail))].strip("-")
    return f"{head}-{document}{tail}" if document else f"{head}{tail}"


def extension(content_type: str) -> str:
    """What names of documents of a type end with."""
    return _EXTENSIONS.get(content_type, "bin")


def ordinal(ref_id: str, job: str) -> int:
    """Which of a job's documents ``ref_id`` names.

    Args:
        ref_id: the document's.
        job: what the ids of the job's documents begin with; see ``stem``.

    Raises:
        ValueError: it names none of this job's.
    """
    digits = re.match(r"\d+", ref_id.removeprefix(f"{job}-"))
    if digits is None:
        raise ValueError(f"{ref_id!r} is no reference id of job {job}")
    return int(digits.group())


def results_uri(*, job: str, uid: str, ref_type: str) -> str:
    """The S3 prefix under which Marie, with its default bucket, stores the results of all the job's documents."""
    return f"s3://marie/{ref_type.lower()}/{stem(job, uid)}-"


@lru_cache(maxsize=1024)
def stem(job: str, uid: str) -> str:
    """What the ids of a job's documents begin with, and those of no other job's that ever was."""
    return f"{plain(job)[:_LONGEST_JOB].strip('-')}-{uid_digest(uid, _DIGEST)}"
