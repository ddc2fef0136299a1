"""What an API server refuses, as the ``Status`` object that kubectl and client libraries know."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = Any
Object = dict[str, Any]

REASONS: Mapping[int, str] = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Refusal(Exception):  # noqa: N818 - what it is, not that it is an error
    """A request that is answered with a ``Status`` of failure.

    Args:
        code: HTTP status.
        message: The sentence.
        reason: Machine-readable; by default what Kubernetes gives with the code.
        details: ``details`` of the Status.
        retry_after: Seconds the client should wait.

    Attributes:
        warnings: What the answer warns of beside.
        continues: Token with which a list goes on nevertheless.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: Object | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = REASONS.get(code, "") if reason is None else reason
        self.details = details
        self.retry_after = retry_after
        self.warnings: tuple[str, ...] = ()
        self.continues = ""

    def status(self) -> Object:
        """The ``metav1.Status``."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continues} if self.continues else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return body | {"code": self.code}


class NoPage(Refusal):
    """404 for a path that nobody serves; answered as text."""

    def __init__(self) -> None:
        super().__init__(404, "404 page not found")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with an object, as ``field.Error`` of apimachinery has it.

    Attributes:
        reason: ``FieldValueInvalid``, ``FieldValueRequired``, ``FieldValueNotSupported``, ``FieldValueDuplicate``,
            ``FieldValueTooLong``, ``FieldValueForbidden``, ``FieldValueTypeInvalid`` …
        message: As ``field.Error.ErrorBody`` says it, without the field: ``Invalid value: 7: must be …``.
        field: Path, such as ``spec.groups[0].name``.
        ratcheted: Whether it was so before, so that it is a warning only.
    """

    reason: str
    message: str
    field: str
    ratcheted: bool = False

    @classmethod
    def invalid(cls, field: str, value: Json, why: str) -> "FieldError":
        """A value that may not be."""
        return cls(
            "FieldValueInvalid", f"Invalid value{_of(value)}: {why}" if why else f"Invalid value{_of(value)}", field
        )

    @classmethod
    def required(cls, field: str, why: str = "") -> "FieldError":
        """Something that must be there is not."""
        return cls("FieldValueRequired", f"Required value: {why}" if why else "Required value", field)

    @classmethod
    def forbidden(cls, field: str, why: str) -> "FieldError":
        """Something that may not be there."""
        return cls("FieldValueForbidden", f"Forbidden: {why}", field)

    @classmethod
    def unsupported(cls, field: str, value: Json, choices: Sequence[Json]) -> "FieldError":
        """A value that is none of the choices."""
        listed = ", ".join(quoted(each if isinstance(each, str) else compact(each)) for each in choices)
        return cls("FieldValueNotSupported", f"Unsupported value{_of(value)}: supported values: {listed}", field)

    @classmethod
    def duplicate(cls, field: str, value: Json) -> "FieldError":
        """A value that is there twice."""
        return cls("FieldValueDuplicate", f"Duplicate value{_of(value)}", field)

    @classmethod
    def too_many(cls, field: str, count: int, most: int) -> "FieldError":
        """More items than there may be."""
        return cls("FieldValueTooMany", f"Too many: {count}: must have at most {_items(most)}", field)

    @classmethod
    def too_long(cls, field: str, most: int) -> "FieldError":
        """A text that is longer than it may be."""
        return cls("FieldValueTooLong", f"Too long: may not be more than {most} byte{'' if most == 1 else 's'}", field)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


NOWHERE: Final = "<nil>"
"""The field of an error about a whole object."""
_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
OMITTED: Final = object()
"""In place of a value that a message does not show."""


def _of(value: Json) -> str:
    return "" if value is OMITTED else f": {shown(value)}"


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


class Shown(str):
    """A value that is shown as it is."""

    __slots__ = ()


def shown(value: Json) -> str:
    """A value as ``field.Error`` shows it."""
    if isinstance(value, Shown):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    return number(value) if isinstance(value, float) else compact(value)


def quoted(text: str) -> str:
    """A text as Go quotes it."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def compact(value: Json, *, sort: bool = True) -> str:
    """A value as Go writes it in JSON: maps in the order of their keys, and nothing that HTML would read."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=sort, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def number(value: float) -> str:
    """A number as Go prints it."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def unregistered(api_version: str, kind: str) -> str:
    """Why an object's kind is none."""
    return f'no kind "{kind}" is registered for version "{api_version}" in scheme "pkg/api/legacyscheme/scheme.go:30"'


def kind_of(api_version: str, kind: str) -> str:
    """A kind as Go writes it: ``apps/v1, Kind=Deployment``."""
    return f"{'' if '/' in api_version else '/'}{api_version}, Kind={kind}"


def invalid(kind: str, group: str, name: str, errors: Sequence[FieldError]) -> Refusal:
    """422 for an object that breaks rules; all of them are told (``errors.NewInvalid``)."""
    sentences = list(dict.fromkeys(map(str, errors)))
    told = f"[{', '.join(sentences)}]" if len(sentences) > 1 else sentences[0]
    qualified = f"{kind}.{group}" if group else kind
    causes = [{"reason": each.reason, "message": each.message, "field": each.field} for each in errors]
    details = {"name": name, "group": group, "kind": kind, "causes": causes}
    return Refusal(422, f'{qualified} "{name}" is invalid: {told}', details=_filled(details))


def not_found(resource: str, group: str, name: str) -> Refusal:
    """404 for an object."""
    qualified = f"{resource}.{group}" if group else resource
    details = _filled({"name": name, "group": group, "kind": resource})
    return Refusal(404, f'{qualified} "{name}" not found', details=details)


def already_exists(resource: str, group: str, name: str, *, ending: bool = False, generated: bool = False) -> Refusal:
    """409 to a create; ``ending`` when what exists is being deleted, ``generated`` when a new name may help."""
    qualified = f"{resource}.{group}" if group else resource
    details = _filled({"name": name, "group": group, "kind": resource, "retryAfterSeconds": 1 if generated else None})
    text = f'{"object is being deleted: " if ending else ""}{qualified} "{name}" already exists'
    if generated:
        text += ", the server was not able to generate a unique name for the object"
    return Refusal(409, text, reason="AlreadyExists", details=details, retry_after=1 if generated else None)


def forbidden(resource: str, group: str, name: str, why: str) -> Refusal:
    """403 to a write that admission does not let through (``admission.NewForbidden``)."""
    qualified = f"{resource}.{group}" if group else resource
    details = _filled({"name": name, "group": group, "kind": resource})
    return Refusal(403, f'{qualified} "{name}" is forbidden: {why}', details=details)


def conflict(resource: str, group: str, name: str, why: str) -> Refusal:
    """409 to a write whose assumptions do not hold."""
    qualified = f"{resource}.{group}" if group else resource
    details = _filled({"name": name, "group": group, "kind": resource})
    return Refusal(409, f'Operation cannot be fulfilled on {qualified} "{name}": {why}', details=details)


def _filled(details: Object) -> Object:
    return {name: value for name, value in details.items() if value}
