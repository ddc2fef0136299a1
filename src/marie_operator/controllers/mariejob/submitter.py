"""The submitter Job of a job with ``submissionMode: K8sJobSubmission``: how it is seen, and what is to become of it.

The operator then submits nothing itself. It writes the intent into the status, as ever, and makes a Job whose pod is
told the reference id; the monitor finds the document under it. What Marie says of a document counts; what its submitter
made of it counts where Marie surely does not have it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from marie_operator.api.mariejob import DocumentInFlight, MarieJob
from marie_operator.builders import submitter as building
from marie_operator.controllers import trouble
from marie_operator.marie.gateways import DocumentState, DocumentView
from marie_operator.runtime import is_true
from marie_operator.runtime.ownership import controller_uid
from marie_operator.runtime.resource import Object

MODE = "K8sJobSubmission"


@dataclass(frozen=True, slots=True)
class SubmitterJob:
    """The submitter Job of the present attempt at a job's document.

    Attributes:
        name: What it is called.
        uid: Empty while it does not exist.
        succeeded: Whether it has ended well.
        failed: Whether it has ended otherwise.
        deleting: Whether it is on its way out.
        told: What its pod said last, or what keeps it from running; empty when there is nothing to say.
    """

    name: str
    uid: str = ""
    succeeded: bool = False
    failed: bool = False
    deleting: bool = False
    told: str = ""

    @property
    def works(self) -> bool:
        """Whether it is there and has not ended: it may submit at any moment."""
        return bool(self.uid) and not self.has_ended

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.succeeded or self.failed


@dataclass(frozen=True, slots=True)
class Launch:
    """The submitter Job is to be there."""

    manifest: Object


@dataclass(frozen=True, slots=True)
class Dismiss:
    """The submitter Job is to go, and to submit nothing more.

    Attributes:
        job: Which.
        why: What says so.
    """

    job: SubmitterJob
    why: str


Step: TypeAlias = Launch | Dismiss


def attempt(job: MarieJob) -> int:
    """The present attempt at a job's document."""
    in_flight = job.status.documents.in_flight if job.status.documents else ()
    return in_flight[0].attempt if in_flight else 0


def of(job: MarieJob, live: Object | None, pods: Iterable[Object]) -> SubmitterJob:
    """The submitter Job as the cache has it.

    Args:
        job: Whose.
        live: What there is under its name.
        pods: Those of that Job.
    """
    name = building.name(job, attempt(job))
    if live is None or controller_uid(live) != job.metadata.uid:
        return SubmitterJob(name)
    conditions = live.get("status", {}).get("conditions") or ()
    return SubmitterJob(
        name,
        live["metadata"]["uid"],
        succeeded=is_true(conditions, "Complete"),
        failed=is_true(conditions, "Failed"),
        deleting="deletionTimestamp" in live["metadata"],
        told=_last_words(pods) or trouble.first(pods),
    )


def _last_words(pods: Iterable[Object]) -> str:
    """What the pod that ended last has left as its message."""
    ended = [
        (state["terminated"].get("finishedAt", ""), state["terminated"]["message"].strip())
        for pod in pods
        for container in pod.get("status", {}).get("containerStatuses") or ()
        if (state := container.get("state") or {}).get("terminated", {}).get("message", "").strip()
    ]
    return str(max(ended)[1].splitlines()[-1]) if ended else ""


def is_hearsay(views: Mapping[str, DocumentView], submitter: SubmitterJob | None) -> bool:
    """Whether a document has ended well as its submitter says, and Marie, searched since, does not have it."""
    ended_well = submitter is not None and submitter.succeeded
    return ended_well and any(view.state is DocumentState.WAITING for view in views.values())


def judged(views: Mapping[str, DocumentView], submitter: SubmitterJob | None) -> Mapping[str, DocumentView]:
    """What became of documents, where a submitter that has ended has a word in it.

    One that was searched for after that and is not there was never submitted under its reference id: a submitter that
    ended well has then done its work in another way, and one that did not has failed.
    """
    if submitter is None or not submitter.has_ended:
        return views
    if submitter.succeeded:
        ended = DocumentView(DocumentState.SUCCEEDED)
    else:
        why = f": {submitter.told.rstrip('.')}." if submitter.told else "; kubectl logs shows its output."
        ended = DocumentView(DocumentState.FAILED, message=f"Submitter Job {submitter.name} failed{why}")
    return {ref_id: ended if view.state is DocumentState.WAITING else view for ref_id, view in views.items()}


def dismissal(job: MarieJob, submitter: SubmitterJob, document: DocumentInFlight, why: str) -> Dismiss | None:
    """Whether the submitter of a job that is to submit nothing more is to go.

    It stays where Marie has the document, which it then only follows, unless the job's own cluster goes too.
    """
    if not submitter.works or submitter.deleting:
        return None
    if document.dag_id and job.spec.cluster_spec is None:
        return None
    return Dismiss(submitter, why)
