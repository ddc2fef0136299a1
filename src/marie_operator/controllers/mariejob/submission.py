"""From a document of a job to what Marie is asked to do with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from marie_operator.api.mariejob import DocumentInFlight, MarieJob, MarieJobSpec
from marie_operator.controllers.mariejob.buckets import Folder
from marie_operator.controllers.mariejob.plan import Plan
from marie_operator.marie.gateways import Submission, Ticket

# Marie's only built-in planner does what users of the upstream operator call ocr.
_PLANNERS = {"ocr": "extract"}
_OWN_OPTIONS = frozenset({"planner", "queue"})


def planner(spec: MarieJobSpec) -> str:
    """The planner that expands the job's documents into tasks."""
    return spec.planner or spec.options.get("planner", "") or _PLANNERS.get(spec.job_type, spec.job_type)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for all documents of a job: worked out once for the thousand that may be in flight.

    Attributes:
        queue: Marie's.
        planner: Expands documents into tasks.
        ref_type: Under which Marie files results.
        soft_sla: When results are wanted.
        hard_sla: When they are of no use any more.
        options: Further metadata.
    """

    queue: str
    planner: str
    ref_type: str
    soft_sla: datetime | None
    hard_sla: datetime | None
    options: Mapping[str, str]

    @classmethod
    def of(cls, job: MarieJob, plan: Plan, start: datetime) -> Self:
        """The terms of a job.

        Args:
            job: the job.
            plan: its spec, read.
            start: when the job started, from which deadlines count.
        """
        soft, hard = plan.marie_deadlines(start) or (None, None)
        return cls(
            queue=job.spec.options.get("queue", "") or job.spec.job_type,
            planner=planner(job.spec),
            ref_type=job.spec.job_type,
            soft_sla=soft,
            hard_sla=hard,
            options=_options(job.spec),
        )

    def submission(self, document: DocumentInFlight, staged: Folder | None = None) -> Submission:
        """What Marie is asked to do with a document.

        Args:
            document: its entry in status.
            staged: where Marie reads it, if that is not where it is.
        """
        return Submission(
            uri=document.uri if staged is None else f"{staged.uri}{document.ref_id}",
            queue=self.queue,
            planner=self.planner,
            ref_type=self.ref_type,
            soft_sla=self.soft_sla,
            hard_sla=self.hard_sla,
            options=self.options,
        )

    def ticket(
        self,
        document: DocumentInFlight,
        *,
        fresh: bool,
        cancel: bool = False,
        awaited: bool = False,
        staged: Folder | None = None,
        withheld: bool = False,
    ) -> Ticket:
        """What the monitor needs to submit and follow one attempt at one document.

        Args:
            document: its entry in status.
            fresh: whether the entry was written by this very reconcile, so that Marie cannot know the document.
            cancel: whether it is to be cancelled in Marie's database.
            awaited: whether a submitter Job is about to submit it, or may be.
            staged: where Marie reads it, if that is not where it is.
            withheld: whether it is not there yet.
        """
        return Ticket(
            ref_id=document.ref_id,
            attempt=document.attempt,
            dag_id=document.dag_id,
            fresh=fresh,
            cancel=cancel,
            awaited=awaited,
            withheld=withheld,
            submission=self.submission(document, staged),
        )


def _options(spec: MarieJobSpec) -> dict[str, str]:
    options = {name: value for name, value in spec.options.items() if name not in _OWN_OPTIONS}
    if spec.entrypoint:
        options["entrypoint"] = spec.entrypoint
    if spec.input.content_type:
        options["content_type"] = spec.input.content_type
    return options
