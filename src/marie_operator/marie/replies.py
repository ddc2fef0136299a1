"""What a Marie gateway answers, as types.

The recordings of 4.0.0 in tests/recordings are the specification; of 5.x, its source (MA-25).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

Json: TypeAlias = Any


class NodeState(StrEnum):
    """States of one task of a DAG (MA-17)."""

    CREATED = "created"
    RETRY = "retry"
    ACTIVE = "active"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    OTHER = "other"
    """One that 4.0.0 does not have; it ends nothing."""


_STATES = {state.value: state for state in NodeState}
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
        name: What its planner calls it.
    """

    id: str
    dag_id: str
    ref_id: str
    state: NodeState
    executor: str
    name: str = ""

    @property
    def idle(self) -> bool:
        """Whether it only marks the start or the end of a DAG."""
        return self.executor in {"", "noop"}

    @property
    def works(self) -> bool:
        """Whether an executor has it in hand."""
        return self.state is NodeState.ACTIVE and not self.idle


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway says it took the document, which proves nothing until the DAG is found (MA-13)."""

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


@dataclass(frozen=True, slots=True)
class Debug:
    """What the gateway's debug page says.

    Attributes:
        running: Whether the scheduler takes work; HTTP 200 alone says nothing (MA-14).
        started: When the scheduler started; another moment is another process. None where the page does not say.
        alive: Seconds since then, by the gateway's own clock.
        pending: Submissions that were answered and are not in the database yet. They are registered before the answer
            goes out, so that none pending means that each is in the database, or lost.
        dags: Number of DAGs by state, over all queues.
        tasks: Number of tasks by state, likewise.
        idle: Whether nothing is to be done, whoever asked for it: no DAG is unfinished, no task is in hand, be it of a
            DAG that has failed, and nothing is pending. False where the page does not say.
        paused: Whether somebody has told the scheduler to begin nothing new, which Marie 5 knows.
    """

    running: bool
    started: datetime | None = None
    alive: float | None = None
    pending: int = 0
    dags: Mapping[str, int] = field(default_factory=dict)
    tasks: Mapping[str, int] = field(default_factory=dict)
    idle: bool = False
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a gateway knows of its workers by probing them.

    Attributes:
        control_plane: Whether it has read its registry, and sends work.
        ready: Addresses of workers that answer, by executor name; none for one whose workers all fail.
    """

    control_plane: bool
    ready: Mapping[str, frozenset[str]]


class Unreadable(Exception):  # noqa: N818 - the name says what the reply is
    """A reply that means nothing to this client, or an error that says nothing of the question."""


_CREDENTIALS = ("Invalid or expired token", "Invalid token or expired token", "Not authenticated", "missing api_key")
_KEYS = re.compile(r"\bma[su]_[\w-]+")
_CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_VALIDATION = re.compile(r"\s*\[type=.*", re.DOTALL)
_PAGE = re.compile(r"\s*<(?:.*?<title>(?P<title>.*?)</title>)?", re.DOTALL | re.IGNORECASE)
_SHOWN = 200


def submission(status: int, body: Json) -> SubmitReply:
    """The reply to a submission.

    Raises:
        Unreadable: it does not tell whether the document was taken.
    """
    parameters = _mapping(body, "parameters")
    job_id = identifier(parameters.get("job_id"))
    if status == 200 and parameters.get("status") == "ok" and job_id:
        return Accepted(job_id)
    said = _sentence(parameters.get("error")) or _sentence(parameters.get("msg")) or _message(body)
    if status in {401, 403} or any(text in said for text in _CREDENTIALS):
        return Refused(RefusalKind.CREDENTIALS, said or "the API key is not accepted")
    # Processing errors are exceptions on the way from the request to the scheduler: the same request meets them again.
    answered = status == 200 and bool(parameters) and "job_id" not in parameters
    permanent = answered or status in {400, 422} or (status == 500 and "Processing error" in said)
    if permanent and said:
        return Refused(RefusalKind.REQUEST, said)
    raise Unreadable(unexpected(status, body))


def node(status: int, body: Json) -> Node | None:
    """The reply for one task; None when the gateway surely has none of this id.

    Raises:
        Unreadable: it cannot tell, such as while its database is down.
    """
    if status == 200 and isinstance(body, Mapping):
        if body.get("status") == "error" and body.get("result") == "Job not found":
            return None
        if body.get("status") == "OK" and isinstance(body.get("result"), Mapping):
            return task(body["result"])
    raise Unreadable(unexpected(status, body))


def task(row: Json) -> Node:
    """One task, as it stands in a list or by itself. The API key that stands beside it is left behind.

    Raises:
        Unreadable: it lacks what makes it a task.
    """
    metadata = _mapping(_mapping(row, "data"), "metadata")
    executor, _, _ = _text(metadata.get("on")).partition("://")
    row = row if isinstance(row, Mapping) else {}
    node_id, dag_id, state = identifier(row.get("id")), identifier(row.get("dag_id")), row.get("state")
    if not node_id or not dag_id or not isinstance(state, str):
        raise Unreadable("a task of an unknown form")
    return Node(
        id=node_id,
        dag_id=dag_id,
        ref_id=_text(metadata.get("ref_id")),
        state=_STATES.get(state, NodeState.OTHER),
        executor=executor,
        name=_text(metadata.get("name")),
    )


def tasks(status: int, body: Json) -> Iterator[Node]:
    """The reply for all tasks in a state.

    Raises:
        Unreadable: it is no list, such as INVALID_STATE or INTERNAL_ERROR.
    """
    for row in _result(status, body).values():
        yield task(row)


def debug(status: int, body: Json) -> Debug:
    """The debug page.

    Raises:
        Unreadable: it is none.
    """
    result = _result(status, body)
    dags, tasks = _counts(result, "dag_state_counts"), _counts(result, "job_state_counts")
    scheduler = _mapping(result, "scheduler_info")
    pending = _number(_mapping(result, "queue_status").get("pending_requests"))
    works = pending or tasks.get(NodeState.ACTIVE) or any(dags.get(state) for state in UNFINISHED)
    timing = _mapping(result, "timing_info")
    started, present = _moment(timing.get("start_time")), _moment(timing.get("current_time"))
    return Debug(
        running=scheduler.get("running") is True,
        started=started,
        alive=None if started is None or present is None else (present - started).total_seconds(),
        pending=pending,
        dags=dags,
        tasks=tasks,
        idle={"dag_state_counts", "job_state_counts"} <= result.keys() and not works,
        paused=scheduler.get("paused") is True,
    )


def switched(status: int, body: Json) -> None:
    """The answer to a pause of the scheduler, or to its end: what else it says of it is nowhere written.

    Raises:
        Unreadable: it was not done; Marie says so with HTTP 200 too.
    """
    _result(status, body)


def _counts(result: Json, name: str) -> dict[str, int]:
    """How many there are by state, over all queues."""
    states: dict[str, int] = {}
    for queue in _mapping(_mapping(result, name), "queues").values():
        for state, count in queue.items() if isinstance(queue, Mapping) else ():
            if state != "all":
                states[str(state)] = states.get(str(state), 0) + _number(count)
    return states


def planner_names(status: int, body: Json) -> frozenset[str]:
    """Names of the planners that documents can name.

    Raises:
        Unreadable: it lists none.
    """
    if status == 200 and isinstance(body, Mapping) and isinstance(body.get("planners"), list):
        return frozenset(str(item["name"]) for item in body["planners"] if isinstance(item, Mapping) and "name" in item)
    raise Unreadable(unexpected(status, body))


def capacity(status: int, body: Json) -> dict[str, Slots]:
    """Slots by executor name; phantoms of dead executors included (MA-15).

    Raises:
        Unreadable: it says nothing of slots.
    """
    rows = _result(status, body).get("slots")
    if not isinstance(rows, list):
        raise Unreadable(unexpected(status, body))
    return {
        str(row["name"]): Slots(_number(row.get("capacity")), _number(row.get("used")), _number(row.get("available")))
        for row in rows
        if isinstance(row, Mapping) and "name" in row
    }


def worker_addresses(status: int, body: Json) -> dict[str, frozenset[str]]:
    """Addresses of registered workers by executor name: the truth about who is there (MA-15).

    Raises:
        Unreadable: it lists none.
    """
    return {
        str(name): frozenset(str(row["address"]) for row in rows if isinstance(row, Mapping) and "address" in row)
        for name, rows in _result(status, body).items()
        if isinstance(rows, list)
    }


def readiness(status: int, body: Json) -> Readiness:
    """Who is there and was probed with success, as Marie 5 tells it.

    Raises:
        Unreadable: it does not.
    """
    result = _result(status, body)
    rows = result.get("gateways")
    if not isinstance(rows, list):
        raise Unreadable(unexpected(status, body))
    found: dict[str, set[str]] = {}
    for row in rows:
        executors = row.get("executors") if isinstance(row, Mapping) else None
        for name in executors if isinstance(executors, list) else ():
            ready = found.setdefault(str(name), set())
            if row.get("ready") is True:
                ready.add(_text(row.get("address")))
    addresses = {name: frozenset(each) for name, each in found.items()}
    return Readiness(control_plane=result.get("control_plane_ready") is True, ready=addresses)


def acknowledged(status: int, body: Json) -> str:
    """What a stub says: stop and delete answer as if they had acted, and never do (MA-18).

    Raises:
        Unreadable: it is not that answer.
    """
    if status == 200 and isinstance(body, Mapping) and body.get("status") == "OK":
        said = body.get("result")
        if isinstance(said, str):
            return said
    raise Unreadable(unexpected(status, body))


def identifier(value: Json) -> str:
    """An id as Marie writes it, or nothing when it is none."""
    if not isinstance(value, str):
        return ""
    if _CANONICAL.fullmatch(value):
        # As Marie writes every one: lists are long, and parsing takes ten times as long as looking.
        return value
    try:
        return str(UUID(value))
    except ValueError:
        return ""


def successors(dag_id: str) -> Iterator[str]:
    """Ids of a DAG's tasks: its own, then each the one before plus one, in 128 bits (MA-16)."""
    number = UUID(dag_id).int
    while True:
        yield str(UUID(int=number % (1 << 128)))
        number += 1


def redacted(text: str) -> str:
    """A text without API keys: Marie quotes requests in its errors, and keys in its lists."""
    return _KEYS.sub("mas_...", text)


def _result(status: int, body: Json) -> Mapping[str, Json]:
    if status == 200 and isinstance(body, Mapping) and body.get("status") == "OK":
        result = body.get("result")
        if isinstance(result, Mapping):
            return result
    raise Unreadable(unexpected(status, body))


def _mapping(body: Json, name: str) -> Mapping[str, Json]:
    value = body.get(name) if isinstance(body, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _moment(value: Json) -> datetime | None:
    try:
        return datetime.fromisoformat(_text(value))
    except ValueError:
        return None


def _message(body: Json) -> str:
    if isinstance(body, Mapping):
        said = [_sentence(body.get(name)) for name in ("message", "detail", "result")]
        return ": ".join(dict.fromkeys(each for each in said if each))
    # A page of whoever stands before the gateway: its title is its message.
    page = _PAGE.match(_text(body))
    return _sentence(page["title"] if page else body)


def _sentence(value: Json) -> str:
    """One line for people, without what pydantic adds for developers."""
    text = "".join(each if each.isprintable() else " " for each in _VALIDATION.sub("", _text(value)))
    return redacted(" ".join(text.split()))[:_SHOWN]


def unexpected(status: int, body: Json) -> str:
    """What is said of an answer that means nothing to this client."""
    said = _message(body)
    return f"HTTP {status}{f': {said}' if said else ''}"
