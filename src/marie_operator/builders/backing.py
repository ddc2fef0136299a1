"""Where a cluster's backing services are, and which Secrets lead to them."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from marie_operator.api.backing import BackingServices, Credentials
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.meta import SecretKeyReference
from marie_operator.builders import association

RESULTS_BUCKET = "marie"
"""Where Marie keeps results that was not told of another bucket."""


class Service(StrEnum):
    """A backing service, as messages and containers name it."""

    ETCD = "etcd"
    POSTGRES = "postgres"
    S3 = "s3"
    RABBITMQ = "rabbitmq"


class Address(NamedTuple):
    """Where a service listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Wanted(NamedTuple):
    """Keys of a Secret that the configuration is made of.

    Attributes:
        field: Where the spec names the Secret.
        secret: Its name.
        keys: What it must hold.
        service: What it leads to; None for the gateway itself.
    """

    field: str
    secret: str
    keys: tuple[str, ...]
    service: Service | None


def of(cluster: MarieCluster) -> BackingServices | None:
    """The services a cluster stands on, where the operator knows of them."""
    return cluster.spec.backing_services


def managed(cluster: MarieCluster) -> set[Service]:
    """The services that the operator runs itself."""
    services = of(cluster)
    if services is None:
        return set()
    found = {Service.ETCD: services.etcd.managed, Service.POSTGRES: services.postgres.managed}
    return {service for service, wanted in found.items() if wanted is not None}


def addresses(cluster: MarieCluster) -> dict[Service, Address]:
    """Where each service listens, as seen from the cluster's pods."""
    services = of(cluster)
    if services is None:
        return {}
    name, own = cluster.metadata.name, managed(cluster)
    etcd, postgres = services.etcd, services.postgres
    found = {
        Service.ETCD: _own(cluster, association.etcd_name(name), 2379)
        if Service.ETCD in own
        else Address(etcd.host, etcd.port),
        Service.POSTGRES: _own(cluster, association.postgres_name(name), 5432)
        if Service.POSTGRES in own
        else Address(postgres.host, postgres.port),
    }
    if services.s3 is not None:
        url = urlsplit(services.s3.endpoint)
        found[Service.S3] = Address(url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
    if services.rabbitmq is not None:
        found[Service.RABBITMQ] = Address(services.rabbitmq.host, services.rabbitmq.port)
    return found


def _own(cluster: MarieCluster, service: str, port: int) -> Address:
    return Address(f"{service}.{cluster.metadata.namespace}.svc", port)


def postgres_credentials(cluster: MarieCluster) -> Credentials | None:
    """The Secret that leads to the database: the user's, or the one that the operator makes for its own."""
    services = of(cluster)
    if services is None:
        return None
    if services.postgres.managed is not None:
        return Credentials(name=association.postgres_name(cluster.metadata.name))
    return services.postgres.credentials_secret_ref


def api_key(cluster: MarieCluster) -> SecretKeyReference:
    """The Secret with the key by which jobs are submitted."""
    auth = cluster.spec.auth
    given = auth.api_key_secret_ref if auth else None
    return given or SecretKeyReference(name=association.api_key_secret_name(cluster.metadata.name))


def secrets(cluster: MarieCluster) -> Iterator[Wanted]:
    """Every Secret that the configuration is made of."""
    services = of(cluster)
    if services is None:
        return
    root = "spec.backingServices"
    if (postgres := postgres_credentials(cluster)) is not None:
        keys = (postgres.username_key, postgres.password_key)
        yield Wanted(f"{root}.postgres.credentialsSecretRef", postgres.name, keys, Service.POSTGRES)
    if services.s3 is not None:
        store = services.s3.credentials_secret_ref
        keys = (store.access_key_id_key, store.secret_access_key_key)
        yield Wanted(f"{root}.s3.credentialsSecretRef", store.name, keys, Service.S3)
    if services.rabbitmq is not None:
        broker = services.rabbitmq.credentials_secret_ref
        keys = (broker.username_key, broker.password_key)
        yield Wanted(f"{root}.rabbitmq.credentialsSecretRef", broker.name, keys, Service.RABBITMQ)
    key = api_key(cluster)
    yield Wanted("spec.auth.apiKeySecretRef", key.name, (key.key,), None)
    for index, other in enumerate(cluster.spec.auth.client_key_secret_refs if cluster.spec.auth else ()):
        yield Wanted(f"spec.auth.clientKeySecretRefs[{index}]", other.name, (other.key,), None)
