"""The Secrets that the operator makes for a cluster, and what it finds in any."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.meta import GROUP
from marie_operator.builders import association, backing, configuration
from marie_operator.builders.association import POSTGRES, SERVER
from marie_operator.builders.backing import Service
from marie_operator.runtime.resource import SECRETS, Object

ROTATE = f"{GROUP}/rotate-api-key"
"""Annotation on a MarieCluster: another value than before has the operator replace the API key that it made."""
ROTATED = f"{GROUP}/rotated"
"""Annotation on the Secret with the API key: the value of ``ROTATE`` for which the key was made."""

KEY_PREFIX, KEY_BYTES = "mas_", 40
"""Marie takes keys of 58 characters that begin so: 40 bytes are 54 characters of base64."""
PASSWORD_BYTES = 24


def api_key(cluster: MarieCluster, random: bytes) -> Object:
    """The Secret with a new API key.

    Args:
        cluster: Whose gateway accepts it.
        random: ``KEY_BYTES`` bytes that nobody can guess.
    """
    name = association.api_key_secret_name(cluster.metadata.name)
    key = KEY_PREFIX + base64.urlsafe_b64encode(random).decode().rstrip("=")
    rotated = cluster.metadata.annotations.get(ROTATE)
    return _secret(cluster, name, SERVER, {"apiKey": key}, {} if rotated is None else {ROTATED: rotated})


def postgres(cluster: MarieCluster, random: bytes) -> Object:
    """The Secret with the password of the managed PostgreSQL, and the rest of what a client needs.

    Args:
        cluster: Whose database it is.
        random: ``PASSWORD_BYTES`` bytes that nobody can guess.
    """
    name = association.postgres_name(cluster.metadata.name)
    address = backing.addresses(cluster)[Service.POSTGRES]
    data = {
        "username": "postgres",
        # The letters at its head keep Marie from reading a number into it.
        "password": "pg" + random.hex(),
        "host": address.host,
        "port": str(address.port),
        "database": "postgres",
        association.POSTGRES_FILE: configuration.POSTGRES_INIT,
    }
    return _secret(cluster, name, POSTGRES, data, {})


def config(cluster: MarieCluster, files: Mapping[str, str]) -> Object:
    """The Secret with the rendered configuration."""
    name = association.config_secret_name(cluster.metadata.name)
    return association.hashed(_secret(cluster, name, SERVER, files, {}))


def texts(secret: Object) -> dict[str, str]:
    """The values of a Secret without the line break that ``echo`` leaves; what is blank or no text is left out."""
    found = {name: _text(value) for name, value in (secret.get("data") or {}).items()}
    return {name: value for name, value in found.items() if value.strip()}


def encoded(value: str) -> str:
    """A value as a Secret's data has it."""
    return base64.b64encode(value.encode()).decode()


def _text(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().rstrip("\r\n")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _secret(
    cluster: MarieCluster, name: str, node_type: str, data: Mapping[str, str], annotations: Mapping[str, str]
) -> Object:
    metadata: dict[str, Any] = association.metadata(cluster, name, node_type)
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": metadata,
        "type": "Opaque",
        "data": {key: encoded(value) for key, value in data.items()},
    }
