"""What can go wrong between a client and the server, by rule."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace

from marie_operator.testing.apiserver.answers import Answer, refused
from marie_operator.testing.apiserver.authorization import Attributes
from marie_operator.testing.apiserver.errors import Refusal
from marie_operator.testing.apiserver.requests import Call

Serve = Callable[[Call], Awaitable[Answer]]
Effect = Callable[[Call, Serve], Awaitable[Answer]]
"""What happens in a request's place; it may have it served."""


@dataclass
class Fault:
    """A rule: which requests meet what.

    Attributes:
        effect: What happens.
        verbs: Only these; empty for all.
        resources: Only these plural names; empty for all.
        name: Only this object; empty for all.
        times: How often, before the rule is spent; None for ever.
        met: The requests that it met.
    """

    effect: Effect
    verbs: Collection[str] = ()
    resources: Collection[str] = ()
    name: str = ""
    times: int | None = None
    met: list[Attributes] = field(default_factory=list)

    def meets(self, asked: Attributes) -> bool:
        """Whether it is this request's turn; counts it when it is."""
        if self.times is not None and len(self.met) >= self.times:
            return False
        if self.verbs and asked.verb not in self.verbs:
            return False
        if self.resources and asked.resource not in self.resources:
            return False
        if self.name and asked.name != self.name:
            return False
        self.met.append(asked)
        return True


def refuse(code: int, message: str = "injected", *, retry_after: int | None = None) -> Effect:
    """The request is answered with an error and not carried out."""

    async def effect(_: Call, __: Serve) -> Answer:
        return refused(Refusal(code, message, retry_after=retry_after))

    return effect


def delay(seconds: float) -> Effect:
    """The request waits before it is carried out."""

    async def effect(call: Call, serve: Serve) -> Answer:
        await asyncio.sleep(seconds)
        return await serve(call)

    return effect


def drop() -> Effect:
    """The connection breaks before the request is carried out."""

    async def effect(_: Call, __: Serve) -> Answer:
        return Answer(0, dropped=True)

    return effect


def lose_reply() -> Effect:
    """The request is carried out, and the connection breaks before its answer."""

    async def effect(call: Call, serve: Serve) -> Answer:
        await serve(call)
        return Answer(0, dropped=True)

    return effect


def hang() -> Effect:
    """Nothing comes, and the connection stays: a half-open one."""

    async def effect(_: Call, __: Serve) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError("nobody ends the wait")

    return effect


def mute() -> Effect:
    """A watch is opened, and nothing is ever told on it."""

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def effect(call: Call, serve: Serve) -> Answer:
        return replace(await serve(call), stream=nothing())

    return effect


def cut(after: int) -> Effect:
    """A watch breaks off after so many pieces of it."""

    async def effect(call: Call, serve: Serve) -> Answer:
        answer = await serve(call)
        stream = answer.stream
        if stream is None:
            return answer

        async def lines() -> AsyncIterator[bytes]:
            number = 0
            async for line in stream:
                if number >= after:
                    return
                number += 1
                yield line

        return replace(answer, stream=lines(), broken=True)

    return effect


def stale(revision: int) -> Effect:
    """A list shows what was stored then, as a cache that lags would."""

    async def effect(call: Call, serve: Serve) -> Answer:
        asked = {"resourceVersion": str(revision), "resourceVersionMatch": "Exact"}
        return await serve(replace(call, query={**call.query, **asked}))

    return effect
