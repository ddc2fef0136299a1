"""Documents of other clouds, brought to where Marie reads from when their turn comes, and taken away at their end.

What there is follows from the job's status alone: the copy of a document is named by its reference id, and those of
documents that are not in flight are left over from a crash. So a crash between any two steps costs no more than copying
again, over itself, what was copied and not yet submitted.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from marie_operator.controllers.mariejob.background import Background, uncounted
from marie_operator.controllers.mariejob.buckets import Bucket, Folder
from marie_operator.controllers.mariejob.objects import LISTED, Objects, ObjectsError
from marie_operator.controllers.mariejob.refusal import Refusal
from marie_operator.controllers.mariejob.source import SingleDocument
from marie_operator.marie.gateways import DocumentState, DocumentView
from marie_operator.runtime.resource import ObjectKey

AT_ONCE = 4
"""Documents, of all jobs together, that are copied at the same time: each takes some 24 MB of memory at most."""

NOT_SUBMITTED = frozenset({DocumentState.WAITING, DocumentState.KEY_REFUSED})
"""Where a document is that Marie surely does not have."""

_FIRST_RETRY = 2.0
_LAST_RETRY = 60.0


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What is to be where Marie reads from.

    Attributes:
        source: Where documents are; its name gives way to the one in a document's URI.
        folder: Where they go.
        wanted: Documents that are about to be submitted: their URIs, by reference id.
        kept: Documents that Marie has or may have.
    """

    source: Bucket
    folder: Folder
    wanted: Mapping[str, str]
    kept: frozenset[str]


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """Why documents are not where they should be; it is tried again by itself.

    Attributes:
        message: What is wrong and what to do.
        answered: Whether a store gave an answer that only a correction on our side will change.
    """

    message: str
    answered: bool


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """How far it is.

    Attributes:
        there: Documents that can be submitted, by reference id.
        missing: Documents that are not where their URIs say, and what is told of that.
        failure: What keeps others from being there.
    """

    there: frozenset[str] = frozenset()
    missing: Mapping[str, str] = field(default_factory=dict)
    failure: ImportFailure | None = None


@dataclass(slots=True)
class _Import:
    """One job's documents.

    Attributes:
        request: What is wanted.
        uid: The job's.
        moved: Set when there may be something new to do.
        present: Objects that are in the folder or may be, by name; None before that was looked up.
        there: Documents that this process has copied.
        missing: Documents that are not there to be copied.
        copying: Documents that are being copied.
        failures: What keeps it from going on, by document; by an empty name, for the folder.
        stumbled: What it says while the work raises what nobody expected.
    """

    request: ImportRequest
    uid: str
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    present: set[str] | None = None
    there: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)
    copying: set[str] = field(default_factory=set)
    failures: dict[str, ImportFailure] = field(default_factory=dict)
    stumbled: ImportFailure | None = None

    @property
    def surplus(self) -> Collection[str]:
        """Objects that no document in flight needs."""
        return (self.present or set()) - self.request.kept - self.request.wanted.keys() - self.copying

    @property
    def startable(self) -> Collection[str]:
        """Documents that nobody copies, and that are to be."""
        return self.request.wanted.keys() - self.there - self.missing.keys() - self.copying

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do for now."""
        return self.present is not None and not self.surplus and not self.startable and not self.copying

    def forget(self) -> None:
        """Let go of what is known of documents that are in flight no more."""
        known = self.request.wanted.keys() | self.request.kept
        self.there &= known
        self.missing = {ref_id: told for ref_id, told in self.missing.items() if ref_id in known}
        self.failures = {ref_id: told for ref_id, told in self.failures.items() if ref_id in known or not ref_id}


class Imports:
    """Copies documents into the store that Marie reads from, and deletes the copies, in the background.

    Args:
        objects: Lists, copies and deletes.
        on_change: Called with a job's key when a document is there, or there is another reason why one is not.
        on_defect: Called when the work raises what nobody expected, which is told of that job alone.
    """

    def __init__(
        self,
        objects: Objects,
        *,
        on_change: Callable[[ObjectKey], None],
        on_defect: Callable[[], None] = uncounted,
    ) -> None:
        self._objects = objects
        self._on_change = on_change
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._imports: dict[ObjectKey, _Import] = {}
        self._background = Background("documents", on_failure=self._stumble, on_defect=on_defect)

    def want(self, job: ObjectKey, uid: str, request: ImportRequest | None) -> None:
        """Say which documents of ``job`` are to be there; ``None`` forgets what there was.

        Saying the same again changes nothing.
        """
        known = self._imports.get(job)
        if known is not None and (request is None or known.uid != uid or not _continues(known.request, request)):
            self._background.end(job)
            del self._imports[job]
            known = None
        if request is None:
            return
        if known is None:
            known = self._imports[job] = _Import(request, uid)
        known.request = request
        known.forget()
        known.moved.set()
        if not known.is_done:
            self._background.begin(job, partial(self._bring, job, known))

    def outcome(self, job: ObjectKey) -> ImportOutcome:
        """How far ``job`` is."""
        known = self._imports.get(job)
        if known is None:
            return ImportOutcome()
        failure = next(iter(known.failures.values()), known.stumbled)
        return ImportOutcome(frozenset(known.there), dict(known.missing), failure)

    async def run(self) -> None:
        """Copy and delete what is wanted, until cancelled. To be run by the leader only."""
        await self._background.run()

    async def _bring(self, job: ObjectKey, known: _Import) -> None:
        # While a group ends, more may be wanted.
        while not known.is_done:
            async with asyncio.TaskGroup() as group:
                await self._work(job, known, group)
        self._recover(job, known)

    async def _work(self, job: ObjectKey, known: _Import, group: asyncio.TaskGroup) -> None:
        while not known.is_done:
            known.moved.clear()
            if known.present is None or known.surplus:
                await self._tidy(job, known)
                continue
            for ref_id in known.startable:
                known.copying.add(ref_id)
                group.create_task(self._copy(job, known, ref_id))
            await known.moved.wait()

    async def _tidy(self, job: ObjectKey, known: _Import) -> None:
        """Delete what no document in flight needs.

        Nothing more is copied before that, so that there are never more copies than documents in flight.
        """
        folder, delay = known.request.folder, _FIRST_RETRY
        while True:
            try:
                if known.present is None:
                    known.present = await self._listed(folder)
                if surplus := known.surplus:
                    await self._objects.delete(folder.bucket, sorted(f"{folder.path}/{name}" for name in surplus))
                    known.present -= set(surplus)
            except ObjectsError as error:
                self._fail(job, known, "", error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY)
            else:
                self._succeed(job, known, "")
                return

    async def _listed(self, folder: Folder) -> set[str]:
        names: set[str] = set()
        after = ""
        while True:
            keys = await self._objects.keys(folder.bucket, folder.path, after)
            names |= {key.removeprefix(f"{folder.path}/") for key in keys}
            if len(keys) < LISTED:
                return names
            after = keys[-1]

    async def _copy(self, job: ObjectKey, known: _Import, ref_id: str) -> None:
        """Copy a document, for as long as that is wanted."""
        delay = _FIRST_RETRY
        try:
            while (uri := known.request.wanted.get(ref_id)) is not None:
                try:
                    async with self._slots:
                        await self._copied(known, ref_id, uri)
                except ObjectsError as error:
                    if error.refusal is Refusal.NO_OBJECT and error.bucket.scheme == known.request.source.scheme:
                        known.missing[ref_id] = str(error)
                        break
                    self._fail(job, known, ref_id, error)
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, _LAST_RETRY)
                else:
                    known.there.add(ref_id)
                    break
        finally:
            known.copying.discard(ref_id)
            known.forget()
            known.moved.set()
        known.failures.pop(ref_id, None)
        known.stumbled = None
        self._on_change(job)

    async def _copied(self, known: _Import, ref_id: str, uri: str) -> None:
        request = known.request
        bucket = replace(request.source, name=uri.split("/", 3)[2])
        assert known.present is not None  # noqa: S101 - nothing is copied before the folder was looked into
        known.present.add(ref_id)
        await self._objects.copy(
            bucket, SingleDocument(uri).key, request.folder.bucket, f"{request.folder.path}/{ref_id}"
        )

    def _fail(self, job: ObjectKey, known: _Import, ref_id: str, error: ObjectsError) -> None:
        before, failure = known.failures.get(ref_id), ImportFailure(str(error), error.refusal.answered)
        known.failures[ref_id] = failure
        if before != failure:
            self._on_change(job)

    def _stumble(self, job: ObjectKey, message: str) -> None:
        known, failure = self._imports.get(job), ImportFailure(message, answered=False)
        if known is not None and known.stumbled != failure:
            known.stumbled = failure
            self._on_change(job)

    def _recover(self, job: ObjectKey, known: _Import) -> None:
        if known.stumbled is not None:
            known.stumbled = None
            self._on_change(job)

    def _succeed(self, job: ObjectKey, known: _Import, ref_id: str) -> None:
        if known.failures.pop(ref_id, None) is not None:
            self._on_change(job)


def judged(views: Mapping[str, DocumentView], missing: Mapping[str, str]) -> Mapping[str, DocumentView]:
    """What became of documents, where those that are not where their URIs say have failed.

    Args:
        views: What Marie says, by reference id.
        missing: What is told of those that are not there.
    """
    gone = {
        ref_id: DocumentView(DocumentState.FAILED, message=message)
        for ref_id, message in missing.items()
        if ref_id not in views or not views[ref_id].dag_id
    }
    return {**views, **gone}


def _continues(before: ImportRequest, now: ImportRequest) -> bool:
    """Whether what was done counts still: with other credentials, or elsewhere, it begins anew."""
    return (before.source, before.folder) == (now.source, now.folder)
