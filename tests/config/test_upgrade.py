"""Objects that an older CRD let in: the operator must still be able to say what is wrong with them."""

import json
from copy import deepcopy
from typing import Any

import pytest
import yaml

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.validation import problems
from tests.api.refused import REFUSED_TWICE, given_object
from tests.config.kubectl import ROOT, Kubectl, RefusedError, until

pytestmark = pytest.mark.controlplane

NAME = "twins"
ADDRESS = (f"mariecluster/{NAME}", "--namespace=default")


def twins() -> dict[str, Any]:
    """A cluster with two groups of one name."""
    (case,) = (each for each in REFUSED_TWICE if "same groupName" in each.message)
    return {**given_object(case), "metadata": {"name": NAME, "namespace": "default"}}


def definition() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "config/crd/marie.ai_marieclusters.yaml").read_text())
    return loaded


def without_rules(manifest: dict[str, Any]) -> dict[str, Any]:
    older = deepcopy(manifest)
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    groups = schema["properties"]["spec"]["properties"]["executorGroupSpecs"]
    for key in ("x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"):
        del groups[key]
    return older


def accepts(kubectl: Kubectl, manifest: dict[str, Any]) -> bool:
    return kubectl.succeeds("create", "--dry-run=server", "-f", "-", stdin=manifest)


@pytest.fixture
def stored(kubectl: Kubectl) -> dict[str, Any]:
    """A cluster that was created before the rules that it breaks, read after they came."""
    kubectl("apply", "-f", "-", stdin=without_rules(definition()))
    try:
        until(lambda: accepts(kubectl, twins()))
        kubectl("create", "-f", "-", stdin=twins())
    finally:
        kubectl("apply", "-f", "-", stdin=definition())
    another = {**twins(), "metadata": {"name": "another", "namespace": "default"}}
    until(lambda: not accepts(kubectl, another))
    return kubectl.object("get", *ADDRESS)


@pytest.mark.kuberay("KR-40")
def test_it_can_be_told_in_its_status_and_corrected_or_deleted(kubectl: Kubectl, stored: dict[str, Any]) -> None:
    (first, second) = problems(MarieCluster.model_validate(stored))
    assert (first.field, second.field) == (
        "spec.executorGroupSpecs[0].groupName",
        "spec.executorGroupSpecs[1].groupName",
    )

    status = {"status": {"phase": "Failed", "observedGeneration": 1}}
    kubectl("patch", *ADDRESS, "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
    assert kubectl.object("get", *ADDRESS)["status"] == status["status"]

    # What is not touched stays; what is touched must follow the rules.
    kubectl("patch", *ADDRESS, "--type=merge", '--patch={"spec":{"suspend":true}}')
    worse = {"spec": {"executorGroupSpecs": [*stored["spec"]["executorGroupSpecs"]] * 2}}
    with pytest.raises(RefusedError, match="two executor groups have the same groupName"):
        kubectl("patch", *ADDRESS, "--type=merge", f"--patch={json.dumps(worse)}")
    better = {"spec": {"executorGroupSpecs": stored["spec"]["executorGroupSpecs"][:1]}}
    kubectl("patch", *ADDRESS, "--type=merge", f"--patch={json.dumps(better)}")
    assert problems(MarieCluster.model_validate(kubectl.object("get", *ADDRESS))) == []
    kubectl("delete", *ADDRESS)
