"""What random programs write: for each kind a valid object, and pieces of objects to put into it or against it.

The pieces overlap on purpose, so that writers meet in the same fields, and some of them are wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conformance.samples import config_map, definition, deployment, job, pod, service, template, widget

Document = dict[str, Any]


@dataclass(frozen=True)
class Specimen:
    """A kind.

    Attributes:
        resource: As ``Namespace`` takes it.
        base: A valid object.
        pieces: Partial objects, most of them valid.
        statuses: Partial objects for ``/status``; none when there is no such part.
        primitive: Paths of lists of plain values that a strategic patch merges.
        scale: Whether there is ``/scale``.
        custom: Whether a definition defines it.
    """

    resource: str
    base: Document
    pieces: Sequence[Document]
    statuses: Sequence[Document] = ()
    primitive: Sequence[str] = ()
    scale: bool = False
    custom: bool = False

    @property
    def plural(self) -> str:
        return self.resource.rpartition("/")[2]


def meta(**fields: Any) -> Document:
    return {"metadata": fields}


def spec(**fields: Any) -> Document:
    return {"spec": fields}


def status(**fields: Any) -> Document:
    return {"status": fields}


def owner(uid: str, **more: Any) -> Document:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": uid, **more}


METADATA: Sequence[Document] = (
    meta(labels={"x": "1"}),
    meta(labels={"x": "2", "y": "1"}),
    meta(labels={"y": ""}),
    meta(labels=None),
    meta(labels={}),
    meta(labels={"x": None}),
    meta(labels={"-": "1"}),
    meta(labels={"x": "a b"}),
    meta(labels={"x": 1}),
    meta(annotations={"x": "1"}),
    meta(annotations={"example.com/x": "a b", "y": ""}),
    meta(annotations={"X/": "1"}),
    meta(annotations={}),
    meta(finalizers=["example.com/one"]),
    meta(finalizers=["example.com/two", "example.com/one"]),
    meta(finalizers=["example.com/one", "example.com/one"]),
    meta(finalizers=[]),
    meta(finalizers=["orphan"]),
    meta(finalizers=["foregroundDeletion", "example.com/one"]),
    meta(finalizers=["bad"]),
    meta(finalizers=["a/b/c"]),
    meta(ownerReferences=[owner("u1")]),
    meta(ownerReferences=[owner("u1", controller=True), owner("u2", blockOwnerDeletion=True)]),
    meta(ownerReferences=[owner("u1", controller=True), owner("u2", controller=True)]),
    meta(ownerReferences=[owner("")]),
    meta(ownerReferences=[owner("u1", apiVersion="v1/v1/v1")]),
    meta(ownerReferences=[]),
    meta(generation=7),
    meta(uid="other"),
    meta(creationTimestamp="2020-01-01T00:00:00Z"),
    meta(creationTimestamp=None),
    meta(deletionTimestamp="2020-01-01T00:00:00Z"),
    meta(deletionGracePeriodSeconds=3),
    meta(selfLink="/x"),
    meta(generateName="g-"),
    meta(namespace="elsewhere"),
    meta(namespace=""),
    meta(name="other"),
    meta(managedFields=[]),
    meta(managedFields=[{}]),
    meta(managedFields=[{"manager": "x", "operation": "Update"}]),
    meta(managedFields=[{"manager": "x", "operation": "Nothing", "apiVersion": "v1", "fieldsType": "FieldsV1"}]),
    meta(unknown="x"),
    meta(resourceVersion="1"),
    meta(resourceVersion=""),
    meta(resourceVersion="x"),
    {"unknown": 1},
    {"kind": ""},
    {"kind": "Gadget"},
    {"apiVersion": "v9"},
)

_MAIN = {"name": "main", "image": "example/main:1"}
_SIDE = {"name": "side", "image": "example/side:1"}
_FIRST: Sequence[Document] = (
    {"image": "example/main:2"},
    {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
    {"env": [{"name": "B", "value": "3"}]},
    {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
    {"env": []},
    {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
    {"env": [{"value": "1"}]},
    {"ports": [{"containerPort": 80}]},
    {"ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 80, "protocol": "UDP"}]},
    {"ports": [{"containerPort": 80}, {"containerPort": 80, "name": "x"}]},
    {"ports": [{"containerPort": 0}]},
    {"args": ["a", "b"]},
    {"args": ["c"]},
    {"command": None},
    {"resources": {"limits": {"cpu": "1", "memory": "0.5Gi"}, "requests": {"cpu": "500m"}}},
    {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}},
    {"resources": {"limits": {"cpu": 1, "memory": "x"}}},
    {"resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}},
    {"readinessProbe": {"httpGet": {"path": "/", "port": "http"}}},
    {"readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 3}},
    {"readinessProbe": None},
    {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
    {"imagePullPolicy": "Never"},
    {"imagePullPolicy": "Sometimes"},
    {"securityContext": {"capabilities": {"add": ["X"]}, "runAsUser": 1}},
    {"unknown": True},
    {"image": 1},
    {"image": ""},
)
_PODS: Sequence[Document] = (
    *({"containers": [_MAIN | each]} for each in _FIRST),
    {"containers": [_MAIN, _SIDE]},
    {"containers": [_SIDE]},
    {"containers": [_MAIN, _MAIN]},
    {"containers": []},
    {"containers": None},
    {"containers": "x"},
    {"initContainers": [{"name": "init", "image": "example/init:1"}]},
    {"volumes": [{"name": "v", "emptyDir": {}}]},
    {"volumes": [{"name": "v", "configMap": {"name": "a"}}]},
    {"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "secret": {"secretName": "a"}}]},
    {"volumes": [{"name": "v", "emptyDir": {}, "secret": {"secretName": "a"}}]},
    {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "0.5"}}]},
    {"nodeSelector": {"disk": "fast"}},
    {"nodeSelector": {"disk": None}},
    {"tolerations": [{"key": "a", "operator": "Exists"}]},
    {"tolerations": [{"key": "a"}, {"key": "b", "effect": "NoSchedule", "value": "1"}]},
    {"terminationGracePeriodSeconds": 5},
    {"terminationGracePeriodSeconds": -1},
    {"restartPolicy": "OnFailure"},
    {"restartPolicy": "Never"},
    {"restartPolicy": "x"},
    {"serviceAccountName": "default"},
    {"hostNetwork": True},
    {"imagePullSecrets": [{"name": "a"}]},
    {"activeDeadlineSeconds": 10},
    {"priorityClassName": "system-node-critical"},
    {"dnsPolicy": "Default"},
    {"affinity": {"nodeAffinity": {}}},
    {"securityContext": {"runAsUser": 1000, "fsGroup": 5}},
    {"unknown": {"x": 1}},
)
_TEMPLATES: Sequence[Document] = (
    *({"template": {"spec": each}} for each in _PODS),
    {"template": {"metadata": {"annotations": {"x": "1"}}}},
    {"template": {"metadata": {"labels": {"app": "a", "x": "1"}}}},
    {"template": {"metadata": {"labels": {"app": "other"}}}},
    {"template": None},
)

_CONDITIONS: Sequence[Document] = (
    status(conditions=[{"type": "A", "status": "True"}]),
    status(conditions=[{"type": "A", "status": "False", "reason": "R"}, {"type": "B", "status": "Unknown"}]),
    status(conditions=[{"type": "B", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]),
    status(conditions=[{"type": "B", "status": "True", "lastTransitionTime": "yesterday"}]),
    status(conditions=[]),
    {"status": None},
    {"status": {}},
    spec(unknown=1),
    meta(labels={"x": "by-status"}),
    meta(finalizers=["example.com/by-status"]),
)

_WIDGETS: Sequence[Document] = (
    spec(size=2),
    spec(size=2.0),
    spec(size=2.5),
    spec(size=101),
    spec(size="2"),
    spec(size=None),
    spec(color="red"),
    spec(color="pink"),
    spec(color=""),
    spec(replicas=3),
    spec(replicas=-1),
    spec(note="n"),
    spec(note=None),
    spec(settings={"a": "1", "b": "2"}),
    spec(settings={"b": "3"}),
    spec(settings={"a": None}),
    spec(settings={"a": 1}),
    spec(plain=["a", "b"]),
    spec(plain=["b"]),
    spec(plain=[]),
    spec(plain=[None]),
    spec(tags=["a", "b"]),
    spec(tags=["b", "c"]),
    spec(tags=["a", "a"]),
    spec(tags=[]),
    spec(parts=[{"name": "a", "count": 1}, {"name": "b"}]),
    spec(parts=[{"name": "b", "mode": "odd"}]),
    spec(parts=[{"name": "b", "count": 2}, {"name": "a"}]),
    spec(parts=[{"name": "a"}, {"name": "a"}]),
    spec(parts=[{"count": 1}]),
    spec(parts=[]),
    spec(exact={"a": "1"}),
    spec(exact={"b": "2"}),
    spec(exact={"a": 1, "c": 2}),
    spec(free={"any": [1, {"x": None}], "n": 1.5}),
    spec(free={"any": None}),
    spec(unknown="x"),
    {"spec": None},
    {"spec": []},
    {"spec": {}},
    status(replicas=9),
)
_WIDGET_STATUSES = (
    status(replicas=2, selector="x=1"),
    status(replicas="2"),
    status(phase="Up"),
    status(phase="Down", list=[1, 2]),
    *_CONDITIONS,
)

GUARDED = definition(
    "guards",
    "Guard",
    {
        "type": "object",
        "required": ["mode"],
        "x-kubernetes-validations": [
            {"rule": "self.low <= self.high", "message": "low must not be above high"},
            {"rule": "self.mode != 'fixed' || self.low == oldSelf.low", "messageExpression": "'low is ' + self.mode"},
            {"rule": "!has(oldSelf.pin) || has(self.pin)", "reason": "FieldValueForbidden", "fieldPath": ".pin"},
        ],
        "properties": {
            "mode": {
                "type": "string",
                "default": "free",
                "x-kubernetes-validations": [{"rule": "self in ['free', 'fixed', 'open']"}],
            },
            "low": {"type": "integer", "default": 0},
            "high": {"type": "integer", "default": 10},
            "pin": {
                "type": "string",
                "maxLength": 8,
                "pattern": "^[a-z]*$",
                "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "pin does not change"}],
            },
            "when": {"type": "string", "format": "date-time"},
            "items": {
                "type": "array",
                "maxItems": 3,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["key"],
                "items": {
                    "type": "object",
                    "required": ["key"],
                    "properties": {"key": {"type": "string", "maxLength": 5}, "n": {"type": "integer", "default": 1}},
                    "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n", "message": "n only grows"}],
                },
            },
            "either": {"x-kubernetes-int-or-string": True},
        },
    },
)
_GUARDS = (
    spec(low=5),
    spec(low=11),
    spec(high=3),
    spec(high=None),
    spec(mode="fixed"),
    spec(mode="open", low=1),
    spec(mode="shut"),
    spec(mode=None),
    spec(mode=7),
    spec(pin="a"),
    spec(pin="b"),
    spec(pin="A"),
    spec(pin="toolongtobetrue"),
    spec(pin=None),
    spec(when="2020-01-01T00:00:00Z"),
    spec(when="today"),
    spec(items=[{"key": "a"}]),
    spec(items=[{"key": "a", "n": 3}, {"key": "b", "n": 2}]),
    spec(items=[{"key": "b", "n": 1}]),
    spec(items=[{"key": "a"}, {"key": "b"}, {"key": "c"}, {"key": "d"}]),
    spec(items=[{"key": "abcdef"}, {"n": 1}]),
    spec(either="10%"),
    spec(either=10),
    spec(either=True),
    {"spec": None},
    status(phase="Up"),
)

_PORT = {"name": "http", "port": 80}
_SERVICES = (
    spec(ports=[_PORT]),
    spec(ports=[_PORT, {"name": "https", "port": 443, "targetPort": "tls"}]),
    spec(ports=[{"name": "https", "port": 443}]),
    spec(ports=[{"port": 80, "protocol": "UDP"}]),
    spec(ports=[{"port": 80}, {"port": 81}]),
    spec(ports=[{"port": 70000}]),
    spec(ports=[]),
    spec(type="ClusterIP"),
    spec(type="NodePort"),
    spec(type="ExternalName", externalName="example.com"),
    spec(type="ExternalName"),
    spec(type="Odd"),
    spec(clusterIP="None"),
    spec(clusterIP=""),
    spec(clusterIP="x"),
    spec(selector={"app": "b"}),
    spec(selector=None),
    spec(sessionAffinity="ClientIP"),
    spec(sessionAffinity="None"),
    spec(externalIPs=["192.0.2.1"]),
    spec(publishNotReadyAddresses=True),
    spec(internalTrafficPolicy="Local"),
)
_DEPLOYMENTS = (
    *(spec(**each) for each in _TEMPLATES),
    spec(replicas=3),
    spec(replicas=0),
    spec(replicas=-1),
    spec(replicas="3"),
    spec(replicas=None),
    spec(selector={"matchLabels": {"app": "other"}}),
    spec(selector=None),
    spec(strategy={"type": "Recreate"}),
    spec(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "30%"}}),
    spec(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
    spec(strategy={"rollingUpdate": None, "type": "Recreate"}),
    spec(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
    spec(strategy=None),
    spec(paused=True),
    spec(minReadySeconds=5),
    spec(progressDeadlineSeconds=5),
    spec(revisionHistoryLimit=-1),
    spec(unknown=1),
)
_JOBS = (
    *(spec(**each) for each in _TEMPLATES),
    spec(parallelism=2),
    spec(parallelism=-1),
    spec(completions=3),
    spec(completions=2, completionMode="Indexed"),
    spec(completionMode="Odd"),
    spec(backoffLimit=2),
    spec(suspend=True),
    spec(suspend=False),
    spec(activeDeadlineSeconds=60),
    spec(ttlSecondsAfterFinished=10),
    spec(selector={"matchLabels": {"x": "1"}}),
    spec(manualSelector=True),
    spec(template={"metadata": {"labels": {"x": "1"}}}),
)
_POD_STATUSES = (
    status(phase="Running"),
    status(phase="Succeeded"),
    status(phase="Odd"),
    status(podIP="10.1.2.3", podIPs=[{"ip": "10.1.2.3"}]),
    status(podIP="10.1.2.4"),
    status(podIPs=[{"ip": "x"}]),
    status(
        containerStatuses=[
            {"name": "main", "ready": True, "restartCount": 0, "image": "i", "imageID": "", "state": {"running": {}}}
        ]
    ),
    status(containerStatuses=[{"name": "main"}]),
    *_CONDITIONS,
)
_POLICY = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"}}
_LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}, "spec": {}}
_INGRESS_RULE = {
    "host": "example.com",
    "http": {
        "paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"number": 80}}}}]
    },
}

SPECIMENS: Mapping[str, Specimen] = {
    each.plural: each
    for each in (
        Specimen(
            "configmaps",
            config_map("a", data={"k": "v"}),
            (
                {"data": {"k": "w"}},
                {"data": {"l": "1", "k": "v"}},
                {"data": {"k": None}},
                {"data": None},
                {"data": {}},
                {"data": {"k": 1}},
                {"data": {"a b": "1"}},
                {"data": []},
                {"binaryData": {"b": "AAE="}},
                {"binaryData": {"k": "AAE="}},
                {"binaryData": {"b": "?"}},
                {"immutable": True},
                {"immutable": False},
            ),
        ),
        Specimen(
            "secrets",
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"k": "dg=="}},
            (
                {"stringData": {"k": "w"}},
                {"stringData": {"l": "x"}},
                {"stringData": {"k": None}},
                {"data": {"k": "dw=="}},
                {"data": {"k": None, "l": "dw=="}},
                {"data": {"k": "!"}},
                {"data": None},
                {"type": "example.com/one"},
                {"type": "kubernetes.io/tls"},
                {"type": ""},
                {"immutable": True},
            ),
        ),
        Specimen(
            "serviceaccounts",
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}},
            (
                {"imagePullSecrets": [{"name": "a"}]},
                {"imagePullSecrets": [{"name": "b"}]},
                {"secrets": [{"name": "a"}]},
                {"secrets": [{"name": "b", "namespace": "x"}]},
                {"automountServiceAccountToken": False},
            ),
        ),
        Specimen(
            "services", service("a"), _SERVICES, (status(loadBalancer={"ingress": [{"ip": "192.0.2.1"}]}), *_CONDITIONS)
        ),
        Specimen("pods", pod("a"), tuple({"spec": each} for each in _PODS), _POD_STATUSES),
        Specimen(
            "apps/v1/deployments",
            deployment("a"),
            _DEPLOYMENTS,
            (status(replicas=2, observedGeneration=1), status(replicas=-1), status(readyReplicas=5), *_CONDITIONS),
            scale=True,
        ),
        Specimen(
            "apps/v1/replicasets",
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {"name": "a"},
                "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template("a")},
            },
            _DEPLOYMENTS,
            (status(replicas=2), status(replicas=1, readyReplicas=2), *_CONDITIONS),
            scale=True,
        ),
        Specimen(
            "apps/v1/statefulsets",
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": "a"},
                "spec": {"selector": {"matchLabels": {"app": "a"}}, "serviceName": "a", "template": template("a")},
            },
            (
                *_DEPLOYMENTS,
                spec(serviceName="b"),
                spec(podManagementPolicy="Parallel"),
                spec(updateStrategy={"type": "OnDelete"}),
                spec(updateStrategy={"rollingUpdate": {"partition": 1}}),
                spec(volumeClaimTemplates=[{"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]),
            ),
            (status(replicas=2), *_CONDITIONS),
            scale=True,
        ),
        Specimen(
            "batch/v1/jobs",
            job("a"),
            _JOBS,
            (
                status(active=1, startTime="2020-01-01T00:00:00Z"),
                *_CONDITIONS,
            ),
        ),
        Specimen(
            "batch/v1/cronjobs",
            {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "metadata": {"name": "a"},
                "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job("a")["spec"]}},
            },
            (
                spec(schedule="@hourly"),
                spec(schedule="x"),
                spec(suspend=True),
                spec(concurrencyPolicy="Forbid"),
                spec(concurrencyPolicy="Odd"),
                spec(timeZone="Etc/UTC"),
                spec(timeZone="Nowhere"),
                *(spec(jobTemplate={"spec": each["spec"]}) for each in _JOBS),
            ),
            (status(lastScheduleTime="2020-01-01T00:00:00Z"), *_CONDITIONS),
        ),
        Specimen(
            "policy/v1/poddisruptionbudgets",
            _POLICY | spec(minAvailable=1, selector={"matchLabels": {"app": "a"}}),
            (
                spec(minAvailable="50%"),
                spec(minAvailable="x"),
                spec(minAvailable=-1),
                spec(maxUnavailable=1),
                spec(minAvailable=None, maxUnavailable=1),
                spec(selector={}),
                spec(selector={"matchExpressions": [{"key": "x", "operator": "In", "values": []}]}),
                spec(selector={"matchLabels": {"x": "1"}}),
                spec(unhealthyPodEvictionPolicy="AlwaysAllow"),
            ),
            (status(currentHealthy=1), status(disruptionsAllowed=-1), *_CONDITIONS),
        ),
        Specimen(
            "autoscaling/v2/horizontalpodautoscalers",
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "a"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
                    "maxReplicas": 3,
                },
            },
            (
                spec(minReplicas=2),
                spec(minReplicas=0),
                spec(minReplicas=5),
                spec(maxReplicas=0),
                spec(scaleTargetRef={"name": ""}),
                spec(
                    metrics=[
                        {
                            "type": "Resource",
                            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                        }
                    ]
                ),
                spec(metrics=[{"type": "Odd"}]),
                spec(metrics=[]),
                spec(behavior={"scaleDown": {"stabilizationWindowSeconds": 10}}),
                spec(behavior={"scaleDown": {"stabilizationWindowSeconds": 100000}}),
            ),
            (status(currentReplicas=1, desiredReplicas=2), *_CONDITIONS),
        ),
        Specimen(
            "networking.k8s.io/v1/ingresses",
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "a"},
                "spec": {"rules": [_INGRESS_RULE]},
            },
            (
                spec(ingressClassName="one"),
                spec(ingressClassName="A b"),
                spec(rules=[]),
                spec(rules=None),
                spec(rules=[_INGRESS_RULE, {"host": "*.example.com"}]),
                spec(rules=[{"host": "192.0.2.1"}]),
                spec(rules=[{"http": {"paths": []}}]),
                spec(rules=[{"http": {"paths": [{"path": "x", "pathType": "Prefix", "backend": {}}]}}]),
                spec(tls=[{"hosts": ["example.com"], "secretName": "a"}]),
                spec(tls=[{"hosts": ["x y"]}]),
                spec(defaultBackend={"service": {"name": "a", "port": {"name": "http"}}}),
                spec(defaultBackend={"service": {"name": "a"}}),
            ),
            (status(loadBalancer={"ingress": [{"hostname": "x.example"}]}), *_CONDITIONS),
        ),
        Specimen(
            "networking.k8s.io/v1/networkpolicies",
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": "a"},
                "spec": {"podSelector": {}},
            },
            (
                spec(podSelector={"matchLabels": {"app": "a"}}),
                spec(policyTypes=["Egress"]),
                spec(policyTypes=["Odd"]),
                spec(ingress=[{}]),
                spec(ingress=[{"ports": [{"port": 80}, {"port": "x y"}]}]),
                spec(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}}]}]),
                spec(egress=[{"to": [{"podSelector": {}}]}]),
                spec(egress=None),
            ),
        ),
        Specimen(
            "coordination.k8s.io/v1/leases",
            _LEASE,
            (
                spec(holderIdentity="one", leaseDurationSeconds=15),
                spec(holderIdentity="two", leaseTransitions=1),
                spec(holderIdentity=None),
                spec(leaseDurationSeconds=0),
                spec(leaseTransitions=-1),
                spec(renewTime="2020-01-01T00:00:00.123456Z"),
                spec(renewTime="2020-01-01T00:00:00Z"),
                {"spec": None},
            ),
        ),
        Specimen(
            "rbac.authorization.k8s.io/v1/roles",
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "a"}, "rules": []},
            (
                {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
                {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}]},
                {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]},
                {"rules": None},
            ),
        ),
        Specimen(
            "persistentvolumeclaims",
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "a"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            },
            (
                spec(resources={"requests": {"storage": "2Gi"}}),
                spec(resources={"requests": {"storage": "0"}}),
                spec(accessModes=["ReadWriteMany"]),
                spec(accessModes=["Odd"]),
                spec(accessModes=[]),
                spec(storageClassName="fast"),
                spec(volumeName="v"),
                spec(volumeMode="Block"),
            ),
            (status(phase="Bound"), status(capacity={"storage": "1Gi"}), *_CONDITIONS),
        ),
        Specimen("conformance.example/v1/widgets", widget("a"), _WIDGETS, _WIDGET_STATUSES, scale=True, custom=True),
        Specimen(
            "conformance.example/v1/guards",
            {"apiVersion": "conformance.example/v1", "kind": "Guard", "metadata": {"name": "a"}, "spec": {}},
            _GUARDS,
            custom=True,
        ),
    )
}
