"""Defaults, and that they yield to what the user's template says."""

from typing import Any

import pytest
from hypothesis import given

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, deployment, environment, pod, service, volumes
from marie_operator.runtime.resource import Object
from tests.builders.clusters import cluster, container, group, template
from tests.builders.specs import clusters


def server(*containers: Object, **spec: Any) -> Object:
    """The server's pod for a template."""
    made: Object = pod.server_template(cluster(server={"template": template(*containers, **spec)}))["spec"]
    return made


def executor(*containers: Object, **fields: Any) -> Object:
    """An executor's pod for a template."""
    given = cluster(group(pod=template(*containers), **fields))
    made: Object = pod.executor_template(given, given.spec.executor_group_specs[0])["spec"]
    return made


def marie(spec: Object) -> Object:
    return pod.main_container({"spec": spec})


def variables(spec: Object) -> dict[str, str | None]:
    return {item["name"]: item.get("value") for item in marie(spec)["env"]}


@pytest.mark.model
@given(clusters())
def test_no_word_of_the_user_is_lost(given: MarieCluster) -> None:
    """Whatever a template says is in the pod as it was, but for labels that select and the form of quantities."""
    pools = [(given.spec.server_spec.template, deployment.server(given))]
    pools += [(each.template, deployment.executor(given, each)) for each in given.spec.executor_group_specs]
    for written, built in pools:
        spec, user = built["spec"]["template"]["spec"], written["spec"]
        for field in user.keys() - {"containers", "initContainers", "volumes"}:
            assert spec[field] == user[field]
        for kind in ("containers", "initContainers", "volumes"):
            assert [item["name"] for item in spec.get(kind, ())][: len(user.get(kind, ()))] == [
                item["name"] for item in user.get(kind, ())
            ]
        for mine, theirs in zip(spec["containers"], user["containers"], strict=True):
            for field in theirs.keys() - {"resources", "securityContext"}:
                assert mine[field] == theirs[field] or mine[field][: len(theirs[field])] == theirs[field]
            assert (theirs.get("securityContext") or {}).items() <= (mine.get("securityContext") or {}).items()
        labels = written.get("metadata", {}).get("labels", {})
        selecting = built["spec"]["selector"]["matchLabels"]
        assert built["spec"]["template"]["metadata"]["labels"].items() >= ({**labels, **selecting}).items()
        assert built["spec"]["template"]["metadata"].get("annotations", {}) == written.get("metadata", {}).get(
            "annotations", {}
        )


def test_marie_is_the_container_of_that_name_or_the_first() -> None:
    logs = {"name": "logs", "image": "fluent-bit"}
    assert [item.get("args", [])[:1] for item in server(logs, container())["containers"]] == [[], ["gateway"]]
    assert [item.get("args", [])[:1] for item in server(logs, {**logs, "name": "b"})["containers"]] == [["gateway"], []]
    assert server(logs, container())["containers"][0] == logs


@pytest.mark.parametrize("fields", [{"command": ["/start"]}, {"args": ["x"]}, {"command": []}, {"args": []}])
@pytest.mark.parametrize("build", [server, executor])
def test_either_of_command_and_args_keeps_both_as_they_are(build: Any, fields: Object) -> None:
    built = marie(build(container(**fields)))
    assert {key: built[key] for key in ("command", "args") if key in built} == fields


def test_the_server_is_the_gateway_and_executors_are_flows() -> None:
    given = cluster(server={"configFile": "/c.yml", "serverStartParams": {"workers": "2", "debug": ""}})
    assert marie(pod.server_template(given)["spec"])["args"] == [
        *("gateway", "--uses", "/c.yml", "--protocols", "HTTP", "GRPC", "--ports", "51000", "52000"),
        *("--debug", "--workers", "2"),
    ]
    assert marie(executor())["args"] == ["server", "--start"]


@pytest.mark.parametrize(
    ("ports", "chosen"),
    [
        ([], {"http": 51000, "grpc": 52000}),
        ([{"name": "http", "containerPort": 8080}], {"http": 8080, "grpc": 52000}),
        ([{"name": "metrics", "containerPort": 9090}], {"http": 51000, "grpc": 52000, "metrics": 9090}),
        ([{"name": "http", "containerPort": 52000}], {"http": 52000, "grpc": 52001}),
        ([{"name": "grpc", "containerPort": 51000}], {"http": 51001, "grpc": 51000}),
        ([{"containerPort": 51000}], {"http": 51000, "grpc": 52000}),
        ([{"name": "http", "containerPort": 443, "protocol": "UDP"}], {"http": 51000, "grpc": 52000}),
    ],
)
def test_the_servers_ports_are_the_same_everywhere(ports: list[Object], chosen: dict[str, int]) -> None:
    given = cluster(server={"template": template(container(ports=ports))})
    built = marie(pod.server_template(given)["spec"])
    assert built["args"][7:9] == [str(chosen["http"]), str(chosen["grpc"])]
    assert {port["containerPort"] for port in built["ports"]} >= set(chosen.values()) - {51000}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert (built[probe]["httpGet"]["path"], built[probe]["httpGet"]["port"]) == ("/status", chosen["http"])
    for manifest in (service.server(given), service.server_headless(given)):
        assert {port["name"]: port["port"] for port in manifest["spec"]["ports"]} == chosen


@pytest.mark.parametrize(
    ("ports", "worker", "flow"),
    [
        ([], 52110, 52010),
        ([{"name": "grpc", "containerPort": 52001}], 52001, 52010),
        ([{"name": "grpc", "containerPort": 1}, {"name": "worker", "containerPort": 2}], 2, 52010),
        ([{"name": "flow", "containerPort": 52110}], 52111, 52110),
    ],
)
@pytest.mark.kuberay("KR-30")
def test_executors_are_probed_at_their_worker(ports: list[Object], worker: int, flow: int) -> None:
    built = executor(container(ports=ports))
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert marie(built)[probe]["grpc"]["port"] == worker
    assert (variables(built)["MARIE_WORKER_PORT"], variables(built)["MARIE_PORT"]) == (str(worker), str(flow))


def test_a_probe_of_the_users_stands_beside_the_others() -> None:
    mine = {"exec": {"command": ["true"]}}
    built = marie(server(container(livenessProbe=mine)))
    assert built["livenessProbe"] == mine
    assert "httpGet" in built["readinessProbe"]


def test_a_variable_of_the_users_wins_by_its_name() -> None:
    built = server(container(env=[{"name": "JINA_MP_START_METHOD", "value": "spawn"}, {"name": "OWN", "value": "1"}]))
    assert variables(built)["JINA_MP_START_METHOD"] == "spawn"
    names = [item["name"] for item in marie(built)["env"]]
    assert names[:2] == ["JINA_MP_START_METHOD", "OWN"]
    assert len(names) == len(set(names))


def test_the_gateway_forks_and_executors_spawn() -> None:
    assert variables(server())["JINA_MP_START_METHOD"] == "fork"
    assert variables(executor())["JINA_MP_START_METHOD"] == "spawn"


def test_the_gateway_knows_each_executors_slots_by_the_name_marie_looks_for() -> None:
    given = cluster(
        group("a", executorName="invoice-executor", slots=4),
        group("b", executorType="ocr", slots=3),
        group("c", executorType="extract", slots=2),
        group("d", executorType="ner"),
        group("e", executorName="a/b c", slots=1),
    )
    slots = {item["name"]: item["value"] for item in environment.server(given) if "SLOTS" in item["name"]}
    assert slots == {
        "MARIE_SLOTS_INVOICE-EXECUTOR_PER_NODE": "4",
        # Two groups of one executor: Marie knows one number for both.
        "MARIE_SLOTS_EXTRACT_EXECUTOR_PER_NODE": "2",
        "MARIE_SLOTS_A_B_C_PER_NODE": "1",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"executorName": "own", "executorType": "ocr"}, "own"),
        ({"executorType": "ocr"}, "extract_executor"),
        ({"executorType": "extract"}, "extract_executor"),
        ({"executorType": "classifier"}, "classifier_t"),
        ({"executorType": "classify"}, "classifier_t"),
        ({"executorType": "ner"}, "ner_t"),
        ({"executorType": "mock_executor_a"}, "mock_executor_a"),
        ({}, "pool"),
    ],
)
def test_the_name_of_an_executor(fields: Object, expected: str) -> None:
    annotated = template(metadata={"annotations": {association.EXECUTOR_NAME: "annotated"}})
    for made, name in ((group("pool", **fields), expected), (group("pool", annotated, **fields), "annotated")):
        assert association.executor_name(cluster(made).spec.executor_group_specs[0]) == (
            fields.get("executorName") or name
        )


@pytest.mark.parametrize(
    ("resource", "gpu", "cuda"),
    [
        ("cpu", False, False),
        ("cpu", True, True),
        ("nvidia.com/gpu", False, True),
        ("nvidia.com/mig-1g.5gb", False, True),
    ],
)
@pytest.mark.kuberay("KU-05")
def test_a_group_computes_on_gpus_when_it_says_so_or_asks_for_one(resource: str, gpu: bool, cuda: bool) -> None:
    made = container(resources={"limits": {resource: 1}})
    assert ("MARIE_DISABLE_CUDA" not in variables(executor(made, gpu=gpu))) is cuda
    given = cluster(group(pod=template(made), gpu=gpu))
    rolling = deployment.executor(given, given.spec.executor_group_specs[0])["spec"]["strategy"]["rollingUpdate"]
    assert rolling == ({"maxSurge": 0, "maxUnavailable": 1} if cuda else {"maxSurge": 1, "maxUnavailable": 0})


def test_the_old_server_ends_before_the_new_one_starts_and_soon() -> None:
    assert deployment.server(cluster())["spec"]["strategy"] == {"type": "Recreate"}
    assert server()["terminationGracePeriodSeconds"] == pod.SERVER_GRACE == 10
    assert executor()["terminationGracePeriodSeconds"] == pod.EXECUTOR_GRACE > pod.SERVER_GRACE
    assert server(terminationGracePeriodSeconds=0)["terminationGracePeriodSeconds"] == 0


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (None, {"allowPrivilegeEscalation": False}),
        ({"runAsUser": 0}, {"allowPrivilegeEscalation": False, "runAsUser": 0}),
        ({"allowPrivilegeEscalation": True}, {"allowPrivilegeEscalation": True}),
        ({"privileged": True}, {"privileged": True}),
        ({"capabilities": {"add": ["SYS_ADMIN"]}}, {"capabilities": {"add": ["SYS_ADMIN"]}}),
    ],
)
def test_privileges_are_not_raised_unless_the_user_says_so(context: Object | None, expected: Object) -> None:
    fields = {} if context is None else {"securityContext": context}
    assert marie(server(container(**fields)))["securityContext"] == expected


@pytest.mark.parametrize(
    ("spec", "mounted"),
    [
        ({}, False),
        ({"automountServiceAccountToken": True}, True),
        # Who names an account wants its token, unless the account itself says otherwise.
        ({"serviceAccountName": "marie"}, None),
        ({"serviceAccount": "marie"}, None),
        ({"serviceAccountName": "marie", "automountServiceAccountToken": False}, False),
    ],
)
@pytest.mark.kuberay("KR-38")
def test_no_token_where_nobody_asks_for_one(spec: Object, mounted: bool | None) -> None:
    assert server(**spec).get("automountServiceAccountToken") is mounted


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/data", {"/tmp", "/var/log/marie", "/dev/shm"}),
        ("/tmp", {"/var/log/marie", "/dev/shm"}),
        ("/tmp/", {"/var/log/marie", "/dev/shm"}),
        ("/tmp/marie", {"/tmp", "/var/log/marie", "/dev/shm"}),
        ("/tmpfs", {"/tmp", "/var/log/marie", "/dev/shm"}),
        ("/var", {"/tmp", "/dev/shm"}),
        ("/", set()),
    ],
)
def test_no_mount_of_ours_hides_one_of_the_users(path: str, kept: set[str]) -> None:
    built = executor(container(volumeMounts=[{"name": "disk", "mountPath": path}]))
    mounts = {mount["mountPath"]: mount["name"] for mount in marie(built)["volumeMounts"]}
    assert mounts.pop(path) == "disk"
    assert set(mounts) == kept
    assert {volume["name"] for volume in built.get("volumes", ())} == set(mounts.values())


@pytest.mark.parametrize("path", ["/config/certs", "/etc/marie/config/extract/base/layouts"])
def test_a_file_of_the_users_below_does_not_take_the_rendered_ones_away(path: str) -> None:
    mounted = {"template": template(container(volumeMounts=[{"name": "v", "mountPath": path}]))}
    services: Object = {"etcd": {"managed": {}}, "postgres": {"managed": {}}}
    built = pod.server_template(cluster(server=mounted, backingServices=services))["spec"]
    paths = {mount["mountPath"] for mount in marie(built)["volumeMounts"]}
    assert {path, "/config", "/etc/marie/config/extract/base"} <= paths


def test_what_waits_may_do_no_more_than_a_pod_may_by_itself() -> None:
    context = {"privileged": True, "runAsUser": 5, "capabilities": {"add": ["SYS_ADMIN"], "drop": ["NET_RAW"]}}
    services: Object = {"etcd": {"managed": {}}, "postgres": {"managed": {}}}
    written = {"template": template(container(securityContext=context))}
    built = pod.server_template(cluster(server=written, backingServices=services))["spec"]
    assert [each["securityContext"] for each in built["initContainers"]] == [
        {"allowPrivilegeEscalation": False, "runAsUser": 5, "capabilities": {"drop": ["NET_RAW"]}}
    ] * 2


def test_every_volume_of_ours_has_a_limit() -> None:
    for volume in {**volumes.SERVER, **volumes.EXECUTOR}.values():
        assert volume["emptyDir"]["sizeLimit"]
    assert volumes.EXECUTOR["/dev/shm"]["emptyDir"]["medium"] == "Memory"


def test_a_volume_of_the_users_with_our_name_is_used() -> None:
    theirs = {"name": "marie-tmp", "emptyDir": {"sizeLimit": "9Gi"}}
    built = server(container(), volumes=[theirs])
    assert [volume for volume in built["volumes"] if volume["name"] == "marie-tmp"] == [theirs]


def test_labels_of_the_users_stand_but_for_those_that_select() -> None:
    written = {"app.kubernetes.io/name": "invoices", "team": "documents", association.CLUSTER_LABEL: "another"}
    given = cluster(server={"template": template(metadata={"labels": written})})
    labels = pod.server_template(given)["metadata"]["labels"]
    assert (labels["app.kubernetes.io/name"], labels["team"]) == ("invoices", "documents")
    assert labels[association.CLUSTER_LABEL] == "c"


@pytest.mark.parametrize(
    ("server_type", "cluster_type", "expected"),
    [
        (None, "NodePort", "NodePort"),
        ("LoadBalancer", "NodePort", "LoadBalancer"),
        ("ClusterIP", "NodePort", "ClusterIP"),
    ],
)
def test_the_servers_own_type_of_service_goes_first(server_type: str | None, cluster_type: str, expected: str) -> None:
    given = cluster(server={"serviceType": server_type}, serviceType=cluster_type)
    assert service.server(given)["spec"]["type"] == expected
    headless = service.server_headless(given)["spec"]
    assert (headless["type"], headless["clusterIP"], headless["publishNotReadyAddresses"]) == (
        "ClusterIP",
        "None",
        True,
    )
