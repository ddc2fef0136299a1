"""What the client makes of every reply that was recorded from a real gateway, and of replies that no gateway sends."""

import fnmatch
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from marie_operator.marie import client
from marie_operator.marie.client import Gateway
from marie_operator.marie.replies import Accepted, NodeState, RefusalKind, Refused, Slots
from marie_operator.marie.transport import TIMEOUT, Request, Response, Transport, Unanswered
from tests.marie.wire import INVOICE, KEY, response, wire
from tests.testing.recording import RECORDINGS

ROOT = "0690ffff-0000-7000-8000-000000000000"
FILES = sorted(path.name for path in RECORDINGS.glob("*.http"))

# What is expected of a recording.


@dataclass(frozen=True)
class Taken:
    """Accepted, under the id that the reply names."""


@dataclass(frozen=True)
class Refusal:
    kind: RefusalKind
    says: str


@dataclass(frozen=True)
class Unclear:
    """Nothing that could be believed."""

    says: str


@dataclass(frozen=True)
class Rows:
    """A list, by executor."""

    by_executor: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """The task that was asked for."""

    state: NodeState
    executor: str
    ref_id: str


@dataclass(frozen=True)
class Absent:
    """Surely there is none."""


@dataclass(frozen=True)
class Page:
    """The debug page: whether the scheduler runs, and the DAGs of each state that has any."""

    running: bool
    dags: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Foreign:
    """A page that the client never asks for; no question is answered by it."""


KEY_REFUSED, REFUSED = RefusalKind.CREDENTIALS, RefusalKind.REQUEST
PLANNERS_OF_MARIE = 22
EXTRACT = "extract_executor"

EXPECTED: Mapping[str, object] = {
    "1?-*-01-root": Foreign(),
    "?-0?-*status": Foreign(),
    "1?-*-02-status": Foreign(),
    "1?-*-0[34]-check*": Foreign(),
    "1?-*-05-health": Foreign(),
    "1?-*-06-ready": Foreign(),
    "1?-*-07-debug": Page(running=True),
    "1b-exec-07-debug": Page(running=True, dags={"completed": 8}),
    "4a-debug-*": Page(running=True, dags={"created": 8}),
    "4b-*-debug": Page(running=True, dags={"active": 7, "completed": 9}),
    "4d-debug-*": Page(running=True, dags={"created": 4, "active": 4, "completed": 530, "cancelled": 1, "failed": 3}),
    "7-03-pgdown-debug": Page(running=True),
    "1a-*-capacity": {},
    "4a-capacity-*": {},
    "1b-*-capacity": {EXTRACT: Slots(capacity=1, used=0, available=1)},
    "1c-*-capacity": {EXTRACT: Slots(capacity=2, used=0, available=2)},
    "3-04-capacity-after": {EXTRACT: Slots(capacity=1, used=1, available=0)},
    "4b-*-capacity": {EXTRACT: Slots(capacity=1, used=1, available=0)},
    "4d-capacity-*": {EXTRACT: Slots(capacity=1, used=1, available=0)},
    "1a-*-deployment-nodes": {},
    "1b-*-deployment-nodes": {EXTRACT: {"grpc://127.0.0.1:59081"}},
    "1c-*-deployment-nodes": {EXTRACT: {"grpc://127.0.0.1:64969", "grpc://127.0.0.1:53021"}},
    "4b-*-deployment-nodes": {EXTRACT: {"grpc://127.0.0.1:59081"}},
    "*-deployments": Foreign(),
    "*-deployment-status": Foreign(),
    "1?-*-12-jobs-all": Foreign(),
    "1?-*-13-jobs-created": Rows(),
    "1?-*-14-jobs-badstate": Unclear("HTTP 200: Invalid state(s): bogus"),
    "1?-*-15-jobs-active-trailing-slash": Unclear("HTTP 307"),
    "1?-*-1[678]-*": Foreign(),
    "1?-*-19-planners": PLANNERS_OF_MARIE,
    "1?-*-20-openapi": Foreign(),
    "1?-*-2[2345]-*": Foreign(),
    "1?-*-26-jobs-skipped": Rows(),
    "1?-*-27-jobs-uppercase": Rows(),
    "1?-*-28-jobsXX-unknown": Absent(),
    "1?-*-29-jobsXX-baduuid": Absent(),
    "1?-*-30-invoke-get": Foreign(),
    "2-01-*": Refusal(REFUSED, "Invalid JSON payload"),
    "2-0[23]-*": Refusal(KEY_REFUSED, "Not authenticated"),
    "2-0[45]-*": Refusal(KEY_REFUSED, "Invalid token or expired token."),
    "2-06-*": Refusal(KEY_REFUSED, "Invalid or expired token"),
    "2-07-*": Refusal(KEY_REFUSED, "Invalid request, missing api_key"),
    "2-08-*": Refusal(REFUSED, "Invalid request, missing invoke_action"),
    "2-09-*": Refusal(REFUSED, "Invalid request, missing invoke_action"),
    "2-10-*": Refusal(REFUSED, "Invalid request, missing invoke_action"),
    "2-11-*": Unclear("HTTP 500: Internal server error: 'list' object has no attribute 'get'"),
    "2-1[234]-*": Refusal(REFUSED, "Project ID , Reference Type and Reference ID are required in the metadata"),
    "2-15-*": Refusal(REFUSED, "JobSubmissionModel metadata Field required"),
    "2-16-*": Refusal(REFUSED, "JobSubmissionModel name Field required"),
    "2-1[78]-*": Refusal(REFUSED, "Event name can only contain letters, digits, hyphen, underscore and period"),
    "2-19-*": Refusal(REFUSED, "not supported between instances of 'datetime.datetime' and 'NoneType'"),
    "2-20-*": Taken(),
    "2-21-*": Refusal(REFUSED, "Soft SLA must be before Hard SLA"),
    "2-22-*": Refusal(REFUSED, "Invalid isoformat string: 'tomorrow'"),
    "2-23-*": Refusal(REFUSED, "Received status request"),
    "2-2[457]-*": Refusal(REFUSED, "Processing error: MarieServerGateway.error_response() missing 1 required"),
    "2-26-*": Refusal(REFUSED, "Command not recognized or not implemented : bogus"),
    "2-28-*": Refusal(REFUSED, "Project ID , Reference Type and Reference ID are required in the metadata"),
    "2-29-*": Taken(),
    # Marie drops five of these without a word: that they are accepted proves nothing.
    "2-3[0-9]-*": Taken(),
    "2-4[0123456]-*": Taken(),
    "2-47-*": Refusal(REFUSED, "JobSubmissionModel action_type Field required"),
    "2-48-*": Refusal(REFUSED, "Command not recognized or not implemented : None"),
    "2-49-*": Taken(),
    "[34]*-submit*": Taken(),
    "3-05-jobs-completed": Rows({"noop": 38, EXTRACT: 18}),
    "3-05-jobs-created": Rows({"noop": 2}),
    "3-05-jobs-failed": Rows({EXTRACT: 2}),
    "3-05-jobsXX-dag": Task(NodeState.COMPLETED, "noop", "five__fail=1"),
    "3-05-jobsXX-failed-node": Task(NodeState.FAILED, EXTRACT, "five__fail=1"),
    "3-06-delete*": Foreign(),
    "3-06-stop*": Foreign(),
    "3-08-jobsXX-plus[02]": Task(NodeState.COMPLETED, "noop", "k1__t=12"),
    "3-08-jobsXX-plus1": Task(NodeState.COMPLETED, EXTRACT, "k1__t=12"),
    "3-08-jobsXX-plus3": Absent(),
    "4a-jobs-created-*": Rows({"noop": 16, EXTRACT: 8}),
    "4b-*-jobs-active": Rows({EXTRACT: 1}),
    "4b-*-jobs-created": Rows({"noop": 7, EXTRACT: 6}),
    "4b-*-jobs-retry": Rows(),
    "7-02-*": Unclear("HTTP 200: Failed to retrieve jobs: connection already closed"),
    "7-04-*": Unclear("HTTP 500: Internal server error: connection already closed"),
    # With the database down the gateway accepts, and loses, documents.
    "7-0[56]-*": Taken(),
    "8-*": Foreign(),
}


@dataclass(frozen=True)
class Recording:
    line: str
    body: str
    answer: bytes
    reply: str

    @classmethod
    def of(cls, name: str) -> "Recording":
        asked, _, answered = (RECORDINGS / name).read_text().partition("=== RESPONSE ===\n")
        request, _, body = "\n".join(line for line in asked.split("\n") if not line.startswith("# ")).partition("\n\n")
        head, _, reply = answered.partition("\n\n")
        # The length says where the reply ends, and the file goes on with a line break.
        (length,) = re.findall(r"^content-length: (\d+)$", head, re.MULTILINE) or ("0",)
        sent = reply.encode()[: int(length)]
        return cls(request.strip().split("\n")[0], body.strip(), _crlf(head) + sent, sent.decode())


def _crlf(head: str) -> bytes:
    return "\r\n".join((*head.split("\n"), "", "")).encode()


def expected(name: str) -> object:
    """The most exact pattern's."""
    stem = name.removesuffix(".http")
    patterns = [pattern for pattern in EXPECTED if fnmatch.fnmatchcase(stem, pattern)]
    assert patterns, f"{name}: say what the client should make of it"
    return EXPECTED[max(patterns, key=lambda pattern: len(re.sub(r"\[.*?\]|[*?]", "", pattern)))]


# Questions by the path that asks them.

Question = Callable[[Gateway], Awaitable[object]]

QUESTIONS: Mapping[str, Question] = {
    "submit": lambda gateway: gateway.submit(INVOICE, ref_id="one__t=4", api_key=KEY),
    "node": lambda gateway: gateway.node(ROOT),
    "nodes": lambda gateway: gateway.nodes(NodeState.ACTIVE),
    "debug": lambda gateway: gateway.debug(),
    "planners": lambda gateway: gateway.planners(),
    "capacity": lambda gateway: gateway.capacity(),
    "workers": lambda gateway: gateway.worker_addresses(),
}
PAGES: Mapping[str, str] = {
    "/api/debug": "debug",
    "/api/planners": "planners",
    "/api/capacity": "capacity",
    "/api/deployment-nodes": "workers",
}


def question(line: str) -> tuple[Question | None, bool]:
    """What asks with a request line, and whether it asks with exactly that one."""
    method, path, _ = line.split(" ")
    if (method, path) == ("POST", "/api/v1/invoke"):
        return QUESTIONS["submit"], True
    if method == "GET" and (found := re.fullmatch(r"/api/jobsXX/([^/]+)", path)):
        return lambda gateway: gateway.node(found[1]), True
    if method == "GET" and (found := re.fullmatch(r"/api/jobs/([^/]+)/?", path)):
        state = NodeState(found[1]) if found[1] in set(NodeState) else NodeState.ACTIVE
        return lambda gateway: gateway.nodes(state), path == f"/api/jobs/{state}"
    return (QUESTIONS[PAGES[path]], True) if method == "GET" and path in PAGES else (None, False)


async def asked(ask: Question, gateway: Gateway) -> Any:
    """The answer, or that there was none."""
    try:
        return await ask(gateway)
    except Unanswered as error:
        return error


@pytest.mark.parametrize("name", FILES)
@pytest.mark.kuberay("KR-16")
async def test_every_recorded_reply_means_what_it_meant(name: str) -> None:
    recording, means = Recording.of(name), expected(name)
    ask, exact = question(recording.line)
    async with wire() as (server, gateway):
        server.answer = recording.answer
        if ask is None or means == Foreign():
            assert ask is None
            assert means == Foreign()
            for each in ("submit", "node", "planners"):
                assert isinstance(await asked(QUESTIONS[each], gateway), Unanswered), each
            return
        answer = await asked(ask, gateway)
    if exact:
        assert server.lines == [recording.line]
    assert KEY not in repr(answer)
    assert KEY not in str(answer)
    _matches(answer, means, recording)


def _matches(answer: Any, means: object, recording: Recording) -> None:
    match means:
        case Taken():
            assert answer == Accepted(json.loads(recording.reply)["parameters"]["job_id"])
        case Refusal(kind, says):
            assert isinstance(answer, Refused)
            assert (answer.kind, says in answer.message) == (kind, True), answer
        case Unclear(says):
            assert isinstance(answer, Unanswered)
            assert (answer.maybe_sent, says in str(answer)) == (True, True), answer
        case Rows(by_executor):
            assert answer.complete
            assert Counter(node.executor for node in answer.nodes) == Counter(by_executor)
            rows = json.loads(recording.reply)["result"]
            assert [(node.id, node.dag_id, node.state) for node in answer.nodes] == [
                (row["id"], row["dag_id"], row["state"]) for row in rows.values()
            ]
        case Task(state, executor, ref_id):
            assert (answer.id, answer.state) == (recording.line.split("/")[3].split(" ")[0], state)
            assert (answer.executor, answer.ref_id) == (executor, ref_id)
        case Absent():
            assert answer is None
        case Page(running, dags):
            assert (answer.running, {state: count for state, count in answer.dags.items() if count}) == (running, dags)
            assert answer.started is not None
        case int():
            assert {"extract", "mock_simple"} <= answer
            assert len(answer) == means
        case _:
            assert answer == means


def test_every_expectation_is_of_a_recording() -> None:
    unused = [pattern for pattern in EXPECTED if not fnmatch.filter(FILES, f"{pattern}.http")]
    assert unused == []
    assert len(FILES) >= 165


async def test_a_submission_has_the_recorded_body() -> None:
    recording = Recording.of("3-01-submit.http")
    metadata = json.loads(recording.body)["parameters"]["invoke_action"]["metadata"]
    soft, hard = (datetime.fromisoformat(metadata[name]) for name in ("soft_sla", "hard_sla"))
    async with wire() as (server, gateway):
        server.answer = recording.answer
        assert soft.tzinfo == UTC
        await gateway.submit(replace(INVOICE, soft_sla=soft, hard_sla=hard), ref_id="one__t=4", api_key=KEY)
    (body,), (head,) = server.bodies, server.heads
    # Marie ignores ``on``: the planner knows (2-43).
    recorded = json.loads(recording.body)
    del recorded["parameters"]["invoke_action"]["metadata"]["on"]
    assert json.loads(body) == recorded
    assert f"authorization: bearer {KEY}".lower() in head.lower()
    assert "content-type: application/json" in head.lower()


async def test_options_go_along_and_replace_nothing_that_marie_needs() -> None:
    options = {"layout": "letter", "policy": "reject_all", "ref_id": "another", "project_id": "p"}
    async with wire() as (server, gateway):
        server.answer = Recording.of("3-01-submit.http").answer
        await gateway.submit(replace(INVOICE, options=options), ref_id="one__t=4", api_key=KEY)
    metadata = json.loads(server.bodies[0])["parameters"]["invoke_action"]["metadata"]
    assert (metadata["layout"], metadata["policy"]) == ("letter", "allow_all")
    assert (metadata["ref_id"], metadata["project_id"]) == ("one__t=4", KEY)


async def test_one_sla_alone_is_not_sent() -> None:
    # Marie fails on the one and ignores the other (2-19, 2-20).
    async with wire() as (server, gateway):
        server.answer = Recording.of("3-01-submit.http").answer
        moment = datetime(2026, 11, 23, tzinfo=UTC)
        for submission in (replace(INVOICE, soft_sla=moment), replace(INVOICE, hard_sla=moment)):
            await gateway.submit(submission, ref_id="one__t=4", api_key=KEY)
    for body in server.bodies:
        assert "sla" not in body.decode()


async def test_a_walk_counts_up_to_the_first_that_is_absent() -> None:
    answers = [Recording.of(f"3-08-jobsXX-plus{number}.http") for number in range(4)]
    root = answers[0].line.split("/")[3].split(" ")[0]
    async with wire() as (server, gateway):
        replies = {each.line: each.answer for each in answers}
        server.answers = lambda line: replies[line]
        walk = await gateway.walk(root)
    assert server.lines == [each.line for each in answers]
    assert [node.executor for node in walk] == ["noop", EXTRACT, "noop"]


# What no gateway sends.

HTML = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body></html>"
ACCEPTED = json.dumps({"header": {}, "parameters": {"status": "ok", "job_id": ROOT}}).encode()
ROW = {"id": ROOT, "dag_id": ROOT, "state": "active", "data": {"api_key": KEY, "metadata": {"ref_id": "x"}}}
RUBBISH: Mapping[str, bytes] = {
    "a proxy's page": response("502 Bad Gateway", HTML, "content-type: text/html"),
    "a proxy's page as success": response("200 OK", HTML, "content-type: text/html"),
    "a Service without endpoints": response("503 Service Unavailable", b""),
    "nothing at all": response("200 OK", b""),
    "half of a document": response("200 OK", b'{"status": "OK", "result": {"'),
    "half of a list": response("200 OK", json.dumps({"status": "OK", "result": {ROOT: ROW}}).encode()[:-2]),
    "another document": response("200 OK", b'["status", "OK"]'),
    "a number": response("200 OK", b"17"),
    "null": response("200 OK", b"null"),
    "a document of wrong types": response("200 OK", b'{"status": "OK", "result": 3, "parameters": [], "planners": {}}'),
    "bytes that are no text": response("200 OK", b"\xff\xfe\x00{"),
    "depth": response("200 OK", b"[" * 100_000),
    "a redirect": response("302 Found", b"", "location: http://127.0.0.1:1/"),
    "a quoted key": response("500 Internal Server Error", json.dumps({"message": f"no row for {KEY}"}).encode()),
    "a quoted request": response("500 Internal Server Error", json.dumps({"detail": {"input": ROW}}).encode()),
}


async def test_of_a_proxys_page_only_the_title_is_shown() -> None:
    async with wire() as (server, gateway):
        server.answer = RUBBISH["a proxy's page"]
        answer = await asked(QUESTIONS["debug"], gateway)
    assert str(answer) == f"{server.url}/api/debug answered HTTP 502: 502 Bad Gateway"


@pytest.mark.parametrize("ask", QUESTIONS)
@pytest.mark.parametrize("rubbish", RUBBISH)
@pytest.mark.kuberay("KR-16")
async def test_rubbish_is_no_answer(rubbish: str, ask: str) -> None:
    async with wire() as (server, gateway):
        server.answer = RUBBISH[rubbish]
        answer = await asked(QUESTIONS[ask], gateway)
    assert len(server.lines) == 1
    _readable(answer, server.url, maybe_sent=True)


def _readable(answer: Any, url: str, *, maybe_sent: bool) -> None:
    """It is no answer, and says so in one line that can be shown to people."""
    assert isinstance(answer, Unanswered), answer
    text = str(answer)
    assert answer.maybe_sent is maybe_sent
    assert text.startswith(url)
    assert len(text) < 400
    assert text.isprintable()
    for secret in (KEY, KEY[4:]):
        assert secret not in text
        assert secret not in repr(answer)
    assert not re.search(r"object at 0x|Traceback|<class|\b(None|Error)\b$", text), text


CUT: Mapping[str, bytes] = {
    "before the head": b"",
    "within the head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "before the body": response("200 OK", ACCEPTED)[: -len(ACCEPTED)],
    "within the body": response("200 OK", ACCEPTED)[:-5],
}


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("ask", QUESTIONS)
@pytest.mark.parametrize("cut", CUT)
async def test_a_connection_that_breaks_off_is_no_answer(cut: str, ask: str, reset: bool) -> None:
    async with wire() as (server, gateway):
        server.answer, server.reset = CUT[cut], reset
        answer = await asked(QUESTIONS[ask], gateway)
    _readable(answer, server.url, maybe_sent=True)


@pytest.mark.parametrize("ask", QUESTIONS)
async def test_what_was_never_sent_is_known_not_to_be(ask: str) -> None:
    async with wire() as (server, gateway):
        pass
    async with wire() as (_, other):
        gateway = Gateway(other._transport, server.url)
        answer = await asked(QUESTIONS[ask], gateway)
    _readable(answer, server.url, maybe_sent=False)


class Hasty:
    """Has no request last longer than a hundredth of the time that it may."""

    def __init__(self, carrier: Transport) -> None:
        self._carrier = carrier

    def exchange(self, request: Request) -> AbstractAsyncContextManager[Response]:
        return self._carrier.exchange(replace(request, timeout=request.timeout / 100))


async def test_silence_ends() -> None:
    async with wire() as (server, gateway):
        server.silent = True
        answer = await asked(QUESTIONS["submit"], Gateway(Hasty(gateway._transport), server.url))
    _readable(answer, server.url, maybe_sent=True)


async def test_a_list_may_take_its_time_to_the_first_byte() -> None:
    """Marie makes the whole of it before it sends any."""
    async with wire() as (server, gateway):
        server.answer = response("200 OK", json.dumps({"status": "OK", "result": {ROOT: ROW}}).encode())
        server.delay = 3 * TIMEOUT / 100
        hasty = Gateway(Hasty(gateway._transport), server.url)
        assert len((await hasty.nodes(NodeState.ACTIVE)).nodes) == 1
        _readable(await asked(QUESTIONS["submit"], hasty), server.url, maybe_sent=True)


async def test_a_list_over_the_budget_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LIST_BUDGET", 20_000)
    rows = {str(number): ROW for number in range(10_000)}
    async with wire() as (server, gateway):
        server.answer = response("200 OK", json.dumps({"status": "OK", "result": rows}).encode())
        listing = await gateway.nodes(NodeState.COMPLETED)
    assert not listing.complete
    assert 0 < len(listing.nodes) < 10_000


async def test_a_reply_over_the_budget_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REPLY_BUDGET", 1 << 20)
    async with wire() as (server, gateway):
        server.answer = response("200 OK", b" " * (3 << 20) + ACCEPTED)
        answer = await asked(QUESTIONS["submit"], gateway)
    _readable(answer, server.url, maybe_sent=True)
    assert "more than 1 MiB" in str(answer)


@pytest.mark.parametrize("key", ["mas_a b", "mas_a\nb", "mas_a\r\nX-Evil: 1", "mas_ä", "mas_a\x00"])
async def test_a_key_that_cannot_be_one_is_refused_unsent(key: str) -> None:
    async with wire() as (server, gateway):
        reply = await gateway.submit(INVOICE, ref_id="x", api_key=key)
    assert isinstance(reply, Refused)
    assert reply.kind is RefusalKind.CREDENTIALS
    assert key not in repr(reply)
    assert server.lines == []
