"""What can go wrong between a client and the server, by rule."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from marie_operator.testing.apiserver.answers import Answer, refused
from marie_operator.testing.apiserver.authorization import Attributes
from marie_operator.testing.apiserver.errors import Refusal, not_found
from marie_operator.testing.apiserver.requests import Call, target
from marie_operator.testing.apiserver.store import encode
from marie_operator.testing.apiserver.watches import told

Serve = Callable[[Call], Awaitable[Answer]]
Effect = Callable[[Call, Serve], Awaitable[Answer]]
"""What happens in a request's place; it may have it served."""


@dataclass
class Fault:
    """A rule: which requests meet what. What is left empty is no condition.

    Attributes:
        effect: What happens.
        verbs: Such as ``create`` and ``watch``.
        resources: Plural names.
        subresources: Such as ``status``; an empty name is the object itself.
        namespace: Where.
        name: Of the object.
        user: Who asks, by the name under which they are known: ``system:serviceaccount:…`` or ``kubernetes-admin``.
        times: How often, before the rule is spent; None for ever.
        met: The requests that it met.
    """

    effect: Effect
    verbs: Collection[str] = ()
    resources: Collection[str] = ()
    subresources: Collection[str] = ()
    namespace: str = ""
    name: str = ""
    user: str = ""
    times: int | None = None
    met: list[Attributes] = field(default_factory=list)

    def meets(self, asked: Attributes, user: str) -> bool:
        """Whether it is this request's turn; counts it when it is."""
        if self.times is not None and len(self.met) >= self.times:
            return False
        among = (
            (asked.verb, self.verbs),
            (asked.resource, self.resources),
            (asked.subresource, self.subresources),
        )
        equal = ((asked.namespace, self.namespace), (asked.name, self.name), (user, self.user))
        if any(wanted and found not in wanted for found, wanted in among):
            return False
        if any(wanted and found != wanted for found, wanted in equal):
            return False
        self.met.append(asked)
        return True


def refuse(code: int, message: str = "injected", *, retry_after: int | None = None) -> Effect:
    """The request is answered with an error and not carried out."""

    async def effect(_: Call, __: Serve) -> Answer:
        details = None if retry_after is None else {"retryAfterSeconds": retry_after}
        return refused(Refusal(code, message, details=details, retry_after=retry_after))

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


def mute(after: int = 0) -> Effect:
    """A watch tells so many events and then no more, not even its end: its connection is half open."""

    async def effect(call: Call, serve: Serve) -> Answer:
        answer = await serve(call)
        return answer if answer.stream is None else replace(answer, stream=_muted(answer.stream, after))

    return effect


async def _muted(stream: AsyncGenerator[bytes, None], after: int) -> AsyncGenerator[bytes, None]:
    async with aclosing(_events(stream)) as events:
        number = 0
        async for event in events:
            if number < after:
                number += 1
                yield event
        await asyncio.Event().wait()


def cut(after: int) -> Effect:
    """A watch breaks off after so many events."""

    async def effect(call: Call, serve: Serve) -> Answer:
        answer = await serve(call)
        if answer.stream is None:
            return answer
        return replace(answer, stream=_first(answer.stream, after), broken=True)

    return effect


def expire(after: int = 0) -> Effect:
    """A watch tells so many events, and then that the version it goes on from is too old (410)."""

    async def effect(call: Call, serve: Serve) -> Answer:
        answer = await serve(call)
        return answer if answer.stream is None else replace(answer, stream=_expired(answer.stream, after))

    return effect


async def _expired(stream: AsyncGenerator[bytes, None], after: int) -> AsyncGenerator[bytes, None]:
    async with aclosing(_first(stream, after)) as events:
        async for event in events:
            yield event
    async for event in told(Refusal(410, "too old resource version: 1 (2)")):
        yield event


async def _first(stream: AsyncGenerator[bytes, None], count: int) -> AsyncGenerator[bytes, None]:
    """So many events of a watch."""
    async with aclosing(_events(stream)) as events:
        number = 0
        while number < count:
            try:
                yield await anext(events)
            except StopAsyncIteration:
                return
            number += 1


async def _events(stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The events of a watch, one at a time; what it came from ends with it."""
    async with aclosing(stream):
        async for lines in stream:
            for line in lines.splitlines(keepends=True):
                yield line


def stale(revision: int) -> Effect:
    """A list or an object is read as it was then, as from a cache that lags; the server must still know that."""

    async def effect(call: Call, serve: Serve) -> Answer:
        about = target(call.path)
        exact = {"resourceVersion": str(revision), "resourceVersionMatch": "Exact"}
        if about is None or not about.name:
            return await serve(replace(call, query={**call.query, **exact}))
        path, only = call.path.rpartition("/")[0], {"fieldSelector": f"metadata.name={about.name}"}
        listed = await serve(replace(call, path=path, query={**exact, **only}))
        if listed.code != HTTPStatus.OK:
            return listed
        found = json.loads(listed.body)
        if not found["items"]:
            return refused(not_found(about.plural, about.group, about.name))
        named = {"kind": found["kind"].removesuffix("List"), "apiVersion": found["apiVersion"]}
        return replace(listed, body=encode({**named, **found["items"][0]}))

    return effect
