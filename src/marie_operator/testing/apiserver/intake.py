"""A request's object on its way in: read, checked against its schema, pruned, defaulted."""

import json
from types import TracebackType
from typing import Self

from marie_operator.testing.apiserver import decoding, objectmeta, pruning
from marie_operator.testing.apiserver.builtin import definition_of, find_kind
from marie_operator.testing.apiserver.errors import FieldError, Json, Object, Refusal, invalid, kind_of, unregistered
from marie_operator.testing.apiserver.kinds import Kind, unnamed
from marie_operator.testing.apiserver.patching import Origin
from marie_operator.testing.apiserver.requests import Options


class Intake:
    """Takes one object in; while it is entered, a refusal warns of what was found so far.

    Args:
        kind: What it should be.
        options: How unknown fields are met.
        origin: Where it comes from.
        sent: What a server-side apply was asked for.

    Attributes:
        warnings: What the answer warns of.
    """

    def __init__(
        self, kind: Kind, options: Options, *, origin: Origin = Origin.BODY, sent: Object | None = None
    ) -> None:
        self._kind = kind
        self._options = options
        self._origin = origin
        self._sent = sent or {}
        self.warnings: list[str] = [kind.deprecated] if kind.deprecated else []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Have a refusal warn of what was found so far."""
        if isinstance(error, Refusal):
            error.warnings = (*error.warnings, *self.warnings)

    def take(self, body: Json) -> Object:
        """The object, without apiVersion, kind and what its kind does not know.

        Raises:
            Refusal: 400, it is not an object of the kind, or has unknown fields that may not be.
        """
        kind = self._kind
        if not isinstance(body, dict):
            raise Refusal(400, f"json: cannot unmarshal {decoding.go_type(body)} into Go value of type {kind.kind}")
        self._check_kind(body)
        taken = self._exact(body)
        if taken is None and (problem := self._mistyped(body)):
            raise self._unreadable(problem, body)
        if kind.custom:
            self._check_named(body)
        pruned = body if taken is not None else pruning.prune(body, kind.schema)
        self._tell_strange(body, known=pruned is body)
        if taken is None:
            body = pruned
            try:
                taken = kind.form(body)
            except ValueError as error:
                raise self._unreadable(str(error), body) from None
        return self._with_metadata(unnamed(taken), body.get("metadata") or {})

    def _exact(self, body: Object) -> Object | None:
        """The object in its form, if there is nothing to tell of it: most are so."""
        if self._kind.exact is None:
            return None
        try:
            return self._kind.exact(body)
        except ValueError:
            return None

    def _with_metadata(self, taken: Object, sent: Object) -> Object:
        """The object with what its form leaves out of metadata, or leaves as it came."""
        meta = taken.get("metadata") or {}
        if sent.get("managedFields") == []:
            # Nobody is said to own anything, which is more than not to say who does.
            meta = meta | {"managedFields": []}
        if self._kind.custom:
            for name in ("labels", "annotations"):
                if any(value is None for value in (meta.get(name) or {}).values()):
                    meta = meta | {name: {key: value or "" for key, value in meta[name].items()}}
        return taken if meta is taken.get("metadata") else taken | {"metadata": meta}

    def _mistyped(self, body: Object) -> str:
        """What the decoder of a Go type says: of a whole built-in object, and of a custom one's metadata."""
        kind = self._kind
        if kind.custom:
            return decoding.problem(body.get("metadata"), decoding.OBJECT_META)
        wrong = decoding.problem(body, definition_of(kind.group, kind.version, kind.kind))
        return decoding.unconverted(wrong) if self._origin in {Origin.MAP, Origin.APPLY} else wrong

    def _tell_strange(self, body: Object, *, known: bool) -> None:
        """Refuse, or warn of, fields that the kind does not know, or that are there twice."""
        if self._options.field_validation == "Ignore":
            return
        unknown = [] if known else pruning.unknown(body, self._kind.schema)
        strange = [f'unknown field "{path}"' for path in (sorted(unknown) if self._kind.custom else unknown)]
        strange += [f'duplicate field "{path}"' for path in self._options.duplicates]
        self._tell(strange, body)

    def _tell(self, strange: list[str], body: Object) -> None:
        """Refuse, or warn of, what is strange about a body."""
        if strange and self._options.field_validation == "Strict":
            raise self._unreadable(f"strict decoding error: {', '.join(strange)}", body)
        if self._options.field_validation != "Ignore":
            self.warnings.extend(strange)

    def _check_kind(self, body: Object) -> None:
        kind, api_version, name = self._kind, body.get("apiVersion", ""), body.get("kind", "")
        if not kind.custom and self._origin is Origin.MAP:
            return
        if not kind.custom and self._origin is Origin.DOCUMENT:
            self._check_typed(body)
        if (not name or not api_version) and not kind.custom:
            return
        if kind.custom and self._origin not in {Origin.BODY, Origin.APPLY}:
            self._check_version(body)
            return
        if kind.custom and api_version != kind.api_version:
            raise Refusal(
                400,
                f"the API version in the data ({api_version}) does not match the expected API version "
                f"({kind.api_version})",
            )
        if kind.custom or (api_version, name) == (kind.api_version, kind.kind):
            return
        version = str(api_version).rpartition("/")[2]
        why = unregistered(str(api_version), str(name))
        if find_kind(str(api_version), str(name)):
            own = "core" if not kind.group else kind.group.partition(".")[0]
            why = f"converting ({api_version}.{name}) to ({own}.{kind.kind}): unknown conversion"
        if self._origin is Origin.DOCUMENT:
            raise self._unreadable(why, body)
        raise Refusal(400, f'{name} in version "{version}" cannot be handled as a {kind.kind}: {why}')

    def _check_version(self, body: Object) -> None:
        """A custom object that a patch has changed must name a version, of whatever it is."""
        version = body.get("apiVersion", "")
        if version == "":
            why = "Object 'apiVersion' is missing in 'object has no apiVersion field'"
            message = f"Internal error occurred: {why}"
            raise Refusal(500, message, reason="InternalError", details={"causes": [{"message": why}]})
        if version is None:
            raise self._unreadable(".apiVersion accessor error: <nil> is of the type <nil>, expected string", body)
        self._check_typed(body)
        if str(version).count("/") > 1:
            raise self._unreadable(f"unexpected GroupVersion string: {version}", body)

    def _check_named(self, body: Object) -> None:
        """A custom object must name its kind; its version is told of where it has not been before."""
        kind, name, version = self._kind, body.get("kind", ""), str(body.get("apiVersion", ""))
        found = [FieldError.invalid("kind", name, f"must be {kind.kind}")] if name != kind.kind else []
        if version != kind.api_version:
            found.append(FieldError.invalid("apiVersion", version, f"must be {kind.api_version}"))
        if found:
            named = str((body.get("metadata") or {}).get("name", ""))
            raise invalid(str(name), version.rpartition("/")[0], named, found)

    def _check_typed(self, body: Object) -> None:
        """A document that a patch has changed must still say what it is."""
        for name in ("apiVersion", "kind"):
            value = body.get(name)
            if value is not None and not isinstance(value, str):
                into = f"Go struct field .{name} of type string"
                why = f"json: cannot unmarshal {decoding.go_type(value)} into {into}"
                raise self._unreadable(f"couldn't get version/kind; json parse error: {why}", body)
        if body.get("kind") and not body.get("apiVersion"):
            # No version of the kind knows any of its fields.
            self._tell([f'unknown field "{each}"' for each in sorted(body) if each not in {"apiVersion", "kind"}], body)
            raise objectmeta.undeterminable(str((body.get("metadata") or {}).get("name")))

    def _unreadable(self, why: str, body: Object) -> Refusal:
        kind = self._kind
        if self._origin in {Origin.MAP, Origin.APPLY} and "illegal base64" in why:
            why = f"error decoding from json: {why}"
        if self._origin is Origin.APPLY:
            meta, called = self._sent.get("metadata") or {}, kind_of(kind.api_version, kind.kind)
            named = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {called}"
            failed = f"unable to convert unstructured object to {called}: {why}"
            why = f"failed to convert new object ({named}) to proper version: {failed}"
            return Refusal(500, why, reason="")
        if self._origin is not Origin.BODY:
            wrong = FieldError("FieldValueInvalid", f"Invalid value: {json.dumps(json.dumps(body))}: {why}", "patch")
            return invalid("", "", "", [wrong])
        return Refusal(400, f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}')

    def defaulted(self, new: Object) -> Object:
        """The object with what its kind fills in; of built-in kinds, that is the strategy's alone."""
        if self._kind.custom:
            # What is decoded loses its nulls; the outcome of an apply is not decoded.
            complete = pruning.default if self._origin is Origin.APPLY else pruning.completed
            new = complete(new, self._kind.schema)
        return self._kind.strategy.default(new)
