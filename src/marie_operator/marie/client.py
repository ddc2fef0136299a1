"""Calls to one gateway's HTTP API, as Marie 4.0.0 serves it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import aiohttp
from pydantic_core import from_json

from marie_operator.marie import replies
from marie_operator.marie.replies import Json, Node, NodeState, Slots, SubmitReply, Unreadable

T = TypeVar("T")

TIMEOUT = 10.0
CONNECT_TIMEOUT = 5.0
LIST_BUDGET = 16 * 1024 * 1024
"""Bytes of a list that are read; the completed one grows for ever, by about 3 kB for each document."""
LONGEST_WALK = 512


class Unanswered(Exception):  # noqa: N818
    """No usable answer came; the message says what was seen.

    Attributes:
        maybe_sent: Whether the gateway may have acted on the request.
    """

    def __init__(self, message: str, *, maybe_sent: bool) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent


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


class Gateway:
    """One gateway.

    Args:
        session: Makes the requests.
        url: Scheme, host, port and any prefix.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url.rstrip("/")

    async def submit(self, submission: Submission, *, ref_id: str, api_key: str) -> SubmitReply:
        """Ask for one document; an acceptance proves nothing yet.

        Raises:
            Unanswered: whether it was taken is not known, or, unless ``maybe_sent``, it was not.
        """
        body = {"header": {}, "parameters": {"invoke_action": _action(submission, ref_id, api_key)}}
        status, reply = await self._call("POST", "/api/v1/invoke", body=body, key=api_key)
        return self._read(replies.submission, status, reply)

    async def node(self, node_id: str) -> Node | None:
        """One task; None when there surely is none of this id."""
        return self._read(replies.node, *await self._call("GET", f"/api/jobsXX/{node_id}"))

    async def walk(self, dag_id: str) -> list[Node]:
        """A DAG's tasks by counting up from its id; empty when the DAG is not there.

        A custom planner may give its tasks other ids: then only the first few, or the root, are found.
        """
        found: list[Node] = []
        for node_id in replies.successors(dag_id):
            node = await self.node(node_id)
            if node is None or node.dag_id != dag_id or len(found) >= LONGEST_WALK:
                return found
            found.append(node)
        return found

    async def nodes(self, state: NodeState) -> list[Node]:
        """Every task in a state.

        Raises:
            Unanswered: also when the list is longer than LIST_BUDGET.
        """
        return self._read(replies.nodes, *await self._call("GET", f"/api/jobs/{state}"))

    async def scheduler_running(self) -> bool:
        """Whether the scheduler takes work."""
        return self._read(replies.scheduler_running, *await self._call("GET", "/api/debug"))

    async def planners(self) -> frozenset[str]:
        """Names of the planners."""
        return self._read(replies.planner_names, *await self._call("GET", "/api/planners"))

    async def capacity(self) -> dict[str, Slots]:
        """Slots by executor name."""
        return self._read(replies.capacity, *await self._call("GET", "/api/capacity"))

    async def worker_addresses(self) -> dict[str, frozenset[str]]:
        """Registered workers by executor name."""
        return self._read(replies.worker_addresses, *await self._call("GET", "/api/deployment-nodes"))

    @staticmethod
    def _read(parse: Callable[[int, Json], T], status: int, body: Json) -> T:
        try:
            return parse(status, body)
        except Unreadable as error:
            raise Unanswered(str(error), maybe_sent=True) from error

    async def _call(self, method: str, path: str, *, body: Json = None, key: str = "") -> tuple[int, Json]:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT, connect=CONNECT_TIMEOUT)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._session.request(
                method, self.url + path, json=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                content = await _bounded(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unanswered(f"{self.url} cannot be reached: {error}", maybe_sent=False) from error
        except TimeoutError as error:
            raise Unanswered(f"{self.url} did not answer within {TIMEOUT:g} s", maybe_sent=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered(f"{self.url} broke off: {error}", maybe_sent=True) from error
        try:
            return response.status, from_json(content)
        except ValueError:
            return response.status, content[:200].decode(errors="replace")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > LIST_BUDGET:
            raise aiohttp.ClientPayloadError(f"the reply is longer than {LIST_BUDGET >> 20} MiB")
    return bytes(content)


def _action(submission: Submission, ref_id: str, api_key: str) -> Json:
    """The body Marie needs: the key again inside, and a policy that does not drop everything (marie.md 3.1)."""
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
