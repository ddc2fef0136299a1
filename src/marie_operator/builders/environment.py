"""Environment variables that Marie reads (MA-08); the user's own of the same name always win.

Only what ``env`` names counts as the user's: what ``envFrom`` brings along is unknown here, and ``env`` goes before it.
"""

import re
from collections.abc import Mapping, Sequence

from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.builders import association, backing, resources
from marie_operator.builders.backing import Service
from marie_operator.runtime.resource import Object

_COMMON = {
    "PYTHONUNBUFFERED": "1",
    "COLUMNS": "180",
    "MARIE_DEFAULT_MOUNT": "/etc/marie",
    "MARIE_CACHE_SKIP_LOAD": "true",
    "MARIE_LOG_CONFIG": "docker",
    "JINA_LOG_LEVEL": "INFO",
    "JINA_OPTOUT_TELEMETRY": "1",
    "NO_VERSION_CHECK": "1",
}
_POD = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_IP": "status.podIP"}
# The API version is what the API server would fill in; written out, the manifest compares equal later.
_FIELDS: Sequence[Object] = [
    {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}} for name, path in _POD.items()
]


def server(cluster: MarieCluster) -> list[Object]:
    """Of the gateway: it forks, and it counts the slots that each kind of executor offers."""
    slots: dict[str, int] = {}
    for group in cluster.spec.executor_group_specs:
        if group.slots is not None:
            # Marie has one number for all pods of an executor: the least overloads none of them.
            variable = _slots_variable(association.executor_name(group))
            slots[variable] = min(group.slots, slots.get(variable, group.slots))
    plain = {
        **_COMMON,
        "MARIE_DEPLOYMENT_NAME": cluster.metadata.name,
        "JINA_MP_START_METHOD": "fork",
        **{variable: str(number) for variable, number in sorted(slots.items())},
    }
    return [*_plain(plain), *_FIELDS]


def executor(cluster: MarieCluster, group: ExecutorGroupSpec, ports: Mapping[str, int]) -> list[Object]:
    """Of an executor: it spawns its workers, on known ports, with or without GPUs."""
    plain = {
        **_COMMON,
        "MARIE_DEPLOYMENT_NAME": cluster.metadata.name,
        "JINA_MP_START_METHOD": "spawn",
        "MARIE_PORT": str(ports[association.FLOW]),
        "MARIE_WORKER_PORT": str(ports[association.WORKER]),
    }
    if group.model_cache is not None:
        plain["HF_HUB_CACHE"] = f"{association.MODELS}/cache/huggingface/hub"
    services = backing.of(cluster)
    if services is not None and services.s3 is not None and services.s3.bucket != backing.RESULTS_BUCKET:
        # What is stored of a document goes to this bucket, whatever the configuration of the storage says.
        plain["MARIE_S3_BUCKET"] = services.s3.bucket
    if not resources.uses_gpu(group):
        plain["MARIE_DISABLE_CUDA"] = "1"
    return [*_plain(plain), *_FIELDS]


def services(cluster: MarieCluster) -> list[Object]:
    """What the user's own configuration may take backing services from, by the names of Marie's samples."""
    found = backing.of(cluster)
    if found is None:
        return []
    at = backing.addresses(cluster)
    plain = {"ETCD_HOSTNAME": at[Service.ETCD].host, "ETCD_PORT": str(at[Service.ETCD].port)}
    plain |= {"POSTGRES_HOSTNAME": at[Service.POSTGRES].host, "POSTGRES_PORT": str(at[Service.POSTGRES].port)}
    plain["POSTGRES_DB"] = found.postgres.database
    secret: dict[str, tuple[str, str]] = {}
    if (database := backing.postgres_credentials(cluster)) is not None:
        secret["POSTGRES_USER"] = (database.name, database.username_key)
        secret["POSTGRES_PASSWORD"] = (database.name, database.password_key)
    if found.s3 is not None:
        store = found.s3.credentials_secret_ref
        plain |= {"S3_ENDPOINT_URL": found.s3.endpoint, "S3_BUCKET_NAME": found.s3.bucket, "S3_REGION": found.s3.region}
        secret["S3_ACCESS_KEY_ID"] = (store.name, store.access_key_id_key)
        secret["S3_SECRET_ACCESS_KEY"] = (store.name, store.secret_access_key_key)
    if found.rabbitmq is not None:
        broker = found.rabbitmq.credentials_secret_ref
        plain |= {"RABBIT_MQ_HOSTNAME": found.rabbitmq.host, "RABBIT_MQ_PORT": str(found.rabbitmq.port)}
        secret["RABBIT_MQ_USERNAME"] = (broker.name, broker.username_key)
        secret["RABBIT_MQ_PASSWORD"] = (broker.name, broker.password_key)
    return [
        *_plain(plain),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": of, "key": key}}}
            for name, (of, key) in secret.items()
        ),
    ]


def _plain(values: dict[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _slots_variable(executor: str) -> str:
    # Marie looks for the name in capitals and otherwise as it is, dashes included; the API server takes no others.
    return f"MARIE_SLOTS_{re.sub(r'[^-._A-Z0-9]', '_', executor.upper())}_PER_NODE"
