"""Which cluster a job runs on."""

from typing import Any

import pytest

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import JobDocuments, MarieJobStatus
from marie_operator.api.meta import Condition
from marie_operator.controllers.mariejob.choice import choose, rivals
from marie_operator.controllers.mariejob.observation import Obstacle
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
