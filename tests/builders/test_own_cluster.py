"""The cluster of a job's own: its manifest, and its name at any length."""

import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.api import validation
from marie_operator.api.job_rules import LONGEST_OWN_GROUP, SHORTEST_OWN_NAME
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.builders import association, own_cluster

TEMPLATE = {"metadata": {"labels": {"team": "a"}}, "spec": {"containers": [{"name": "marie", "image": "m", "env": []}]}}


def owner(name: str = "scan", *groups: str, **fields: Any) -> MarieJob:
    spec = {
        "serverSpec": {"template": TEMPLATE},
        "executorGroupSpecs": [{"groupName": group, "replicas": 2, "template": TEMPLATE} for group in groups],
        "marieVersion": "4.0.0",
        **fields,
    }
    return MarieJob.model_validate(
        {"metadata": {"name": name, "namespace": "docs", "uid": "uid-1"}, "spec": {"clusterSpec": spec}}
    )


LETTERS = string.ascii_lowercase


def words(longest: int) -> st.SearchStrategy[str]:
    """What may stand in a name: letters and digits, with hyphens between them."""
    text = st.text(f"-{LETTERS}{string.digits}", max_size=longest - 1)
    return st.tuples(text, st.sampled_from(f"{LETTERS}{string.digits}")).map("".join).map(lambda word: word.lstrip("-"))


names = st.lists(words(63), min_size=1, max_size=4).map(".".join)
group_names = words(LONGEST_OWN_GROUP).filter(lambda word: word[0] in LETTERS)


@given(names, st.lists(group_names, max_size=4, unique=True))
def test_whatever_the_names_the_cluster_is_valid(name: str, groups: list[str]) -> None:
    services: dict[str, Any] = {"etcd": {"managed": {}}, "postgres": {"managed": {}}}
    manifest = own_cluster.manifest(owner(name, *groups, backingServices=services))
    made = MarieCluster.model_validate(manifest)
    assert validation.problems(made) == []
    assert len(made.metadata.name) >= min(SHORTEST_OWN_NAME, len(name) + 7)
    assert re.fullmatch(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?", made.metadata.labels["marie.ai/job"])


def test_jobs_that_had_one_name_one_after_the_other_have_other_clusters() -> None:
    first, second = (association.own_cluster_name("scan", uid, ["ocr"]) for uid in ("uid-1", "uid-2"))
    assert first != second
    assert {len(first), len(second)} == {len("scan-123456")}


def test_the_manifest_is_what_the_user_wrote_and_whose_it_is() -> None:
    manifest = own_cluster.manifest(owner("scan", "ocr"))
    annotations = manifest["metadata"].pop("annotations")
    assert set(annotations) == {"marie.ai/spec-hash"}
    assert manifest == {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieCluster",
        "metadata": {
            "name": "scan-994qpu",
            "namespace": "docs",
            "labels": {"app.kubernetes.io/managed-by": "marie-operator", "marie.ai/job": "scan"},
            "ownerReferences": [
                {
                    "apiVersion": "marie.ai/v1alpha1",
                    "kind": "MarieJob",
                    "name": "scan",
                    "uid": "uid-1",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "serverSpec": {"template": TEMPLATE},
            "executorGroupSpecs": [{"groupName": "ocr", "replicas": 2, "template": TEMPLATE}],
            "marieVersion": "4.0.0",
        },
    }


def test_without_workers_each_group_is_suspended_and_nothing_else_changes() -> None:
    with_, without = (own_cluster.manifest(owner("scan", "ocr", "ner"), workers=each) for each in (True, False))
    assert [group.pop("suspend") for group in without["spec"]["executorGroupSpecs"]] == [True, True]
    assert without["spec"] == with_["spec"]
    assert without["metadata"]["annotations"] != with_["metadata"]["annotations"]


def test_a_name_that_was_given_stays() -> None:
    job = owner("scan", "ocr")
    named = job.model_copy(update={"status": job.status.model_copy(update={"cluster_name": "as-it-was"})})
    assert own_cluster.name(named) == "as-it-was"


def test_a_job_on_a_shared_cluster_has_no_manifest() -> None:
    shared = MarieJob.model_validate({"metadata": {"name": "j"}, "spec": {"clusterRef": "c"}})
    with pytest.raises(ValueError, match="MarieJob j has no clusterSpec"):
        own_cluster.manifest(shared)
