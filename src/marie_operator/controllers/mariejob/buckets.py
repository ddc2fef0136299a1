"""Buckets of object stores, and how obstore is told to reach them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from marie_operator.controllers.mariejob.credentials import (
    AZURE_ACCOUNT,
    AZURE_ENDPOINT,
    ENDPOINT_URL,
    GOOGLE_ENDPOINT,
    AnyCredentials,
    AzureCredentials,
    Credentials,
    GoogleCredentials,
    Scheme,
    is_http_url,
)

if TYPE_CHECKING:
    from obstore.store import (
        AzureAccessKey,
        AzureConfig,
        AzureCredential,
        AzureStore,
        ClientConfig,
        GCSStore,
        S3Config,
        S3Credential,
        S3Store,
    )

    Store: TypeAlias = S3Store | GCSStore | AzureStore

T = TypeVar("T", bound=AnyCredentials)

_ENDPOINT_VARIABLES: Mapping[Scheme, tuple[str, ...]] = {
    "s3": ("AWS_ENDPOINT_URL_S3", ENDPOINT_URL, "AWS_ENDPOINT"),
    "gs": (GOOGLE_ENDPOINT,),
    "az": (AZURE_ENDPOINT, "AZURE_ENDPOINT"),
}
_NAMES: Mapping[Scheme, str] = {"s3": "AWS S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
_EXAMPLES: Mapping[Scheme, str] = {
    "s3": "https://minio.storage.svc:9000",
    "gs": "https://storage.example.com",
    "az": "https://account.blob.core.usgovcloudapi.net",
}
# Any of these lets obstore in without asking the machine's metadata service, which may not be there.
_OWN_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
# obstore takes these from the environment even when it is given a service account's key, and then refuses both or uses
# the wrong one. The operator's own way in is GOOGLE_APPLICATION_CREDENTIALS, or a workload identity.
_FOREIGN_TO_GOOGLE = (
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_BEARER_TOKEN",
    "GOOGLE_SKIP_SIGNATURE",
)
_DEFAULT_REGION = "us-east-1"
_GOOGLE = "https://storage.googleapis.com"
_MICROSOFT = "https://login.microsoftonline.com"


class EndpointError(Exception):
    """The operator's environment does not say how to reach a store; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, or what a store calls so, and who asks for what is in it.

    Attributes:
        name: Of the bucket.
        credentials: How to reach it; ``None`` for the operator's own way.
        whose: Whose credentials these are, for sentences.
        named_by: The field that names the bucket, for sentences.
        scheme: Which kind of store it is in; that of ``credentials``, if there are any.
    """

    name: str
    credentials: AnyCredentials | None = None
    whose: str = "the operator's own credentials"
    named_by: str = "spec.input.uri"
    scheme: Scheme = "s3"

    @property
    def uri(self) -> str:
        """The bucket, for sentences."""
        return f"{self.scheme}://{self.name}"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a bucket.

    Attributes:
        bucket: The bucket.
        path: The folder's name, without a slash at its end.
    """

    bucket: Bucket
    path: str

    @property
    def uri(self) -> str:
        """The folder, with a slash at its end."""
        return f"{self.bucket.uri}/{self.path}/"


class Buckets:
    """Makes obstore's stores.

    obstore is imported with the first one: an operator without batch jobs does not pay for it.

    Args:
        environ: The operator's environment, which says whether its endpoints are plain HTTP.
            Its credentials (static, web identity, instance profile) are read by obstore itself.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    @property
    def has_own(self) -> bool:
        """Whether the operator was given credentials of its own for S3."""
        return any(self._environ.get(name) for name in _OWN_CREDENTIALS)

    def place(self, bucket: Bucket) -> str:
        """The object store, as the user knows it."""
        return self.endpoint(bucket) or _NAMES[bucket.scheme]

    def endpoint(self, bucket: Bucket) -> str:
        """The object store's URL; empty for the usual one."""
        if bucket.credentials is not None:
            return bucket.credentials.endpoint_url.rstrip("/")
        named = (self._environ.get(name, "") for name in _ENDPOINT_VARIABLES[bucket.scheme])
        return next((url for url in named if url), "").rstrip("/")

    def region(self, credentials: Credentials | None) -> str:
        """The region of S3."""
        if credentials is not None:
            return credentials.region or _DEFAULT_REGION
        named = (self._environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION"))
        return next((region for region in named if region), _DEFAULT_REGION)

    def are_of_one_store(self, one: Bucket, other: Bucket) -> bool:
        """Whether an object of one bucket can be copied into the other without being read."""
        if one.scheme != "s3" or other.scheme != "s3":
            return False
        return (self.endpoint(one), self.region(_own(one, Credentials))) == (
            self.endpoint(other),
            self.region(_own(other, Credentials)),
        )

    def store(self, bucket: Bucket, *, seconds: float = 30.0) -> "Store":
        """A bucket to work in.

        Args:
            bucket: Which.
            seconds: How long a request may take.

        Raises:
            EndpointError: the operator's environment does not say how to reach it.
        """
        match bucket.scheme:
            case "s3":
                return self._s3(bucket, {}, seconds)
            case "gs":
                return self._google(bucket, seconds)
            case "az":
                return self._azure(bucket, seconds)

    def whole_store(self, source: Bucket, target: Bucket, *, seconds: float) -> "S3Store":
        """The store around a bucket, from which objects of that bucket are copied to keys that begin with another's.

        A store of obstore's copies within one bucket. S3 itself copies from the bucket that the request's header
        names to the one that its path names, and with this addressing the path is all ours.

        Args:
            source: Where objects are copied from.
            target: Whose credentials are used: they may read the source, and write where objects go.
            seconds: How long a request may take.

        Raises:
            EndpointError: the operator's environment names no usable endpoint.
        """
        own = _own(target, Credentials)
        root = self.endpoint(target) or f"https://s3.{self.region(own)}.amazonaws.com"
        config: S3Config = {"endpoint": root, "virtual_hosted_style_request": True}
        return self._s3(Bucket(source.name, own), config, seconds)

    def _s3(self, bucket: Bucket, config: "S3Config", seconds: float) -> "S3Store":
        from obstore.store import S3Store  # noqa: PLC0415 - see the class

        endpoint, own = self._checked_endpoint(bucket), _own(bucket, Credentials)
        limits = _limits(endpoint, seconds)
        if own is None:
            return S3Store(bucket.name, config=config, **limits)
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
            bucket.name,
            config={**whole, **config},
            credential_provider=credential,
            **limits,
        )

    def _google(self, bucket: Bucket, seconds: float) -> "GCSStore":
        from obstore.store import GCSStore  # noqa: PLC0415 - see the class

        endpoint, own = self._checked_endpoint(bucket), _own(bucket, GoogleCredentials)
        limits = _limits(endpoint, seconds)
        if own is None:
            return GCSStore(bucket.name, **limits)
        if given := [name for name in _FOREIGN_TO_GOOGLE if self._environ.get(name)]:
            raise EndpointError(
                f"The operator's environment has {' and '.join(given)}, beside which the keys of Secrets cannot be "
                "used. Give the operator GOOGLE_APPLICATION_CREDENTIALS or a workload identity instead."
            )
        return GCSStore(
            bucket.name,
            config={"service_account_key": own.service_account, "base_url": endpoint or _GOOGLE},
            **limits,
        )

    def _azure(self, bucket: Bucket, seconds: float) -> "AzureStore":
        from obstore.store import AzureStore  # noqa: PLC0415 - see the class

        endpoint, own = self._checked_endpoint(bucket), _own(bucket, AzureCredentials)
        limits = _limits(endpoint, seconds)
        if own is None:
            if not self._environ.get(AZURE_ACCOUNT):
                raise EndpointError(
                    f"Nothing says which storage account has the container {bucket.name}. Name a Secret with "
                    f"{AZURE_ACCOUNT}, or set it in the environment of the operator's Deployment."
                )
            return AzureStore(bucket.name, **limits)
        # Whatever is not said here, obstore would take from the operator's environment.
        config: AzureConfig = {
            "account_name": own.account,
            "endpoint": endpoint or f"https://{own.account}.blob.core.windows.net",
            "use_emulator": False,
            "skip_signature": False,
            "use_azure_cli": False,
            "authority_host": _MICROSOFT,
        }
        if own.client is not None:
            config["client_id"], config["client_secret"], config["tenant_id"] = own.client
            config["credential_type"] = "client_secret"
            return AzureStore(bucket.name, config=config, **limits)

        def credential() -> "AzureCredential":
            key: AzureAccessKey = {"access_key": own.key, "expires_at": None}
            return {"sas_token": own.sas.removeprefix("?"), "expires_at": None} if own.sas else key

        return AzureStore(
            bucket.name,
            config=config,
            credential_provider=credential,
            **limits,
        )

    def _checked_endpoint(self, bucket: Bucket) -> str:
        endpoint, scheme = self.endpoint(bucket), bucket.scheme
        if endpoint and not is_http_url(endpoint):
            name = ENDPOINT_URL if scheme == "s3" else _ENDPOINT_VARIABLES[scheme][0]
            raise EndpointError(
                f"The operator's {name} is {endpoint!r}, which is no URL. "
                f'Correct the environment of the operator\'s Deployment, like "{_EXAMPLES[scheme]}".'
            )
        return endpoint


def _limits(endpoint: str, seconds: float) -> dict[str, Any]:
    """How long a request and its repetitions may take."""
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=5),
        "timeout": timedelta(seconds=seconds),
    }
    return {
        "client_options": options,
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=seconds)},
    }


def _own(bucket: Bucket, kind: type[T]) -> T | None:
    """A bucket's credentials.

    Raises:
        TypeError: they are another store's.
    """
    if bucket.credentials is None or isinstance(bucket.credentials, kind):
        return bucket.credentials
    raise TypeError(f"{bucket.uri} cannot be reached by {type(bucket.credentials).__name__}")
