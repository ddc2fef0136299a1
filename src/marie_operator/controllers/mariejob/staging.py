"""Documents that a job, a ConfigMap or a Secret holds, put where Marie reads from, and taken away again."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from marie_operator.controllers.mariejob.background import Background, uncounted
from marie_operator.controllers.mariejob.buckets import Folder
from marie_operator.controllers.mariejob.failures import ApiClient
from marie_operator.controllers.mariejob.objects import Objects, ObjectsError, whole
from marie_operator.controllers.mariejob.source import Inline
from marie_operator.controllers.mariejob.store import ListingError
from marie_operator.runtime import Forbidden, NotFound
from marie_operator.runtime.errors import ApiError, Unreachable
from marie_operator.runtime.resource import CONFIG_MAPS, SECRETS, Object, ObjectKey

_TRIES = 5
"""How often documents are tried to be taken away, before the job ends without."""
_FIRST_RETRY = 2.0


async def stage(objects: Objects, client: ApiClient, source: Inline, after: str) -> tuple[str, ...]:
    """Put the documents that come after a key where Marie reads from. Doing so again changes nothing.

    Args:
        objects: Writes them.
        client: Reads ConfigMaps and Secrets.
        source: Holds them.
        after: The last key that is done.

    Returns:
        Their keys, in order.

    Raises:
        ListingError: they cannot be read, or not be written.
    """
    held = {source.key(name): content for name, content in (await _held(client, source)).items()}
    keys = tuple(sorted(key for key in held if key > after))
    try:
        for key in keys:
            await objects.write(source.bucket, source.path(key), whole(held[key]))
    except ObjectsError as error:
        raise ListingError(str(error), answered=error.refusal.answered) from error
    return keys


async def _held(client: ApiClient, source: Inline) -> Mapping[str, bytes]:
    """What is held, by name."""
    if not source.kind:
        return {source.name: source.data}
    what = f"{source.kind} {source.name} in namespace {source.namespace}"
    resource = CONFIG_MAPS if source.kind == "ConfigMap" else SECRETS
    try:
        live = await client.get(resource, ObjectKey(source.namespace, source.name))
    except NotFound:
        raise ListingError(f"There is no {what}, which is to hold the documents. Create it.", missing=True) from None
    except Forbidden as error:
        raise ListingError(
            f"The operator may not get {what}: {error.message.rstrip('.')}. "
            "Apply config/rbac of the operator's version again, or bind its role in this namespace."
        ) from error
    except (ApiError, Unreachable) as error:
        raise ListingError(f"{what} cannot be read: {error}. The operator tries again.", answered=False) from error
    return _documents(live, texts=source.kind == "ConfigMap")


def _documents(live: Object, *, texts: bool) -> Mapping[str, bytes]:
    """What is under each key; a ConfigMap has texts and, apart from them, what is none."""
    data = live.get("data") or {}
    if not texts:
        return {name: base64.b64decode(value) for name, value in data.items()}
    binary = {name: base64.b64decode(value) for name, value in (live.get("binaryData") or {}).items()}
    return {name: value.encode() for name, value in data.items()} | binary


def decoded(data: str) -> bytes:
    """A document from its base64.

    Raises:
        ValueError: it is none.
    """
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


@dataclass(slots=True)
class _Clearance:
    folder: Folder
    uid: str
    result: str | None = None


class Clearances:
    """Takes documents away that were put where Marie reads from, in the background, once a job needs them no more.

    Args:
        objects: Lists and deletes them.
        on_change: Called with a job's key when they are gone, or when that is given up.
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
        self._clearances: dict[ObjectKey, _Clearance] = {}
        self._background = Background("clearance", on_failure=self._fail, on_defect=on_defect)

    def want(self, job: ObjectKey, uid: str, folder: Folder | None) -> None:
        """Say that ``job`` needs its documents no more; ``None`` forgets what there was. Again, it changes nothing."""
        known = self._clearances.get(job)
        if known is not None and (folder is None or known.uid != uid):
            self._background.end(job)
            del self._clearances[job]
            known = None
        if folder is not None and known is None:
            clearance = self._clearances[job] = _Clearance(folder, uid)
            self._background.begin(job, partial(self._clear, job, clearance))

    def outcome(self, job: ObjectKey) -> str | None:
        """Empty when the documents are gone, why they stay when that was given up, ``None`` before either."""
        known = self._clearances.get(job)
        return None if known is None else known.result

    async def run(self) -> None:
        """Take away what is to go, until cancelled. To be run by the leader only."""
        await self._background.run()

    async def _clear(self, job: ObjectKey, clearance: _Clearance) -> None:
        folder, delay = clearance.folder, _FIRST_RETRY
        for left in reversed(range(_TRIES)):
            try:
                while keys := await self._objects.keys(folder.bucket, folder.path):
                    await self._objects.delete(folder.bucket, keys)
            except ObjectsError as error:
                if not left:
                    clearance.result = _left(folder, str(error))
            else:
                clearance.result = ""
            if clearance.result is not None:
                break
            await asyncio.sleep(delay)
            delay *= 2
        self._on_change(job)

    def _fail(self, job: ObjectKey, message: str) -> None:
        # The job, which waits for nothing else, ends; tried again it is for as long as it has not.
        if (clearance := self._clearances.get(job)) is not None:
            clearance.result = _left(clearance.folder, message)
            self._on_change(job)


def _left(folder: Folder, why: str) -> str:
    return f"What was put under {folder.uri} for Marie stays there: {why}"
