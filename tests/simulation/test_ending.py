"""What is compared of the ends of two runs."""

from tests.simulation.ending import Ending, differences
from tests.simulation.run import undisturbed
from tests.simulation.workload import KEYS, Cluster, Job, Step, Workload

SUBMITTER = "jobs/j1-submit-…"
STEPS = (Step(0.0, "c0", Cluster()), Step(8.0, "j1", Job("c0", "s3://bucket/documents/a.pdf", by_pod=True)))


def ending(objects: dict[str, str], *failed: str) -> Ending:
    return Ending(objects, {"j1": frozenset()}, {"j1": frozenset(failed)})


def test_submitters_are_compared() -> None:
    found = undisturbed(Workload(STEPS, dict.fromkeys(KEYS, 1.0)), "submitters").ending
    assert found is not None
    assert '"succeeded": 1' in found.objects[SUBMITTER]
    assert '"name": "j1-submit-…"' in found.objects[SUBMITTER]


def test_a_submitter_too_many_is_found() -> None:
    one, two = {SUBMITTER: "{}"}, {SUBMITTER: "{}", f"{SUBMITTER}-1": "{}"}
    assert differences(ending(one), ending(two)) == [f"{SUBMITTER}-1 is …{{}}… and, without faults, not there"]
    assert differences(ending(one), ending(two, "s3://bucket/documents/a.pdf")) == []
