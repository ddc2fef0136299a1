"""What a Marie 4.0.0 gateway answers, as types; the recordings in tests/recordings are the specification."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Json: TypeAlias = Any


class NodeState(StrEnum):
    """States of one task of a DAG (marie.md 3.4)."""

    CREATED = "created"
    RETRY = "retry"
    ACTIVE = "active"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


UNFINISHED = (NodeState.CREATED, NodeState.RETRY, NodeState.ACTIVE)


@dataclass(frozen=True, slots=True)
class Node:
    """One task of a DAG.

    Attributes:
        id: Its own id; the root's is the DAG's.
        dag_id: The DAG, which the reply to a submission calls job_id.
        ref_id: What the submitter called the document.
        state: Where it is.
        executor: Who works on it; ``noop`` for the DAG's start and end.
    """

    id: str
    dag_id: str
    ref_id: str
    state: NodeState
    executor: str

    @property
    def works(self) -> bool:
        """Whether an executor has it in hand."""
        return self.state is NodeState.ACTIVE and self.executor not in {"", "noop"}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway says it took the document, which proves nothing until the DAG is found (marie-wire 4)."""

    job_id: str


class RefusalKind(StrEnum):
    """What a refusal is about."""

    CREDENTIALS = "credentials"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway did not take the document, and will not take the same request later."""

    kind: RefusalKind
    message: str


SubmitReply: TypeAlias = Accepted | Refused


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots of one executor name."""

    capacity: int
    used: int
    available: int


class Unreadable(Exception):  # noqa: N818 - the name says what the reply is
    """A reply that means nothing to this client, or an error that says nothing of the question."""


_CREDENTIALS = ("Invalid or expired token", "Invalid token or expired token", "Not authenticated", "missing api_key")


def submission(status: int, body: Json) -> SubmitReply:
    """The reply to a submission.

    Raises:
        Unreadable: it does not tell whether the document was taken.
    """
    parameters = body.get("parameters") if isinstance(body, Mapping) else None
    parameters = parameters if isinstance(parameters, Mapping) else {}
    if status == 200 and parameters.get("status") == "ok" and parameters.get("job_id"):
        return Accepted(str(parameters["job_id"]))
    said = str(parameters.get("error") or parameters.get("msg") or _message(body))
    if status in {401, 403} or any(text in said for text in _CREDENTIALS):
        return Refused(RefusalKind.CREDENTIALS, said or "the API key is not accepted")
    # Processing errors are exceptions on the way from the request to the scheduler: the same request meets them again.
    permanent = (status == 200 and parameters) or status in {400, 422} or (status == 500 and "Processing error" in said)
    if permanent and said:
        return Refused(RefusalKind.REQUEST, said)
    raise Unreadable(_unexpected(status, body))


def node(status: int, body: Json) -> Node | None:
    """The reply for one task; None when the gateway surely has none of this id.

    Raises:
        Unreadable: it cannot tell, such as while its database is down.
    """
    if status == 200 and isinstance(body, Mapping):
        if body.get("status") == "error" and body.get("result") == "Job not found":
            return None
        if body.get("status") == "OK" and isinstance(body.get("result"), Mapping):
            return _node(body["result"])
    raise Unreadable(_unexpected(status, body))


def nodes(status: int, body: Json) -> list[Node]:
    """The reply for all tasks in a state; those of other shapes are left out.

    Raises:
        Unreadable: it is no list, such as INVALID_STATE or INTERNAL_ERROR.
    """
    return [_node(row) for row in _result(status, body).values() if isinstance(row, Mapping) and "dag_id" in row]


def scheduler_running(status: int, body: Json) -> bool:
    """From the debug page: whether the scheduler takes work; HTTP 200 alone says nothing (marie.md 2)."""
    return bool(_mapping(_result(status, body), "scheduler_info").get("running"))


def planner_names(status: int, body: Json) -> frozenset[str]:
    """Names of the planners that documents can name."""
    if status == 200 and isinstance(body, Mapping) and isinstance(body.get("planners"), list):
        return frozenset(str(item["name"]) for item in body["planners"] if isinstance(item, Mapping) and "name" in item)
    raise Unreadable(_unexpected(status, body))


def capacity(status: int, body: Json) -> dict[str, Slots]:
    """Slots by executor name; phantoms of dead executors included (marie-wire 4)."""
    rows = _result(status, body).get("slots") or ()
    return {
        str(row["name"]): Slots(int(row["capacity"]), int(row["used"]), int(row["available"]))
        for row in rows
        if isinstance(row, Mapping)
    }


def worker_addresses(status: int, body: Json) -> dict[str, frozenset[str]]:
    """Addresses of registered workers by executor name: the truth about who is there (marie-wire 4)."""
    return {
        str(name): frozenset(str(row["address"]) for row in rows if isinstance(row, Mapping) and "address" in row)
        for name, rows in _result(status, body).items()
        if isinstance(rows, list)
    }


def acknowledged(status: int, body: Json) -> str:
    """What a stub says: stop and delete answer as if they had acted, and never do (marie-wire 4)."""
    if status == 200 and isinstance(body, Mapping) and isinstance(body.get("result"), str):
        return str(body["result"])
    raise Unreadable(_unexpected(status, body))


def successors(dag_id: str) -> Iterator[str]:
    """Ids of a DAG's tasks: its own, then each the one before plus one, in 128 bits (marie-wire 4)."""
    number = int(dag_id.replace("-", ""), 16)
    while True:
        text = f"{number % (1 << 128):032x}"
        yield f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        number += 1


def _node(row: Mapping[str, Json]) -> Node:
    metadata = _mapping(_mapping(row, "data"), "metadata")
    executor, _, _ = str(metadata.get("on") or "").partition("://")
    try:
        return Node(
            id=str(row["id"]),
            dag_id=str(row["dag_id"]),
            ref_id=str(metadata.get("ref_id") or ""),
            state=NodeState(str(row["state"])),
            executor=executor,
        )
    except (KeyError, ValueError) as error:
        raise Unreadable(f"a task of an unknown form: {error}") from error


def _result(status: int, body: Json) -> Mapping[str, Json]:
    if status == 200 and isinstance(body, Mapping) and body.get("status") == "OK":
        result = body.get("result")
        if isinstance(result, Mapping):
            return result
    raise Unreadable(_unexpected(status, body))


def _mapping(body: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    value = body.get(name)
    return value if isinstance(value, Mapping) else {}


def _message(body: Json) -> str:
    if isinstance(body, Mapping):
        found = body.get("message") or body.get("detail") or body.get("result")
        return found if isinstance(found, str) else ""
    return body if isinstance(body, str) else ""


def _unexpected(status: int, body: Json) -> str:
    said = " ".join(_message(body).split())[:200]
    return f"the gateway answered HTTP {status}{f': {said}' if said else ''}"
