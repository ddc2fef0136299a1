"""What a job's spec says, read once: its documents and its deadlines. A spec that says nothing usable is a flaw."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from marie_operator.api import duration, validation
from marie_operator.api.conditions import JobReason
from marie_operator.api.mariejob import JobDocuments, JobSLA, MarieJob, MarieJobSpec
from marie_operator.controllers.mariejob import delivery, refs, source, staging
from marie_operator.controllers.mariejob.delivery import Output
from marie_operator.controllers.mariejob.selection import Selection
from marie_operator.controllers.mariejob.source import FailedOf, Inline, Prefix, SingleDocument, Source, SourceError

T = TypeVar("T")

_LEAST_HARD = timedelta(hours=4)


class FlawError(Exception):
    """The spec cannot be carried out as it is, whatever happens around it: a job that has not begun fails.

    Attributes:
        reason: what kind of flaw.
    """

    def __init__(self, reason: JobReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Plan:
    """A spec that can be carried out.

    Attributes:
        source: where the documents are.
        selection: which of these are the job's.
        soft: how long after its start the job should be done.
        hard: how long after its start the job is given up, by ``spec.sla``.
        active: how long after its start the job is given up, by ``spec.activeDeadlineSeconds``.
        output: where results are copied to; None where they stay.
    """

    source: Source
    selection: Selection = field(default_factory=Selection)
    soft: timedelta | None = None
    hard: timedelta | None = None
    active: timedelta | None = None
    output: Output | None = None

    @classmethod
    def of(cls, job: MarieJob) -> "Plan":
        """Read a job's spec.

        Raises:
            FlawError: it contradicts itself, or asks for what this version cannot do.
        """
        spec = job.spec
        documents, output = _documents(job), _parsed(delivery.parse, spec.output.uri) if spec.output.uri else None
        _check_mode(spec, documents)
        # Last, since the others have a reason of their own.
        if problems := validation.problems(job):
            raise FlawError(JobReason.INVALID_SPEC, f"{'; '.join(map(str, problems))}.")
        sla, seconds = spec.sla or JobSLA(), spec.active_deadline_seconds
        return cls(
            source=documents,
            selection=Selection(spec.input.include, spec.input.exclude),
            soft=duration.parse(sla.soft_deadline) if sla.soft_deadline else None,
            hard=duration.parse(sla.hard_deadline) if sla.hard_deadline else None,
            active=None if seconds is None else timedelta(seconds=seconds),
            output=output,
        )

    @classmethod
    def held(cls, job: MarieJob) -> "Plan":
        """What can be read of the spec of a job that has begun, and cannot go on as that is written by now."""
        sla, seconds = job.spec.sla or JobSLA(), job.spec.active_deadline_seconds
        return cls(
            source=_begun(job),
            soft=_unless_flawed(duration.parse, sla.soft_deadline),
            hard=_unless_flawed(duration.parse, sla.hard_deadline),
            active=None if seconds is None else timedelta(seconds=seconds),
            output=_unless_flawed(delivery.parse, job.spec.output.uri),
        )

    def marie_deadlines(self, start: datetime) -> tuple[datetime, datetime] | None:
        """The absolute times that go into every submission; ``None`` leaves them to Marie.

        Marie ignores a hard time without a soft one, so it always gets both.
        """
        soft = self.soft if self.soft is not None else self.hard
        if soft is None:
            return None
        hard = self.hard if self.hard is not None else max(_LEAST_HARD, 2 * soft)
        return start + soft, start + hard


def _documents(job: MarieJob) -> Source:
    """Where a job's documents are.

    Raises:
        FlawError: the spec does not say it, or says something else by now.
    """
    if (inline := _inline(job)) is not None:
        return inline
    if job.spec.input.failed_of:
        return FailedOf(job.metadata.namespace, job.spec.input.failed_of)
    if not job.spec.input.uri:
        raise FlawError(
            JobReason.NO_INPUT,
            f"spec.input.uri is empty: give it, like {source.EXAMPLES}, or data, configMapRef or secretRef instead.",
        )
    documents = _parsed(source.parse, job.spec.input.uri)
    if taken := _taken_elsewhere(documents, job.status.documents or JobDocuments()):
        raise FlawError(
            JobReason.INVALID_SPEC, f"spec.input.uri was changed after documents up to {taken} had been taken."
        )
    return documents


def _parsed(parse: Callable[[str], T], uri: str) -> T:
    try:
        return parse(uri)
    except SourceError as error:
        raise FlawError(JobReason.INVALID_URI, f"{error}.") from error


def _unless_flawed(parse: Callable[[str], T], text: str) -> T | None:
    try:
        return parse(text) if text else None
    except ValueError:
        return None


def _taken_elsewhere(documents: Source, known: JobDocuments) -> str:
    """The last document that was taken, where some are none of these; empty where all may be."""
    taken = [document.uri for document in known.in_flight]
    if not isinstance(documents, Prefix):
        return known.cursor or next((uri for uri in taken if uri != documents.uri), "")
    if known.cursor and not known.cursor.startswith(documents.prefix):
        return known.cursor
    elsewhere = next((uri for uri in taken if not uri.startswith(documents.uri)), "")
    # What is in flight changes, and a sentence about it would.
    return elsewhere and (known.cursor or elsewhere)


def _begun(job: MarieJob) -> Source:
    """Where the documents of a job are that has taken some, as far as that can be told without its spec."""
    with contextlib.suppress(FlawError):
        if (inline := _inline(job)) is not None:
            return inline
    known = job.status.documents or JobDocuments()
    if not known.cursor and known.in_flight:
        return SingleDocument(known.in_flight[0].uri)
    # That there are several is all that matters: nothing more is listed.
    return Prefix("", "")


def _check_mode(spec: MarieJobSpec, documents: Source) -> None:
    if spec.submission_mode == "K8sJobSubmission" and not isinstance(documents, SingleDocument):
        raise FlawError(
            JobReason.UNSUPPORTED,
            "spec.submissionMode K8sJobSubmission is for one document: a pod for each document of many costs more than "
            "it does. Use HTTPSubmission, in which the operator lists the documents, keeps their order and bounds how "
            "many are in flight.",
        )


def _inline(job: MarieJob) -> Inline | None:
    """The documents that are in no object store, if the spec names such.

    Raises:
        FlawError: it names what is no document.
    """
    given = job.spec.input
    stem = refs.stem(job.metadata.name, job.metadata.uid)
    namespace = job.metadata.namespace
    if given.config_map_ref is not None and given.config_map_ref.name:
        return Inline(stem, namespace, "ConfigMap", given.config_map_ref.name)
    if given.secret_ref is not None and given.secret_ref.name:
        return Inline(stem, namespace, "Secret", given.secret_ref.name)
    if given.data:
        return Inline(stem, namespace, "", f"document.{refs.extension(given.content_type)}", _decoded(given.data))
    return None


def inline_of(job: MarieJob) -> Inline | None:
    """The documents that are in no object store, if the spec names such and can be carried out."""
    try:
        return _inline(job)
    except FlawError:
        return None


def _decoded(data: str) -> bytes:
    try:
        return staging.decoded(data)
    except ValueError as error:
        raise FlawError(JobReason.INVALID_SPEC, f"spec.input.data is no base64: {error}.") from error
