"""What an object owns: written where it differs from what is wanted, removed when it is wanted no longer (W-22)."""

import contextlib
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import orjson

from marie_operator.runtime import drift
from marie_operator.runtime.cache import Cache
from marie_operator.runtime.errors import AlreadyExists, NotFound
from marie_operator.runtime.informer import Informer
from marie_operator.runtime.ownership import Owners, controller_of, controller_uid
from marie_operator.runtime.resource import Object, ObjectKey, Resource
from marie_operator.runtime.writer import Writer

Identity: TypeAlias = tuple[Resource, str]
"""Which of its owner's children one is: its kind and its name."""
LiveChildren: TypeAlias = Mapping[Identity, Object]
"""What there is of one owner's children, by kind and name."""

MANAGED_BY = "app.kubernetes.io/managed-by"
_OWNER_INDEX = "owner"


class NameTaken(Exception):  # noqa: N818
    """A child's name is another's, who would lose it, or have it deleted with this owner.

    Attributes:
        resource: The child's kind.
        key: Its name.
        ends: Whether the other goes by itself, so that there is nothing to do but to try again.
    """

    def __init__(self, resource: Resource, key: ObjectKey, *, ends: bool = False) -> None:
        what = "is about to be deleted and is waited for" if ends else "belongs to another; delete it or rename it"
        super().__init__(f"{resource.kind} {key} exists and {what}.")
        self.resource = resource
        self.key = key
        self.ends = ends


@dataclass(frozen=True, slots=True)
class Create:
    """A child that is missing."""

    resource: Resource
    desired: Object


@dataclass(frozen=True, slots=True)
class Change:
    """A child that differs from what is wanted, and where."""

    resource: Resource
    desired: Object
    paths: Sequence[str]


@dataclass(frozen=True, slots=True)
class Remove:
    """A child that is no longer wanted."""

    resource: Resource
    live: Object


Step: TypeAlias = Create | Change | Remove


def identity(step: Step) -> Identity:
    """Which child a step is about."""
    manifest = step.live if isinstance(step, Remove) else step.desired
    return step.resource, str(manifest["metadata"]["name"])


class Done(NamedTuple):
    """A write, in words.

    Attributes:
        verb: Created, Changed or Deleted.
        what: Kind and name, and what of it.
        answer: The object as the API server then had it; None for one that was removed.
    """

    verb: str
    what: str
    answer: Object | None = None

    def __str__(self) -> str:
        return f"{self.verb} {self.what}"


def steps(
    desired: Iterable[tuple[Resource, Object]], children: LiveChildren, *, kept: Collection[Resource] = ()
) -> list[Step]:
    """The writes that make ``children`` what is ``desired``: in the order of ``desired``, removals last.

    A child that is being deleted is left alone: it is created again once it is gone.

    Args:
        desired: Manifests with their kinds.
        children: What there is.
        kept: Kinds that are not removed when they are wanted no longer, such as those that hold data.
    """
    wanted: set[Identity] = set()
    result: list[Step] = []
    for resource, manifest in desired:
        identity = (resource, manifest["metadata"]["name"])
        wanted.add(identity)
        live = children.get(identity)
        if live is None:
            result.append(Create(resource, manifest))
        elif "deletionTimestamp" not in live["metadata"] and (paths := drift.differs(manifest, live)):
            result.append(Change(resource, manifest, paths))
    result.extend(
        Remove(resource, live)
        for (resource, name), live in children.items()
        if (resource, name) not in wanted and resource not in kept and "deletionTimestamp" not in live["metadata"]
    )
    return result


async def carry_out(step: Step, writer: Writer, *, owner_uid: str, field_manager: str) -> Done:
    """Do one step.

    Server-side apply would quietly merge into an object that somebody else made, and the owner reference would have it
    deleted with its owner. Informers select by label, so only the API server knows whether a name is free: a child is
    created by an apply that changes nothing.

    Raises:
        NameTaken: an object of this name exists that the owner does not control.
        ApiError: the API server refuses.
        Unreachable: it does not answer.
    """
    resource = step.resource
    if isinstance(step, Remove):
        with contextlib.suppress(NotFound):
            await writer.delete(resource, ObjectKey.of(step.live), uid=step.live["metadata"]["uid"])
        return Done("Deleted", f"{resource.kind} {step.live['metadata']['name']}")
    key = ObjectKey.of(step.desired)
    if isinstance(step, Create):
        created = await _created(step, writer, owner_uid=owner_uid, field_manager=field_manager)
        return Done("Created", f"{resource.kind} {key.name}", created)
    changed = await writer.apply(resource, step.desired, field_manager=field_manager)
    return Done("Changed", f"{resource.kind} {key.name}: {_listed(step.paths)}", changed)


async def _created(step: Create, writer: Writer, *, owner_uid: str, field_manager: str) -> Object:
    try:
        return await writer.apply(step.resource, step.desired, field_manager=field_manager, only_create=True)
    except AlreadyExists:
        key = ObjectKey.of(step.desired)
        live = await writer.get(step.resource, key)
        if controller_uid(live) != owner_uid:
            raise NameTaken(step.resource, key, ends=_ends(live, step.desired)) from None
        # It is the owner's own, without the label by which it would have been known.
        return await writer.apply(step.resource, step.desired, field_manager=field_manager)


def _ends(live: Object, desired: Object) -> bool:
    """Whether another's object is one that goes by itself, such as that of an owner whose name was given again."""
    if "deletionTimestamp" in live["metadata"]:
        return True
    theirs, ours = controller_of(live), controller_of(desired)
    return theirs is not None and ours is not None and _name_of(theirs) == _name_of(ours)


def _name_of(owner: Mapping[str, Any]) -> tuple[str, ...]:
    """What only one object has at a time; the version of its group does not matter."""
    return owner["apiVersion"].rpartition("/")[0], owner["kind"], owner["name"]


def _owners(obj: Object) -> Iterable[str]:
    return filter(None, [controller_uid(obj)])


def digest(content: Object) -> str:
    """The hash of what an object, or a part of it, was built as."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def stamped(manifest: Object, annotation: str) -> Object:
    """The manifest with its own hash in an annotation, so that it differs also where a field is given up."""
    annotations = {**manifest["metadata"].get("annotations", {}), annotation: digest(manifest)}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


class Children:
    """What the objects of one kind own, kept as their owner wants it.

    It has the cache keep the children, and no others of their kinds: they carry the label
    ``app.kubernetes.io/managed-by``.

    Args:
        owner: The owners' kind.
        kinds: The children's.
        cache: Keeps them, and keeps the owners already.
        writer: Writes them.
        field_manager: Owns the fields that are written; also the value of the label.

    Attributes:
        owner: The owners' kind.
        informers: The children, kind by kind.
    """

    def __init__(
        self, owner: Resource, kinds: Sequence[Resource], *, cache: Cache, writer: Writer, field_manager: str
    ) -> None:
        self.owner = owner
        selector = f"{MANAGED_BY}={field_manager}"
        indexes = {_OWNER_INDEX: _owners}
        self.informers: Sequence[Informer] = [
            cache.add(kind, label_selector=selector, indexes=indexes) for kind in kinds
        ]
        self._kinds = {(kind.api_version, kind.kind): kind for kind in kinds}
        self._owners = Owners(cache[owner], self.informers, writer)
        self._writer = writer
        self._field_manager = field_manager

    def of(self, owner: Object) -> LiveChildren:
        """What there is of an owner's children."""
        uid = owner["metadata"]["uid"]
        return {
            (informer.resource, live["metadata"]["name"]): live
            for informer in self.informers
            for live in informer.indexed(_OWNER_INDEX, uid)
        }

    def get(self, resource: Resource, owner: Object, name: str = "") -> Object | None:
        """A child; None when there is none.

        Args:
            resource: Its kind.
            owner: Its owner.
            name: Its name; empty for its owner's.
        """
        return self.of(owner).get((resource, name or owner["metadata"]["name"]))

    async def apply(self, owner: Object, wanted: Iterable[Object]) -> tuple[str, ...]:
        """Make an owner's children what is wanted; nothing is written where nothing differs.

        Namespace, owner reference and label are filled in. Fields that the API server, or others, have set beside those
        that are wanted stay as they are; a field that is wanted no longer is given up. Nothing is written for an owner
        that is being deleted or is gone: Kubernetes deletes what it owns. Once a child has vanished, the owner is read,
        however old the cache is.

        Args:
            owner: As the cache has it.
            wanted: Manifests, with apiVersion and kind, in the order in which they are to be written.

        Returns:
            What was done, in words.

        Raises:
            ValueError: a manifest is of another kind than was said at first, or in another namespace than its owner.
            NameTaken: an object of this name belongs to another.
            ApiError: the API server refuses.
            Unreachable: it does not answer.
        """
        live, uid = await self._owners.current(ObjectKey.of(owner)), owner["metadata"]["uid"]
        if live is None or live["metadata"]["uid"] != uid or "deletionTimestamp" in live["metadata"]:
            # Its children are being deleted, and it may wait for that: one that came back would be deleted, for ever.
            return ()
        desired = [(self._kind(manifest), self._completed(owner, manifest)) for manifest in wanted]
        return tuple(
            [
                str(await carry_out(step, self._writer, owner_uid=uid, field_manager=self._field_manager))
                for step in steps(desired, self.of(owner))
            ]
        )

    def _kind(self, manifest: Object) -> Resource:
        try:
            return self._kinds[manifest["apiVersion"], manifest["kind"]]
        except KeyError:
            kind = f"{manifest.get('apiVersion', '')} {manifest.get('kind', '')}".strip()
            raise ValueError(f"{kind or 'an object without a kind'} is none of the children's kinds") from None

    def _completed(self, owner: Object, manifest: Object) -> Object:
        namespace = owner["metadata"].get("namespace") or manifest["metadata"].get("namespace", "")
        if manifest["metadata"].get("namespace", namespace) != namespace:
            # Kubernetes takes an owner in another namespace for one that does not exist, and deletes the child (K-26).
            raise ValueError(f"{manifest['kind']} {manifest['metadata']['name']} must be in its owner's namespace")
        metadata = {
            **manifest["metadata"],
            **({"namespace": namespace} if namespace else {}),
            "labels": {**manifest["metadata"].get("labels", {}), MANAGED_BY: self._field_manager},
            "ownerReferences": [self._reference(owner)],
        }
        return stamped({**manifest, "metadata": metadata}, f"{self.owner.group}/spec-hash".lstrip("/"))

    def _reference(self, owner: Object) -> Object:
        return {
            "apiVersion": self.owner.api_version,
            "kind": self.owner.kind,
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }


def _listed(paths: Sequence[str], limit: int = 3) -> str:
    more = f" and {len(paths) - limit} more" if len(paths) > limit else ""
    return ", ".join(paths[:limit]) + more
