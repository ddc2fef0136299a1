"""The configuration of gateway and executors, rendered from the spec (MA-01).

What Marie's own sample files say and no field of the spec does is written out here, so that a rendered file is whole.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import yaml

from marie_operator.api.backing import QUEUE, FlowExecutor, Scheduler
from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.builders import association, backing, pod, quoting, resources
from marie_operator.builders.backing import Service

Settings: TypeAlias = dict[str, Any]
Values: TypeAlias = Mapping[str, Mapping[str, str]]
"""What Secrets hold, by their names and keys."""

_SCHEMA = "marie_scheduler"
_POOL = {"max_pool_size": 5, "max_connections": 5}
_EVENTS = "/tmp/marie/events.json"  # noqa: S108 - a path in the container

_TEXT = "TextExtractionExecutor"

CLASSES: Mapping[str, FlowExecutor] = {
    "extract_executor": FlowExecutor(jtype=_TEXT, py_modules=("marie.executor.text",)),
    "mock_executor": FlowExecutor(jtype="IntegrationExecutorMock", py_modules=("marie.executor.mock",)),
}
"""What an executor of this name runs in Marie's own Flows, where that needs no model of the user's."""

POSTGRES_INIT = f"""\
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
CREATE EXTENSION IF NOT EXISTS pg_cron;
CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA IF NOT EXISTS {_SCHEMA};
CREATE TYPE {_SCHEMA}.sensor_type AS ENUM
    ('manual', 'schedule', 'webhook', 'polling', 'event', 'run_status');
"""
"""What Marie needs to find in a new database: extensions, and a type that its 4.0.0 does not make (MA-02)."""


class Unrenderable(NamedTuple):
    """A part of a valid spec of which no configuration can be rendered that Marie takes.

    Attributes:
        field: Where it is.
        advice: Why, and what to do.
    """

    field: str
    advice: str

    def __str__(self) -> str:
        return f"{self.field}: {self.advice}"


def unrenderable(cluster: MarieCluster) -> list[Unrenderable]:
    """What keeps a cluster's configuration from being rendered."""
    if not renders(cluster):
        return []
    misread = [
        Unrenderable(field, f"Marie would misread this text: {quoting.ADVICE}")
        for field, text in _texts(cluster)
        if text and not quoting.survives(text)
    ]
    return misread + [
        Unrenderable(f"spec.executorGroupSpecs[{index}]", advice)
        for index, group in enumerate(cluster.spec.executor_group_specs)
        if pod.renders_group(cluster, group) and (advice := _lacking(group))
    ]


def _texts(cluster: MarieCluster) -> Iterator[tuple[str, str]]:
    """Texts of the spec that are written out as they are, with their fields."""
    services = backing.of(cluster)
    if services is None:
        return
    root = "spec.backingServices"
    yield f"{root}.postgres.database", services.postgres.database
    if services.s3 is not None:
        yield f"{root}.s3.bucket", services.s3.bucket
        yield f"{root}.s3.region", services.s3.region
    if services.rabbitmq is not None:
        yield f"{root}.rabbitmq.virtualHost", services.rabbitmq.virtual_host


def _lacking(group: ExecutorGroupSpec) -> str:
    """What keeps a group's Flow from being rendered, as a sentence; empty when nothing does."""
    name = association.executor_name(group)
    if not name.isidentifier():
        # Marie's Flow.add.
        return (
            f"Marie takes no executor named {name}: set executorName to letters, digits and underscores, "
            "none of the digits first, as query plans address it."
        )
    if _class(group) is None:
        return (
            f"which class executors named {name} run is not known: "
            "set uses.jtype and uses.pyModules, or configFile to a Flow of your own."
        )
    return ""


def without_store(cluster: MarieCluster) -> list[str]:
    """Groups whose rendered class reads documents from an object store, of a cluster that has none (MA-04)."""
    services = backing.of(cluster)
    if services is None or services.s3 is not None:
        return []
    return [
        group.group_name
        for group in cluster.spec.executor_group_specs
        if pod.renders_group(cluster, group) and (runs := _class(group)) and runs.jtype == _TEXT
    ]


def renders(cluster: MarieCluster) -> bool:
    """Whether any pod of a cluster reads a rendered file."""
    groups = cluster.spec.executor_group_specs
    return pod.renders_server(cluster) or any(pod.renders_group(cluster, group) for group in groups)


def files(cluster: MarieCluster, values: Values) -> dict[str, str]:
    """The content of the Secret with the cluster's configuration.

    Args:
        cluster: A cluster with backing services, whose groups' classes are known.
        values: What every Secret of ``backing.secrets`` holds.

    Returns:
        Texts by file name; empty where the user brings every file.
    """
    result: dict[str, str] = {}
    if pod.renders_server(cluster):
        result[association.GATEWAY_FILE] = f"!MarieGateway\n{text(gateway(cluster, values))}"
        result[association.MAPPER_FILE] = text({"model_executors": dict(sorted(_scheduler(cluster).mapper.items()))})
    for group in cluster.spec.executor_group_specs:
        if pod.renders_group(cluster, group):
            result[association.group_file(group)] = text(flow(cluster, group, values))
    return result


def gateway(cluster: MarieCluster, values: Values) -> Settings:
    """The gateway's configuration, without the tag at its head."""
    database, etcd = _database(cluster, values), backing.addresses(cluster)[Service.ETCD]
    return {
        "uses": "MarieGateway",
        "py_modules": ["marie.serve.runtimes.gateway.marie"],
        "with": {
            "discovery": True,
            "discovery_host": etcd.host,
            "discovery_port": etcd.port,
            "discovery_watchdog_interval": 2,
            "discovery_service_name": "gateway/marie",
            "kv_store_kwargs": _kv_store(database),
            "job_scheduler_kwargs": _job_scheduler(cluster, database),
            "toast": {
                "native": {"enabled": True, "path": _EVENTS},
                **_broker(cluster, values),
                "psql": {**database, "schema": _SCHEMA, "default_table": "event_tracking", "enabled": True},
                "sse": {"enabled": False},
            },
            "storage": _storage(cluster, values, database, "store_metadata"),
            "llm_tracking": {"enabled": False},
            "auth": {"keys": list(_keys(cluster, values))},
        },
    }


def flow(cluster: MarieCluster, group: ExecutorGroupSpec, values: Values) -> Settings:
    """The Flow of a group: one executor with one worker, on ports that are known."""
    database, etcd = _database(cluster, values), backing.addresses(cluster)[Service.ETCD]
    ports = pod.executor_ports(group)
    return {
        "jtype": "Flow",
        "version": "1",
        "toast": {
            "native": {"enabled": True, "path": _EVENTS},
            **_broker(cluster, values),
            "psql": {**database, "schema": _SCHEMA, "default_table": "event_tracking", "enabled": True},
        },
        "storage": _storage(cluster, values, database, "store_metadata"),
        "with": {
            "protocol": ["grpc"],
            "port": ports[association.FLOW],
            "discovery": True,
            "discovery_host": etcd.host,
            "discovery_port": etcd.port,
            "discovery_watchdog_interval": 5,
            "discovery_service_name": "gateway/marie",
            "discovery_namespace": "marie",
            "discovery_lease_sec": 6,
            "discovery_heartbeat_sec": 1.5,
            "discovery_timeout_sec": 10,
            "discovery_retry_times": 5,
            "kv_store_kwargs": _kv_store(database),
            "host": "0.0.0.0",  # noqa: S104 - the gateway dials the pod's address
            "event_tracking": True,
        },
        "prefetch": 4,
        "executors": [_executor(cluster, group, values, database, ports[association.WORKER])],
        "llm_tracking": {"enabled": False},
        "auth": {"keys": list(_keys(cluster, values))},
    }


def _executor(
    cluster: MarieCluster, group: ExecutorGroupSpec, values: Values, database: Settings, port: int
) -> Settings:
    runs = _class(group)
    assert runs is not None  # noqa: S101 - what unrenderable names is never rendered
    gpu = resources.uses_gpu(group)
    parameters: Settings = {
        "health": {"gpu_monitor_enabled": gpu, "torch_check_enabled": gpu},
        "storage": _storage(cluster, values, database, "extract_metadata"),
    }
    if runs.jtype.startswith(_TEXT):
        parameters["pipeline"] = {"name": "default"}
    return {
        "name": association.executor_name(group),
        "uses": {
            "jtype": runs.jtype,
            "exit_on_exceptions": ["CUDARuntimeTerminated"],
            "with": parameters,
            "metas": {"py_modules": list(runs.py_modules)},
        },
        # Models may load for most of an hour; the pod's probes know better.
        "timeout_ready": 3000000,
        "replicas": 1,
        "port": port,
        **({"env": {"CUDA_VISIBLE_DEVICES": "RR"}} if gpu else {}),
    }


def _class(group: ExecutorGroupSpec) -> FlowExecutor | None:
    return group.uses or CLASSES.get(association.executor_name(group))


def _scheduler(cluster: MarieCluster) -> Scheduler:
    return cluster.spec.scheduler or Scheduler()


def _job_scheduler(cluster: MarieCluster, database: Settings) -> Settings:
    scheduler = _scheduler(cluster)
    return {
        **database,
        "default_table": "job_scheduler",
        **_POOL,
        "queue_names": _queues(cluster, scheduler),
        "dag_manager": {
            "strategy": "dynamic",
            "min_concurrent_dags": scheduler.min_concurrent_dags,
            "max_concurrent_dags": scheduler.max_concurrent_dags,
            "cache_ttl_seconds": 10,
        },
        "heartbeat": {
            "interval": 5.0,
            "window_minutes": 10,
            "trend_points": 12,
            "recent_window_minutes": 1,
            "max_retries": 3,
            "error_backoff": 5.0,
            "enable_trend_arrows": True,
            "enable_per_queue_stats": True,
        },
        "query_planners": {
            "watch_wheels": False,
            "wheel_directories": [],
            "planners": [{"name": each.name, "py_module": each.py_module} for each in scheduler.planners],
        },
    }


def _names_queue(text: str) -> bool:
    return re.fullmatch(QUEUE, text) is not None


def _queues(cluster: MarieCluster, scheduler: Scheduler) -> list[str]:
    types = (group.executor_type for group in cluster.spec.executor_group_specs)
    return list(scheduler.queues or dict.fromkeys(["extract", *filter(_names_queue, types)]))


def _database(cluster: MarieCluster, values: Values) -> Settings:
    """What Marie repeats wherever it reaches the database; the table differs."""
    services, credentials = backing.of(cluster), backing.postgres_credentials(cluster)
    if services is None or credentials is None:
        raise ValueError("a cluster without a database has no configuration")
    address, secret = backing.addresses(cluster)[Service.POSTGRES], values[credentials.name]
    return {
        "provider": "postgresql",
        "hostname": address.host,
        "port": address.port,
        "username": secret[credentials.username_key],
        "password": secret[credentials.password_key],
        "database": services.postgres.database,
    }


def _kv_store(database: Settings) -> Settings:
    # Without the schema, executors look for the table where it is not (MA-03).
    return {**database, "schema": _SCHEMA, "default_table": "kv_store_worker", **_POOL}


def _storage(cluster: MarieCluster, values: Values, database: Settings, table: str) -> Settings:
    services = backing.of(cluster)
    store = services.s3 if services else None
    psql = {**database, "default_table": table, "enabled": False}
    if store is None:
        return {"s3": {"enabled": False}, "psql": psql}
    secret = values[store.credentials_secret_ref.name]
    s3 = {
        "enabled": True,
        "metadata_only": False,
        "endpoint_url": store.endpoint,
        "access_key_id": secret[store.credentials_secret_ref.access_key_id_key],
        "secret_access_key": secret[store.credentials_secret_ref.secret_access_key_key],
        "bucket_name": store.bucket,
        "region": store.region,
        "insecure": store.endpoint.startswith("http://"),
        "addressing_style": "path",
    }
    return {"s3": s3, "psql": psql}


def _broker(cluster: MarieCluster, values: Values) -> Settings:
    services = backing.of(cluster)
    broker = services.rabbitmq if services else None
    if broker is None:
        return {}
    secret = values[broker.credentials_secret_ref.name]
    return {
        "rabbitmq": {
            "provider": "rabbitmq",
            "hostname": broker.host,
            "port": broker.port,
            "username": secret[broker.credentials_secret_ref.username_key],
            "password": secret[broker.credentials_secret_ref.password_key],
            "tls": False,
            "virtualhost": broker.virtual_host,
            "enabled": True,
        }
    }


def _keys(cluster: MarieCluster, values: Values) -> Iterator[Settings]:
    """The keys that the gateway takes; Marie refuses to start when one is there twice."""
    if not pod.renders_server(cluster):
        return
    own = backing.api_key(cluster)
    others = cluster.spec.auth.client_key_secret_refs if cluster.spec.auth else ()
    named = {values[own.name][own.key]: "marie-operator"}
    for other in others:
        named.setdefault(values[other.name][other.key], f"{other.name}/{other.key}")
    for key, name in named.items():
        yield {"name": name, "api_key": key, "enabled": True, "roles": ["admin", "user"]}


def text(settings: Settings, *, native: bool = True) -> str:
    """Settings as YAML: the same text from either of PyYAML's emitters, for another one would roll pods.

    Args:
        settings: What to write.
        native: Whether to use the one in C, four times as fast, where it is built in.
    """
    # The two fold long lines differently, and escape different characters: nothing is folded, everything is escaped.
    dumper = _NativePlain if native else _Plain
    return str(yaml.dump(settings, Dumper=dumper, sort_keys=False, width=_UNFOLDED, allow_unicode=False))


_UNFOLDED = 2**31 - 1


class _Unaliased:
    """Writes parts that are used twice in full: a reader should not have to look them up."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Plain(_Unaliased, yaml.SafeDumper):
    pass


class _NativePlain(_Unaliased, getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    pass
