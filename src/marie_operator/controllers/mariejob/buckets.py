"""Buckets of object stores, and how obstore is told to reach them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from marie_operator.controllers.mariejob.credentials import ENDPOINT_URL, Credentials, is_http_url

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential, S3Store

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", ENDPOINT_URL, "AWS_ENDPOINT")
# Any of these lets obstore in without asking the machine's metadata service, which may not be there.
_OWN_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_DEFAULT_REGION = "us-east-1"


class EndpointError(Exception):
    """The operator's environment names an endpoint that is none; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and who asks for what is in it.

    Attributes:
        name: Of the bucket.
        credentials: How to reach it; ``None`` for the operator's own way.
        whose: Whose credentials these are, for sentences.
        named_by: The field that names the bucket, for sentences.
    """

    name: str
    credentials: Credentials | None = None
    whose: str = "the operator's own credentials"
    named_by: str = "spec.input.uri"

    @property
    def uri(self) -> str:
        """The bucket, for sentences."""
        return f"s3://{self.name}"


class Buckets:
    """Makes obstore's stores.

    obstore is imported with the first one: an operator without batch jobs does not pay for it.

    Args:
        environ: The operator's environment, which says whether its endpoint is plain HTTP.
            Its credentials (static, web identity, instance profile) are read by obstore itself.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    @property
    def has_own(self) -> bool:
        """Whether the operator was given credentials of its own."""
        return any(self._environ.get(name) for name in _OWN_CREDENTIALS)

    def place(self, credentials: Credentials | None) -> str:
        """The object store, as the user knows it."""
        return self.endpoint(credentials) or "AWS S3"

    def endpoint(self, credentials: Credentials | None) -> str:
        """The object store's URL; empty for AWS."""
        if credentials is not None:
            return credentials.endpoint_url.rstrip("/")
        return next((self._environ[name] for name in _ENDPOINT_VARIABLES if self._environ.get(name)), "").rstrip("/")

    def region(self, credentials: Credentials | None) -> str:
        """The object store's region."""
        if credentials is not None:
            return credentials.region or _DEFAULT_REGION
        named = (self._environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION"))
        return next((region for region in named if region), _DEFAULT_REGION)

    def are_of_one_store(self, one: Bucket, other: Bucket) -> bool:
        """Whether an object of one bucket can be copied into the other without being read."""
        return (self.endpoint(one.credentials), self.region(one.credentials)) == (
            self.endpoint(other.credentials),
            self.region(other.credentials),
        )

    def store(self, bucket: Bucket, *, seconds: float = 30.0) -> "S3Store":
        """A bucket to work in.

        Args:
            bucket: Which.
            seconds: How long a request may take.

        Raises:
            EndpointError: the operator's environment names no usable endpoint.
        """
        return self._made(bucket.name, bucket.credentials, {}, seconds)

    def whole_store(self, bucket: Bucket, credentials: Credentials | None, *, seconds: float) -> "S3Store":
        """The store around a bucket, from which objects of that bucket are copied to keys that begin with another's.

        A store of obstore's copies within one bucket. S3 itself copies from the bucket that the request's header
        names to the one that its path names, and with this addressing the path is all ours.

        Args:
            bucket: Where objects are copied from.
            credentials: Of who may read it, and write where they go.
            seconds: How long a request may take.

        Raises:
            EndpointError: the operator's environment names no usable endpoint.
        """
        root = self.endpoint(credentials) or f"https://s3.{self.region(credentials)}.amazonaws.com"
        config: S3Config = {"endpoint": root, "virtual_hosted_style_request": True}
        return self._made(bucket.name, credentials, config, seconds)

    def _made(self, name: str, own: Credentials | None, config: "S3Config", seconds: float) -> "S3Store":
        from obstore.store import S3Store  # noqa: PLC0415 - see the class

        endpoint = self.endpoint(own)
        if endpoint and not is_http_url(endpoint):
            raise EndpointError(
                f"The operator's {ENDPOINT_URL} is {endpoint!r}, which is no URL. "
                'Correct the environment of the operator\'s Deployment, like "https://minio.storage.svc:9000".'
            )
        options: ClientConfig = {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=seconds),
        }
        retries: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=seconds)}
        if own is None:
            return S3Store(name, config=config, client_options=options, retry_config=retries)
        whole: S3Config = {"region": own.region or _DEFAULT_REGION}
        if endpoint:
            whole["endpoint"] = endpoint

        def credential() -> "S3Credential":
            return {
                "access_key_id": own.access_key_id,
                "secret_access_key": own.secret_access_key,
                "token": own.session_token or None,
                "expires_at": None,
            }

        return S3Store(
            name,
            config={**whole, **config},
            client_options=options,
            retry_config=retries,
            credential_provider=credential,
        )
