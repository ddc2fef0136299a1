"""Lists: which objects, as of when, how many at a time."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from marie_operator.testing.apiserver import selectors
from marie_operator.testing.apiserver.errors import Object, Refusal, quoted
from marie_operator.testing.apiserver.kinds import Kind
from marie_operator.testing.apiserver.requests import number
from marie_operator.testing.apiserver.store import Entry, Forgotten, Key, Store

_COMMON_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
_LATEST = -1
"""The version in a token that goes on whatever has happened since."""
_FALSE_WHEN_ABSENT = frozenset({"spec.hostNetwork", "spec.unschedulable"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind."""

    labels: tuple[selectors.Requirement, ...] = ()
    fields: tuple[tuple[str, bool, str], ...] = ()
    kind: Kind | None = None

    @classmethod
    def of(cls, kind: Kind, query: Mapping[str, str], name: str = "") -> "Selection":
        """From a request.

        Raises:
            Refusal: 400, a number or a selector cannot be read, or a field that it names is not offered.
        """
        for parameter in ("timeoutSeconds", "limit"):
            number(query, parameter)
        labels = selectors.label_selector(query.get("labelSelector", ""))
        text = query.get("fieldSelector", "")
        fields = selectors.field_selector(text, lambda field: _selectable(kind, field), _unknown(kind))
        if name:
            fields = (*fields, ("metadata.name", True, name))
        return cls(labels, fields, kind)

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.labels and not self.fields

    def takes(self, stored: Object) -> bool:
        """Whether an object belongs to it."""
        if self.labels and not selectors.matches(self.labels, stored["metadata"].get("labels") or {}):
            return False
        return all((_field(self.kind, stored, field) == value) is equal for field, equal, value in self.fields)


def _unknown(kind: Kind) -> str:
    """What is said of a ``{field}`` that a kind's objects cannot be selected by: some kinds have words of their own."""
    if kind.kind == "Job" and not kind.custom:
        return 'field label "{field}" not supported for Job'
    if kind.custom or kind.selectable:
        return "field label not supported: {field}"
    return '"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def _selectable(kind: Kind, field: str) -> bool:
    return field in kind.selectable or field == "metadata.name" or (field == "metadata.namespace" and kind.namespaced)


def _field(kind: Kind | None, stored: Object, field: str) -> str:
    path = field if kind is None or field in _COMMON_FIELDS else kind.selectable[field]
    value: Any = stored
    for part in path.lstrip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return "false" if field in _FALSE_WHEN_ABSENT else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        entries: Its objects.
        revision: As of when.
        token: Where the next page begins; empty on the last.
        remaining: Objects behind it; None where nobody counts.
    """

    entries: list[Entry]
    revision: int
    token: str = ""
    remaining: int | None = None


def page(store: Store, kind: Kind, namespace: str, selection: Selection, query: Mapping[str, str]) -> Page:
    """What a list request is answered with.

    Raises:
        Refusal: 400, 410 or 422, the options contradict one another, or the version is too old.
    """
    limit, token = number(query, "limit") or 0, query.get("continue", "")
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    if "sendInitialEvents" in query:
        raise _list_options("sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list")
    _check_versions(version, match, token)
    if token:
        revision, after = _position(token)
        revision = store.revision if revision == _LATEST else revision
    else:
        # A first page of a version is of that very version, as it always was.
        exact = match == "Exact" or (limit > 0 and not match)
        revision, after = asked_revision(store, version, exact=exact), None
    try:
        stored = store.range(kind.bucket, namespace, after=after, revision=revision)
        found = _matching(map(kind.read, stored) if kind.custom else stored, selection)
        entries = list(islice(found, limit) if limit > 0 else found)
        rest = sum(1 for _ in found) if limit > 0 else 0
    except Forgotten as error:
        raise _expired(after) from error
    if not rest:
        return Page(entries, revision)
    return Page(entries, revision, _token(revision, entries[-1].key), rest if selection.everything else None)


def _matching(entries: Iterable[Entry], selection: Selection) -> Any:
    if selection.everything:
        return iter(entries)
    return (entry for entry in entries if selection.takes(entry.object))


def _check_versions(version: str, match: str, token: str) -> None:
    if match not in {"", "Exact", "NotOlderThan"}:
        raise _list_options(
            f'resourceVersionMatch: Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        )
    if match and not version:
        raise _list_options(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    if match and token:
        raise _list_options(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"
        )
    if match == "Exact" and version == "0":
        raise _list_options(
            'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        )
    if token and version not in {"", "0"}:
        raise Refusal(400, "specifying resource version is not allowed when using continue")


def _list_options(problem: str) -> Refusal:
    return Refusal(
        422,
        f'ListOptions.meta.k8s.io "" is invalid: {problem}',
        details={"group": "meta.k8s.io", "kind": "ListOptions"},
    )


def parsed_version(version: str) -> int:
    """A resource version as a number.

    Raises:
        Refusal: 400, it is none.
    """
    why = ""
    if not re.fullmatch("[0-9]+", version):
        why = "invalid syntax"
    elif int(version) >= 2**64:
        why = "value out of range"
    if why:
        problem = f"Invalid value: {quoted(version)}: strconv.ParseUint: parsing {quoted(version)}: {why}"
        raise Refusal(400, f"invalid resource version: resourceVersion: {problem}")
    return int(version)


def asked_revision(store: Store, version: str, *, exact: bool = False) -> int:
    """The revision to read at.

    Raises:
        Refusal: 400, the version is none; 504, it is yet to come.
    """
    if version in {"", "0"}:
        return store.revision
    revision = parsed_version(version)
    if revision > store.revision:
        raise too_large(revision, store.revision)
    return revision if exact else store.revision


def too_large(revision: int, current: int) -> Refusal:
    """What is said of a revision that is yet to come.

    Args:
        revision: That was asked for.
        current: The newest there is.
    """
    return Refusal(
        504,
        f"Timeout: Too large resource version: {revision}, current: {current}",
        details={
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
        retry_after=1,
    )


def _token(revision: int, key: Key) -> str:
    content = {"v": "meta.k8s.io/v1", "rv": revision, "start": list(key)}
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _position(token: str) -> tuple[int, Key]:
    try:
        content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = content["start"]
        return int(content["rv"]), Key(str(namespace), str(name))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise Refusal(400, f"invalid continue token: continue key is not valid: {error}") from error


def _expired(after: Key | None) -> Refusal:
    if after is None:
        return Refusal(410, "The resourceVersion for the provided list is too old.")
    refusal = Refusal(
        410,
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    )
    refusal.continues = _token(_LATEST, after)
    return refusal


def encoded(kind: Kind, found: Page) -> bytes:
    """The list object as JSON. Built-in kinds' items do not repeat what the list says of them."""
    meta: Object = {"resourceVersion": str(found.revision)}
    if found.token or kind.custom:
        meta["continue"] = found.token
    if found.remaining is not None:
        meta["remainingItemCount"] = found.remaining
    head = {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": meta}
    if kind.custom:
        items = b",".join(kind.prefix + kind.bare(entry)[1:] for entry in found.entries)
    else:
        items = b",".join(kind.bare(entry) for entry in found.entries)
    return json.dumps(head, separators=(",", ":")).encode()[:-1] + b',"items":[' + items + b"]}"
