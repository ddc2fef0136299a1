"""How to reach the object stores that hold a job's documents and get its results."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Scheme: TypeAlias = Literal["s3", "gs", "az"]
"""What URIs begin with: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage."""

ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID"
SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable, not its value
SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a variable, not its value
ENDPOINT_URL = "AWS_ENDPOINT_URL"
REGION = "AWS_REGION"
_S3_LINES = (ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, REGION)

GOOGLE_KEYS = ("GOOGLE_APPLICATION_CREDENTIALS_JSON", "service-account.json", "key.json")
GOOGLE_ENDPOINT = "GOOGLE_BASE_URL"

AZURE_ACCOUNT = "AZURE_STORAGE_ACCOUNT_NAME"
AZURE_KEY = "AZURE_STORAGE_ACCOUNT_KEY"
AZURE_SAS = "AZURE_STORAGE_SAS_TOKEN"
AZURE_CLIENT = ("AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_CLIENT_SECRET", "AZURE_STORAGE_TENANT_ID")
AZURE_ENDPOINT = "AZURE_STORAGE_ENDPOINT"

USUAL: Mapping[Scheme, str] = {
    "s3": f"{ACCESS_KEY_ID} and {SECRET_ACCESS_KEY}",
    "gs": f"{GOOGLE_KEYS[0]} (a service account's key, as JSON)",
    "az": f"{AZURE_ACCOUNT} and {AZURE_KEY}, {AZURE_SAS}, or all of {', '.join(AZURE_CLIENT)}",
}
"""The keys that a Secret for a store has, for sentences."""

_URL = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[!-~]*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")


class CredentialsError(ValueError):
    """A Secret that does not say how to reach the object store; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a Secret says of S3; nothing of it is mixed with the operator's own credentials.

    Otherwise whoever may create a Secret could have requests signed with the operator's
    credentials sent to a host of their choice. So it is for the other stores.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    endpoint_url: str = ""
    region: str = ""

    @classmethod
    def from_secret(cls, name: str, data: Mapping[str, str], field: str) -> "Credentials":
        """Read the keys of a Secret, which are named like the usual environment variables.

        Args:
            name: Of the Secret.
            data: What it holds.
            field: What names it.

        Raises:
            CredentialsError: a key is missing or broken, or the endpoint is no URL.
        """
        check_lines(f"Secret {name}", {key: data[key] for key in _S3_LINES if key in data})
        missing = [key for key in (ACCESS_KEY_ID, SECRET_ACCESS_KEY) if not data.get(key)]
        if missing:
            raise CredentialsError(
                f"Secret {name} has no {' and no '.join(missing)}: add what is missing, "
                f"or remove {field} to use the operator's own credentials"
            )
        return cls(
            access_key_id=data[ACCESS_KEY_ID],
            secret_access_key=data[SECRET_ACCESS_KEY],
            session_token=data.get(SESSION_TOKEN, ""),
            endpoint_url=_endpoint(name, data, ENDPOINT_URL, "https://minio.storage.svc:9000", "AWS"),
            region=data.get(REGION, ""),
        )


@dataclass(frozen=True, slots=True)
class GoogleCredentials:
    """What a Secret says of Google Cloud Storage.

    Attributes:
        service_account: The key of a service account, as Google's console gives it.
        email: Of the service account.
        endpoint_url: Of the store; empty for Google's own.
    """

    service_account: str = field(repr=False)
    email: str = ""
    endpoint_url: str = ""

    @classmethod
    def from_secret(cls, name: str, data: Mapping[str, str], field: str) -> "GoogleCredentials":
        """Read the keys of a Secret.

        Args:
            name: Of the Secret.
            data: What it holds.
            field: What names it.

        Raises:
            CredentialsError: the key of the service account is missing or is none, or something is not known.
        """
        _check_names(name, data, (*GOOGLE_KEYS, GOOGLE_ENDPOINT), "gs")
        given = [key for key in GOOGLE_KEYS if data.get(key)]
        if len(given) != 1:
            told = f"has {' and '.join(given)}: keep one of them" if given else f"has no {_either(GOOGLE_KEYS)}"
            advice = "" if given else f": add a service account's key, or remove {field} to use the operator's own"
            raise CredentialsError(f"Secret {name} {told}{advice}")
        return cls(
            service_account=data[given[0]],
            email=_email(name, given[0], data[given[0]]),
            endpoint_url=_endpoint(name, data, GOOGLE_ENDPOINT, "https://storage.example.com", "Google's own"),
        )


@dataclass(frozen=True, slots=True)
class AzureCredentials:
    """What a Secret says of Azure Blob Storage: an account, and one of three ways into it.

    Attributes:
        account: The storage account, whose containers URIs name.
        key: One of its two access keys.
        sas: A shared access signature.
        client: Id, secret and tenant of an application that has a role on it.
        endpoint_url: Of the account; empty for its usual one.
    """

    account: str
    key: str = field(default="", repr=False)
    sas: str = field(default="", repr=False)
    client: tuple[str, str, str] | None = field(default=None, repr=False)
    endpoint_url: str = ""

    @classmethod
    def from_secret(cls, name: str, data: Mapping[str, str], field: str) -> "AzureCredentials":
        """Read the keys of a Secret.

        Args:
            name: Of the Secret.
            data: What it holds.
            field: What names it.

        Raises:
            CredentialsError: the account or the way into it is missing, there are several, or something is not known.
        """
        _check_names(name, data, (AZURE_ACCOUNT, AZURE_KEY, AZURE_SAS, *AZURE_CLIENT, AZURE_ENDPOINT), "az")
        check_lines(f"Secret {name}", {key: data[key] for key in (AZURE_KEY, AZURE_SAS, *AZURE_CLIENT) if key in data})
        if not data.get(AZURE_ACCOUNT):
            raise CredentialsError(
                f"Secret {name} has no {AZURE_ACCOUNT}: add the name of the storage account, "
                f"or remove {field} to use the operator's own credentials"
            )
        if not _ACCOUNT.fullmatch(data[AZURE_ACCOUNT]):
            raise CredentialsError(
                f"{AZURE_ACCOUNT} in Secret {name} is {data[AZURE_ACCOUNT]!r}, which is no name of a storage account: "
                "it has 3 to 24 lower-case letters and digits"
            )
        ways = [key for key in (AZURE_KEY, AZURE_SAS) if data.get(key)]
        parts = [key for key in AZURE_CLIENT if data.get(key)]
        if not ways and parts and len(parts) < len(AZURE_CLIENT):
            absent = [key for key in AZURE_CLIENT if key not in parts]
            raise CredentialsError(f"Secret {name} has {' and '.join(parts)}, but no {' and no '.join(absent)}: add it")
        if len(ways) + bool(parts) != 1:
            told = f"has {' and '.join((*ways, *parts))}: keep one way of access" if ways else "says no way of access"
            raise CredentialsError(f"Secret {name} {told}; its keys are {USUAL['az']}")
        return cls(
            account=data[AZURE_ACCOUNT],
            key=data.get(AZURE_KEY, ""),
            sas=data.get(AZURE_SAS, ""),
            client=(data[AZURE_CLIENT[0]], data[AZURE_CLIENT[1]], data[AZURE_CLIENT[2]]) if parts else None,
            endpoint_url=_endpoint(
                name, data, AZURE_ENDPOINT, "https://account.blob.core.usgovcloudapi.net", "the account's usual one"
            ),
        )


AnyCredentials: TypeAlias = Credentials | GoogleCredentials | AzureCredentials
"""What a Secret says of an object store."""


def from_secret(scheme: Scheme, name: str, data: Mapping[str, str], field: str) -> AnyCredentials:
    """Read a Secret for a store.

    Args:
        scheme: Which kind of store.
        name: Of the Secret.
        data: What it holds.
        field: What names it.

    Raises:
        CredentialsError: it does not say how to reach such a store.
    """
    match scheme:
        case "s3":
            return Credentials.from_secret(name, data, field)
        case "gs":
            return GoogleCredentials.from_secret(name, data, field)
        case "az":
            return AzureCredentials.from_secret(name, data, field)


def scheme_named(text: str) -> Scheme | None:
    """The scheme that a URI begins with; None for one of no object store."""
    return next((scheme for scheme in USUAL if scheme == text), None)


def is_http_url(text: str) -> bool:
    """Whether ``text`` is an http or https URL that a request can be sent to."""
    return _URL.fullmatch(text) is not None


def check_lines(where: str, data: Mapping[str, str]) -> None:
    """Refuse what goes into a request as it is and would break it; obstore's Rust panics at it.

    Args:
        where: What holds these values, for sentences.
        data: The values, by the names that they have there.

    Raises:
        CredentialsError: one is not a single line.
    """
    if broken := [key for key, value in data.items() if _CONTROL.search(value)]:
        raise CredentialsError(
            f"{' and '.join(broken)} of {where} must be one line, but has a line break or another control character: "
            "write it anew without"
        )


def _endpoint(name: str, data: Mapping[str, str], key: str, example: str, otherwise: str) -> str:
    endpoint = data.get(key, "")
    if endpoint and not is_http_url(endpoint):
        raise CredentialsError(
            f"{key} in Secret {name} is {endpoint!r}, which is no URL: "
            f'write it like "{example}", or remove it to use {otherwise}'
        )
    return endpoint


def _check_names(name: str, data: Mapping[str, str], known: Collection[str], scheme: Scheme) -> None:
    """Refuse what is not known: a misspelt key would otherwise be looked for in vain."""
    if unknown := sorted(data.keys() - set(known)):
        raise CredentialsError(
            f"Secret {name} has {' and '.join(unknown)}, which is not known for {scheme}://: "
            f"correct or remove it; the keys are {', '.join(known)}"
        )


def _email(name: str, key: str, text: str) -> str:
    """Of the service account whose key this is."""
    what = f"{key} in Secret {name}"
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise CredentialsError(f"{what} is no JSON object: put the file there that Google gives for a service account")
    kind = content.get("type")
    if kind != "service_account":
        raise CredentialsError(f"{what} has the type {kind!r}: only the key of a service account can be used")
    if missing := [each for each in ("client_email", "private_key") if not isinstance(content.get(each), str)]:
        raise CredentialsError(f"{what} has no {' and no '.join(missing)}: put the whole file there that Google gives")
    return str(content["client_email"])


def _either(keys: Collection[str]) -> str:
    *first, last = keys
    return f"{', '.join(first)} or {last}"
