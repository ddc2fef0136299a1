"""How requests reach gateways: what carries them is a collaborator, so that a simulation can be the network."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from marie_operator.marie import replies
from marie_operator.marie.replies import Json
from marie_operator.runtime.errors import NotLeader

TIMEOUT = 10.0
CONNECT_TIMEOUT = 5.0
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


class Unanswered(Exception):  # noqa: N818
    """No usable answer came; the message says what was seen.

    Attributes:
        maybe_sent: Whether the gateway may have acted on the request.
    """

    def __init__(self, message: str, *, maybe_sent: bool) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: In capitals.
        base: The gateway: scheme, host, port and any prefix.
        path: Below it.
        body: A document to be sent as JSON; None for none.
        key: The API key; empty for none.
        timeout: Seconds for the whole exchange.
        check: Raises NotLeader to keep a request with a body from leaving; called when it is about to.
        headers: Further headers.
    """

    method: str
    base: str
    path: str
    body: Json = None
    key: str = ""
    timeout: float = TIMEOUT
    check: Callable[[], None] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it comes.

    Attributes:
        status: Of HTTP.
        chunks: The body, in pieces of any size.
    """

    status: int
    chunks: AsyncIterator[bytes]


class Transport(Protocol):
    """Carries requests to any gateway."""

    def exchange(self, request: Request) -> AbstractAsyncContextManager[Response]:
        """Send a request; leaving the block ends it.

        Raises:
            Unanswered: no answer came, or it broke off; also out of ``chunks``.
        """
        ...


class HttpTransport:
    """Over HTTP.

    Args:
        session: Makes the requests.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @asynccontextmanager
    async def exchange(self, request: Request) -> AsyncIterator[Response]:
        """Send a request; leaving the block ends it.

        Raises:
            Unanswered: no answer came, or it broke off; also out of ``chunks``.
        """
        limits = aiohttp.ClientTimeout(total=request.timeout, connect=CONNECT_TIMEOUT)
        headers = {**request.headers, **({"Authorization": f"Bearer {request.key}"} if request.key else {})}
        url = request.base + request.path
        try:
            async with self._session.request(
                request.method,
                url,
                data=None if request.body is None else _Checked(request),
                headers=headers,
                timeout=limits,
                allow_redirects=False,
            ) as response:
                yield Response(response.status, response.content.iter_any())
        except _NOT_SENT as error:
            raise Unanswered(f"{request.base} cannot be reached: {error}", maybe_sent=False) from error
        except TimeoutError as error:
            raise Unanswered(f"{url} did not answer in time", maybe_sent=True) from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error.__cause__, NotLeader):
                raise Unanswered(f"{url} was not asked: {error.__cause__}", maybe_sent=False) from error
            said = replies.redacted(str(error)) or type(error).__name__
            raise Unanswered(f"{url} broke off: {said}", maybe_sent=True) from error


class _Checked(aiohttp.JsonPayload):
    """A body that is checked when it is about to be written, and the headers with it, which wait for it."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.body)
        self._check = request.check

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if self._check is not None:
            self._check()
        await super().write_with_length(writer, content_length)
