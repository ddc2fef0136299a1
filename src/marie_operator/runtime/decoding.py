"""What the API server's bytes say: lists, watches and refusals."""

from dataclasses import dataclass

from pydantic_core import from_json

from marie_operator.runtime.errors import ApiError, Unreachable, from_status
from marie_operator.runtime.resource import Object
from marie_operator.runtime.transport import Reply


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK; ERROR is raised instead."""

    type: str
    object: Object


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A list, or a page of it, and the resource version it was read at."""

    items: list[Object]
    resource_version: str
    remaining: str = ""


class Lines:
    """Lines of any length: the reader's own limit is below what an object may measure."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole with this chunk, without those that are empty."""
        *complete, rest = chunk.split(b"\n")
        if complete:
            complete[0] = b"".join([*self._pending, complete[0]])
            self._pending.clear()
        if rest:
            self._pending.append(rest)
        return [line for line in complete if line.strip()]


def watch_event(line: bytes, *, request: str) -> WatchEvent:
    """One line of a watch.

    Raises:
        ApiError: it says that the watch has failed (R-25).
        Unreachable: it is no event, so that something other than an API server must have written it (R-29).
    """
    try:
        decoded = from_json(line)
        kind, obj = decoded["type"], decoded["object"]
        if kind == "ERROR":
            raise from_status(int(obj.get("code", 500)), obj, request=request)
        if kind in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
            _ = obj["metadata"]["resourceVersion"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        shown = line[:80].decode(errors="replace")
        raise Unreachable(f"{request}: {shown!r} is no event of a watch", maybe_sent=True) from error
    return WatchEvent(kind, obj)


def page_of(path: str, body: Object) -> ObjectList:
    """What a list was answered with.

    Raises:
        ApiError: it is a Table, which is for people (R-15).
        Unreachable: it is no list.
    """
    try:
        if body.get("kind", "").startswith("Table"):
            raise ApiError(406, "NotAcceptable", f"{path} answered with a Table instead of a list")
        metadata = body["metadata"]
        return ObjectList(body.get("items") or [], metadata.get("resourceVersion", ""), metadata.get("continue", ""))
    except (TypeError, KeyError, AttributeError) as error:
        raise Unreachable(f"GET {path}: the answer is no list", maybe_sent=True) from error


def refusal(reply: Reply, request: str) -> ApiError:
    """The typed error that an answer of failure is."""
    try:
        status = from_json(reply.body)
    except ValueError:
        # Something before the API server answered; of its words the code is what can be relied on.
        said = reply.body[:200].decode(errors="replace").strip()
        status = {"message": f"HTTP {reply.status}: {said}" if said else ""}
    found = status if isinstance(status, dict) else {}
    return from_status(reply.status, found, request=request, retry_after=reply.retry_after)
