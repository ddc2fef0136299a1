import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from marie_operator.api.mariejob import MarieJob
from marie_operator.api.meta import SecretKeyReference
from marie_operator.api.permissions import CLUSTER_PERMISSIONS, LEADER_ELECTION_PERMISSIONS
from marie_operator.builders import chain, submitter
from marie_operator.runtime.resource import STATEFUL_SETS
from tests.builders.clusters import GOLDENS, admitted
from tests.builders.schemas import validate
from tests.config.kubectl import ROOT, Kubectl, RefusedError

pytestmark = pytest.mark.controlplane


def denied(kubectl: Kubectl, accesses: Iterable[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """Those of (verb, resource, API group, namespace) that the operator's account may not do."""
    asked = list(accesses)
    reviews = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "system:serviceaccount:marie-system:marie-operator",
                "resourceAttributes": {
                    "verb": verb,
                    "group": group,
                    "resource": resource.partition("/")[0],
                    "subresource": resource.partition("/")[2],
                    "namespace": namespace,
                },
            },
        }
        for verb, resource, group, namespace in asked
    ]
    answers = list(
        yaml.safe_load_all(
            kubectl("create", "-o", "yaml", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": reviews})
        )
    )
    return [access for access, answer in zip(asked, answers, strict=True) if not answer["status"]["allowed"]]


def rendered(kubectl: Kubectl) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(kubectl("kustomize", str(ROOT / "config/default"))))


def test_monitoring_is_a_component_of_an_installation(kubectl: Kubectl, tmp_path: Path) -> None:
    config = os.path.relpath(ROOT / "config", tmp_path)
    kustomization = {"resources": [f"{config}/default"], "components": [f"{config}/monitoring"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    found = {
        (each["kind"], each["metadata"]["name"]): each
        for each in yaml.safe_load_all(kubectl("kustomize", str(tmp_path)))
    }
    assert found.keys() - {(each["kind"], each["metadata"]["name"]) for each in rendered(kubectl)} == {
        ("PodMonitor", "marie-operator"),
        ("PrometheusRule", "marie-operator"),
        ("ConfigMap", "marie-operator-dashboard"),
    }
    pod = found["Deployment", "marie-operator"]["spec"]["template"]
    monitor = found["PodMonitor", "marie-operator"]
    assert monitor["metadata"]["namespace"] == "marie-system"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    # The rules and the dashboard select by the job that this makes.
    assert pod["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "marie-operator"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    dashboard = found["ConfigMap", "marie-operator-dashboard"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["marie-operator.json"])["title"] == "Marie Operator"


def test_an_installation_for_some_namespaces_has_rights_in_those_it_looks_after_alone(kubectl: Kubectl) -> None:
    found = list(yaml.safe_load_all(kubectl("kustomize", str(ROOT / "config/namespaced"))))
    bound = {
        (each["kind"], each["metadata"]["namespace"]): each["roleRef"]["name"]
        for each in found
        if each["kind"] in {"ClusterRoleBinding", "RoleBinding"}
    }
    (deployment,) = (each for each in found if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (watched,) = (each["value"] for each in container["env"] if each["name"] == "WATCH_NAMESPACE")
    assert bound == {
        ("RoleBinding", "marie-system"): "marie-operator-leader-election",
        **{("RoleBinding", namespace): "marie-operator" for namespace in watched.split(",")},
    }
    whole = {(each["kind"], each["metadata"]["name"]) for each in rendered(kubectl)}
    assert whole - {(each["kind"], each["metadata"]["name"]) for each in found} == {
        ("ClusterRoleBinding", "marie-operator")
    }


def operator_pod(kubectl: Kubectl) -> dict[str, Any]:
    deployment = kubectl.object("get", "deployment/marie-operator", "--namespace=marie-system")
    template = deployment["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": "marie-system", "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    }


@pytest.mark.parametrize("version", ["1.25", "1.36"])
def test_all_of_config_default_is_valid(kubectl: Kubectl, version: str) -> None:
    for manifest in rendered(kubectl):
        validate(manifest, version)


def test_applying_again_changes_nothing(kubectl: Kubectl) -> None:
    arguments = ("apply", "-k", str(ROOT / "config/default"))
    first, again = kubectl.object(*arguments)["items"], kubectl.object(*arguments)["items"]
    versions = [[each["metadata"]["resourceVersion"] for each in items] for items in (first, again)]
    assert versions[0] == versions[1]
    assert len(again) == len(rendered(kubectl))


def test_the_definitions_install_alone(kubectl: Kubectl) -> None:
    kubectl("apply", "--dry-run=server", "-k", str(ROOT / "config/crd"))
    for name in ("marieclusters.marie.ai", "mariejobs.marie.ai"):
        conditions = {each["type"]: each for each in kubectl.object("get", "crd", name)["status"]["conditions"]}
        assert conditions["Established"]["status"] == "True"
        assert "NonStructuralSchema" not in conditions


def test_the_operators_pod_is_admitted_where_restricted_is_enforced(kubectl: Kubectl) -> None:
    namespace = kubectl.object("get", "namespace", "marie-system")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    kubectl("create", "--dry-run=server", "-f", "-", stdin=operator_pod(kubectl))


def test_a_pod_with_less_security_is_refused_there(kubectl: Kubectl) -> None:
    pod = operator_pod(kubectl)
    del pod["spec"]["containers"][0]["securityContext"]
    with pytest.raises(RefusedError, match='violates PodSecurity "restricted'):
        kubectl("create", "--dry-run=server", "-f", "-", stdin=pod)


def test_managed_services_are_admitted_where_restricted_is_enforced(kubectl: Kubectl) -> None:
    managed = admitted(GOLDENS / "backing-managed" / "input.yaml", "marie-system")
    sets = [manifest for resource, manifest in chain.desired(managed) if resource == STATEFUL_SETS]
    assert len(sets) == 2
    for found in sets:
        template, name = found["spec"]["template"], found["metadata"]["name"]
        # Nobody makes the default account here.
        spec = {**template["spec"], "serviceAccountName": "marie-operator"}
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
        pod["metadata"] = {**template["metadata"], "name": name, "namespace": "marie-system"}
        kubectl("create", "--dry-run=server", "-f", "-", stdin=pod)


def test_submitters_are_admitted_where_restricted_is_enforced(kubectl: Kubectl) -> None:
    job = MarieJob.model_validate(
        {"metadata": {"name": "j", "namespace": "marie-system", "uid": "u"}, "spec": {"clusterRef": "c"}}
    )
    made = submitter.manifest(
        job, attempt=0, cluster="c", environment={}, api_key=SecretKeyReference(name="key"), own_image="operator:1"
    )
    # Nobody makes the default account here.
    spec = {**made["spec"]["template"]["spec"], "serviceAccountName": "marie-operator"}
    metadata = {**made["spec"]["template"]["metadata"], "name": "j", "namespace": "marie-system"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    kubectl("create", "--dry-run=server", "-f", "-", stdin=pod)


def test_the_operator_reads_its_environment_and_writes_no_file(kubectl: Kubectl) -> None:
    spec = operator_pod(kubectl)["spec"]
    (container,) = spec["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["LEADER_ELECTION"] == "true"
    assert environment["METRICS_BIND_ADDRESS"] == ":8080"
    assert environment["HEALTH_PROBE_BIND_ADDRESS"] == ":8081"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "priorityClassName" not in spec
    # A service account token is all that is mounted.
    assert [each["name"] for each in spec.get("volumes", [])] == []


def test_the_operator_may_do_what_the_tables_say(kubectl: Kubectl) -> None:
    for permissions, namespace in ((CLUSTER_PERMISSIONS, "default"), (LEADER_ELECTION_PERMISSIONS, "marie-system")):
        accesses = [
            (verb, resource, each.group, namespace)
            for each in permissions
            for resource in each.resources
            for verb in each.verbs
        ]
        assert denied(kubectl, accesses) == []


@pytest.mark.kuberay("KR-38")
def test_the_operator_may_do_nothing_else(kubectl: Kubectl) -> None:
    accesses = [
        ("list", "secrets", "", "default"),
        ("watch", "secrets", "", "default"),
        ("delete", "persistentvolumeclaims", "", "default"),
        ("create", "pods", "", "default"),
        ("list", "configmaps", "", "default"),
        ("update", "jobs", "batch", "default"),
        ("update", "marieclusters", "marie.ai", "default"),
        ("create", "mariejobs", "marie.ai", "default"),
        ("update", "leases", "coordination.k8s.io", "default"),
        ("create", "clusterroles", "rbac.authorization.k8s.io", ""),
    ]
    assert denied(kubectl, accesses) == accesses


def test_the_image_is_named_in_one_place(kubectl: Kubectl) -> None:
    images = {
        container["image"]
        for manifest in rendered(kubectl)
        for container in manifest.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
    }
    assert images == {"marieai/marie-operator:latest"}


def test_submitters_run_the_image_that_the_operator_runs(kubectl: Kubectl, tmp_path: Path) -> None:
    manager = tmp_path / "manager"
    shutil.copytree(ROOT / "config/manager", manager)
    settings = yaml.safe_load((manager / "kustomization.yaml").read_text())
    settings["images"][0] |= {"newName": "registry.example/operator", "newTag": "v9"}
    (manager / "kustomization.yaml").write_text(yaml.safe_dump(settings))
    deployment = next(
        each for each in yaml.safe_load_all(kubectl("kustomize", str(manager))) if each["kind"] == "Deployment"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert told["MARIE_OPERATOR_IMAGE"] == container["image"] == "registry.example/operator:v9"
