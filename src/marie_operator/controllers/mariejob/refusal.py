"""What an object store's refusal means, read from obstore's error text, and what to do about it."""

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.credentials import Scheme


class Refusal(Enum):
    """What kind of answer an object store gave, or did not give."""

    NO_CREDENTIALS = auto()
    NO_BUCKET = auto()
    NO_OBJECT = auto()
    NOT_ACCEPTED = auto()
    DENIED = auto()
    OTHER_REGION = auto()
    CLOCK = auto()
    ARCHIVED = auto()
    ODD_KEY = auto()
    OTHER_STATUS = auto()
    UNREACHABLE = auto()
    OTHER = auto()

    @property
    def answered(self) -> bool:
        """Whether only a correction on our side will change it."""
        return self not in {Refusal.UNREACHABLE, Refusal.CLOCK, Refusal.OTHER_STATUS}


class Reading(NamedTuple):
    """An error text, read.

    Attributes:
        refusal: Its kind.
        code: The store's word for it, or else the status; of an odd key, the key.
        status: The HTTP status; empty where there was no answer.
        first_line: For people, where nothing else is known.
    """

    refusal: Refusal
    code: str = ""
    status: str = ""
    first_line: str = ""


_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
# obstore has keys as paths, and gives up a listing in which one is none.
_ODD_KEY = re.compile(r'with invalid path: .*?Path "(.*?)"(?:: | contained )')
# Where obstore looks for credentials last, when nothing else gives any.
_METADATA_SERVICES = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "metadata.google.internal")
_BY_CODE = {
    "NoSuchBucket": Refusal.NO_BUCKET,
    "InvalidBucketName": Refusal.NO_BUCKET,
    "InvalidAccessKeyId": Refusal.NOT_ACCEPTED,
    "SignatureDoesNotMatch": Refusal.NOT_ACCEPTED,
    "ExpiredToken": Refusal.NOT_ACCEPTED,
    "ExpiredTokenException": Refusal.NOT_ACCEPTED,
    "InvalidToken": Refusal.NOT_ACCEPTED,
    "XAdminUserNotFound": Refusal.NOT_ACCEPTED,
    "RequestTimeTooSkewed": Refusal.CLOCK,
    "RequestExpired": Refusal.CLOCK,
    "InvalidObjectState": Refusal.ARCHIVED,
    "PermanentRedirect": Refusal.OTHER_REGION,
    "AuthorizationHeaderMalformed": Refusal.OTHER_REGION,
    "ContainerNotFound": Refusal.NO_BUCKET,
    "ContainerBeingDeleted": Refusal.NO_BUCKET,
    "AuthenticationFailed": Refusal.NOT_ACCEPTED,
    "InvalidAuthenticationInfo": Refusal.NOT_ACCEPTED,
}
_BY_STATUS = {"301": Refusal.OTHER_REGION, "401": Refusal.NOT_ACCEPTED, "403": Refusal.DENIED}


def read(error: str) -> Reading:
    """What an error text of obstore says, which carries the store's XML answer if there was one."""
    code = match.group(1) if (match := _CODE.search(error)) else ""
    status = match.group(1) if (match := _STATUS.search(error)) else ""
    if any(address in error for address in _METADATA_SERVICES):
        refusal = Refusal.NO_CREDENTIALS
    elif match := _ODD_KEY.search(error):
        refusal, code = Refusal.ODD_KEY, match.group(1)
    elif code in _BY_CODE:
        refusal = _BY_CODE[code]
    elif status:
        refusal = _BY_STATUS.get(status, Refusal.OTHER_STATUS)
    elif "error sending request" in error:
        refusal = Refusal.UNREACHABLE
    else:
        refusal = Refusal.OTHER
    return Reading(refusal, code or status, status, error.splitlines()[0][:300] if error else "no reason given")


_SENTENCES = {
    Refusal.NO_CREDENTIALS: (
        "There are no credentials to {verb} {uri}. Name a Secret with them in {named_in}, "
        "or give the operator's pod {own}."
    ),
    Refusal.NO_BUCKET: "{place} has no {kind} {bucket}. Create it, or correct {named_by}.",
    Refusal.NO_OBJECT: "{place} has no {uri}.",
    Refusal.NOT_ACCEPTED: "{place} does not accept {whose} ({code}). Replace them with valid ones.",
    Refusal.DENIED: (
        "{place} does not let {whose} {verb} {kind} {bucket} ({code}). Grant them {right} on it, or use others."
    ),
    Refusal.OTHER_REGION: "Bucket {bucket} is in another region. Set the region to it where {whose} are set.",
    Refusal.CLOCK: (
        "{place} finds that the operator's clock is wrong ({code}). Set the time of the machine that the operator runs "
        "on. The operator tries again."
    ),
    Refusal.ARCHIVED: "{place} has {uri} in an archive ({code}). Restore it there, so that it can be read.",
    Refusal.ODD_KEY: (
        "{place} has {code!r}, which is no path, as one with two slashes in a row or with '..' is not: nothing beside "
        "it can be listed. Rename or delete it, or name a prefix without it."
    ),
    Refusal.OTHER_STATUS: (
        "{place} answered {status} {code} when asked to {verb} {uri}. "
        "The operator tries again; if it lasts, see the object store's log."
    ),
    Refusal.UNREACHABLE: (
        "{place} cannot be reached to {verb} {uri}. Check its address and that it is up, and that a NetworkPolicy "
        "lets the operator's pod through. The operator tries again."
    ),
    Refusal.OTHER: "{place} could not {verb} {uri}: {first_line}",
}
_RIGHTS: Mapping[Scheme, Mapping[str, str]] = {
    "s3": {
        "list": "s3:ListBucket",
        "read": "s3:GetObject",
        "write to": "s3:PutObject",
        "delete from": "s3:DeleteObject",
    },
    "gs": {
        "list": "storage.objects.list",
        "read": "storage.objects.get",
        "write to": "storage.objects.create and storage.objects.delete",
        "delete from": "storage.objects.delete",
    },
    "az": {
        "list": "Storage Blob Data Reader",
        "read": "Storage Blob Data Reader",
        "write to": "Storage Blob Data Contributor",
        "delete from": "Storage Blob Data Contributor",
    },
}
_OWN: Mapping[Scheme, str] = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a web identity",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS or a workload identity",
    "az": "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or a workload identity",
}


def sentence(reading: Reading, bucket: Bucket, place: str, verb: str, *, named_in: str, uri: str = "") -> str:
    """What to do about a refusal.

    Args:
        reading: The refusal.
        bucket: What was refused.
        place: The object store, as the user knows it.
        verb: What was to be done: ``list``, ``read``, ``write to`` or ``delete from``.
        named_in: The field that a Secret with credentials is named in.
        uri: What it was to be done to; by default the bucket.
    """
    return _SENTENCES[reading.refusal].format(
        place=place,
        verb=verb,
        right=_RIGHTS[bucket.scheme][verb],
        own=_OWN[bucket.scheme],
        kind="container" if bucket.scheme == "az" else "bucket",
        bucket=bucket.name,
        uri=uri or bucket.uri,
        whose=bucket.whose,
        named_by=bucket.named_by,
        named_in=named_in,
        code=reading.code,
        status=reading.status,
        first_line=reading.first_line,
    )
