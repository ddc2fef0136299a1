"""How to reach the object store that holds a job's documents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID"
SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable, not its value
SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a variable, not its value
ENDPOINT_URL = "AWS_ENDPOINT_URL"
REGION = "AWS_REGION"

_URL = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[!-~]*)?")


class CredentialsError(ValueError):
    """A Secret that does not say how to reach the object store; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a job's own Secret says; nothing of it is mixed with the operator's own credentials.

    Otherwise whoever may create a Secret could have requests signed with the operator's
    credentials sent to a host of their choice.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    endpoint_url: str = ""
    region: str = ""

    @classmethod
    def from_secret(
        cls, name: str, data: Mapping[str, str], field: str = "spec.input.credentialsSecretRef"
    ) -> "Credentials":
        """Read the keys of a Secret, which are named like the usual environment variables.

        Args:
            name: Of the Secret.
            data: What it holds.
            field: What names it.

        Raises:
            CredentialsError: a key is missing, or the endpoint is no URL.
        """
        missing = [key for key in (ACCESS_KEY_ID, SECRET_ACCESS_KEY) if not data.get(key)]
        if missing:
            raise CredentialsError(
                f"Secret {name} has no {' and no '.join(missing)}: add what is missing, "
                f"or remove {field} to use the operator's own credentials"
            )
        endpoint = data.get(ENDPOINT_URL, "")
        if endpoint and not is_http_url(endpoint):
            raise CredentialsError(
                f"{ENDPOINT_URL} in Secret {name} is {endpoint!r}, which is no URL: "
                f'write it like "https://minio.storage.svc:9000", or remove it to use AWS'
            )
        return cls(
            access_key_id=data[ACCESS_KEY_ID],
            secret_access_key=data[SECRET_ACCESS_KEY],
            session_token=data.get(SESSION_TOKEN, ""),
            endpoint_url=endpoint,
            region=data.get(REGION, ""),
        )


def is_http_url(text: str) -> bool:
    """Whether ``text`` is an http or https URL that a request can be sent to."""
    return _URL.fullmatch(text) is not None
