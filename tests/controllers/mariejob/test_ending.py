"""What is deleted after a job's end, by which rule, and when."""

from datetime import datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.api.mariejob import MarieJob, MarieJobStatus
from marie_operator.builders import association, own_cluster
from marie_operator.controllers.mariejob.ending import retire
from marie_operator.controllers.mariejob.own_cluster import Keep, OwnCluster, Remove
from tests.controllers.mariejob.samples import NOW, OWN, job, later

PHASES = ("Succeeded", "Failed", "Cancelled")
THERE = OwnCluster("scan-1", uid="u", digest="as made")


def ended(phase: str = "Succeeded", **spec: Any) -> MarieJob:
    status = MarieJobStatus.model_validate({"phase": phase, "completionTime": NOW})
    return job(status=status, **{**OWN, **spec})


def rule(policy: str, phase: str | None = None, ttl: int = 0) -> dict[str, Any]:
    condition = {"ttlSeconds": ttl, **({"phase": phase} if phase else {})}
    return {"policy": policy, "condition": condition}


def done(subject: MarieJob, at: datetime, own: OwnCluster | None = THERE) -> tuple[str, float | None]:
    """What is done at a time, in a word, and when the next look is due."""
    decision = retire(subject, at, own)
    if decision.expired:
        return "job", None
    match decision.own:
        case Remove(unforeseen=unforeseen):
            return "cluster, unforeseen" if unforeseen else "cluster", decision.requeue_after
        case Keep(manifest):
            assert all(group["suspend"] for group in manifest["spec"]["executorGroupSpecs"])
            return "workers", decision.requeue_after
        case None:
            return "nothing", decision.requeue_after


def test_without_a_word_everything_stays() -> None:
    assert done(ended(), later(days=400)) == ("nothing", None)


def test_shutdown_takes_the_cluster_at_once_and_with_a_ttl_then() -> None:
    assert done(ended(shutdownAfterJobFinishes=True), NOW) == ("cluster", None)
    kept = ended(shutdownAfterJobFinishes=True, ttlSecondsAfterFinished=60)
    assert done(kept, later(seconds=59)) == ("nothing", 1.0)
    assert done(kept, later(seconds=60)) == ("job", None)


def test_a_cluster_that_is_gone_or_going_needs_nothing() -> None:
    subject = ended(shutdownAfterJobFinishes=True)
    for own in (OwnCluster("scan-1"), OwnCluster("scan-1", uid="u", deleting=True)):
        assert done(subject, NOW, own) == ("nothing", None)


def test_rules_come_one_after_the_other() -> None:
    subject = ended(
        deletionStrategy={
            "deletionRules": [rule("DeleteSelf", ttl=30), rule("DeleteWorkers", ttl=10), rule("DeleteCluster", ttl=20)]
        }
    )
    assert [done(subject, later(seconds=each)) for each in (0, 10, 20, 30)] == [
        ("nothing", 10.0),
        ("workers", 10.0),
        ("cluster", 10.0),
        ("job", None),
    ]


def test_workers_are_taken_once() -> None:
    subject = ended(deletionStrategy={"deletionRules": [rule("DeleteWorkers")]})
    digest = association.spec_hash(own_cluster.manifest(subject, workers=False))
    assert done(subject, NOW, OwnCluster("scan-1", uid="u", digest=digest)) == ("nothing", None)


def test_where_no_rule_names_the_end_the_cluster_goes() -> None:
    subject = ended("Cancelled", deletionStrategy={"deletionRules": [rule("DeleteNone", "Failed")]})
    assert done(subject, NOW) == ("cluster, unforeseen", None)
    decision = retire(subject, NOW, THERE)
    assert isinstance(decision.own, Remove)
    assert decision.own.why == "no rule of spec.deletionStrategy is for a job that ended as Cancelled"


def test_rules_of_a_job_on_a_shared_cluster_delete_the_job_alone() -> None:
    subject = ended(
        clusterRef="c", clusterSpec=None, deletionStrategy={"deletionRules": [rule("DeleteSelf", "Failed", 5)]}
    )
    assert done(subject, later(days=1), None) == ("nothing", None)
    assert done(subject.model_copy(update={"status": subject.status.model_copy(update={"phase": "Failed"})}),
                later(seconds=5), None) == ("job", None)  # fmt: skip


policies = st.sampled_from(["DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone"])
strategies = st.lists(
    st.builds(rule, policies, st.sampled_from([None, *PHASES]), st.integers(0, 5)), min_size=1, max_size=6
)


@given(strategies, st.sampled_from(PHASES), st.integers(0, 6))
def test_no_cluster_outlives_its_rules_unless_one_keeps_it(
    strategy: list[dict[str, Any]], phase: str, age: int
) -> None:
    subject = ended(phase, deletionStrategy={"deletionRules": strategy})
    mine = [each for each in strategy if each["condition"].get("phase") in {None, phase}]
    passed = [each["policy"] for each in mine if each["condition"]["ttlSeconds"] <= age]
    expected = next(
        (word for policy, word in (("DeleteSelf", "job"), ("DeleteCluster", "cluster"), ("DeleteWorkers", "workers"))
         if policy in passed),
        "nothing" if mine else "cluster, unforeseen",
    )  # fmt: skip
    what, again = done(subject, later(seconds=age))
    assert what == expected
    if what != "job":
        ahead = [each["condition"]["ttlSeconds"] - age for each in mine if each["condition"]["ttlSeconds"] > age]
        assert again == (float(min(ahead)) if ahead else None)


@pytest.mark.parametrize(("phase", "policy"), [*product(PHASES, ("DeleteCluster", "DeleteSelf", "DeleteNone"))])
def test_a_rule_without_a_phase_is_for_any(phase: str, policy: str) -> None:
    subject = ended(phase, deletionStrategy={"deletionRules": [{"policy": policy}]})
    parsed = subject.spec.deletion_strategy
    assert parsed is not None
    assert parsed.deletion_rules[0].condition.phase is None
    expected = {"DeleteCluster": "cluster", "DeleteSelf": "job", "DeleteNone": "nothing"}[policy]
    assert done(subject, NOW)[0] == expected
