"""The MarieJob reconciler: gather, decide, apply."""

import contextlib
from dataclasses import replace
from typing import Any, Protocol

from marie_operator.api.conditions import EventReason, JobCondition, JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob, MarieJobStatus
from marie_operator.controllers import custody, kinds
from marie_operator.controllers.mariejob import failures, report, sentences, summary
from marie_operator.controllers.mariejob.announcements import Announcements, Recorder
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.controllers.mariejob.decide import decide, leave
from marie_operator.controllers.mariejob.decision import Decision, Occurrence
from marie_operator.controllers.mariejob.ending import retire
from marie_operator.controllers.mariejob.failures import ApiClient, RecordTakenError
from marie_operator.controllers.mariejob.gather import Sources
from marie_operator.controllers.mariejob.observation import Observation
from marie_operator.controllers.mariejob.outcomes import Outcomes
from marie_operator.controllers.mariejob.own_cluster import Keep, OwnCluster, Remove
from marie_operator.controllers.mariejob.owned import AGAIN
from marie_operator.controllers.mariejob.pacing import Pace
from marie_operator.controllers.mariejob.removal import Deleter, Removal
from marie_operator.controllers.mariejob.submitter import Launch
from marie_operator.runtime import (
    Conflict,
    Forbidden,
    Informer,
    Invalid,
    NotFound,
    PatchKind,
    Result,
    Typed,
    Unparsable,
    is_true,
    with_condition,
)
from marie_operator.runtime.resource import JOBS, Object, ObjectKey, Resource
from marie_operator.runtime.status import StatusWriter, write_status

FINALIZER = "marie.ai/documents"
"""Keeps a job until what Marie has of it is cancelled in its database."""

HELD = 1.0
"""Seconds after which a job is looked at again whose own cluster was just refused: it is to say so."""


class Api(ApiClient, StatusWriter, Deleter, Protocol):
    """The verbs that reconciling a job needs."""

    async def refresh(self, resource: Resource, key: ObjectKey) -> None:
        """Have the cache show one object as it is on the server now."""
        ...


class MarieJobReconciler:
    """Brings a MarieJob's documents to their end, and its status to what became of them.

    Args:
        informer: the MarieJobs, as the API server has them.
        jobs: the same, as models.
        sources: what else a decision depends on.
        client: writes; what it writes is in the cache at once.
        events: where events go.
        outcomes: counts how jobs end.
    """

    def __init__(
        self,
        *,
        informer: Informer,
        jobs: Typed[MarieJob],
        sources: Sources,
        client: Api,
        events: Recorder,
        outcomes: Outcomes,
    ) -> None:
        self._informer = informer
        self._jobs = jobs
        self._sources = sources
        self._client = client
        self._announcements = Announcements(events)
        self._outcomes = outcomes
        self._removal = Removal(informer, jobs, sources, client, self._announcements)
        self._pace = Pace(sources.clock)
        self._taken_up: dict[ObjectKey, frozenset[str]] = {}
        # True: the job is known as it is, and stays so, since nobody else writes its status. False: it is outdated.
        self._current: dict[ObjectKey, bool] = {}

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring one job closer to its end.

        Raises:
            Conflict: the decision was made on an outdated job.
        """
        try:
            return await self._reconcile(key)
        except Conflict:
            self._current[key] = False
            raise

    async def _reconcile(self, key: ObjectKey) -> Result:
        await self._bring_up_to_date(key)
        live, job = self._informer.get(key), self._jobs.get(key)
        if live is None or job is None or not custody.is_ours(job):
            self._current.pop(key, None)
            self._abandon(key)
            return Result()
        if "deletionTimestamp" in live["metadata"]:
            return await self._leave(live, job)
        if isinstance(job, Unparsable):
            return await self._report_unreadable(job)
        if is_finished(job.status):
            self._current.pop(key, None)
            return await self._rest(live, job)
        if custody.is_paused(job):
            return await self._pause(live, job)
        seen = await self._sources.observe(job)
        return await self._apply(live, job, seen, decide(job, seen))

    async def _bring_up_to_date(self, key: ObjectKey) -> None:
        """See what an earlier leader has made of a job before anything is done for it.

        The API server refuses a write that is made for an outdated job. Marie and object stores would not.
        """
        job, current = self._jobs.get(key), self._current.get(key)
        if current or not isinstance(job, MarieJob) or not custody.is_ours(job) or is_finished(job.status):
            return
        if current is False or _is_begun(job.status):
            await self._client.refresh(kinds.MARIE_JOBS, key)
            self._current[key] = True

    async def _leave(self, live: Object, job: MarieJob | Unparsable) -> Result:
        """Let a job go that is being deleted, once nobody works on it in vain if that can be helped."""
        key = ObjectKey.of(live)
        if isinstance(job, Unparsable) or FINALIZER not in job.metadata.finalizers:
            await self._hold(live, holds=False)
            self._abandon(key)
            return Result()
        seen = await self._sources.observe(job)
        decision = leave(job, seen)
        if not decision.released:
            with contextlib.suppress(NotFound):
                await write_status(self._client, kinds.MARIE_JOBS, live, wire(decision.status))
            self._sources.imports.want(key, job.metadata.uid, None)
            self._follow(job, seen, decision)
            await self._see_to_owned(job, decision, seen.own)
            return Result(requeue_after=decision.requeue_after)
        with contextlib.suppress(NotFound):
            await self._hold(live, holds=False)
        self._announcements.tell(job, decision.events)
        self._abandon(key)
        return Result()

    async def _hold(self, live: Object, *, holds: bool) -> bool:
        """Have a job wait, when it is deleted, for what Marie has of it, or not; whether that had to be written."""
        before = live["metadata"].get("finalizers") or []
        if (FINALIZER in before) is holds:
            return False
        after = [*before, FINALIZER] if holds else [each for each in before if each != FINALIZER]
        metadata = {"resourceVersion": live["metadata"]["resourceVersion"], "finalizers": after}
        await self._client.patch(kinds.MARIE_JOBS, ObjectKey.of(live), {"metadata": metadata}, kind=PatchKind.MERGE)
        return True

    async def _is_marked(self, live: Object, seen: Observation, decision: Decision) -> bool:
        """Whether a job had to be kept from now on, because its documents can be taken back."""
        usable = seen.database is not None and seen.database.ready
        return usable and bool(decision.tickets) and await self._hold(live, holds=True)

    async def _finish(self, key: ObjectKey, cluster_name: str) -> None:
        """What is left to be done once a job's end is written."""
        self._taken_up.pop(key, None)
        if (ended := self._informer.get(key)) is not None:
            await self._hold(ended, holds=False)
        await self._removal.prune(key.namespace, cluster_name)

    async def _apply(self, live: Object, job: MarieJob, seen: Observation, decision: Decision) -> Result:
        """Carry out a decision; the order makes a crash between any two steps harmless.

        Documents enter the status before the monitor may submit them, and leave it together with their
        outcome; failures are recorded before the documents leave; events are told once all that is true.

        Raises:
            Conflict: the decision was made on an outdated job; nothing was done.
        """
        key = ObjectKey.of(live)
        if await self._is_marked(live, seen, decision):
            # Seen again at once, with what keeps it until its documents are taken back.
            return Result()
        if not is_finished(decision.status):
            # Of documents that have ended, whatever becomes of this decision: their results need not wait for it.
            self._sources.deliveries.want(key, job.metadata.uid, decision.delivery)
            self._sources.clearances.want(key, job.metadata.uid, decision.clearing)
        if wait := self._pace.wait(job, decision.status):
            return Result(requeue_after=min(wait, decision.requeue_after or wait))
        decision = await self._recorded(job, decision)
        await self._report(job, decision.status)
        try:
            written = await write_status(self._client, kinds.MARIE_JOBS, live, wire(decision.status))
        except NotFound:
            self._abandon(key)
            return Result()
        self._sources.imports.want(key, job.metadata.uid, decision.importing)
        if is_finished(decision.status):
            self._pace.forget(key)
            self._sources.deliveries.want(key, job.metadata.uid, None)
            self._sources.clearances.want(key, job.metadata.uid, None)
        elif written:
            self._pace.wrote(job)
            self._current[key] = True
        self._follow(job, seen, decision)
        self._tell_taken_up(job, seen)
        requeue_after, held = decision.requeue_after, await self._see_to_owned(job, decision, seen.own)
        if held:
            requeue_after = min(HELD, requeue_after or HELD)
        self._sources.listings.want(key, decision.listing)
        if written:
            self._announcements.tell(job, decision.events)
            self._outcomes.count(job.status, decision.status)
        if is_finished(decision.status):
            await self._finish(key, decision.status.cluster_name)
        return Result(requeue_after=requeue_after, changes=_changes(job.status, decision.status))

    async def _see_to_owned(self, job: MarieJob, decision: Decision, own: OwnCluster | None) -> bool:
        """Bring what a job owns to where it is to be; whether the API server did not let it."""
        owned, told, held = self._sources.owned, list[Occurrence](), False
        if isinstance(decision.submitter, Launch):
            told += await owned.launch(job, decision.submitter)
            held = owned.refusal(kinds.key_of(job), JOBS) is not None
        elif decision.submitter is not None:
            told += await owned.dismiss(job, decision.submitter)
        if own is not None and isinstance(decision.own, Keep):
            told += await owned.keep(job, decision.own, own)
            held = held or owned.refusal(kinds.key_of(job), kinds.MARIE_CLUSTERS) is not None
        elif own is not None and isinstance(decision.own, Remove):
            told += await owned.remove(job, decision.own, own)
        self._announcements.tell(job, told)
        return held

    def _tell_taken_up(self, job: MarieJob, seen: Observation) -> None:
        """Tell of documents that were set going again, each once."""
        told = self._taken_up.get(kinds.key_of(job), frozenset())
        taken_up = frozenset(ref_id for ref_id, view in seen.documents.items() if view.taken_up)
        self._taken_up[kinds.key_of(job)] = taken_up
        if new := taken_up - told:
            self._announcements.tell(job, [Occurrence("Warning", EventReason.TAKEN_UP, sentences.taken_up(len(new)))])

    def _follow(self, job: MarieJob, seen: Observation, decision: Decision) -> None:
        """Tell the monitor which documents to bring to Marie and to their end."""
        if not isinstance(seen.cluster, MarieCluster):
            return
        key, namespace = kinds.key_of(job), job.metadata.namespace
        # Without a key nothing is submitted, and what Marie has is followed all the same.
        submits = decision.submits and seen.submitter is None
        api_key = seen.api_key if submits and isinstance(seen.api_key, str) else ""
        cluster = seen.cluster.metadata.name
        if job.status.cluster_name not in {"", cluster}:
            self._sources.gateways.follow(ObjectKey(namespace, job.status.cluster_name), key, (), api_key="")
        self._sources.gateways.follow(ObjectKey(namespace, cluster), key, decision.tickets, api_key=api_key)

    async def _recorded(self, job: MarieJob, decision: Decision) -> Decision:
        """Keep the complete list of a batch's failures beside the job, whose status has room for the first only.

        Its status gets the number of ConfigMaps that this takes. A record that cannot be kept is told, but does not
        keep the job from its end.
        """
        documents = decision.status.documents
        if not decision.failures or documents is None:
            return decision
        try:
            parts = await failures.record(self._client, job, decision.failures)
        except RecordTakenError as error:
            self._announcements.tell(job, [Occurrence("Warning", JobReason.NAME_TAKEN, str(error))])
        except Forbidden as error:
            note = (
                f"Failures are not recorded in ConfigMap {failures.name(job.metadata.name)}: "
                f"{error.message.rstrip('.')}. Apply config/rbac of the operator's version again."
            )
            self._announcements.tell(job, [Occurrence("Warning", JobReason.PERMISSION_DENIED, note)])
        else:
            counted = documents.model_copy(update={"failure_parts": parts})
            return replace(decision, status=decision.status.model_copy(update={"documents": counted}))
        return decision

    async def _report(self, job: MarieJob, status: MarieJobStatus) -> None:
        """Say in the ConfigMap that the job names how it ended; that this cannot be done is told, and no more."""
        if not is_finished(status) or not report.wanted(job):
            return
        try:
            await report.write(self._client, job, status)
        except (RecordTakenError, Forbidden, Invalid) as error:
            self._announcements.tell(job, [report.refused(job, error)])

    async def _pause(self, live: Object, job: MarieJob) -> Result:
        """Leave a job as it is. What Marie has of it goes on, and is looked up when the pause is over."""
        self._abandon(kinds.key_of(job))
        status = summary.halted(job, self._sources.clock.now())
        with contextlib.suppress(NotFound):
            if await write_status(self._client, kinds.MARIE_JOBS, live, wire(status)):
                self._announcements.tell(job, summary.transitions(job, status))
        return Result()

    async def _rest(self, live: Object, job: MarieJob) -> Result:
        """A finished job needs no Secret and no gateway; its cluster may keep fewer of them by now."""
        if await self._hold(live, holds=False) or custody.is_paused(job):
            return Result()
        await self._removal.prune(job.metadata.namespace, job.status.cluster_name)
        own = self._sources.own_cluster(job)
        decision = retire(job, self._sources.clock.now(), own, self._sources.submitter(job))
        if decision.expired:
            return await self._removal.expire(job, decision.expired)
        if await self._see_to_owned(job, decision, own):
            return Result(requeue_after=AGAIN)
        return Result(requeue_after=decision.requeue_after)

    def _abandon(self, key: ObjectKey) -> None:
        """Forget a job that is gone. Documents that Marie has run on: it cannot stop them over HTTP."""
        self._pace.forget(key)
        self._taken_up.pop(key, None)
        self._sources.owned.forget(key)
        self._sources.listings.want(key, None)
        self._sources.deliveries.want(key, "", None)
        self._sources.imports.want(key, "", None)
        self._sources.clearances.want(key, "", None)
        self._sources.gateways.abandon(key)

    async def _report_unreadable(self, job: Unparsable) -> Result:
        """Say on the object what keeps it from being read; its documents stay as they are."""
        live = job.object
        before = live.get("status") or {}
        conditions = before.get("conditions") or ()
        if is_true(conditions, JobCondition.COMPLETE) or is_true(conditions, JobCondition.FAILED):
            return Result()
        message = f"The job cannot be read: {job.error}. Apply it again with these fields corrected."
        told = with_condition(
            conditions,
            type=JobCondition.SUBMITTED,
            status="False",
            reason=JobReason.UNREADABLE,
            message=message,
            generation=live["metadata"].get("generation", 0),
            now=self._sources.clock.now(),
        )
        status = {**before, "message": message, "conditions": told}
        with contextlib.suppress(NotFound):
            await write_status(self._client, kinds.MARIE_JOBS, live, status)
        return Result()


def _is_begun(status: MarieJobStatus) -> bool:
    """Whether anything may have been done for a job; what is done first is to write that down."""
    return status.documents is not None and bool(status.documents.listed or status.documents.in_flight)


def wire(status: MarieJobStatus) -> dict[str, Any]:
    """A status as it is written: what is empty is left out, what is zero is not."""
    return _without_empty(status.model_dump(mode="json", by_alias=True, exclude_none=True))


def _without_empty(content: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            kept[name] = _without_empty(value)
        elif isinstance(value, list):
            kept[name] = [_without_empty(item) if isinstance(item, dict) else item for item in value]
        else:
            kept[name] = value
    return {name: value for name, value in kept.items() if value not in ("", {}, [])}


def _changes(old: MarieJobStatus, new: MarieJobStatus) -> tuple[str, ...]:
    """What a log line tells of a step."""
    changes = []
    if old.phase != new.phase:
        changes.append(f"{old.phase or 'New'} -> {new.phase}")
    before, after = old.documents, new.documents
    for name in ("listed", "succeeded", "failed"):
        number = getattr(after, name, 0) - getattr(before, name, 0)
        if number > 0:
            changes.append(f"{number} {name}")
    return tuple(changes)
