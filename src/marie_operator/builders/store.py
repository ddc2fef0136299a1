"""Managed etcd and PostgreSQL: one pod each with a volume that lives as long as the cluster."""

from typing import Any

from marie_operator.api.backing import Managed
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, resources
from marie_operator.builders.association import ETCD, POSTGRES
from marie_operator.runtime import quantity
from marie_operator.runtime.resource import PERSISTENT_VOLUME_CLAIMS, SERVICES, STATEFUL_SETS, Object

ETCD_IMAGE = "quay.io/coreos/etcd:v3.6.1"
POSTGRES_IMAGE = "ghcr.io/ferretdb/postgres-documentdb:17-0.103.0"
"""The image of Marie's own compose files: it has pg_cron and vector."""

ETCD_PORT, ETCD_METRICS_PORT, POSTGRES_PORT = 2379, 2381, 5432
_ETCD_USER, _POSTGRES_USER = 1000, 999
_ETCD_ASKS: Object = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}
_POSTGRES_ASKS: Object = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
# Full, it still reads, and a restart makes no room.
_ALIVE = "/health?exclude=NOSPACE&serializable=true"
_ETCD_SIZE, _POSTGRES_SIZE = "2Gi", "10Gi"
_LARGEST_QUOTA = 8 * 2**30
"""What etcd recommends its database to stay below, in bytes."""
_ETCD_DATA, _POSTGRES_DATA = "/var/lib/etcd", "/var/lib/postgresql/data"


def etcd(cluster: MarieCluster, wanted: Managed) -> dict[str, Object]:
    """Service, volume claim and StatefulSet of the etcd in which executors register."""
    name = association.etcd_name(cluster.metadata.name)
    container = {
        "name": ETCD,
        "image": wanted.image or ETCD_IMAGE,
        "command": ["etcd"],
        "args": [
            "--name=etcd",
            f"--data-dir={_ETCD_DATA}/data",
            f"--listen-client-urls=http://0.0.0.0:{ETCD_PORT}",
            f"--advertise-client-urls=http://{name}:{ETCD_PORT}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=etcd=http://127.0.0.1:2380",
            f"--listen-metrics-urls=http://0.0.0.0:{ETCD_METRICS_PORT}",
            # Every heartbeat of every executor is a revision.
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=1h",
            f"--quota-backend-bytes={_quota(wanted)}",
        ],
        "ports": [_port("client", ETCD_PORT), _port("metrics", ETCD_METRICS_PORT)],
        "startupProbe": _etcd_probe(_ALIVE, period=2, failures=60),
        "livenessProbe": _etcd_probe(_ALIVE, period=20, failures=6),
        "readinessProbe": _etcd_probe("/health", period=5, failures=2),
        "resources": _asked(wanted, _ETCD_ASKS),
        "securityContext": {**_confined(), "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "data", "mountPath": _ETCD_DATA}],
    }
    return _whole(cluster, name, ETCD, wanted, container, user=_ETCD_USER, port=ETCD_PORT, size=_ETCD_SIZE, volumes=[])


def postgres(cluster: MarieCluster, wanted: Managed) -> dict[str, Object]:
    """Service, volume claim and StatefulSet of the database in which jobs are kept."""
    name = association.postgres_name(cluster.metadata.name)
    check = {"exec": {"command": ["pg_isready", "--host=127.0.0.1", "--username=postgres"]}}
    container = {
        "name": POSTGRES,
        "image": wanted.image or POSTGRES_IMAGE,
        "args": [
            "postgres",
            "-c",
            "max_connections=200",
            "-c",
            "shared_preload_libraries=pg_stat_statements,pg_cron,pg_documentdb",
        ],
        "env": [
            {"name": "POSTGRES_USER", "valueFrom": {"secretKeyRef": {"name": name, "key": "username"}}},
            {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "password"}}},
            {"name": "POSTGRES_DB", "value": "postgres"},
            # Below the mount, where a file system's lost+found does not disturb.
            {"name": "PGDATA", "value": f"{_POSTGRES_DATA}/pgdata"},
        ],
        "ports": [_port("postgres", POSTGRES_PORT)],
        "startupProbe": _probe(check, period=5, failures=60),
        "livenessProbe": _probe(check, period=20, failures=6),
        "readinessProbe": _probe(check, period=5, failures=2),
        "resources": _asked(wanted, _POSTGRES_ASKS),
        "securityContext": _confined(),
        "volumeMounts": [
            {"name": "data", "mountPath": _POSTGRES_DATA},
            {
                "name": "init",
                "mountPath": f"/docker-entrypoint-initdb.d/50-{association.POSTGRES_FILE}",
                "subPath": association.POSTGRES_FILE,
            },
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - a path in the container
        ],
    }
    item = {"key": association.POSTGRES_FILE, "path": association.POSTGRES_FILE}
    volumes = [
        {"name": "init", "secret": {"secretName": name, "items": [item]}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
    ]
    return _whole(
        cluster,
        name,
        POSTGRES,
        wanted,
        container,
        user=_POSTGRES_USER,
        port=POSTGRES_PORT,
        size=_POSTGRES_SIZE,
        volumes=volumes,
    )


def asked(kind: str, wanted: Managed) -> Object:
    """What the container of a managed service asks for."""
    return _asked(wanted, _ETCD_ASKS if kind == ETCD else _POSTGRES_ASKS)


def _whole(
    cluster: MarieCluster,
    name: str,
    kind: str,
    wanted: Managed,
    container: Object,
    *,
    user: int,
    port: int,
    size: str,
    volumes: list[Object],
) -> dict[str, Object]:
    metadata, selector = association.metadata(cluster, name, kind), association.selector(cluster, kind)
    ports = [{"name": kind, "port": port, "targetPort": port, "protocol": "TCP"}]
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}, *volumes],
    }
    found = {
        SERVICES.kind: {"spec": {"type": "ClusterIP", "ports": ports, "selector": selector}},
        PERSISTENT_VOLUME_CLAIMS.kind: {"spec": _claim(wanted, size)},
        STATEFUL_SETS.kind: {
            "spec": {
                "replicas": association.store_replicas(cluster),
                "serviceName": name,
                "revisionHistoryLimit": 3,
                "selector": {"matchLabels": selector},
                "template": {
                    "metadata": {"labels": association.labels(cluster, kind)},
                    "spec": resources.canonical_pod(pod),
                },
            }
        },
    }
    versions = {each.kind: each.api_version for each in (SERVICES, PERSISTENT_VOLUME_CLAIMS, STATEFUL_SETS)}
    return {
        of: association.hashed({"apiVersion": versions[of], "kind": of, "metadata": metadata, **body})
        for of, body in found.items()
    }


def _claim(wanted: Managed, size: str) -> Object:
    given, amount = wanted.storage, _size(wanted, size)
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": quantity.canonical(amount, finest=quantity.MILLI)}},
    }
    if given is not None and given.storage_class_name is not None:
        claim["storageClassName"] = given.storage_class_name
    return claim


def _size(wanted: Managed, usual: str) -> str | int:
    return usual if wanted.storage is None or wanted.storage.size is None else wanted.storage.size


def _quota(wanted: Managed) -> int:
    """Bytes of etcd's database: half of its volume, since its log and snapshots lie there too.

    At its quota etcd says so and takes no more writes; at the end of its volume it dies.
    """
    try:
        size = int(quantity.parse(_size(wanted, _ETCD_SIZE)))
    except ValueError:
        # The API server refuses the claim and says why.
        size = int(quantity.parse(_ETCD_SIZE))
    return max(1, min(size // 2, _LARGEST_QUOTA))


def _asked(wanted: Managed, usual: Object) -> Object:
    if wanted.resources is None:
        return usual
    return wanted.resources.model_dump(exclude_defaults=True)


def _confined() -> Object:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _port(name: str, number: int) -> Object:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _etcd_probe(path: str, *, period: int, failures: int) -> Object:
    check = {"httpGet": {"path": path, "port": ETCD_METRICS_PORT, "scheme": "HTTP"}}
    return _probe(check, period=period, failures=failures)


def _probe(check: Object, *, period: int, failures: int) -> Object:
    return {
        **check,
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
        "successThreshold": 1,
    }
