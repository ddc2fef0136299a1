"""What holds for the children of every cluster."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.validation import problems
from marie_operator.builders import association, chain
from marie_operator.runtime.ownership import controller_uid
from marie_operator.runtime.resource import DEPLOYMENTS, SERVICES, Object, Resource
from tests.builders.clusters import cluster, container, group, template
from tests.builders.specs import clusters, names, templates

LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")


def manifests(of: MarieCluster) -> dict[tuple[Resource, str], Object]:
    return {(resource, manifest["metadata"]["name"]): manifest for resource, manifest in chain.desired(of)}


def pod_templates(of: MarieCluster) -> dict[str, Object]:
    return {
        name: manifest["spec"]["template"] for (kind, name), manifest in manifests(of).items() if kind == DEPLOYMENTS
    }


@pytest.mark.model
@given(clusters())
def test_the_same_cluster_has_the_same_children_and_stays_as_it_is(given: MarieCluster) -> None:
    before = given.model_dump_json()
    first = json.dumps(chain.desired(given), default=str)
    assert json.dumps(chain.desired(given), default=str) == first
    assert json.dumps(chain.desired(MarieCluster.model_validate_json(before)), default=str) == first
    assert given.model_dump_json() == before


@pytest.mark.model
@given(clusters())
def test_children_are_in_the_chains_order_each_under_a_name_of_its_own(given: MarieCluster) -> None:
    assert problems(given) == []
    built = chain.desired(given)
    assert [(link.resource, manifest) for link in chain.CHAIN for manifest in link.build(given)] == built
    groups, policies = len(given.spec.executor_group_specs), given.spec.network_policy is not None
    expected = 4 + 2 * groups + given.spec.enable_ingress + policies * (1 + (groups > 0))
    assert len(manifests(given)) == len(built) == expected
    for resource, manifest in built:
        assert (manifest["apiVersion"], manifest["kind"]) == (resource.api_version, resource.kind)
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", manifest["metadata"]["name"])


@pytest.mark.model
@given(clusters())
@pytest.mark.kuberay("KR-31")
def test_every_child_is_found_by_its_labels_and_its_owner(given: MarieCluster) -> None:
    for _, manifest in chain.desired(given):
        metadata = manifest["metadata"]
        assert controller_uid(manifest) == given.metadata.uid
        (owner,) = metadata["ownerReferences"]
        assert (owner["controller"], owner["blockOwnerDeletion"]) == (True, True)
        assert metadata["labels"][association.MANAGED_BY_LABEL] == association.FIELD_MANAGER
        assert metadata["labels"][association.CLUSTER_LABEL] == given.metadata.name
        for value in metadata["labels"].values():
            assert LABEL_VALUE.fullmatch(value)


@pytest.mark.model
@given(clusters())
def test_selectors_match_the_pods_of_their_own_deployment_and_of_no_other(given: MarieCluster) -> None:
    pods = {name: pod["metadata"]["labels"] for name, pod in pod_templates(given).items()}
    selectors = {
        name: manifest["spec"]["selector"]["matchLabels"] if kind == DEPLOYMENTS else manifest["spec"]["selector"]
        for (kind, name), manifest in manifests(given).items()
        if kind in {DEPLOYMENTS, SERVICES}
    }
    for name, selector in selectors.items():
        matched = {pod for pod, labels in pods.items() if selector.items() <= labels.items()}
        assert matched == {re.sub(r"-svc$", "", name.replace("-server-headless", "-server"))}


@pytest.mark.model
@given(clusters())
def test_services_lead_to_ports_that_the_pods_are_told_to_open(given: MarieCluster) -> None:
    pods = pod_templates(given)
    for (kind, name), manifest in manifests(given).items():
        if kind == SERVICES:
            ports = manifest["spec"]["ports"]
            assert len({port["name"] for port in ports}) == len(ports)
            pod = pods[re.sub(r"-svc$", "", name.replace("-server-headless", "-server"))]["spec"]
            marie = next(item for item in pod["containers"] if item["name"] == "marie")
            opened = {port["containerPort"] for port in marie["ports"]}
            assert {port["targetPort"] for port in ports} <= opened


# What a change reaches.


def changed(given: MarieCluster, **spec: Any) -> MarieCluster:
    return given.model_copy(update={"spec": given.spec.model_copy(update=spec)})


def regrouped(given: MarieCluster, **fields: Any) -> MarieCluster:
    first, *rest = given.spec.executor_group_specs
    return changed(given, executor_group_specs=(first.model_copy(update=fields), *rest))


@pytest.mark.model
@given(clusters(), st.sampled_from(["NodePort", "LoadBalancer", "ClusterIP"]), st.booleans(), st.booleans(), names)
def test_what_is_of_the_cluster_rolls_no_pod(
    given: MarieCluster, service_type: str, suspend: bool, ingress: bool, version: str
) -> None:
    other = changed(given, service_type=service_type, suspend=suspend, enable_ingress=ingress, marie_version=version)
    assert pod_templates(other) == pod_templates(given)


@pytest.mark.model
@given(clusters().filter(lambda each: each.spec.executor_group_specs), templates())
def test_a_groups_template_reaches_that_group_alone(given: MarieCluster, pod: Object) -> None:
    other = regrouped(given, template=pod)
    mine = association.executor_deployment_name(given.metadata.name, given.spec.executor_group_specs[0].group_name)
    named = [association.executor_name(each.spec.executor_group_specs[0]) for each in (given, other)]
    assert named[0] == named[1]
    before, after = pod_templates(given), pod_templates(other)
    assert {name for name in before if before[name] != after[name]} <= {mine}


@pytest.mark.model
@given(clusters(), templates())
def test_the_servers_template_reaches_the_server_alone(given: MarieCluster, pod: Object) -> None:
    server = given.spec.server_spec.model_copy(update={"template": pod})
    before, after = pod_templates(given), pod_templates(changed(given, server_spec=server))
    assert {name for name in before if before[name] != after[name]} <= {f"{given.metadata.name}-server"}


@pytest.mark.parametrize(
    ("fields", "rolled"),
    [
        ({"replicas": 7}, set()),
        ({"suspend": True}, set()),
        ({"min_replicas": 1, "max_replicas": 9}, set()),
        ({"executor_name": "other_executor"}, set()),
        ({"executor_type": "ner"}, set()),
        ({"slots": 2}, {"c-server"}),
        ({"gpu": True}, {"c-executor-ocr"}),
    ],
)
def test_what_of_a_group_rolls_pods(fields: dict[str, Any], rolled: set[str]) -> None:
    given = cluster(group("ocr"), group("ner"))
    before, after = pod_templates(given), pod_templates(regrouped(given, **fields))
    assert {name for name in before if before[name] != after[name]} == rolled


def test_a_group_comes_and_goes_without_the_others() -> None:
    one, two = cluster(group("ocr")), cluster(group("ocr"), group("ner"))
    assert {name for _, name in manifests(two)} - {name for _, name in manifests(one)} == {
        "c-executor-ner",
        "c-executor-ner-svc",
    }
    assert all(manifests(two)[each] == manifest for each, manifest in manifests(one).items())


def test_suspending_scales_to_zero_and_touches_nothing_else() -> None:
    given = cluster(group("ocr", replicas=3), group("ner", replicas=2), enableIngress=True)
    off = changed(given, suspend=True)
    for identity, manifest in manifests(given).items():
        other = manifests(off)[identity]
        if identity[0] == DEPLOYMENTS:
            assert other["spec"]["replicas"] == 0
            other = {**other, "spec": {**other["spec"], "replicas": manifest["spec"]["replicas"]}}
            assert other["spec"] == manifest["spec"]
        else:
            assert other == manifest


# The hash tells what fields do not.


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["serverSpec"]["template"]["metadata"]["labels"].pop("team"),
        lambda spec: spec["serverSpec"]["template"]["spec"]["containers"][0]["env"].clear(),
    ],
)
def test_what_is_given_up_changes_the_hash(change: Callable[[Object], object]) -> None:
    given = cluster(
        server={
            "template": template(
                container(env=[{"name": "A", "value": "1"}]), metadata={"labels": {"team": "documents"}}
            )
        }
    )
    written = given.model_dump(by_alias=True)
    change(written["spec"])
    hashes = [
        {
            name: manifest["metadata"]["annotations"][association.SPEC_HASH]
            for (_, name), manifest in manifests(each).items()
        }
        for each in (given, MarieCluster.model_validate(written))
    ]
    assert {name for name in hashes[0] if hashes[0][name] != hashes[1][name]} == {"c-server"}


def test_the_way_a_quantity_is_written_makes_no_difference() -> None:
    one, two = (
        cluster(
            group(
                pod=template(
                    container(resources={"limits": {"cpu": cpu}}),
                    initContainers=[{"name": "i", "image": "i", "resources": {"requests": {"memory": memory}}}],
                    volumes=[{"name": "v", "emptyDir": {"sizeLimit": memory}}],
                )
            )
        )
        for cpu, memory in (("1000m", "1024Mi"), (1, "1Gi"))
    )
    assert manifests(one) == manifests(two)


def test_several_servers_run_as_asked_with_a_warning_that_says_what_to_do() -> None:
    assert chain.warnings(cluster()) == []
    given = cluster(server={"replicas": 2})
    assert manifests(given)[DEPLOYMENTS, "c-server"]["spec"]["replicas"] == 2
    ((reason, sentence),) = chain.warnings(given)
    assert reason == "SeveralSchedulers"
    assert "Set it to 1" in sentence


def test_text_is_extracted_from_an_object_store_and_to_one() -> None:
    managed: dict[str, Any] = {"etcd": {"managed": {}}, "postgres": {"managed": {}}}
    text, other = group("text", executorType="ocr"), group("mock", executorName="mock_executor")
    ((reason, sentence),) = chain.warnings(cluster(text, other, backingServices=managed))
    assert reason == "ObjectStoreNeeded"
    assert sentence == "Executors of text end at once without an object store: set spec.backingServices.s3."
    store = {"endpoint": "http://s3:9000", "credentialsSecretRef": {"name": "bucket"}}
    assert chain.warnings(cluster(text, other, backingServices=managed | {"s3": store})) == []
