from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marie_operator.api import crd
from marie_operator.api.cluster_rules import CLUSTER_RULES
from marie_operator.api.job_rules import JOB_RULES
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.rule import Rule
from marie_operator.api.validation import Problem, problems
from tests.api.crd_schema import broken_rules, defaulted
from tests.api.refused import REFUSED, REFUSED_TWICE, Refused, given_object

SCHEMAS = {
    definition["spec"]["names"]["kind"]: definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for definition in crd.definitions()
}
MODELS: Mapping[str, type[MarieCluster] | type[MarieJob]] = {"MarieCluster": MarieCluster, "MarieJob": MarieJob}

RULES: tuple[Rule[Any], ...] = (*CLUSTER_RULES, *JOB_RULES)

small = st.integers(0, 3)
names = st.sampled_from(
    ["a", "abc", "my-cluster", "x" * 20, "x" * 46, "x" * 47, "x" * 48, "9lives", "with.dot", "Upper"]
)
group_names = st.sampled_from(["a", "b", "ocr-gpu", "y" * 10, "y" * 28, "y" * 29, "y" * 30, "y" * 48])
containers = st.sampled_from([[], [{"name": "marie"}], [{"name": "marie", "image": "m"}]])
templates = st.fixed_dictionaries(
    {},
    optional={
        "spec": st.fixed_dictionaries(
            {"containers": containers},
            optional={"restartPolicy": st.sampled_from(["Always", "Never", "OnFailure"])},
        )
    },
)
groups = st.fixed_dictionaries(
    {"groupName": group_names, "template": templates},
    optional={"replicas": small, "minReplicas": small, "maxReplicas": small},
)
clusters = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"name": names}),
        "spec": st.fixed_dictionaries(
            {"serverSpec": st.fixed_dictionaries({"template": templates})},
            optional={"executorGroupSpecs": st.lists(groups, max_size=4)},
        ),
    }
)
deadlines = st.sampled_from(
    ["", "30m", "1h", "60m", "1h30m", "0s", "0h0m", "soon", "5", "-1h", "1.5h", "90m", "1e3s", "1h "]
)
uris = st.sampled_from(["", "s3://b/one.pdf", "s3://b/all/", "gs://b/one.pdf", "file:///one.pdf"])
globs = st.lists(st.sampled_from(["*.pdf", "a?"]), max_size=2)
inputs = st.fixed_dictionaries(
    {},
    optional={"uri": uris, "include": globs, "exclude": globs, "failedOf": st.sampled_from(["", "abc", "other"])},
)
references = st.sampled_from([{}, {"name": ""}, {"name": "letters"}])
rules = st.fixed_dictionaries(
    {"policy": st.sampled_from(["DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone"])}
)
jobs = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"name": names}),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "clusterRef": st.sampled_from(["", "a"]),
                "clusterSelector": st.sampled_from([{}, {"a": "b"}]),
                "clusterSpec": st.fixed_dictionaries(
                    {"serverSpec": st.fixed_dictionaries({"template": templates})},
                    optional={"executorGroupSpecs": st.lists(groups, max_size=3), "ingress": st.just({"host": "h"})},
                ),
                "shutdownAfterJobFinishes": st.booleans(),
                "ttlSecondsAfterFinished": small,
                "deletionStrategy": st.fixed_dictionaries({"deletionRules": st.lists(rules, min_size=1, max_size=3)}),
                "submissionMode": st.sampled_from(["HTTPSubmission", "K8sJobSubmission"]),
                "submitterPodTemplate": templates,
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "uri": uris,
                        "include": globs,
                        "exclude": globs,
                        "failedOf": st.sampled_from(["", "a", "b"]),
                        "data": st.sampled_from(["", "aGVsbG8="]),
                        "configMapRef": references,
                        "secretRef": references,
                    },
                ),
                "output": st.fixed_dictionaries(
                    {},
                    optional={
                        "uri": uris,
                        "format": st.sampled_from(["json", "xml", "csv", "yaml"]),
                        "configMapRef": st.fixed_dictionaries({}, optional={"name": st.text("aZ9-.\\/ö", max_size=5)}),
                    },
                ),
                "sla": st.fixed_dictionaries({}, optional={"softDeadline": deadlines, "hardDeadline": deadlines}),
            },
        ),
    }
)


def by_cel(kind: str, obj: dict[str, Any]) -> list[str]:
    return list(broken_rules(SCHEMAS[kind], defaulted(SCHEMAS[kind], obj)))


def by_python(kind: str, obj: dict[str, Any]) -> list[Problem]:
    return problems(MODELS[kind].model_validate(obj))


@pytest.mark.model
@settings(max_examples=400, deadline=None)
@given(clusters)
@pytest.mark.kuberay("KU-31")
def test_both_forms_of_the_cluster_rules_agree(obj: dict[str, Any]) -> None:
    assert set(by_cel("MarieCluster", obj)) == {problem.message for problem in by_python("MarieCluster", obj)}


@pytest.mark.model
@settings(max_examples=400, deadline=None)
@given(jobs)
def test_both_forms_of_the_job_rules_agree(obj: dict[str, Any]) -> None:
    assert set(by_cel("MarieJob", obj)) == {problem.message for problem in by_python("MarieJob", obj)}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.message[:40])
def test_each_contradiction_is_named_with_its_field(case: Refused) -> None:
    obj = given_object(case)
    assert by_python(case.kind, obj) == [Problem(case.field, case.message)]
    assert by_cel(case.kind, deepcopy(obj)) == [case.message]


@pytest.mark.parametrize("case", REFUSED_TWICE, ids=lambda case: case.message[:40])
def test_contradictions_that_come_together_are_all_named(case: Refused) -> None:
    obj = given_object(case)
    assert Problem(case.field, case.message) in by_python(case.kind, obj)
    assert set(by_cel(case.kind, obj)) == {problem.message for problem in by_python(case.kind, obj)}


def test_every_rule_has_a_case() -> None:
    assert {case.message for case in (*REFUSED, *REFUSED_TWICE)} == {rule.message for rule in RULES}


def test_a_problem_reads_as_a_sentence() -> None:
    assert (
        str(Problem("spec.clusterRef", "no cluster is named: name one"))
        == "spec.clusterRef: no cluster is named: name one"
    )
