"""The patches a request may carry, by content type."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from marie_operator.testing.apiserver import patches
from marie_operator.testing.apiserver.decoding import go_type
from marie_operator.testing.apiserver.errors import Json, Object, Refusal
from marie_operator.testing.apiserver.kinds import Kind
from marie_operator.testing.apiserver.requests import APPLY, Call, json_document, yaml_document
from marie_operator.testing.apiserver.schema import Schema

JSON, MERGE, STRATEGIC = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


class Origin(Enum):
    """Where an object comes from that is taken in."""

    BODY = "the body of a request"
    DOCUMENT = "a document that a patch has changed"
    MAP = "fields that a strategic patch has changed"
    APPLY = "a server-side apply"


@dataclass(frozen=True)
class Change:
    """A patch that turns one document into another.

    Attributes:
        applied: From the document as it is, and its schema, to the document as it should be; refuses what cannot be
            read.
        origin: What becomes of it.
    """

    applied: Callable[[Object, Schema], Json]
    origin: Origin = Origin.DOCUMENT


@dataclass(frozen=True)
class Apply:
    """A server-side apply.

    Attributes:
        configuration: What its manager wants.
        origin: What becomes of it.
    """

    configuration: Object
    origin: Origin = Origin.APPLY


Patch = Change | Apply


def accepted(call: Call, kind: Kind) -> str:
    """The content type of a request's patch.

    Raises:
        Refusal: 415, a type that the kind does not take.
    """
    known = [JSON, MERGE, *([] if kind.custom else [STRATEGIC]), APPLY]
    found = call.content_type
    if found not in known:
        listed = f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}"
        raise Refusal(415, listed if found == STRATEGIC else "415: Unsupported Media Type")
    return found


def patch(call: Call, kind: Kind) -> Patch:
    """The patch of a request.

    Raises:
        Refusal: 415, a type that the kind does not take; 400, an apply that cannot be read.
    """
    found = accepted(call, kind)
    if found == APPLY:
        return _apply(call)
    # What is in it matters only once there is an object to change.
    if found == JSON:
        return Change(lambda document, _: patches.json_patch(document, json_document(call.body, _UNDECODED)))
    if found == MERGE:
        return Change(lambda document, _: patches.merge_patch(document, _fields(call, _UNDECODED)))
    return Change(
        lambda document, schema: patches.strategic_merge_patch(document, _fields(call, ""), schema), Origin.MAP
    )


_UNDECODED = "error decoding patch: "


def _fields(call: Call, problem: str) -> Object:
    content = json_document(call.body, problem)
    if not isinstance(content, dict):
        what = go_type(content)
        raise Refusal(400, f"{problem}json: cannot unmarshal {what} into Go value of type map[string]interface {{}}")
    return content


def _apply(call: Call) -> Apply:
    configuration = yaml_document(call.body, "error decoding YAML: ")
    if not isinstance(configuration, dict):
        what = go_type(configuration)
        raise Refusal(
            400,
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: "
            f"json: cannot unmarshal {what} into Go value of type map[string]interface {{}}",
        )
    return Apply(configuration)


def ignored(kind: Kind, subresource: str) -> tuple[tuple[str, ...], ...]:
    """What an endpoint never changes, and so nobody comes to own through it (``GetResetFields``)."""
    if subresource == "status":
        return (("spec",),) if not kind.custom else (("spec",), ("metadata",))
    return (("status",),) if "status" in kind.subresources else ()
