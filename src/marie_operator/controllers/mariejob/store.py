"""One page of a prefix's keys, read from S3 with obstore."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from marie_operator.controllers.mariejob.credentials import ENDPOINT_URL, Credentials, is_http_url
from marie_operator.controllers.mariejob.source import Prefix, Several

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential, S3Store

PAGE_SIZE = 1000
"""Keys per page; what S3 returns to one request."""

_TIMEOUT = 60.0
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", ENDPOINT_URL, "AWS_ENDPOINT")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
# Where obstore looks for credentials last, when nothing else gives any.
_METADATA_SERVICES = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")
_NO_CREDENTIALS = (
    "There are no credentials to list {uri}. Name a Secret with them in spec.input.credentialsSecretRef, "
    "or give the operator's pod AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a web identity."
)
_NO_BUCKET = "{place} has no bucket {bucket}. Create it, or correct spec.input.uri."
_NOT_ACCEPTED = "{place} does not accept {whose} ({code}). Replace them with valid ones."
_DENIED = "{place} does not let {whose} list bucket {bucket} ({code}). Grant them s3:ListBucket on it, or use others."
_OTHER_REGION = "Bucket {bucket} is in another region. Set AWS_REGION to it, where {whose} are set."
_OTHER_STATUS = (
    "{place} answered {status} {code} when asked to list {uri}. "
    "The operator tries again; if it lasts, see the object store's log."
)
_UNREACHABLE = (
    "{place} cannot be reached to list {uri}. Check its address and that it is up, and that a NetworkPolicy "
    "lets the operator's pod through. The operator tries again."
)
_BY_CODE = {
    "NoSuchBucket": _NO_BUCKET,
    "InvalidBucketName": _NO_BUCKET,
    "InvalidAccessKeyId": _NOT_ACCEPTED,
    "SignatureDoesNotMatch": _NOT_ACCEPTED,
    "ExpiredToken": _NOT_ACCEPTED,
    "InvalidToken": _NOT_ACCEPTED,
    "XAdminUserNotFound": _NOT_ACCEPTED,
    "PermanentRedirect": _OTHER_REGION,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
}
_BY_STATUS = {"301": _OTHER_REGION, "401": _NOT_ACCEPTED, "403": _DENIED}


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which keys are wanted: those under ``source`` that come after ``after`` in lexicographic order."""

    source: Several
    after: str = ""
    credentials: Credentials | None = None

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
    """

    def __init__(self, message: str, *, answered: bool = True) -> None:
        super().__init__(message)
        self.answered = answered


class Lister(Protocol):
    """Reads pages of keys."""

    async def page(self, request: ListRequest) -> Page:
        """Read one page.

        Raises:
            ListingError: it cannot be read.
        """
        ...


class S3Lister:
    """Lists S3 and what speaks its protocol.

    obstore is imported at the first page: an operator without batch jobs does not pay for it.

    Args:
        environ: the operator's environment, which says whether its endpoint is plain HTTP.
            Its credentials (static, web identity, instance profile) are read by obstore itself.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def page(self, request: ListRequest) -> Page:
        """Read one page; gives up after a minute.

        Raises:
            ListingError: the page cannot be read.
        """
        from obstore.exceptions import BaseError  # noqa: PLC0415 - see the class

        try:
            async with asyncio.timeout(_TIMEOUT):
                objects = await self._objects(request)
        except TimeoutError:
            raise ListingError(
                f"{self._place(request)} did not list {request.source.uri} within {_TIMEOUT:.0f} s. "
                "Check that the object store is up and that the operator's pod may reach it.",
                answered=False,
            ) from None
        except (BaseError, ValueError) as error:
            raise explained(str(error), request, self._place(request)) from error
        end = objects[-1]["path"] if objects else request.after
        return Page(request, documents(objects), end, last=len(objects) < PAGE_SIZE)

    async def _objects(self, request: ListRequest) -> Sequence[Mapping[str, Any]]:
        import obstore  # noqa: PLC0415 - see the class

        stream = obstore.list(
            self._store(request), request.prefix.prefix or None, offset=request.after or None, chunk_size=PAGE_SIZE
        )
        async for chunk in stream:
            return chunk
        return ()

    def _store(self, request: ListRequest) -> "S3Store":
        from obstore.store import S3Store  # noqa: PLC0415 - see the class

        endpoint = self._endpoint(request)
        if endpoint and not is_http_url(endpoint):
            raise ListingError(
                f"The operator's {ENDPOINT_URL} is {endpoint!r}, which is no URL. "
                'Correct the environment of the operator\'s Deployment, like "https://minio.storage.svc:9000".'
            )
        options: ClientConfig = {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=30),
        }
        retries: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}
        own = request.credentials
        if own is None:
            return S3Store(request.prefix.bucket, client_options=options, retry_config=retries)
        config: S3Config = {"region": own.region or "us-east-1"}
        if endpoint:
            config["endpoint"] = endpoint

        def credential() -> "S3Credential":
            return {
                "access_key_id": own.access_key_id,
                "secret_access_key": own.secret_access_key,
                "token": own.session_token or None,
                "expires_at": None,
            }

        return S3Store(
            request.prefix.bucket,
            config=config,
            client_options=options,
            retry_config=retries,
            credential_provider=credential,
        )

    def _endpoint(self, request: ListRequest) -> str:
        if request.credentials is not None:
            return request.credentials.endpoint_url
        return next((self._environ[name] for name in _ENDPOINT_VARIABLES if self._environ.get(name)), "")

    def _place(self, request: ListRequest) -> str:
        return self._endpoint(request) or "AWS S3"


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
        error: the text, which carries S3's XML answer if there was one.
        request: what was asked for.
        place: the object store, as the user knows it.
    """
    code = match.group(1) if (match := _CODE.search(error)) else ""
    status = match.group(1) if (match := _STATUS.search(error)) else ""
    if any(address in error for address in _METADATA_SERVICES):
        sentence = _NO_CREDENTIALS
    elif code in _BY_CODE:
        sentence = _BY_CODE[code]
    elif status:
        sentence = _BY_STATUS.get(status, _OTHER_STATUS)
    elif "error sending request" in error:
        sentence = _UNREACHABLE
    else:
        sentence = "{place} could not list {uri}: {first_line}"
    message = sentence.format(
        place=place,
        whose=_whose(request.credentials),
        bucket=request.prefix.bucket,
        uri=request.source.uri,
        code=code or status,
        status=status,
        first_line=error.splitlines()[0][:300] if error else "no reason given",
    )
    return ListingError(message, answered=sentence not in {_UNREACHABLE, _OTHER_STATUS})


def _whose(credentials: Credentials | None) -> str:
    return (
        "the operator's own credentials"
        if credentials is None
        else "the credentials of spec.input.credentialsSecretRef"
    )
