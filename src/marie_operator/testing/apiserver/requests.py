"""A request to the server, read: what it is about, and its options."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isinf
from typing import Any, NamedTuple

import yaml
from pydantic_core import from_json

from marie_operator.testing.apiserver import protobuf
from marie_operator.testing.apiserver.decoding import go_type
from marie_operator.testing.apiserver.errors import FieldError, Json, Refusal, Shown, invalid, quoted
from marie_operator.testing.apiserver.store import encode

APPLY = "application/apply-patch+yaml"
_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_LONGEST_MANAGER = 128
_DURATION = re.compile(r"[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_EXACT = 1e21
"""From here on, Go writes whole numbers with an exponent."""
_NO_OBJECT = (
    "json: cannot unmarshal {} into Go value of type struct "
    '{{ APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }}'
)
BODY_LIMIT = 3 * 1024 * 1024
"""Bytes of a request's body, as the API server has it."""
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_EXPONENT, _LONG = b"0e00", b"0" * 200
"""What numbers look like that may be too large for Go, once every digit is nought and no plus is left."""
_TRUE = frozenset({"true", "1", "True", "TRUE", "t", "T"})
_FALSE = frozenset({"", "false", "0", "False", "FALSE", "f", "F"})


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came.

    Attributes:
        method: HTTP method.
        path: Without the query, decoded.
        query: Parameters; of repeated ones, the first.
        headers: Names in lower case.
        body: Undecoded.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """Of the body, without parameters."""
        return _media_type(self.headers.get("content-type", ""))


@lru_cache(maxsize=256)
def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


class Target(NamedTuple):
    """What a resource path names.

    Attributes:
        group: API group.
        version: Its version.
        plural: The resource.
        namespace: Empty for kinds without, and for all namespaces.
        name: Empty for a collection.
        subresource: Such as ``status``; what comes after it is joined by slashes.
        watched: Whether it is the old address of a watch.
    """

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watched: bool = False


@lru_cache(maxsize=1024)
def target(path: str) -> Target | None:
    """What a path is about; None when it is not a resource's."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace, watched = "", rest[0] == "watch" and len(rest) > 1
    rest = rest[1:] if watched else rest
    # "namespaces/x" is an object; "namespaces/x/pods" is a namespace's collection.
    if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = rest[0], *([*rest[1:2], ""][:1]), "/".join(rest[2:])
    return Target(group, version, plural, namespace, name, subresource, watched)


class Options(NamedTuple):
    """What the query asks for beside the target.

    Attributes:
        dry_run: Do all but store.
        field_manager: Who the changed fields belong to.
        field_validation: ``Strict``, ``Warn`` or ``Ignore``.
        force: Of a server-side apply.
        duplicates: Fields that the body has twice, as paths, once it was read.
    """

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    force: bool = False
    duplicates: tuple[str, ...] = ()


def options(call: Call) -> Options:
    """The options of a write that is no deletion.

    Raises:
        Refusal: 422, an option has a value that does not exist.
    """
    kind, query = _OPTIONS[call.method], call.query
    manager, validation = query.get("fieldManager", ""), query.get("fieldValidation", "")
    applied = call.content_type == APPLY
    errors: list[FieldError] = []
    if applied and not manager:
        errors.append(FieldError.required("fieldManager", "is required for apply patch"))
    if call.method == "PATCH" and not applied and "force" in query:
        errors.append(FieldError.forbidden("force", "may not be specified for non-apply patch"))
    errors += [
        *manager_errors(manager, "fieldManager"),
        *dry_run_errors([query["dryRun"]] if "dryRun" in query else []),
    ]
    if validation not in _VALIDATIONS:
        errors.append(FieldError.unsupported("fieldValidation", validation, _VALIDATIONS))
    if errors:
        raise invalid_option(kind, *errors)
    return Options(
        dry_run="dryRun" in query,
        field_manager=manager or _agent(call),
        field_validation=validation or "Warn",
        force=flag(query, "force"),
    )


def having_read(asked: Options, call: Call, content: Json) -> Options:
    """The options of a write whose body was read.

    Args:
        asked: What the query asks for.
        call: The request.
        content: Its body, decoded.
    """
    if asked.field_validation == "Ignore" or call.content_type != "application/json":
        return asked
    found = duplicates(call.body, content)
    return asked._replace(duplicates=found) if found else asked


def manager_errors(manager: str, field: str) -> Iterator[FieldError]:
    """What is wrong with the name of a field manager."""
    if len(manager.encode()) > _LONGEST_MANAGER:
        yield FieldError.too_long(field, _LONGEST_MANAGER)
    for place, character in enumerate(manager):
        if not character.isprintable():
            at = len(manager[:place].encode())
            why = f"invalid character U+{ord(character):04X} (at position {at})"
            yield FieldError.invalid(field, manager, why)


def dry_run_errors(asked: Sequence[Json]) -> Iterator[FieldError]:
    """What is wrong with the stages that a dry run is to leave out."""
    if any(each != "All" for each in asked):
        shown = Shown(f"[{' '.join(map(quoted, asked))}]")
        yield FieldError.unsupported("dryRun", shown, ["All"])


def _agent(call: Call) -> str:
    """The manager of a client that does not name itself (``managerOrUserAgent``)."""
    return call.headers.get("user-agent", "").partition("/")[0][:128] or "unknown"


def invalid_option(kind: str, *errors: FieldError) -> Refusal:
    """422 for options of a request."""
    return invalid(kind, "meta.k8s.io", "", errors)


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean parameter.

    Raises:
        Refusal: 400, it is neither true nor false.
    """
    value = query.get(name, "")
    if value in _TRUE:
        return True
    if value in _FALSE:
        # A parameter that is there without a value is true, as apimachinery's conversion has it.
        return value == "" and name in query
    return True


def check_timeout(call: Call) -> None:
    """See that the time a client gives its request is one.

    Raises:
        Refusal: 400, it is none.
    """
    text = call.query.get("timeout", "")
    if not text or text == "0" or _DURATION.fullmatch(text):
        return
    shown = "".join(each if each.isascii() else "".join(f"\\x{b:02x}" for b in each.encode()) for each in text)
    why = "missing unit in" if re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?", text, re.ASCII) else "invalid"
    raise Refusal(400, f'invalid timeout specified in the request URL - time: {why} duration "{shown}"')


def number(query: Mapping[str, str], name: str) -> int | None:
    """An integer parameter; None without one.

    Raises:
        Refusal: 400, it is no integer.
    """
    if name not in query:
        return None
    value, why = query[name], ""
    if not re.fullmatch("[-+]?[0-9]+", value):
        why = "invalid syntax"
    elif not -(2**63) <= int(value) < 2**63:
        why = "value out of range"
    if why:
        raise Refusal(400, f"strconv.ParseInt: parsing {quoted(value)}: {why}")
    return int(value)


def media(call: Call, *, typed: bool = True) -> str:
    """The content type of a body.

    Args:
        call: The request.
        typed: Whether it may be in protobuf.

    Raises:
        Refusal: 415, none that is served.
    """
    found = call.content_type or "application/json"
    accepted = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)
    if found not in accepted or (found == protobuf.MEDIA_TYPE and not typed):
        listed = ", ".join(accepted)
        raise Refusal(415, f"the body of the request was in an unknown format - accepted media types include: {listed}")
    return found


def document(call: Call, kind: str = "", *, typed: bool = True) -> Json:
    """The body, decoded.

    Args:
        call: The request.
        kind: What it should be, for messages; empty where nobody says.
        typed: Whether it may be in protobuf.

    Raises:
        Refusal: 415, a content type that is not served; 400, it cannot be read.
    """
    found = media(call, typed=typed)
    if found == protobuf.MEDIA_TYPE:
        return protobuf.decoded(call.body)
    try:
        content = json_document(call.body) if found == "application/json" else yaml_document(call.body, "")
    except Refusal as refusal:
        if not kind:
            raise
        raise unrecognized(call, kind, refusal.message) from refusal
    if content is None and found == "application/yaml":
        content = {}
    if kind and not isinstance(content, dict):
        why = f"couldn't get version/kind; json parse error: {_NO_OBJECT.format(go_type(content))}"
        raise unrecognized(call, kind, why)
    return content


def unrecognized(call: Call, kind: str, why: str) -> Refusal:
    """400 for a body that is no object of the kind that it should be."""
    return Refusal(400, f"the object provided is unrecognized (must be of type {kind}): {why} ({_summary(call.body)})")


def _summary(body: bytes, limit: int = 30) -> str:
    """What a message shows of a body."""
    if not body:
        return "<empty>"
    if body[:1] == b"{":
        text = body.decode(errors="replace")
        return text if len(text) <= limit else f"{text[:limit]} ..."
    return body.hex() if len(body) <= limit else f"{body[:limit].hex()} ..."


def json_document(body: bytes, problem: str = "couldn't get version/kind; json parse error: ") -> Json:
    """JSON.

    Args:
        body: Encoded.
        problem: What a refusal begins with.

    Raises:
        Refusal: 400.
    """
    digits = body.translate(_DIGITS, b"+")
    if _EXPONENT not in digits and _LONG not in digits:
        with contextlib.suppress(ValueError):
            return from_json(body, allow_inf_nan=False)
    # What is wrong with it, if anything is, only the slower decoder tells.
    try:
        return json.loads(body.decode(errors="replace"), parse_float=_finite, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Refusal(400, problem + _misread(error)) from error
    except ValueError as error:
        raise Refusal(400, f"{problem}{error}") from error
    except RecursionError as error:
        raise Refusal(400, f"{problem}invalid character '{{' exceeded max depth") from error


def _finite(text: str) -> float:
    """A number; Python would make an infinite one of what is too large."""
    found = float(text)
    if isinf(found):
        raise ValueError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return found


def _no_constant(name: str) -> Json:
    """Python reads numbers that JSON does not have."""
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _misread(error: json.JSONDecodeError) -> str:
    """What Go's decoder would say."""
    rest = error.doc[error.pos :].lstrip()
    if not rest or error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    if error.msg == "Extra data":
        return f"invalid character '{rest[0]}' after top-level value"
    return f"invalid character '{rest[0]}' looking for beginning of value"


def duplicates(body: bytes, content: Json) -> tuple[str, ...]:
    """The fields that are there twice in a JSON document, as paths.

    Args:
        body: The document.
        content: The same, decoded.
    """
    if _single(body, content):
        return ()
    found: list[str] = []
    seen = False

    def pairs(items: list[tuple[str, Any]]) -> Any:
        nonlocal seen
        built = dict(items)
        if len(built) != len(items):
            seen = True
        return built

    try:
        json.loads(body or b"null", object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return ()  # Whoever reads the document tells why it cannot be read.
    if seen:
        _collect(json.loads(body, object_pairs_hook=_Pairs), "", found)
    return tuple(found)


def _single(body: bytes, content: Json) -> bool:
    """Whether no field is there twice, told at little cost: who drops one drops its colon; false when in doubt."""
    if b"\\u003" in body:
        return False  # A colon may be written so.
    try:
        return body.count(b":") == encode(content).count(b":")
    except ValueError:
        return False  # Half of a surrogate pair is no text.


class _Pairs(list[tuple[str, Any]]):
    """An object with every field that it was given."""


def _collect(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        names: set[str] = set()
        for name, inner in value:
            at = f"{path}.{name}" if path else name
            if name in names:
                found.append(at)
            names.add(name)
            _collect(inner, at, found)
    elif isinstance(value, list):
        for number_, inner in enumerate(value):
            _collect(inner, f"{path}[{number_}]", found)


def yaml_document(body: bytes, problem: str = "couldn't get version/kind; json parse error: ") -> Json:
    """YAML, of which JSON is a part.

    Args:
        body: Encoded.
        problem: What a refusal begins with.

    Raises:
        Refusal: 400.
    """
    if body.startswith(b"{"):
        # Most of it is JSON, which is read thirty times as fast; what is not is told as YAML that is wrong.
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(body, parse_float=_finite, parse_constant=_no_constant)
    try:
        return _whole(yaml.load(body, Loader=_LOADER))  # noqa: S506 - a safe loader, in C where there is one
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {max(mark.line, 1)}: " if mark is not None else ""
        prefix = f"{problem}error converting YAML to JSON: " if problem else ""
        raise Refusal(400, f"{prefix}yaml: {line}{error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise Refusal(400, f"{problem}error converting YAML to JSON: yaml: {text}") from error


def _whole(value: Json) -> Json:
    """With whole numbers as such: they become JSON before anything else."""
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Times stay text, as in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_LOADER: Any = _Loader
