"""Defaults and validations that users of built-in kinds meet."""

import re
from typing import Any

import pytest

from tests.conformance.samples import config_map, deployment, job, pod, service, template
from tests.conformance.wire import SOMETHING, Client, Namespace, assert_includes, without

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
CONFIG_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
TEMPLATE_LABELS = "`selector` does not match template `labels`"
Cases = tuple[tuple[str, dict[str, Any], str], ...]


def container(**rest: Any) -> dict[str, Any]:
    return {"name": "main", "image": "x", **rest}


def cases(table: Cases) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("spec", "why"), [case[1:] for case in table], ids=[case[0] for case in table])


class TestPods:
    async def test_defaults(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("pods"), pod("a"))).ok(201)
        token = re.compile(r"kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}")
        mount = {"name": token, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
        tolerations = [
            {
                "key": f"node.kubernetes.io/{key}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
            for key in ("not-ready", "unreachable")
        ]
        assert_includes(
            made["spec"],
            {
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "serviceAccountName": "default",
                "serviceAccount": "default",
                "securityContext": {},
                "schedulerName": "default-scheduler",
                "tolerations": tolerations,
                "priority": 0,
                "enableServiceLinks": True,
                "preemptionPolicy": "PreemptLowerPriority",
                "nodeName": None,
                "volumes": [{"name": token, "projected": {"sources": SOMETHING, "defaultMode": 420}}],
                "containers": [
                    {
                        "name": "main",
                        "image": "example/main:1",
                        "resources": {},
                        "volumeMounts": [mount],
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                        "imagePullPolicy": "IfNotPresent",
                    }
                ],
            },
        )
        assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}

    @pytest.mark.parametrize(
        ("image", "policy"),
        [
            ("x", "Always"),
            ("x:latest", "Always"),
            ("x:1", "IfNotPresent"),
            ("registry:5000/x", "Always"),
            ("x@sha256:" + "a" * 64, "IfNotPresent"),
        ],
        ids=["none", "latest", "tag", "port", "digest"],
    )
    async def test_pull_policy(self, api: Client, ns: Namespace, image: str, policy: str) -> None:
        made = (await api.post(ns("pods"), pod("a", containers=[container(image=image)]), dryRun="All")).ok(201)
        assert made["spec"]["containers"][0]["imagePullPolicy"] == policy

    @pytest.mark.parametrize(
        ("resources", "result", "quality"),
        [
            ({"limits": {"cpu": "0.5"}}, {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}, "Burstable"),
            ({"requests": {"memory": "1024Ki"}}, {"requests": {"memory": "1Mi"}}, "Burstable"),
            (
                {"limits": {"cpu": "1000m", "memory": "1Gi"}},
                {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
                "Guaranteed",
            ),
            (
                {"limits": {"nvidia.com/gpu": 1}},
                {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}},
                "BestEffort",
            ),
            ({}, {}, "BestEffort"),
        ],
        ids=["limit", "request", "both", "gpu", "none"],
    )
    async def test_resources(
        self, api: Client, ns: Namespace, resources: dict[str, Any], result: dict[str, Any], quality: str
    ) -> None:
        body = pod("a", containers=[container(resources=resources)])
        made = (await api.post(ns("pods"), body)).ok(201)
        assert made["spec"]["containers"][0]["resources"] == result
        assert made["status"]["qosClass"] == quality

    async def test_probes_and_ports(self, api: Client, ns: Namespace) -> None:
        body = pod("a", containers=[container(ports=[{"containerPort": 80}], livenessProbe={"httpGet": {"port": 80}})])
        made = (await api.post(ns("pods"), body)).ok(201)
        expected = {
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "livenessProbe": {
                "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
            },
        }
        assert_includes(made["spec"]["containers"][0], expected)

    async def test_volumes(self, api: Client, ns: Namespace) -> None:
        volumes = [
            {"name": "a"},
            {"name": "b", "configMap": {"name": "x"}},
            {"name": "c", "secret": {"secretName": "x"}},
            {"name": "d", "hostPath": {"path": "/x"}},
        ]
        body = pod("a", volumes=volumes, automountServiceAccountToken=False)
        made = (await api.post(ns("pods"), body)).ok(201)
        assert made["spec"]["volumes"] == [
            {"name": "a", "emptyDir": {}},
            {"name": "b", "configMap": {"name": "x", "defaultMode": 420}},
            {"name": "c", "secret": {"secretName": "x", "defaultMode": 420}},
            {"name": "d", "hostPath": {"path": "/x", "type": ""}},
        ]

    async def test_environment(self, api: Client, ns: Namespace) -> None:
        env = [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
        made = (await api.post(ns("pods"), pod("a", containers=[container(env=env)]))).ok(201)
        reference = {"apiVersion": "v1", "fieldPath": "metadata.name"}
        assert made["spec"]["containers"][0]["env"] == [{"name": "A", "valueFrom": {"fieldRef": reference}}]

    BAD: Cases = (
        ("no containers", {"containers": []}, "spec.containers: Required value"),
        ("no image", {"containers": [{"name": "a"}]}, "spec.containers[0].image: Required value"),
        ("no name", {"containers": [{"image": "a"}]}, "spec.containers[0].name: Required value"),
        (
            "same name",
            {"containers": [container(), container()]},
            'spec.containers[1].name: Duplicate value: "main"',
        ),
        (
            "same name as an init container",
            {"initContainers": [container()]},
            'spec.initContainers[0].name: Duplicate value: "main"',
        ),
        (
            "bad name",
            {"containers": [container() | {"name": "A_"}]},
            f'spec.containers[0].name: Invalid value: "A_": {LABEL}',
        ),
        (
            "restart policy",
            {"restartPolicy": "Nope"},
            'spec.restartPolicy: Unsupported value: "Nope": supported values: "Always", "OnFailure", "Never"',
        ),
        (
            "no port",
            {"containers": [container(ports=[{"containerPort": 0}])]},
            "spec.containers[0].ports[0].containerPort: Required value",
        ),
        (
            "large port",
            {"containers": [container(ports=[{"containerPort": 70000}])]},
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            "protocol",
            {"containers": [container(ports=[{"containerPort": 80, "protocol": "X"}])]},
            'spec.containers[0].ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
        ),
        (
            "request above limit",
            {"containers": [container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})]},
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (
            "negative request",
            {"containers": [container(resources={"requests": {"cpu": "-1"}})]},
            'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        ),
        (
            "gpu without limit",
            {"containers": [container(resources={"requests": {"nvidia.com/gpu": "1"}})]},
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
        ),
        (
            "half a gpu",
            {"containers": [container(resources={"limits": {"nvidia.com/gpu": "500m"}})]},
            '[spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer, '
            'spec.containers[0].resources.requests[nvidia.com/gpu]: Invalid value: "500m": must be an integer]',
        ),
        (
            "unknown volume",
            {"containers": [container(volumeMounts=[{"name": "v", "mountPath": "/x"}])]},
            'spec.containers[0].volumeMounts[0].name: Not found: "v"',
        ),
        (
            "same volume",
            {"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]},
            'spec.volumes[1].name: Duplicate value: "v"',
        ),
        (
            "variable without a name",
            {"containers": [container(env=[{"name": "", "value": "x"}])]},
            "spec.containers[0].env[0].name: Required value",
        ),
        (
            "variable with two values",
            {
                "containers": [
                    container(
                        env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
                    )
                ]
            },
            'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
        ),
        (
            "pull policy",
            {"containers": [container(imagePullPolicy="Nope")]},
            'spec.containers[0].imagePullPolicy: Unsupported value: "Nope": supported values: "Always", '
            '"IfNotPresent", "Never"',
        ),
        (
            "probe without a port",
            {"containers": [container(livenessProbe={"httpGet": {"path": "/"}})]},
            "spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            "deadline",
            {"activeDeadlineSeconds": 0},
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        (
            "dns policy",
            {"dnsPolicy": "X"},
            'spec.dnsPolicy: Unsupported value: "X": supported values: "ClusterFirstWithHostNet", "ClusterFirst", '
            '"Default", "None"',
        ),
        (
            "port of the host",
            {"containers": [container(ports=[{"containerPort": 80, "hostPort": 81}])], "hostNetwork": True},
            "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is "
            "true",
        ),
    )

    @cases(BAD)
    async def test_bad(self, api: Client, ns: Namespace, spec: dict[str, Any], why: str) -> None:
        reply = await api.post(ns("pods"), pod("a", **spec))
        reply.refused(422, "Invalid", f'Pod "a" is invalid: {why}')

    async def test_a_bad_quantity(self, api: Client, ns: Namespace) -> None:
        body = pod("a", containers=[container(resources={"requests": {"cpu": "abc"}})])
        pattern = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
        why = f"quantities must match the regular expression '{pattern}'"
        reply = await api.post(ns("pods"), body)
        reply.refused(400, "BadRequest", f'Pod in version "v1" cannot be handled as a Pod: {why}')

    @pytest.mark.parametrize(
        ("written", "stored"),
        [
            ("0.5", "500m"),
            (".5", "500m"),
            ("5.", "5."),
            ("+1", "+1"),
            ("+1000", "1k"),
            ("-0", "0"),
            ("1.250", "1.250"),
            ("0.250", "250m"),
            ("2.000", "2"),
            ("001", "001"),
            ("1024Mi", "1Gi"),
            ("1.5Ki", "1536"),
            ("0.0001Ki", "102400u"),
            ("0.0000000001", "1n"),
            ("1000e3", "1e6"),
            ("12e-4", "1200e-6"),
            ("1E", "1E"),
            ("1E3", "1E3"),
            ("1E4", "10e3"),
            ("+3Mi", "+3Mi"),
            ("+8Mi", "8Mi"),
            ("99999999999Ki", "99999999999Ki"),
            ("999999999999Ki", "999999999999Ki"),
            ("100E", "100E"),
            ("1e30", "1e30"),
            ("1e100", "10e99"),
            ("8Ei", "9223372036854775807"),
            ("1" * 40, "1" * 40),
        ],
    )
    async def test_the_form_of_a_quantity(self, api: Client, ns: Namespace, written: str, stored: str) -> None:
        body = pod("a", volumes=[{"name": "v", "emptyDir": {"sizeLimit": written}}])
        made = (await api.post(ns("pods"), body)).ok(201)
        (limit,) = (each["emptyDir"]["sizeLimit"] for each in made["spec"]["volumes"] if each["name"] == "v")
        assert limit == stored

    async def test_a_folder_of_less_than_nothing(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("pods"), pod("a", volumes=[{"name": "v", "emptyDir": {"sizeLimit": "-1"}}]))
        why = "spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"
        reply.refused(422, "Invalid", f'Pod "a" is invalid: {why}')

    async def test_an_unknown_account(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("pods"), pod("a", serviceAccountName="nope"))
        why = f'error looking up service account {ns.name}/nope: serviceaccount "nope" not found'
        details = reply.refused(403, "Forbidden", f'pods "a" is forbidden: {why}')
        assert details == {"name": "a", "kind": "pods"}

    async def test_an_unknown_priority(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("pods"), pod("a", priorityClassName="nope"))
        why = "no PriorityClass with name nope was found"
        reply.refused(403, "Forbidden", f'pods "a" is forbidden: {why}')


class TestDeployments:
    async def test_defaults(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("apps/v1/deployments"), deployment("a"))).ok(201)
        rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
        assert without(made["spec"], "template") == {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "a"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        }
        assert made["status"] == {}
        # Accounts, priorities and tolerations are for pods.
        assert without(made["spec"]["template"]["spec"], "containers") == {
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        }

    async def test_a_strategy_without_rolling(self, api: Client, ns: Namespace) -> None:
        body = deployment("a", strategy={"type": "Recreate"})
        made = (await api.post(ns("apps/v1/deployments"), body)).ok(201)
        assert made["spec"]["strategy"] == {"type": "Recreate"}

    async def test_zero_replicas(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("apps/v1/deployments"), deployment("a", replicas=0))).ok(201)
        assert made["spec"]["replicas"] == 0

    BAD: Cases = (
        (
            "no selector",
            {"selector": None},
            "[spec.selector: Required value, spec.template.metadata.labels: Invalid value: "
            f'{{"app":"a"}}: {TEMPLATE_LABELS}]',
        ),
        (
            "no template",
            {"template": None},
            f"[spec.template.metadata.labels: Invalid value: null: {TEMPLATE_LABELS}, spec.template.spec.containers: "
            "Required value]",
        ),
        (
            "labels",
            {"template": template("x")},
            f'spec.template.metadata.labels: Invalid value: {{"app":"x"}}: {TEMPLATE_LABELS}',
        ),
        ("replicas", {"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            "strategy",
            {"strategy": {"type": "Nope"}},
            'spec.strategy: Unsupported value: {"Type":"Nope","RollingUpdate":null}: supported values: "Recreate", '
            '"RollingUpdate"',
        ),
        (
            "rolling with recreate",
            {"strategy": {"type": "Recreate", "rollingUpdate": {}}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            "neither surge nor unavailable",
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            "restart policy",
            {"template": template("a", restartPolicy="Never")},
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        (
            "deadline",
            {"progressDeadlineSeconds": 5, "minReadySeconds": 9},
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ),
        (
            "percent",
            {"strategy": {"rollingUpdate": {"maxUnavailable": "x"}}},
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "x": a valid percent string must be a numeric '
            "string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ),
        (
            "empty selector",
            {"selector": {}},
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
        ),
        (
            "image",
            {"template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a"}]}}},
            "spec.template.spec.containers[0].image: Required value",
        ),
    )

    @cases(BAD)
    async def test_bad(self, api: Client, ns: Namespace, spec: dict[str, Any], why: str) -> None:
        reply = await api.post(ns("apps/v1/deployments"), deployment("a", **spec))
        reply.refused(422, "Invalid", f'Deployment.apps "a" is invalid: {why}')


class TestServices:
    ADDRESS = re.compile(r"10\.0\.\d+\.\d+")

    async def test_defaults(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("services"), service("a"))).ok(201)
        assert_includes(
            made["spec"],
            {
                "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80, "nodePort": None}],
                "clusterIP": self.ADDRESS,
                "clusterIPs": [made["spec"]["clusterIP"]],
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "internalTrafficPolicy": "Cluster",
            },
        )
        assert made["status"] == {"loadBalancer": {}}

    async def test_addresses_differ(self, api: Client, ns: Namespace) -> None:
        made = [(await api.post(ns("services"), service(name))).ok(201) for name in "abc"]
        assert len({each["spec"]["clusterIP"] for each in made}) == 3

    async def test_without_an_address(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("services"), service("a", clusterIP="None"))).ok(201)
        assert_includes(made["spec"], {"clusterIP": "None", "clusterIPs": ["None"], "type": "ClusterIP"})

    async def test_a_named_target(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("services"), service("a", ports=[{"port": 80, "targetPort": "web"}]))).ok(201)
        assert made["spec"]["ports"] == [{"protocol": "TCP", "port": 80, "targetPort": "web"}]

    @pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
    async def test_ports_of_nodes(self, api: Client, ns: Namespace, kind: str) -> None:
        made = (await api.post(ns("services"), service("a", type=kind))).ok(201)
        assert 30000 <= made["spec"]["ports"][0]["nodePort"] <= 32767
        assert_includes(made["spec"], {"type": kind, "externalTrafficPolicy": "Cluster", "clusterIP": self.ADDRESS})
        assert made["spec"].get("allocateLoadBalancerNodePorts") == (True if kind == "LoadBalancer" else None)

    async def test_an_external_name(self, api: Client, ns: Namespace) -> None:
        body = service("a") | {"spec": {"type": "ExternalName", "externalName": "a.b"}}
        made = (await api.post(ns("services"), body)).ok(201)
        assert made["spec"] == {"type": "ExternalName", "sessionAffinity": "None", "externalName": "a.b"}

    async def test_an_address_that_is_taken(self, api: Client, ns: Namespace) -> None:
        address = (await api.post(ns("services"), service("a"))).ok(201)["spec"]["clusterIP"]
        reply = await api.post(ns("services"), service("b", clusterIP=address))
        why = f'spec.clusterIPs: Invalid value: ["{address}"]: failed to allocate IP {address}: '
        reply.refused(422, "Invalid", f'Service "b" is invalid: {why}provided IP is already allocated')

    async def test_an_address_is_free_again(self, api: Client, ns: Namespace) -> None:
        address = (await api.post(ns("services"), service("a"))).ok(201)["spec"]["clusterIP"]
        (await api.delete(ns("services", "a"))).ok()
        (await api.post(ns("services"), service("b", clusterIP=address))).ok(201)

    BAD: Cases = (
        ("no ports", {"ports": []}, "spec.ports: Required value"),
        (
            "names of ports",
            {"ports": [{"port": 80}, {"port": 81}]},
            "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]",
        ),
        (
            "same port",
            {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]},
            'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,'
            '"NodePort":0}',
        ),
        (
            "same name",
            {"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]},
            'spec.ports[1].name: Duplicate value: "a"',
        ),
        (
            "port",
            {"ports": [{"port": 0}]},
            "[spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: "
            "Invalid value: 0: must be between 1 and 65535, inclusive]",
        ),
        (
            "target",
            {"ports": [{"port": 80, "targetPort": "x y"}]},
            'spec.ports[0].targetPort: Invalid value: "x y": must contain only alpha-numeric characters (a-z, 0-9), '
            "and hyphens (-)",
        ),
        (
            "type",
            {"type": "Nope"},
            'spec.type: Unsupported value: "Nope": supported values: "ClusterIP", "ExternalName", "LoadBalancer", '
            '"NodePort"',
        ),
        ("no external name", {"type": "ExternalName"}, "spec.externalName: Required value"),
        (
            "address",
            {"clusterIP": "x"},
            'spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        ),
        (
            "address elsewhere",
            {"clusterIP": "1.2.3.4"},
            'spec.clusterIPs: Invalid value: ["1.2.3.4"]: failed to allocate IP 1.2.3.4: the provided network '
            "does not match the current range",
        ),
        (
            "affinity",
            {"sessionAffinity": "x"},
            'spec.sessionAffinity: Unsupported value: "x": supported values: "ClientIP", "None"',
        ),
        (
            "protocol",
            {"ports": [{"port": 80, "protocol": "X"}]},
            'spec.ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
        ),
    )

    @cases(BAD)
    async def test_bad(self, api: Client, ns: Namespace, spec: dict[str, Any], why: str) -> None:
        reply = await api.post(ns("services"), service("a", **spec))
        reply.refused(422, "Invalid", f'Service "a" is invalid: {why}')


class TestJobs:
    async def test_defaults(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("batch/v1/jobs"), job("a"))).ok(201)
        uid = made["metadata"]["uid"]
        labels = {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": "a",
            "controller-uid": uid,
            "job-name": "a",
        }
        assert made["metadata"]["labels"] == labels
        assert made["spec"]["template"]["metadata"]["labels"] == labels
        assert without(made["spec"], "template") == {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
            "manualSelector": False,
            "completionMode": "NonIndexed",
            "suspend": False,
            "podReplacementPolicy": "TerminatingOrFailed",
        }
        assert made["status"] == {}

    async def test_parallelism_without_completions(self, api: Client, ns: Namespace) -> None:
        made = (await api.post(ns("batch/v1/jobs"), job("a", parallelism=3))).ok(201)
        assert_includes(made["spec"], {"parallelism": 3, "completions": None})

    RESTART = 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'
    BAD: Cases = (
        ("restart policy", {"template": {"spec": {"restartPolicy": "Always", "containers": [container()]}}}, RESTART),
        ("no restart policy", {"template": {"spec": {"containers": [container()]}}}, RESTART),
        ("no template", {"template": None}, f"[spec.template.spec.containers: Required value, {RESTART}]"),
        ("parallelism", {"parallelism": -1}, "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
        ("backoff", {"backoffLimit": -1}, "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
        (
            "time to live",
            {"ttlSecondsAfterFinished": -1},
            "spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "deadline",
            {"activeDeadlineSeconds": -1},
            "spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "mode",
            {"completionMode": "X"},
            'spec.completionMode: Unsupported value: "X": supported values: "NonIndexed", "Indexed"',
        ),
    )

    @cases(BAD)
    async def test_bad(self, api: Client, ns: Namespace, spec: dict[str, Any], why: str) -> None:
        reply = await api.post(ns("batch/v1/jobs"), job("a", **spec))
        reply.refused(422, "Invalid", f'Job.batch "a" is invalid: {why}')

    async def test_a_selector_is_not_ones_own(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("batch/v1/jobs"), job("a", selector={"matchLabels": {"x": "y"}}))
        assert reply.status == 422
        assert re.search("spec.selector: Invalid value: .*: `selector` not auto-generated", reply.json["message"])

    async def test_schedules(self, api: Client, ns: Namespace) -> None:
        body = {
            "metadata": {"name": "a"},
            "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job("x")["spec"]}},
        }
        made = (await api.post(ns("batch/v1/cronjobs"), body)).ok(201)
        assert without(made["spec"], "jobTemplate") == {
            "schedule": "* * * * *",
            "concurrencyPolicy": "Allow",
            "suspend": False,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        }
        reply = await api.patch(ns("batch/v1/cronjobs", "a"), {"spec": {"schedule": "x"}})
        why = 'spec.schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]'
        reply.refused(422, "Invalid", f'CronJob.batch "a" is invalid: {why}')


class TestSecrets:
    async def test_text_becomes_data(self, api: Client, ns: Namespace) -> None:
        body = {"metadata": {"name": "a"}, "data": {"k": "eA==", "m": "eA=="}, "stringData": {"k": "y", "l": "z"}}
        made = (await api.post(ns("secrets"), body)).ok(201)
        assert_includes(made, {"type": "Opaque", "stringData": None})
        assert made["data"] == {"k": "eQ==", "l": "eg==", "m": "eA=="}

    BAD: Cases = (
        ("key", {"data": {"a b": "eA=="}}, f'data[a b]: Invalid value: "a b": {CONFIG_KEY}'),
        ("docker", {"type": "kubernetes.io/dockerconfigjson"}, "data[.dockerconfigjson]: Required value"),
        (
            "tls",
            {"type": "kubernetes.io/tls"},
            "[data[tls.crt]: Required value, data[tls.key]: Required value]",
        ),
        (
            "password",
            {"type": "kubernetes.io/basic-auth"},
            "[data[username]: Required value, data[password]: Required value]",
        ),
        (
            "account",
            {"type": "kubernetes.io/service-account-token"},
            "metadata.annotations[kubernetes.io/service-account.name]: Required value",
        ),
    )

    @cases(BAD)
    async def test_bad(self, api: Client, ns: Namespace, spec: dict[str, Any], why: str) -> None:
        reply = await api.post(ns("secrets"), {"metadata": {"name": "a"}, **spec})
        reply.refused(422, "Invalid", f'Secret "a" is invalid: {why}')

    async def test_data_that_is_no_base64(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("secrets"), {"metadata": {"name": "a"}, "data": {"k": "!!"}})
        why = "illegal base64 data at input byte 0"
        reply.refused(400, "BadRequest", f'Secret in version "v1" cannot be handled as a Secret: {why}')


class TestConfigMaps:
    BAD: Cases = (
        ("key", {"data": {"a b": "c"}}, f'data[a b]: Invalid value: "a b": {CONFIG_KEY}'),
        ("dots", {"data": {"..": "c"}}, "data[..]: Invalid value: \"..\": must not be '..'"),
        (
            "twice",
            {"data": {"a": "c"}, "binaryData": {"a": "AA=="}},
            'data[a]: Invalid value: "a": duplicate of key present in binaryData',
        ),
    )

    @cases(BAD)
    async def test_bad(self, api: Client, ns: Namespace, spec: dict[str, Any], why: str) -> None:
        reply = await api.post(ns("configmaps"), config_map("a", **spec))
        reply.refused(422, "Invalid", f'ConfigMap "a" is invalid: {why}')


class TestOthers:
    async def test_claims(self, api: Client, ns: Namespace) -> None:
        path = ns("persistentvolumeclaims")
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
        made = (await api.post(path, {"metadata": {"name": "a"}, "spec": spec})).ok(201)
        assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
        assert_includes(made["spec"], {"volumeMode": "Filesystem", "resources": {"requests": {"storage": "1Gi"}}})
        assert made["status"] == {"phase": "Pending"}

    async def test_an_amount_of_storage_is_counted_in_thousandths(self, api: Client, ns: Namespace) -> None:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "0.0001"}}}
        made = (await api.post(ns("persistentvolumeclaims"), {"metadata": {"name": "a"}, "spec": spec})).ok(201)
        assert made["spec"]["resources"]["requests"] == {"storage": "1m"}

    async def test_bad_claims(self, api: Client, ns: Namespace) -> None:
        reply = await api.post(ns("persistentvolumeclaims"), {"metadata": {"name": "a"}, "spec": {}})
        why = (
            "[spec.accessModes: Required value: at least 1 access mode is required, spec.resources[storage]: Required "
            "value]"
        )
        reply.refused(422, "Invalid", f'PersistentVolumeClaim "a" is invalid: {why}')

    async def test_autoscalers(self, api: Client, ns: Namespace) -> None:
        target = {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"}
        body = {"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "scaleTargetRef": target}}
        made = (await api.post(ns("autoscaling/v2/horizontalpodautoscalers"), body)).ok(201)
        usage = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
        assert_includes(made["spec"], {"minReplicas": 1, "metrics": [{"type": "Resource", "resource": usage}]})

    async def test_disruption_budgets(self, api: Client, ns: Namespace) -> None:
        path = ns("policy/v1/poddisruptionbudgets")
        spec: dict[str, Any] = {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}
        made = (await api.post(path, {"metadata": {"name": "a"}, "spec": spec})).ok(201)
        assert_includes(made, {"metadata": {"generation": 1}, "spec": spec})
        reply = await api.post(path, {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "maxUnavailable": 1}})
        assert reply.status == 422
        assert reply.json["message"].endswith(": minAvailable and maxUnavailable cannot be both set")

    async def test_ingresses(self, api: Client, ns: Namespace) -> None:
        backend = {"service": {"name": "x", "port": {"number": 80}}}

        def body(path: str) -> dict[str, Any]:
            paths = [{"path": path, "pathType": "Prefix", "backend": backend}]
            return {"metadata": {"name": "a"}, "spec": {"rules": [{"host": "a.b", "http": {"paths": paths}}]}}

        made = (await api.post(ns("networking.k8s.io/v1/ingresses"), body("/"))).ok(201)
        assert_includes(made, {"metadata": {"generation": 1}, "status": {"loadBalancer": {}}})
        reply = await api.put(ns("networking.k8s.io/v1/ingresses", "a"), body("x"))
        why = 'spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path'
        reply.refused(422, "Invalid", f'Ingress.networking.k8s.io "a" is invalid: {why}')

    async def test_stateful_sets(self, api: Client, ns: Namespace) -> None:
        spec = {"serviceName": "a", "selector": {"matchLabels": {"app": "a"}}, "template": template("a")}
        made = (await api.post(ns("apps/v1/statefulsets"), {"metadata": {"name": "a"}, "spec": spec})).ok(201)
        expected = {
            "replicas": 1,
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "revisionHistoryLimit": 10,
        }
        assert_includes(made["spec"], expected)

    async def test_replica_sets(self, api: Client, ns: Namespace) -> None:
        spec = {"selector": {"matchLabels": {"app": "a"}}, "template": template("a")}
        made = (await api.post(ns("apps/v1/replicasets"), {"metadata": {"name": "a"}, "spec": spec})).ok(201)
        assert_includes(made, {"spec": {"replicas": 1}, "status": {"replicas": 0}, "metadata": {"generation": 1}})

    async def test_leases(self, api: Client, ns: Namespace) -> None:
        path = ns("coordination.k8s.io/v1/leases")
        spec = {"holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.123456Z"}
        made = (await api.post(path, {"metadata": {"name": "a"}, "spec": spec})).ok(201)
        assert made["spec"] == spec
        reply = await api.patch(f"{path}/a", {"spec": {"leaseDurationSeconds": 0}})
        why = "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
        reply.refused(422, "Invalid", f'Lease.coordination.k8s.io "a" is invalid: {why}')
        reply = await api.post(path, {"metadata": {"name": "b"}, "spec": {"renewTime": "2026-01-01T00:00:00Z"}})
        why = 'parsing time "2026-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"'
        reply.refused(400, "BadRequest", f'Lease in version "v1" cannot be handled as a Lease: {why}')

    async def test_events(self, api: Client, ns: Namespace) -> None:
        about = {"kind": "Pod", "name": "x", "namespace": ns.name}
        body: dict[str, Any] = {"metadata": {"name": "a"}, "involvedObject": about, "count": 1, "message": "m"}
        made = (await api.post(ns("events"), body)).ok(201)
        assert_includes(made, {"involvedObject": about, "count": 1, "reportingComponent": "", "source": {}})
        reply = await api.post(ns("events"), body | {"involvedObject": about | {"namespace": "other"}})
        why = 'involvedObject.namespace: Invalid value: "other": does not match event.namespace'
        reply.refused(422, "Invalid", f'Event "a" is invalid: {why}')

    async def test_events_of_both_groups_are_the_same(self, api: Client, ns: Namespace) -> None:
        about = {"kind": "Pod", "name": "x", "namespace": ns.name}
        body = {
            "metadata": {"name": "a"},
            "regarding": about,
            "action": "Act",
            "reason": "Because",
            "note": "A note.",
            "type": "Normal",
            "reportingController": "x.y/z",
            "reportingInstance": "z-0",
            "eventTime": "2026-01-01T00:00:00.000000Z",
        }
        made = (await api.post(ns("events.k8s.io/v1/events"), body)).ok(201)
        found = (await api.get(ns("events", "a"))).ok()
        expected = {
            "kind": "Event",
            "apiVersion": "v1",
            "involvedObject": about,
            "message": "A note.",
            "reason": "Because",
            "reportingComponent": "x.y/z",
            "metadata": {"uid": made["metadata"]["uid"]},
        }
        assert_includes(found, expected)
