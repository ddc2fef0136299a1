"""A wire to a server in the same process: no sockets, so that virtual time holds for both of its ends."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import lru_cache
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, unquote

from marie_operator.testing.api import ApiUnreachable
from marie_operator.testing.apiserver.answers import Answer
from marie_operator.testing.apiserver.requests import Call
from marie_operator.testing.apiserver.server import ApiServer


def call_of(method: str, target: str, body: bytes | None, *, content_type: str, token: str, agent: str = "") -> Call:
    """A request as a listener would have read it.

    Args:
        method: In capitals.
        target: Path and query, encoded.
        body: None where there is none.
        content_type: Of the body.
        token: Who asks.
        agent: What asks, for ``managedFields``.
    """
    path, _, query = target.partition("?")
    headers = {
        "content-type": content_type,
        "accept": "application/json",
        "authorization": f"Bearer {token}",
        "user-agent": agent,
    }
    return Call(method, unquote(path), dict(_parameters(query)) if query else {}, headers, body or b"")


@lru_cache(maxsize=256)
def _parameters(query: str) -> Mapping[str, str]:
    """By name, the first value of each."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, value)
    return found


class DirectWire:
    """Calls a server.

    Args:
        server: Which.
        token: Who calls.
        agent: What calls, for ``managedFields``.
        reachable: Whether there is anybody to call.
    """

    def __init__(
        self, server: ApiServer, *, token: str, agent: str = "", reachable: Callable[[], bool] = lambda: True
    ) -> None:
        self._server = server
        self._token = token
        self._agent = agent
        self._reachable = reachable

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is open but streams, which their readers leave."""

    async def send(self, method: str, target: str, body: bytes | None, content_type: str) -> tuple[int, bytes]:
        """One request; the answer's status and body.

        Raises:
            ApiUnreachable: the server cannot be reached, or a fault has it that there is no answer.
        """
        answer = await self._answer(method, target, body, content_type)
        return answer.code, answer.body

    @asynccontextmanager
    async def stream(self, target: str) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """An answer that goes on: its status, and what comes of its body.

        Raises:
            ApiUnreachable: the server cannot be reached, or a fault has it that there is no answer.
        """
        answer = await self._answer("GET", target, None, "application/json")
        chunks = _chunks(answer, target)
        try:
            yield answer.code, chunks
        finally:
            await chunks.aclose()

    async def _answer(self, method: str, target: str, body: bytes | None, content_type: str) -> Answer:
        if not self._reachable():
            raise ApiUnreachable(f"{method} {target}: the server is stopped")
        call = call_of(method, target, body, content_type=content_type, token=self._token, agent=self._agent)
        answer = await self._server.handle(call)
        if answer.dropped:
            raise ApiUnreachable(f"{method} {target}: the connection broke")
        return answer


async def _chunks(answer: Answer, target: str) -> AsyncGenerator[bytes, None]:
    """What comes of an answer's body; an error where the connection breaks."""
    if answer.stream is None:
        yield answer.body
        return
    async with aclosing(answer.stream):
        async for chunk in answer.stream:
            yield chunk
    if answer.broken:
        raise ApiUnreachable(f"GET {target}: the connection broke")
