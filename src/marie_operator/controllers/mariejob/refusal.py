"""What an object store's refusal means, read from obstore's error text."""

import re
from enum import Enum, auto
from typing import NamedTuple


class Refusal(Enum):
    """What kind of answer an object store gave, or did not give."""

    NO_CREDENTIALS = auto()
    NO_BUCKET = auto()
    NOT_ACCEPTED = auto()
    DENIED = auto()
    OTHER_REGION = auto()
    OTHER_STATUS = auto()
    UNREACHABLE = auto()
    OTHER = auto()

    @property
    def answered(self) -> bool:
        """Whether only a correction on our side will change it."""
        return self not in {Refusal.UNREACHABLE, Refusal.OTHER_STATUS}


class Reading(NamedTuple):
    """An error text, read.

    Attributes:
        refusal: Its kind.
        code: S3's word for it, or else the status.
        status: The HTTP status; empty where there was no answer.
        first_line: For people, where nothing else is known.
    """

    refusal: Refusal
    code: str
    status: str
    first_line: str


_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
# Where obstore looks for credentials last, when nothing else gives any.
_METADATA_SERVICES = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")
_BY_CODE = {
    "NoSuchBucket": Refusal.NO_BUCKET,
    "InvalidBucketName": Refusal.NO_BUCKET,
    "InvalidAccessKeyId": Refusal.NOT_ACCEPTED,
    "SignatureDoesNotMatch": Refusal.NOT_ACCEPTED,
    "ExpiredToken": Refusal.NOT_ACCEPTED,
    "InvalidToken": Refusal.NOT_ACCEPTED,
    "XAdminUserNotFound": Refusal.NOT_ACCEPTED,
    "PermanentRedirect": Refusal.OTHER_REGION,
    "AuthorizationHeaderMalformed": Refusal.OTHER_REGION,
}
_BY_STATUS = {"301": Refusal.OTHER_REGION, "401": Refusal.NOT_ACCEPTED, "403": Refusal.DENIED}


def read(error: str) -> Reading:
    """What an error text of obstore says, which carries S3's XML answer if there was one."""
    code = match.group(1) if (match := _CODE.search(error)) else ""
    status = match.group(1) if (match := _STATUS.search(error)) else ""
    if any(address in error for address in _METADATA_SERVICES):
        refusal = Refusal.NO_CREDENTIALS
    elif code in _BY_CODE:
        refusal = _BY_CODE[code]
    elif status:
        refusal = _BY_STATUS.get(status, Refusal.OTHER_STATUS)
    elif "error sending request" in error:
        refusal = Refusal.UNREACHABLE
    else:
        refusal = Refusal.OTHER
    return Reading(refusal, code or status, status, error.splitlines()[0][:300] if error else "no reason given")
