"""What is deleted after a job's end, and when."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from marie_operator.api.mariejob import DeletionPolicy, MarieJob
from marie_operator.builders import own_cluster
from marie_operator.builders.association import spec_hash
from marie_operator.controllers.mariejob.decision import Decision
from marie_operator.controllers.mariejob.own_cluster import Keep, OwnCluster, Remove, Step
from marie_operator.controllers.mariejob.submitter import Dismiss, SubmitterJob

LAST_LOOK = timedelta(minutes=1)
"""Time that a submitter has to see the end of its document, before the job's own cluster goes."""

_WEIGHT = {"DeleteNone": 0, "DeleteWorkers": 1, "DeleteCluster": 2, "DeleteSelf": 3}


class Rule(NamedTuple):
    """Something to delete.

    Attributes:
        policy: What.
        seconds: From the job's end.
        why: What says so.
        unforeseen: Whether nothing of the job's does.
    """

    policy: DeletionPolicy
    seconds: int
    why: str
    unforeseen: bool = False


def rules(job: MarieJob) -> list[Rule]:
    """The rules for the end that a job came to."""
    spec = job.spec
    if spec.deletion_strategy is None:
        return list(_by_fields(job))
    found = [
        Rule(rule.policy, rule.condition.ttl_seconds, f"spec.deletionStrategy.deletionRules[{index}]")
        for index, rule in enumerate(spec.deletion_strategy.deletion_rules)
        if rule.condition.phase in {None, job.status.phase}
    ]
    if not found and spec.cluster_spec is not None:
        phase = job.status.phase
        why = f"no rule of spec.deletionStrategy is for a job that ended as {phase}"
        return [Rule("DeleteCluster", 0, why, unforeseen=True)]
    return found


def _by_fields(job: MarieJob) -> Iterator[Rule]:
    spec, ttl = job.spec, job.spec.ttl_seconds_after_finished
    if spec.cluster_spec is not None and spec.shutdown_after_job_finishes:
        yield Rule("DeleteCluster", ttl or 0, "spec.shutdownAfterJobFinishes")
    if ttl is not None:
        yield Rule("DeleteSelf", ttl, "spec.ttlSecondsAfterFinished")


def retire(
    job: MarieJob, now: datetime, own: OwnCluster | None = None, submitter: SubmitterJob | None = None
) -> Decision:
    """What to do about a finished job: let it rest, and delete what its rules say when they say so.

    Of several rules whose time has come the one that deletes most is enough. Changes of the spec do nothing else. A
    submitter that may still submit, although the job was given up, goes at once; one that has yet to see the end of its
    document has a minute for that before the cluster goes.
    """
    end = job.status.completion_time
    if end is None:
        return Decision(job.status)
    works = submitter is not None and submitter.works
    unfinished = job.status.documents.in_flight if job.status.documents else ()
    if submitter is not None and works and unfinished and not submitter.deleting:
        return Decision(job.status, submitter=Dismiss(submitter, "the job has ended"), requeue_after=0.0)
    known = rules(job)
    passed = [rule for rule in known if end + timedelta(seconds=rule.seconds) <= now]
    ahead = [(end + timedelta(seconds=rule.seconds) - now).total_seconds() for rule in known if rule not in passed]
    due = max(passed, key=lambda rule: _WEIGHT[rule.policy], default=None)
    if due is not None and due.policy == "DeleteSelf":
        return Decision(job.status, expired=due.why)
    step = None if due is None or own is None else _step(job, due, own)
    if step is not None and works and (left := (end + LAST_LOOK - now).total_seconds()) > 0:
        return Decision(job.status, requeue_after=min([left, *ahead]))
    return Decision(job.status, own=step, requeue_after=min(ahead, default=None))


def _step(job: MarieJob, rule: Rule, own: OwnCluster) -> Step | None:
    """What a rule asks to be done with the cluster, where it is not done already."""
    if not own.stays:
        return None
    if rule.policy == "DeleteCluster":
        return Remove(rule.why, rule.unforeseen)
    if rule.policy == "DeleteWorkers":
        manifest = own_cluster.manifest(job, workers=False)
        return Keep(manifest) if spec_hash(manifest) != own.digest else None
    return None
