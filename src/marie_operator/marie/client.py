"""Calls to one gateway's HTTP API, as Marie serves it; what only some can be asked is told by their dialect."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from pydantic_core import from_json

from marie_operator.marie import dialect, replies
from marie_operator.marie.dialect import Dialect
from marie_operator.marie.listing import Listing, Rows
from marie_operator.marie.replies import (
    Debug,
    Json,
    Node,
    NodeState,
    Readiness,
    RefusalKind,
    Refused,
    Slots,
    SubmitReply,
    Unreadable,
)
from marie_operator.marie.transport import TIMEOUT, Request, Response, Transport, Unanswered

T = TypeVar("T")

LIST_TIMEOUT = 60.0
LIST_BUDGET = 64 << 20
"""Bytes of a list that are read; the completed one grows for ever, by about 3 kB for each document."""
REPLY_BUDGET = 8 << 20
LONGEST_WALK = 512

_SEARCHED = (
    NodeState.CREATED,
    NodeState.ACTIVE,
    NodeState.RETRY,
    NodeState.ACTIVE,
    NodeState.FAILED,
    NodeState.CANCELLED,
    NodeState.EXPIRED,
)
"""In the order in which a task moves on, so that one that moves between two reads is met twice rather than not at all.

Active stands twice because a task goes to and fro between active and retry.
"""


@dataclass(frozen=True, slots=True)
class Submission:
    """What Marie is asked to do with one document.

    Attributes:
        uri: The document.
        queue: Marie's queue, which is bookkeeping only.
        planner: Expands the document into tasks.
        ref_type: With the reference id, where Marie files results.
        soft_sla: When the result is wanted; with ``hard_sla`` or not at all.
        hard_sla: When it is of no use any more.
        options: Further metadata for the executors.
    """

    uri: str
    queue: str
    planner: str
    ref_type: str
    soft_sla: datetime | None = None
    hard_sla: datetime | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search brought.

    Attributes:
        dags: DAGs by reference id; the first one where there are several.
        exhaustive: Whether what is not among them is not there. It may be, where a list was too long to be read, or
            was left out.
    """

    dags: Mapping[str, str]
    exhaustive: bool


class Gateway:
    """One gateway.

    Args:
        transport: Carries the requests.
        url: Scheme, host, port and any prefix.
        fence: Called when a submission or a pause is about to leave; raises NotLeader when another process may be about
            to make it.
    """

    def __init__(self, transport: Transport, url: str, *, fence: Callable[[], None] | None = None) -> None:
        self._transport = transport
        self._fence = fence
        self.url = url.rstrip("/")

    async def submit(self, submission: Submission, *, ref_id: str, api_key: str) -> SubmitReply:
        """Ask for one document; an acceptance proves nothing yet.

        Raises:
            Unanswered: whether it was taken is not known, or, unless ``maybe_sent``, it was not.
        """
        if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            return Refused(RefusalKind.CREDENTIALS, "it has spaces, line breaks or other characters that no key has")
        body = {"header": {}, "parameters": {"invoke_action": _action(submission, ref_id, api_key)}}
        return await self._ask(replies.submission, "POST", "/api/v1/invoke", body=body, key=api_key)

    async def node(self, node_id: str) -> Node | None:
        """One task; None when there surely is none of this id.

        Its state is as the gateway remembers it, which of one that was asked for before may be an old one (MA-26).

        Raises:
            Unanswered: the gateway cannot tell.
        """
        return await self._ask(replies.node, "GET", f"/api/jobsXX/{node_id}")

    async def walk(self, dag_id: str, known: Sequence[Node] = ()) -> list[Node]:
        """A DAG's tasks by counting up from its id, in states as for ``node``; empty when the DAG is not there.

        A custom planner may give its tasks other ids: then only the first few, the root, or none are found.

        Args:
            dag_id: Which DAG.
            known: All of its tasks as an earlier walk found them; only the last is asked for again.

        Raises:
            Unanswered: the gateway cannot tell.
        """
        if known and (last := await self.node(known[-1].id)) is not None:
            return [*known[:-1], last]
        found: list[Node] = []
        for node_id in replies.successors(dag_id):
            node = await self.node(node_id)
            if node is None or node.dag_id != dag_id or len(found) >= LONGEST_WALK:
                break
            found.append(node)
        return found

    async def nodes(self, state: NodeState, *, keep: Callable[[Node], bool] = lambda _: True) -> Listing:
        """Tasks in a state, read as they arrive.

        Args:
            state: Which list.
            keep: Which tasks to return; the others take no memory.

        Raises:
            Unanswered: the gateway cannot tell, or broke off in the middle. A list longer than LIST_BUDGET is not an
                error but incomplete.
        """
        rows, kept, read = Rows(), [], 0
        async with self._exchange("GET", f"/api/jobs/{state}", timeout=LIST_TIMEOUT) as response:
            async for chunk in response.chunks:
                kept += [node for node in rows.feed(chunk) if keep(node)]
                read += len(chunk)
                if read > LIST_BUDGET:
                    return Listing(kept, complete=False)
            kept += [node for node in rows.close(response.status) if keep(node)]
        return Listing(kept, complete=True)

    async def find(self, ref_ids: Collection[str], *, completed: bool) -> Found:
        """Search for documents by what they were called.

        Args:
            ref_ids: Which.
            completed: Whether to read the list of completed tasks too, if any is not found without it. It is the only
                one that a document which Marie has done may be in, and the only long one.

        Raises:
            Unanswered: the gateway cannot tell.
        """
        wanted, dags, exhaustive, rows = frozenset(ref_ids), dict[str, str](), True, 0

        def is_wanted(node: Node) -> bool:
            nonlocal rows
            rows += 1
            return node.ref_id in wanted

        for state in (*_SEARCHED, NodeState.COMPLETED):
            if state is NodeState.COMPLETED and (not completed or wanted <= dags.keys()):
                return Found(dags, exhaustive and completed)
            rows = 0
            listing = await self.nodes(state, keep=is_wanted)
            for node in listing.nodes:
                dags[node.ref_id] = min(node.dag_id, dags.get(node.ref_id, node.dag_id))
            exhaustive = exhaustive and listing.complete
        if not rows:
            await self.agree((NodeState.COMPLETED,))
        return Found(dags, exhaustive)

    async def agree(self, empty: Collection[NodeState]) -> None:
        """See that the gateway counts no tasks in states of which it has just listed none.

        A list that its database would not make is given as an empty one (MA-27).

        Raises:
            Unanswered: it counts some, or cannot tell.
        """
        counts = (await self.debug()).tasks
        for state in empty:
            if count := counts.get(state):
                problem = f"{self.url} lists no {state} tasks and counts {count}; the gateway's log says why"
                raise Unanswered(problem, maybe_sent=True)

    async def debug(self) -> Debug:
        """The debug page.

        Raises:
            Unanswered: there is none.
        """
        return await self._ask(replies.debug, "GET", "/api/debug")

    async def dialect(self) -> Dialect:
        """Which Marie it is.

        Raises:
            Unanswered: the gateway cannot tell.
        """
        return await self._ask(dialect.dialect, "GET", dialect.OPENAPI)

    async def readiness(self) -> Readiness:
        """Which workers answer; not every dialect can tell.

        Raises:
            Unanswered: the gateway cannot tell.
        """
        return await self._ask(replies.readiness, "GET", dialect.READINESS)

    async def pause(self, *, on: bool) -> None:
        """Have the scheduler begin nothing new, or go on; not every dialect can.

        Args:
            on: Whether it is to be paused. What it was before does not matter.

        Raises:
            Unanswered: whether it is, is not known.
        """
        # A body of nothing, since what has one is fenced; the page takes none.
        await self._ask(replies.switched, "POST", dialect.PAUSE if on else dialect.UNPAUSE, body={})

    async def planners(self) -> frozenset[str]:
        """Names of the planners.

        Raises:
            Unanswered: the gateway cannot tell.
        """
        return await self._ask(replies.planner_names, "GET", "/api/planners")

    async def capacity(self) -> Mapping[str, Slots]:
        """Slots by executor name.

        Raises:
            Unanswered: the gateway cannot tell.
        """
        return await self._ask(replies.capacity, "GET", "/api/capacity")

    async def worker_addresses(self) -> Mapping[str, frozenset[str]]:
        """Registered workers by executor name.

        Raises:
            Unanswered: the gateway cannot tell.
        """
        return await self._ask(replies.worker_addresses, "GET", "/api/deployment-nodes")

    async def _ask(
        self, parse: Callable[[int, Json], T], method: str, path: str, *, body: Json = None, key: str = ""
    ) -> T:
        content = bytearray()
        async with self._exchange(method, path, body=body, key=key) as response:
            async for chunk in response.chunks:
                content += chunk
                if len(content) > REPLY_BUDGET:
                    raise Unreadable(f"a reply of more than {REPLY_BUDGET >> 20} MiB")
            try:
                document = from_json(bytes(content))
            except ValueError:
                document = content[:1024].decode(errors="replace")
            return parse(response.status, document)

    @asynccontextmanager
    async def _exchange(
        self, method: str, path: str, *, body: Json = None, key: str = "", timeout: float = TIMEOUT
    ) -> AsyncIterator[Response]:
        """A request and its response, whatever goes wrong with either as one error with a sentence."""
        check = None if body is None else self._fence
        request = Request(method, self.url, path, body=body, key=key, timeout=timeout, check=check)
        try:
            async with self._transport.exchange(request) as response:
                yield response
        except Unreadable as error:
            raise Unanswered(f"{self.url}{path} answered {error}", maybe_sent=True) from error


def _action(submission: Submission, ref_id: str, api_key: str) -> Json:
    """The body Marie needs: the key again inside, and a policy that does not drop everything (MA-13)."""
    metadata: dict[str, Json] = {
        **submission.options,
        "project_id": api_key,
        "ref_id": ref_id,
        "ref_type": submission.ref_type,
        "uri": submission.uri,
        "planner": submission.planner,
        "policy": "allow_all",
        "type": "pipeline",
        "name": "default",
    }
    if submission.soft_sla and submission.hard_sla:
        metadata["soft_sla"] = submission.soft_sla.isoformat()
        metadata["hard_sla"] = submission.hard_sla.isoformat()
    return {
        "action_type": "command",
        "command": "job",
        "action": "submit",
        "api_key": api_key,
        "name": submission.queue,
        "metadata": metadata,
    }
