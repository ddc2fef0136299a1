"""Objects that between them have every field of both kinds, and the Secrets that they name."""

import copy
from collections.abc import Mapping
from typing import Any

from tests.simulation.campaigns.stage import Object
from tests.simulation.replica import SUBMITTER_IMAGE

KEY = "mas_" + "k" * 54
_MARIE = {"name": "marie", "image": "marieai/marie:4.0.0"}


def _template(**container: Any) -> Object:
    return {"spec": {"containers": [_MARIE | container]}}


def _secret(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


_LOGIN = {"username": "marie", "password": "pass-word", "user2": "other", "pass2": "other-word"}
_KEYS = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "hidden", "id2": "access-two", "key2": "hidden-two"}
SURROUNDINGS: tuple[Object, ...] = (
    *(_secret(name, **_LOGIN) for name in ("database", "database-2", "broker", "broker-2")),
    *(_secret(name, **_KEYS) for name in ("store", "store-2")),
    *(
        _secret(name, apiKey=KEY[:-1] + last, key2=KEY[:-2] + last + "2")
        for name, last in (("key", "1"), ("key-2", "2"))
    ),
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"one": "1", "two": "2"}},
)
"""What clusters refer to; each Secret has a twin, and other keys, to turn to."""


def _cluster(**spec: Any) -> Object:
    return {"apiVersion": "marie.ai/v1alpha1", "kind": "MarieCluster", "metadata": {"name": "c"}, "spec": spec}


_REFERRED = _cluster(
    serverSpec={
        "replicas": 1,
        "configFile": "/config/marie.yml",
        "serverStartParams": {"name": "campaign"},
        "serviceType": "ClusterIP",
        "template": _template(),
    },
    executorGroupSpecs=[
        {
            "groupName": "extract",
            "replicas": 1,
            "minReplicas": 1,
            "maxReplicas": 4,
            "executorType": "extract",
            "executorName": "extract_executor",
            "configFile": "",
            "uses": {"jtype": "TextExtractionExecutor", "pyModules": ["marie.executor.text"]},
            "slots": 1,
            "gpu": False,
            "suspend": False,
            "modelCache": {"claimName": "models", "readOnly": True},
            "scaleStrategy": {"workersToDelete": ["c-executor-extract-0"]},
            "template": _template(),
        },
    ],
    serviceType="ClusterIP",
    enableIngress=False,
    suspend=False,
    upgradeStrategy={"type": "WhenIdle", "deadlineSeconds": 3600},
    marieVersion="4.0.0",
    auth={
        "apiKeySecretRef": {"name": "key", "key": "apiKey"},
        "clientKeySecretRefs": [{"name": "key", "key": "key2"}],
    },
    backingServices={
        "etcd": {"host": "etcd.infra", "port": 2379},
        "postgres": {
            "host": "db.infra",
            "port": 5432,
            "database": "marie",
            "credentialsSecretRef": {"name": "database", "usernameKey": "username", "passwordKey": "password"},
        },
        "s3": {
            "endpoint": "http://minio.infra:9000",
            "bucket": "marie",
            "region": "us-east-1",
            "credentialsSecretRef": {
                "name": "store",
                "accessKeyIdKey": "AWS_ACCESS_KEY_ID",
                "secretAccessKeyKey": "AWS_SECRET_ACCESS_KEY",
            },
        },
        "rabbitmq": {
            "host": "rabbit.infra",
            "port": 5672,
            "virtualHost": "/",
            "credentialsSecretRef": {"name": "broker", "usernameKey": "username", "passwordKey": "password"},
        },
    },
    scheduler={
        "queues": ["extract"],
        "planners": [{"name": "mine", "pyModule": "my.planner"}],
        "minConcurrentDags": 2,
        "maxConcurrentDags": 16,
        "mapper": {"model": "extract_executor"},
    },
)

_MANAGED = _cluster(
    serverSpec={"template": _template()},
    executorGroupSpecs=[
        {
            "groupName": "extract",
            "executorType": "extract",
            "modelCache": {"sizeLimit": "5Gi"},
            "template": _template(),
        }
    ],
    backingServices={
        service: {
            "managed": {
                "image": f"registry.example/{service}:1",
                "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
                "storage": {"size": "5Gi", "storageClassName": "fast"},
            }
        }
        for service in ("etcd", "postgres")
    },
)

_SELECTOR = {
    "matchLabels": {"app": "frontend"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["web"]}],
}


def _networked(peer: Object) -> Object:
    return _cluster(
        serverSpec={
            "serviceType": "LoadBalancer",
            "service": {
                "annotations": {"example.com/pool": "a"},
                "loadBalancerClass": "example.com/internal",
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "externalTrafficPolicy": "Local",
            },
            "extraPorts": [{"name": "side", "port": 8000, "targetPort": 8001, "protocol": "TCP", "nodePort": 30800}],
            "template": _template(),
        },
        executorGroupSpecs=[{"groupName": "extract", "executorType": "extract", "template": _template()}],
        backingServices={"etcd": {"managed": {}}, "postgres": {"managed": {}}},
        enableIngress=True,
        ingress={
            "className": "nginx",
            "host": "marie.example.com",
            "path": "/",
            "pathType": "Prefix",
            "tls": [{"hosts": ["marie.example.com"], "secretName": "certificate"}],
            "annotations": {"example.com/limit": "64m"},
        },
        httpRoute={
            "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443}],
            "hostnames": ["marie.example.com"],
            "path": "/",
            "annotations": {"example.com/limit": "64m"},
        },
        networkPolicy={"clients": [peer], "monitoring": [peer]},
    )


_TEMPLATES = _cluster(
    serverSpec={"template": _template()},
    executorGroupSpecs=[
        {
            "groupName": "extract",
            "executorType": "extract",
            "template": {
                "metadata": {"labels": {"team": "a"}, "annotations": {"note": "one"}},
                "spec": {
                    "serviceAccountName": "default",
                    "terminationGracePeriodSeconds": 60,
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
                    "securityContext": {"runAsNonRoot": False, "fsGroup": 1000},
                    "imagePullSecrets": [{"name": "registry"}],
                    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["one"]}],
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": {"team": "a"}},
                        }
                    ],
                    "volumes": [
                        {"name": "models", "emptyDir": {"sizeLimit": "1Gi"}},
                        {
                            "name": "settings",
                            "configMap": {"name": "settings", "items": [{"key": "one", "path": "one"}]},
                        },
                        {"name": "secret", "secret": {"secretName": "database"}},
                    ],
                    "initContainers": [
                        {
                            "name": "fetch",
                            "image": "busybox:1",
                            "command": ["true"],
                            "resources": {"requests": {"cpu": "1"}},
                        }
                    ],
                    "containers": [
                        {
                            **_MARIE,
                            "imagePullPolicy": "IfNotPresent",
                            "args": ["server", "--start", "--uses", "/flow.yml"],
                            "workingDir": "/work",
                            "env": [
                                {"name": "PLAIN", "value": "1"},
                                {"name": "MARIE_LOG_LEVEL", "value": "INFO"},
                                {
                                    "name": "SECRET",
                                    "valueFrom": {"secretKeyRef": {"name": "database", "key": "username"}},
                                },
                                {
                                    "name": "CPU",
                                    "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}},
                                },
                            ],
                            "envFrom": [{"configMapRef": {"name": "settings"}}],
                            "ports": [{"name": "worker", "containerPort": 52110, "protocol": "TCP"}],
                            "resources": {
                                "requests": {"cpu": "500m", "memory": "1Gi"},
                                "limits": {"cpu": "1", "memory": "2Gi"},
                            },
                            "volumeMounts": [
                                {"name": "models", "mountPath": "/models", "readOnly": False},
                                {"name": "settings", "mountPath": "/settings"},
                            ],
                            "securityContext": {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}},
                            "readinessProbe": {
                                "httpGet": {"path": "/", "port": 52110},
                                "periodSeconds": 10,
                                "initialDelaySeconds": 0,
                            },
                            "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}},
                        },
                        {"name": "sidecar", "image": "busybox:1", "args": ["sleep", "inf"]},
                    ],
                },
            },
        }
    ],
)

_JOB: Object = {
    "apiVersion": "marie.ai/v1alpha1",
    "kind": "MarieJob",
    "metadata": {"name": "j"},
    "spec": {
        "clusterRef": "c",
        "clusterSelector": {},
        "jobType": "extract",
        "planner": "",
        "entrypoint": "extract",
        "submissionMode": "HTTPSubmission",
        "input": {
            "uri": "s3://documents/one.pdf",
            "contentType": "application/pdf",
            "data": "",
            "configMapRef": {"name": ""},
            "secretRef": {"name": ""},
            "credentialsSecretRef": {"name": "store"},
        },
        "output": {
            "uri": "s3://results/",
            "format": "json",
            "configMapRef": {"name": ""},
            "credentialsSecretRef": {"name": "store"},
        },
        "options": {"language": "en"},
        "batch": {"maxInFlight": 2, "maxDocuments": 3},
        "sla": {"softDeadline": "30m", "hardDeadline": "1h"},
        "priority": 0,
        "backoffLimit": 1,
        "activeDeadlineSeconds": 7200,
        "ttlSecondsAfterFinished": 86400,
        "shutdownAfterJobFinishes": False,
        "suspend": False,
    },
}

_SHUT_DOWN = {"shutdownAfterJobFinishes", "ttlSecondsAfterFinished"}
_OWNING = {key: value for key, value in _JOB["spec"].items() if key not in {"clusterRef", *_SHUT_DOWN}}
_SELECTING = {key: value for key, value in _JOB["spec"].items() if key != "clusterRef"}

BASES: Mapping[str, Object] = {
    "referred": _REFERRED,
    "managed": _MANAGED,
    "reached": _networked({"podSelector": _SELECTOR, "namespaceSelector": _SELECTOR}),
    "addressed": _networked({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}),
    "templates": _TEMPLATES,
    "job": _JOB,
    "selecting": {**_JOB, "spec": {**_SELECTING, "clusterSelector": {"pool": "blue"}}},
    "owning": {
        **_JOB,
        "spec": {
            **_OWNING,
            "clusterSpec": {key: _MANAGED["spec"][key] for key in ("serverSpec", "backingServices")}
            | {"executorGroupSpecs": [{"groupName": "extract", "executorType": "extract", "template": _template()}]},
            "deletionStrategy": {
                "deletionRules": [{"policy": "DeleteWorkers", "condition": {"phase": "Succeeded", "ttlSeconds": 20}}]
            },
        },
    },
    "submitted": {
        **_JOB,
        "spec": {
            **_JOB["spec"],
            "submissionMode": "K8sJobSubmission",
            "submitterConfig": {"backoffLimit": 1},
            "submitterPodTemplate": {"spec": {"containers": [{"name": "submitter", "image": SUBMITTER_IMAGE}]}},
        },
    },
    "batch": {
        **_JOB,
        "spec": {
            **_JOB["spec"],
            "input": {
                **_JOB["spec"]["input"],
                "uri": "s3://documents/all/",
                "include": ["*.pdf"],
                "exclude": ["*.tmp"],
            },
        },
    },
}


def base(name: str) -> Object:
    """A copy, to be changed."""
    return copy.deepcopy(BASES[name])
