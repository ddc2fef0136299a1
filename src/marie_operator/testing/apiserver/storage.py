"""What can be done with stored objects: the verbs of the API, in the order of checks that a real server has."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from marie_operator.testing.apiserver import managedfields, names, objectmeta, patching
from marie_operator.testing.apiserver.deletion import DeleteOptions, ended, finished, marked
from marie_operator.testing.apiserver.errors import (
    FieldError,
    Object,
    Refusal,
    already_exists,
    conflict,
    invalid,
    not_found,
    quoted,
)
from marie_operator.testing.apiserver.intake import Intake
from marie_operator.testing.apiserver.kinds import Kind, Kinds
from marie_operator.testing.apiserver.managers import settled
from marie_operator.testing.apiserver.requests import Options
from marie_operator.testing.apiserver.store import Bucket, Entry, Key, Store
from marie_operator.testing.apiserver.strategies import Context

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
NAMESPACES: Bucket = ("", "namespaces")
IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
_SHOWN_AFTER_DELETION: frozenset[Bucket] = frozenset(
    ("", plural) for plural in ("pods", "services", "serviceaccounts", "persistentvolumeclaims", "persistentvolumes")
)


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write.

    Attributes:
        object: What is stored now, or would be.
        code: HTTP status.
        warnings: For people.
        entry: Where it is stored; None for a dry run and for what is gone.
        status: Shown in place of the object; None for most.
    """

    object: Object
    code: int = 200
    warnings: tuple[str, ...] = ()
    entry: Entry | None = None
    status: Object | None = None


@dataclass(frozen=True)
class Sources:
    """What makes one server differ from another.

    Attributes:
        now: The time.
        random_suffix: Of a generated name.
        uid: Of a new object.
    """

    now: Callable[[], datetime]
    random_suffix: Callable[[], str]
    uid: Callable[[], str]


@dataclass
class Storage:
    """Objects behind their rules.

    Attributes:
        store: Where they are.
        kinds: What is served.
        sources: Time, ids and addresses.
        after: Called with kind, new and old object after each write that was stored; what the server does to itself.
    """

    store: Store
    kinds: Kinds
    sources: Sources
    after: Callable[[Kind, Object | None, Object | None], None] = field(default=lambda *_: None)

    # Reading.

    def get(self, kind: Kind, key: Key) -> Entry:
        """One object.

        Raises:
            Refusal: 404.
        """
        entry = self._find_entry(kind, key)
        if entry is None:
            raise not_found(kind.plural, kind.group, key.name)
        return kind.read(entry)

    def _find_entry(self, kind: Kind, key: Key) -> Entry | None:
        if wrong := names.path_segment(key.name):
            raise Refusal(400, f"Name parameter invalid: {quoted(key.name)}: {wrong[0]}")
        return self.store.get(kind.bucket, key)

    # Writing.

    def create(self, kind: Kind, namespace: str, body: Any, options: Options) -> Written:
        """Create an object.

        Raises:
            Refusal: it exists, or something is wrong with it.
        """
        write = _Write(kind, Key(namespace, ""), options, Intake(kind, options))
        with write.intake:
            return self._create(write, objectmeta.placed(write.intake.take(body), kind, namespace))

    def _create(self, write: "_Write", new: Object, *, owned: bool = False) -> Written:
        kind, context, meta = write.kind, self._context(), new["metadata"]
        if not meta.get("name") and meta.get("generateName"):
            meta = meta | {"name": objectmeta.generated(meta["generateName"], context.random_suffix())}
        name = str(meta.get("name") or "")
        self._check_namespace(kind, write.key.namespace, name)
        new = write.intake.defaulted(new | {"metadata": meta})
        if not owned:
            new = self._owned(write, None, new, context.now)
        new = kind.strategy.admit(new, context)
        counted = kind.strategy.generation(new, {})
        born = objectmeta.born(new["metadata"], context, counted=counted, wiped=not write.key.name)
        if kind.custom:
            born.pop("selfLink", None)
        new = {**kind.blank, **kind.strategy.prepare_create(new | {"metadata": born}, context)}
        self._check(write, objectmeta.errors(kind, new), new, None)
        new = kind.read_back(kind.strategy.allocate(new, None, context))
        key = Key(write.key.namespace, name)
        if not write.options.dry_run and objectmeta.is_versioned(meta):
            raise Refusal(500, "resourceVersion should not be set on objects to be created", reason="")
        existing = self.store.get(kind.bucket, key)
        if existing is not None:
            ending = "deletionTimestamp" in existing.object["metadata"]
            raise already_exists(kind.plural, kind.group, name, ending=ending, generated=bool(meta.get("generateName")))
        write.key = key
        return self._stored(write, kind.stored(new), None, 201)

    def update(self, kind: Kind, key: Key, body: Any, options: Options, subresource: str = "") -> Written:
        """Replace an object, or the part of it that a subresource is.

        Raises:
            Refusal: it has changed meanwhile, or something is wrong with it.
        """
        write = _Write(kind, key, options, Intake(kind, options), subresource)
        with write.intake:
            return self._update(write, body)

    def _update(self, write: "_Write", body: Any) -> Written:
        kind, key = write.kind, write.key
        if kind.custom and body.get("apiVersion") == kind.api_version and body.get("kind") != kind.kind:
            # It is looked for before it is looked at.
            self.get(kind, key)
        new = objectmeta.placed(write.intake.take(body), kind, key.namespace, name=key.name)
        stored = self.store.get(kind.bucket, key)
        creating = stored is None and kind.made_by_put
        asked = new["metadata"].get("uid")
        found = "" if creating else self.get(kind, key).object["metadata"]["uid"]
        if asked and asked != found:
            why = objectmeta.other_uid(kind, key, asked, found, dry=write.options.dry_run)
            raise conflict(kind.plural, kind.group, key.name, why)
        if creating:
            return self._create(write, objectmeta.unversioned(new))
        live = kind.served(self.get(kind, key).object)
        return self._replace(write, live, new)

    def patch(self, kind: Kind, key: Key, patch: patching.Patch, options: Options, subresource: str = "") -> Written:
        """Change an object by a patch; a server-side apply may create it.

        Raises:
            Refusal: there is none, the patch does not fit, or what comes out is wrong.
        """
        stored = self._find_entry(kind, key)
        entry = None if stored is None else kind.read(stored)
        write = _Write(kind, key, options, Intake(kind, options, origin=patch.origin), subresource)
        if isinstance(patch, patching.Apply):
            return self._apply(write, None if entry is None else kind.served(entry.object), patch.configuration)
        if entry is None:
            raise not_found(kind.plural, kind.group, key.name)
        live = kind.served(entry.object)
        with write.intake:
            patched = patch.applied(kind.named(live), kind.schema)
            new = objectmeta.placed(write.intake.take(patched), kind, key.namespace, name=key.name)
            return self._replace(write, live, new)

    def change(self, kind: Kind, key: Key, change: Callable[[Object], Object], options: Options) -> Written:
        """Make something else of an object, who owns what of it included.

        Raises:
            Refusal: there is none, or what comes out is wrong.
        """
        live = kind.served(self.get(kind, key).object)
        write = _Write(kind, key, options, Intake(kind, options), "scale")
        return self._replace(write, live, change(live), owned=True)

    def _apply(self, write: "_Write", live: Object | None, configuration: Object) -> Written:
        kind, key = write.kind, write.key
        if live is None and write.subresource and not kind.made_by_put:
            raise not_found(kind.plural, kind.group, key.name)
        merged = managedfields.apply(
            None if live is None else kind.named(live),
            configuration,
            schema=kind.schema,
            manager=write.options.field_manager,
            force=write.options.force,
            api_version=kind.api_version,
            subresource=write.subresource,
            now=objectmeta.timestamp(self.sources.now()),
            ignored=patching.ignored(kind, write.subresource),
            kind=kind.kind,
        )
        uid = (configuration.get("metadata") or {}).get("uid")
        if live is None and uid:
            raise conflict(kind.plural, kind.group, key.name, objectmeta.uid_gone(uid))
        # The merge has refused what the schema does not know.
        ignoring = write.options._replace(field_validation="Ignore")
        write = replace(write, intake=Intake(kind, ignoring, origin=patching.Origin.APPLY, sent=configuration))
        new = objectmeta.placed(write.intake.take(merged), kind, key.namespace, name=key.name)
        if live is None:
            return self._create(write, objectmeta.unversioned(new), owned=True)
        return self._replace(write, live, new, owned=True)

    def _replace(self, write: "_Write", old: Object, new: Object, *, owned: bool = False) -> Written:
        kind, key, context = write.kind, write.key, self._context()
        meta, old_meta = new["metadata"], old["metadata"]
        new = write.intake.defaulted(new)
        if not owned:
            new = self._owned(write, old, new, context.now)
        if version := objectmeta.version(meta):
            if version != int(old_meta["resourceVersion"]):
                raise conflict(kind.plural, kind.group, key.name, MODIFIED)
        elif not kind.strategy.unconditional:
            raise invalid(kind.plural, kind.group, key.name, [objectmeta.missing_version()])
        owners = new["metadata"].get("managedFields")
        if write.subresource == "status":
            new = kind.strategy.prepare_status(new, old, context)
        else:
            new = {**kind.blank, **kind.strategy.prepare_update(new, old, context)}
        asked = new["metadata"]
        counted = write.subresource != "status" and kind.strategy.generation(new, old)
        new = new | {"metadata": objectmeta.kept(new["metadata"], old_meta, owners, counted=counted)}
        self._check(write, objectmeta.change_errors(kind, asked, new, old), new, old)
        if write.subresource != "status":
            new = kind.read_back(kind.strategy.allocate(new, old, context))
        entry = self.store.get(kind.bucket, key)
        growing = kind.strategy.grows and entry is not None and entry.first
        if settled(new, old) and not finished(kind, new) and not growing:
            return Written(kind.stored(old), 200, tuple(write.intake.warnings), entry)
        return self._stored(write, kind.stored(new), kind.stored(old), 200)

    def delete(self, kind: Kind, key: Key, how: DeleteOptions) -> Written:
        """Delete an object, or mark it for those whose finalizers it has.

        Raises:
            Refusal: there is none, or a precondition does not hold.
        """
        warnings = how.warnings(kind)
        try:
            return self._delete(kind, key, how, warnings)
        except Refusal as refusal:
            refusal.warnings = warnings
            raise

    def _delete(self, kind: Kind, key: Key, how: DeleteOptions, warnings: tuple[str, ...]) -> Written:
        live = self.get(kind, key).object
        if kind.bucket == NAMESPACES and key.name in IMMORTAL:
            why = f'namespaces "{key.name}" is forbidden: this namespace may not be deleted'
            raise Refusal(403, why, details={"name": key.name, "kind": "namespaces"})
        how.check(kind, live)
        now = self.sources.now()
        doomed = marked(kind, live, how, now)
        if doomed is None:
            last = live
            if not how.dry_run:
                last = self.store.remove(kind.bucket, key).object
                self.after(kind, None, live)
            shown = kind.bucket in _SHOWN_AFTER_DELETION
            return Written(ended(kind, last, now), 200, warnings, status=None if shown else _deleted(kind, live))
        if settled(doomed, live):
            return Written(live, how.pending, warnings, self.store.get(kind.bucket, key))
        options = Options(dry_run=how.dry_run)
        written = self._stored(_Write(kind, key, options, Intake(kind, options)), doomed, live, how.pending)
        return replace(written, warnings=warnings)

    def rewrite(self, kind: Kind, key: Key, new: Object, options: Options) -> Written:
        """Store what the server itself made of an object, without its rules."""
        return self._stored(_Write(kind, key, options, Intake(kind, options)), new, self.get(kind, key).object, 200)

    def finalize(self, kind: Kind, key: Key, body: Any, options: Options) -> Written:
        """Take finalizers from a namespace's spec; without any left, it goes.

        Raises:
            Refusal: it has changed meanwhile.
        """
        live = self.get(kind, key).object
        version = (body.get("metadata") or {}).get("resourceVersion")
        if version and version != live["metadata"]["resourceVersion"]:
            raise conflict(kind.plural, kind.group, key.name, MODIFIED)
        left = (body.get("spec") or {}).get("finalizers") or []
        return self.rewrite(kind, key, live | {"spec": {"finalizers": left} if left else {}}, options)

    # Parts.

    def _context(self) -> Context:
        sources = self.sources
        return Context(
            now=objectmeta.timestamp(sources.now()),
            random_suffix=sources.random_suffix,
            uid=sources.uid,
            find=self._find,
            every=lambda group, plural: (entry.object for entry in self.store.range((group, plural))),
        )

    def _find(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        entry = self.store.get((group, plural), Key(namespace, name))
        return None if entry is None else entry.object

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        """Admission: what is created needs a namespace that is there to stay."""
        if not kind.namespaced:
            return
        found = self.store.get(NAMESPACES, Key("", namespace))
        if found is None:
            raise not_found("namespaces", "", namespace)
        if found.object["metadata"].get("deletionTimestamp"):
            raise objectmeta.terminating(kind, namespace, name)

    def _check(self, write: "_Write", errors: list[FieldError], new: Object, old: Object | None) -> None:
        kind, strategy = write.kind, write.kind.strategy
        validate_update = (write.subresource == "status" and strategy.validate_status) or strategy.validate_update
        errors = errors + (strategy.validate(new) if old is None else validate_update(new, old))
        write.intake.warnings.extend(str(each) for each in errors if each.ratcheted)
        errors = [each for each in errors if not each.ratcheted]
        if not errors and write.subresource != "status":
            write.intake.warnings.extend(strategy.warnings(new, old))
        if errors:
            raise invalid(kind.kind, kind.group, str(new["metadata"].get("name", "")), errors)

    @staticmethod
    def _owned(write: "_Write", old: Object | None, new: Object, now: str) -> Object:
        return managedfields.update(
            old,
            new,
            schema=write.kind.schema,
            manager=write.options.field_manager,
            api_version=write.kind.api_version,
            subresource=write.subresource,
            now=now,
            ignored=patching.ignored(write.kind, write.subresource),
        )

    def _stored(self, write: "_Write", new: Object, old: Object | None, code: int) -> Written:
        kind, key = write.kind, write.key
        told = tuple(write.intake.warnings)
        if write.options.dry_run:
            return Written(new, code, told)
        if old is not None and finished(kind, new):
            entry = self.store.remove(kind.bucket, key, last=new)
            self.after(kind, None, entry.object)
        else:
            entry = self.store.put(kind.bucket, key, new, kind)
            self.after(kind, entry.object, old)
        return Written(entry.object, code, told, entry)


@dataclass(slots=True)
class _Write:
    """What is being written, where and how; what is created without a name has none until it is stored."""

    kind: Kind
    key: Key
    options: Options
    intake: Intake
    subresource: str = ""


def _deleted(kind: Kind, live: Object) -> Object:
    details = {
        "name": live["metadata"]["name"],
        "group": kind.group,
        "kind": kind.plural,
        "uid": live["metadata"]["uid"],
    }
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {name: value for name, value in details.items() if value},
    }
