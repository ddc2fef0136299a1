"""Who owns which fields of an object: server-side apply, and what every other write means for ``managedFields``.

The rules are those of apimachinery's ``managedfields`` on top of structured-merge-diff, with one simplification: an
object has the same form in all versions of its kind.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from marie_operator.testing.apiserver import fieldset
from marie_operator.testing.apiserver.conformity import mismatches, told
from marie_operator.testing.apiserver.errors import Object, Refusal, kind_of
from marie_operator.testing.apiserver.fieldset import FieldSet, Path
from marie_operator.testing.apiserver.managers import (
    Managed,
    Manager,
    Owned,
    bare,
    capped,
    decoded,
    managed_before,
    settled,
    with_managed,
)
from marie_operator.testing.apiserver.merging import (
    Comparison,
    Unkeyed,
    appearing,
    compare,
    fields_of,
    merge,
    reconciled,
    remove,
    with_parents,
)
from marie_operator.testing.apiserver.schema import Schema

BEFORE_FIRST_APPLY = "before-first-apply"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_NOT_OWNED = fieldset.from_paths(
    [
        ("apiVersion",),
        ("kind",),
        ("metadata",),
        *(
            ("metadata", name)
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "clusterName",
                "generation",
                "managedFields",
                "resourceVersion",
            )
        ),
    ]
)


def update(
    live: Object | None,
    new: Object,
    *,
    schema: Schema,
    manager: str,
    api_version: str,
    subresource: str,
    now: str,
    ignored: tuple[tuple[str, ...], ...] = (),
) -> Object:
    """Note who owns what after a write that is not an apply.

    Args:
        live: The object before; None when it is created.
        new: The object after, before anything but its manager had a hand in it.
        schema: Of both.
        manager: Who writes.
        api_version: What it writes in.
        subresource: What it writes to; empty for the object itself.
        now: The time.
        ignored: Fields that a write there does not change, with all that is below them.

    Returns:
        The object with the ``managedFields`` that it has from now on.
    """
    managed = managed_before(live, new, subresource)
    if not managed and live is not None:
        return with_managed(new, {})
    who = Manager(manager or "unknown", "Update", api_version, subresource)
    if managed:
        write = _Write(schema.as_object, who, api_version, now, _below(ignored))
        return with_managed(new, capped(_updated(managed, bare(live or {"metadata": {}}), bare(new), write)))
    fields = _own(appearing(bare(new), schema.as_object), _below(ignored))
    return with_managed(new, {who: Owned(fields, api_version, now)})


def apply(
    live: Object | None,
    applied: Object,
    *,
    schema: Schema,
    manager: str,
    force: bool,
    api_version: str,
    subresource: str,
    now: str,
    ignored: tuple[tuple[str, ...], ...] = (),
    kind: str = "",
) -> Object:
    """Merge what a manager wants into an object (server-side apply).

    Args:
        live: The object as it is; None when there is none.
        applied: What the manager wants, as it sent it.
        schema: Of both.
        manager: Who applies.
        force: Whether fields of other managers are taken from them.
        api_version: What it applies in.
        subresource: What it applies to; empty for the object itself.
        now: The time.
        ignored: Fields that a write there does not change, with all that is below them.
        kind: What is applied must be of this kind; by default, of that of the live object.

    Returns:
        The object as it should be. When nothing but the time would change, it equals the live one.

    Raises:
        Refusal: other managers own fields with other values, or what is applied does not fit the schema.
    """
    _check_applied(applied, api_version, kind or str((live or applied).get("kind")))
    who = Manager(manager, "Apply", "", subresource)
    write = _Write(schema.as_object, who, api_version, now, _below(ignored))
    start = bare(live or {"apiVersion": api_version, "kind": applied.get("kind"), "metadata": {}})
    managed = decoded(live) if live is not None else {}
    if not managed and live is not None:
        previous = Manager(BEFORE_FIRST_APPLY, "Update", api_version, subresource)
        empty: Object = {"metadata": {}}
        managed = capped(_updated({}, empty, start, replace(write, who=previous)))
    write.check(applied)
    merged, managed = write.merged(start, applied, managed, force=force)
    if manager == "kubectl":
        merged = _noted(merged, applied)
    result = with_managed(merged, managed)
    return live if live is not None and settled(result, live) else result


@dataclass(frozen=True)
class _Write:
    """One write of a manager.

    Attributes:
        schema: Of the object as a whole.
        who: Who writes.
        api_version: What it writes in.
        now: The time.
        excluded: Fields that it does not change.
    """

    schema: Schema
    who: Manager
    api_version: str
    now: str
    excluded: FieldSet

    def counted(self, comparison: Comparison) -> tuple[FieldSet, FieldSet]:
        """What changed and what went, as far as a write there can do that and anybody can own it."""
        changed = fieldset.union(comparison.modified, comparison.added)
        return _own(changed, self.excluded), _own(comparison.removed, self.excluded)

    def check(self, applied: Object) -> None:
        """Refuse what does not fit the schema."""
        if mistakes := mismatches(applied, self.schema):
            meta = applied.get("metadata") or {}
            named = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {_kind(applied)}"
            raise Refusal(500, f"failed to create typed patch object ({named}): {told(mistakes)}", reason="")

    def merged(self, live: Object, applied: Object, managed: Managed, *, force: bool) -> tuple[Object, Managed]:
        """The object with what is applied, without what is given up, and who owns what then."""
        try:
            merged = merge(live, applied, self.schema)
        except Unkeyed as error:
            raise Refusal(500, f"failed to merge config: {error}", reason="") from error
        last = managed.get(self.who)
        own = Owned(fieldset.without(fields_of(applied, self.schema), self.excluded), self.api_version)
        merged = self._pruned(merged, {**managed, self.who: own}, last)
        comparison = compare(live, merged, self.schema)
        others = {who: owned for who, owned in managed.items() if who != self.who}
        left, lost = _narrowed(others, *self.counted(comparison), self.schema)
        if lost and not force:
            self._refuse(lost, live)
        own = replace(own, fields=fieldset.difference(own.fields, _NOT_OWNED))
        if own.fields:
            time = self.now if merged != live else ("" if last is None else last.time)
            left[self.who] = replace(own, time=time)
        return merged, left

    def _pruned(self, merged: Object, managed: Managed, last: Owned | None) -> Object:
        """Without what the manager owned and does not want any more, unless somebody else owns it."""
        if last is None or not fieldset.difference(last.fields, managed[self.who].fields):
            return merged
        before = with_parents(last.fields, self.schema)
        owned: FieldSet = {}
        for each in managed.values():
            owned = fieldset.union(owned, each.fields)
        present = with_parents(fields_of(merged, self.schema), self.schema)
        kept = fieldset.union(self._fields(remove(merged, before, self.schema)), with_parents(owned, self.schema))
        # What nobody owns stays where it is, unless it is below something that goes.
        pruned = remove(merged, fieldset.difference(present, kept), self.schema)
        gone = fieldset.difference(present, self._fields(pruned))
        result: Object = remove(merged, fieldset.intersection(gone, before), self.schema)
        return result

    def _fields(self, value: Object) -> FieldSet:
        return with_parents(fields_of(value, self.schema), self.schema)

    def _refuse(self, lost: Mapping[Manager, FieldSet], live: Object) -> None:
        conflicts = [(who, path) for who in sorted(lost, key=str) for path in fieldset.paths(lost[who])]
        if self.who.name == "kubectl":
            allowed = self._client_side(live)
            conflicts = [each for each in conflicts if not fieldset.has(allowed, each[1])]
        if conflicts:
            raise _conflict(conflicts)

    def _client_side(self, live: Object) -> FieldSet:
        """What kubectl applied on its own side before and is still as it was: it may take that over."""
        text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
        if not text:
            return {}
        try:
            last = json.loads(text)
        except ValueError:
            return {}
        if not isinstance(last, dict) or last.get("apiVersion") != self.api_version or mismatches(last, self.schema):
            return {}
        comparison = compare(last, live, self.schema)
        fields = fields_of(last, self.schema)
        for changed in (comparison.modified, comparison.added, comparison.removed):
            fields = fieldset.difference(fields, changed)
        return fields


def _conflict(conflicts: list[tuple[Manager, Path]]) -> Refusal:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": fieldset.display(path)}
        for who, path in conflicts
    ]
    if len(conflicts) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines: list[str] = []
        for who in dict.fromkeys(who for who, _ in conflicts):
            lines.append(f"conflicts with {who}:")
            lines += [f"- {fieldset.display(path)}" for each, path in conflicts if each == who]
        message = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    return Refusal(409, message, details={"causes": causes})


def _check_applied(applied: Object, api_version: str, kind: str) -> None:
    if (applied.get("apiVersion"), applied.get("kind")) != (api_version, kind):
        raise Refusal(400, f"invalid object type: {_kind(applied)}")
    if (applied.get("metadata") or {}).get("managedFields") is not None:
        raise Refusal(400, "metadata.managedFields must be nil")


def _kind(applied: Object) -> str:
    return kind_of(str(applied.get("apiVersion", "")), str(applied.get("kind", "")))


def _noted(merged: Object, applied: Object) -> Object:
    """With kubectl's note of what it applied brought up to date, where there is one."""
    annotations = merged["metadata"].get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return merged
    wanted = dict(applied["metadata"])
    if wanted.get("annotations"):
        wanted["annotations"] = {name: text for name, text in wanted["annotations"].items() if name != LAST_APPLIED}
    text = json.dumps(applied | {"metadata": wanted}, separators=(",", ":"), ensure_ascii=False, sort_keys=True) + "\n"
    noted = annotations | {LAST_APPLIED: text}
    return merged | {"metadata": merged["metadata"] | {"annotations": noted}}


@cache
def _below(ignored: tuple[tuple[str, ...], ...]) -> FieldSet:
    """The set of fields that a write does not change."""
    return fieldset.from_paths(ignored)


def _own(fields: FieldSet, excluded: FieldSet) -> FieldSet:
    """Of some fields those that anybody can own through a write."""
    return fieldset.difference(fieldset.without(fields, excluded), _NOT_OWNED)


# What a write takes from others.


def _updated(managed: Managed, before: Object, after: Object, write: _Write) -> Managed:
    """Who owns what when an object has changed."""
    changed, removed = write.counted(compare(before, after, write.schema))
    if not changed and not removed:
        return managed
    result, _ = _narrowed(managed, changed, removed, write.schema)
    if changed:
        previous = result.get(write.who)
        fields = changed if previous is None else fieldset.union(changed, previous.fields)
        result[write.who] = Owned(fields, write.api_version, write.now)
    return result


def _narrowed(
    managed: Managed, changed: FieldSet, removed: FieldSet, schema: Schema
) -> tuple[Managed, dict[Manager, FieldSet]]:
    """What managers have left when somebody else changes fields, and what they lose to them."""
    result, lost = {}, {}
    for who, owned in managed.items():
        fields = reconciled(owned.fields, changed, schema)
        if taken := fieldset.intersection(fields, changed):
            lost[who] = taken
        fields = fieldset.difference(fieldset.difference(fields, taken), removed)
        if fields:
            result[who] = owned.narrowed(fields)
    return result, lost
