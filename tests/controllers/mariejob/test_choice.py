"""Which cluster a job runs on."""

from tests.controllers.mariejob.clusters import Clusters
from tests.controllers.mariejob.samples import NOW, cluster, job

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariejob import MarieJobStatus
from marie_operator.api.meta import Condition
from marie_operator.controllers.mariejob.choice import choose

SELECTOR = {"clusterRef": None, "clusterSelector": {"env": "prod"}}
PROD = {"env": "prod", "other": "label"}


def ready(name: str):
    condition = Condition(
        type="ServerPodReady", status="True", reason="ServerReady", message="", last_transition_time=NOW
    )
    base = cluster(name, labels=PROD)
    return base.model_copy(update={"status": base.status.model_copy(update={"conditions": (condition,)})})


def test_a_name_is_taken_by_its_word():
    assert choose(job(), Clusters(cluster("b"), cluster("c"))).metadata.name == "c"


def test_labels_choose_what_runs_before_the_alphabet():
    idle, suspended = cluster("a", labels=PROD), cluster("b", labels=PROD, suspend=True)
    assert choose(job(**SELECTOR), Clusters(suspended, idle, ready("c"))).metadata.name == "c"
    assert choose(job(**SELECTOR), Clusters(suspended, idle)).metadata.name == "a"


def test_a_choice_stays_whatever_becomes_of_labels():
    chosen = job(**SELECTOR, status=MarieJobStatus(cluster_name="b"))
    assert choose(chosen, Clusters(ready("a"), cluster("b"))).metadata.name == "b"


def test_a_cluster_that_is_gone_is_replaced():
    chosen = job(**SELECTOR, status=MarieJobStatus(cluster_name="b"))
    assert choose(chosen, Clusters(ready("a"), cluster("b", deleting=True))).metadata.name == "a"


def test_without_a_match_the_job_waits():
    assert choose(job(**SELECTOR), Clusters(cluster("a"))).reason == JobReason.NO_CLUSTER_MATCHES
