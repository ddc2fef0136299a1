"""Which cluster a job runs on."""

from typing import Any

import pytest

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import JobDocuments, MarieJobStatus
from marie_operator.api.meta import Condition
from marie_operator.controllers.mariejob.choice import choose, rivals
from marie_operator.controllers.mariejob.observation import Obstacle
from marie_operator.runtime import Unparsable
from tests.controllers.mariejob.clusters import Clusters
from tests.controllers.mariejob.samples import NOW, cluster, job

SELECTOR: dict[str, Any] = {"clusterRef": None, "clusterSelector": {"env": "prod"}}
PROD = {"env": "prod", "other": "label"}


def ready(name: str) -> MarieCluster:
    condition = Condition(
        type="ServerPodReady", status="True", reason="ServerReady", message="", last_transition_time=NOW
    )
    base = cluster(name, labels=PROD)
    return base.model_copy(update={"status": base.status.model_copy(update={"conditions": (condition,)})})


def name(found: MarieCluster | Obstacle) -> str:
    assert isinstance(found, MarieCluster)
    return found.metadata.name


def test_a_name_is_taken_by_its_word() -> None:
    assert name(choose(job(), Clusters(cluster("b"), cluster("c")))) == "c"


def test_labels_choose_what_runs_before_the_alphabet() -> None:
    idle, suspended = cluster("a", labels=PROD), cluster("b", labels=PROD, suspend=True)
    assert name(choose(job(**SELECTOR), Clusters(suspended, idle, ready("c")))) == "c"
    assert name(choose(job(**SELECTOR), Clusters(suspended, idle))) == "a"
    foreign = cluster("0", labels=PROD, managedBy="example.com/other")
    assert name(choose(job(**SELECTOR), Clusters(foreign, suspended))) == "b"


def test_a_choice_stays_while_it_matches() -> None:
    chosen = job(**SELECTOR, status=MarieJobStatus(cluster_name="b"))
    assert name(choose(chosen, Clusters(ready("a"), cluster("b", labels=PROD)))) == "b"


def test_a_choice_stays_whatever_becomes_of_labels_once_documents_were_taken() -> None:
    chosen = job(**SELECTOR, status=MarieJobStatus(cluster_name="b", documents=JobDocuments(listed=1)))
    assert name(choose(chosen, Clusters(ready("a"), cluster("b")))) == "b"


def test_before_documents_were_taken_a_new_selector_chooses_anew() -> None:
    chosen = job(**SELECTOR, status=MarieJobStatus(cluster_name="b", documents=JobDocuments()))
    assert name(choose(chosen, Clusters(ready("a"), cluster("b")))) == "a"


def test_a_cluster_that_is_gone_is_replaced() -> None:
    chosen = job(**SELECTOR, status=MarieJobStatus(cluster_name="b"))
    assert name(choose(chosen, Clusters(ready("a"), cluster("b", deleting=True)))) == "a"


def test_a_cluster_that_has_documents_stays_until_it_is_gone() -> None:
    taken = job(**SELECTOR, status=MarieJobStatus(cluster_name="b", documents=JobDocuments(listed=1)))
    found = choose(taken, Clusters(ready("a"), cluster("b", deleting=True)))
    assert isinstance(found, Obstacle)
    assert found.message.startswith("MarieCluster b is being deleted. The job goes on with another")
    assert name(choose(taken, Clusters(ready("a")))) == "a"


def test_a_cluster_that_has_documents_and_cannot_be_read_is_not_replaced() -> None:
    clusters = Clusters(ready("a"), Unparsable({}, "spec.image: missing"))
    taken = job(**SELECTOR, status=MarieJobStatus(cluster_name="c", documents=JobDocuments(listed=1)))
    found = choose(taken, clusters)
    assert isinstance(found, Obstacle)
    assert found.message.startswith("MarieCluster c cannot be read: spec.image: missing.")
    idle = job(**SELECTOR, status=MarieJobStatus(cluster_name="c"))
    assert name(choose(idle, clusters)) == "a"


def test_without_a_match_the_job_waits() -> None:
    found = choose(job(**SELECTOR), Clusters(cluster("a")))
    assert isinstance(found, Obstacle)
    assert found.reason == JobReason.NO_CLUSTER_MATCHES


@pytest.mark.kuberay("KU-10")
def test_rivals_are_named_until_the_job_has_settled() -> None:
    both = Clusters(cluster("a", labels=PROD), cluster("b", labels=PROD), cluster("c"))
    assert rivals(job(**SELECTOR), both, cluster("a")) == ["b"]
    assert rivals(job(**SELECTOR, status=MarieJobStatus(cluster_name="a")), both, cluster("a")) == ()
    assert rivals(job(), both, cluster("c")) == ()
