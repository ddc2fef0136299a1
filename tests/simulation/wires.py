"""The operator's ways to the servers of a simulation."""

import asyncio
import contextlib
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import takewhile
from typing import TypeVar, cast
from urllib.parse import urlencode

from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.objects import LISTED, ObjectsError
from marie_operator.controllers.mariejob.refusal import Refusal
from marie_operator.controllers.mariejob.store import ListingError, ListRequest, Page
from marie_operator.marie import transport as marie
from marie_operator.runtime import NotLeader, Unreachable
from marie_operator.runtime import transport as api
from marie_operator.testing.apiserver.answers import Answer, refused
from marie_operator.testing.apiserver.direct import call_of
from marie_operator.testing.apiserver.faults import refuse
from marie_operator.testing.apiserver.lists import too_large
from marie_operator.testing.apiserver.requests import Call, target
from marie_operator.testing.apiserver.server import ApiServer
from marie_operator.testing.apiserver.watches import INITIAL_END
from marie_operator.testing.gateway import Reply, SimulatedEtcd, SimulatedGateways, SimulatedMarie
from marie_operator.testing.gateway import Request as Asked
from marie_operator.testing.virtual import Process
from tests.simulation.network import RETRY, SILENCE, Fate, Network, Stream
from tests.simulation.stored import Stored
from tests.simulation.trace import Trace

T = TypeVar("T")

_ETCD = re.compile(r"http://(?P<name>.+)-etcd\.(?P<namespace>[^.]+)\.svc:2379")
"""Where the etcd is that the operator runs for a cluster."""
ELECTION = "/apis/coordination.k8s.io/v1/namespaces/marie-system/leases"
"""Where who leads is written, which who does not lead has to write as well."""
FRESHNESS = 3.0
"""Seconds for which the API server waits until its cache has reached a version (watch_cache.go, blockTimeout)."""
API_ERRORS = ((429, 1), (429, None), (500, None), (503, None), (504, None))
"""Codes and ``Retry-After`` of an API server that does not carry out a request."""


@dataclass
class Port:
    """A process's end of the network.

    Attributes:
        network: Where it leads.
        process: Whose it is; nothing leaves it once it is dead.
        name: Of the process.
        trace: What happened.
        on_send: Called with the name and what is sent, when a write or a submission is about to leave.
        fuse: Messages until the process dies of one: before it leaves, or right after; None for never.
        streams: How many the process reads.
    """

    network: Network
    process: Process
    name: str
    trace: Trace
    on_send: Callable[[str, str], None]
    fuse: int | None = None
    streams: int = 0

    def passes(self, what: str, *, writes: bool) -> bool:
        """Whether a message leaves; when it is a write, it is told."""
        if self.process.dead:
            return False
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0 and self._blows(what):
                return False
        if writes:
            self.on_send(self.name, what)
        return True

    def note(self, what: str, *contents: bytes) -> None:
        """Something happened to the process's messages."""
        self.trace.note(self.name, what, *contents)

    def _blows(self, what: str) -> bool:
        """Kill the process; tells whether before the message leaves."""
        self.fuse = None
        before = self.network.source.random() < 0.5
        self.note(f"is killed {'before' if before else 'after'} {what}")
        self.process.dead = True
        self.network.send(self.process.kill())
        return before


class ApiWire:
    """Carries a process's requests to the API server.

    Args:
        server: The API server.
        token: Who asks.
        port: Where requests leave.
    """

    url = "sim://apiserver"

    def __init__(self, server: ApiServer, token: str, port: Port) -> None:
        self._server = server
        self._token = token
        self._port = port
        self._network = port.network

    async def exchange(self, request: api.Request) -> api.Reply:
        """Send a request and read the whole answer."""
        fate = self._leave(request)
        if fate is None:
            return _reply(await self._served(request, Fate.ANSWERED))
        reply: asyncio.Future[api.Reply] = asyncio.get_running_loop().create_future()
        self._network.send(self._deliver(request, fate, reply))
        return await reply

    @contextlib.asynccontextmanager
    async def stream(self, request: api.Request, *, silence: float) -> AsyncIterator[api.Stream]:
        """Send a request and read the answer as it comes."""
        fate = self._leave(request)
        if fate is not None:
            await asyncio.sleep(self._network.delay())
        if fate in {Fate.LOST, Fate.UNANSWERED}:
            raise _broken(request)
        if fate is Fate.SILENT:
            await self._network.mute(silence)
            raise _broken(request)
        answer = await self._served(request, fate or Fate.ANSWERED)
        chunks = self._chunks(request, answer, silence)
        self._port.streams += 1
        if answer.stream is not None:
            self._network.troubles.end(self._port.name, request.path)
        try:
            yield api.Stream(answer.code, chunks, _retry_after(answer))
        finally:
            self._port.streams -= 1
            self._unheard(request)
            await chunks.aclose()

    async def close(self) -> None:
        """Nothing is open."""

    def _leave(self, request: api.Request) -> Fate | None:
        """What becomes of a request that is about to leave; None where nothing can."""
        if request.check is not None:
            request.check()
        # By what it asks for, and not by whether it was checked: one that nobody checks is to be seen as well.
        writes = request.method != "GET" and not request.path.startswith(ELECTION)
        if not self._port.passes(str(request), writes=writes):
            raise Unreachable(f"{request}: the process is dead", maybe_sent=False)
        if self._network.instant:
            return None
        fate = self._network.fate("apiserver")
        if fate is Fate.REFUSED:
            self._network.troubles.last(RETRY)
            self._port.note(f"{request}: connection refused")
            raise Unreachable(f"{request}: connection refused", maybe_sent=False)
        return fate

    async def _deliver(self, request: api.Request, fate: Fate, reply: "asyncio.Future[api.Reply]") -> None:
        await asyncio.sleep(self._network.delay())
        if fate is Fate.LOST:
            self._port.note(f"{request}: lost")
        if fate is Fate.LOST or (fate is Fate.SILENT and self._network.source.random() < 0.5):
            answer = None
        else:
            answer = await self._served(request, fate)
        await self._back(fate)
        if reply.done():
            return
        if answer is None or fate in {Fate.UNANSWERED, Fate.SILENT}:
            reply.set_exception(_broken(request))
        else:
            reply.set_result(_reply(answer))

    async def _back(self, fate: Fate) -> None:
        """Let a reply be on its way, or not come."""
        troubles = self._network.troubles
        if fate is Fate.SILENT:
            troubles.last(SILENCE)
        await asyncio.sleep(SILENCE if fate is Fate.SILENT else self._network.delay())
        if fate is not Fate.ANSWERED:
            troubles.last(RETRY)

    async def _served(self, request: api.Request, fate: Fate) -> Answer:
        call = self._call(request)
        if fate is Fate.FAILED:
            code, after = self._network.source.choice(API_ERRORS)
            answer = await refuse(code, retry_after=after)(call, self._server.handle)
        elif self._network.behind is not None and call.method == "GET":
            answer = await self._old(call, self._network.behind)
        else:
            answer = await self._server.handle(call)
        self._port.note(f"{request} -> {answer.code} {fate.name}", call.body, answer.body)
        return answer

    async def _old(self, call: Call, behind: int) -> Answer:
        """From a server whose cache is behind, which gives what it has, and of watches nothing new.

        Lists without a version, of pages, or of the very version come from storage (cacher.go, shouldDelegateList).
        """
        about, query = target(call.path), call.query
        streamed = query.get("sendInitialEvents") == "true"
        if about is not None and not about.name:
            if streamed:
                return await self._streamed(call, behind)
            if "watch" in query:
                answer = await self._server.handle(call)
                return answer if answer.stream is None else replace(answer, stream=self._held(answer.stream))
            if "resourceVersion" in query and query.get("resourceVersionMatch") != "Exact" and "limit" not in query:
                return await self._cached(call, behind, int(query["resourceVersion"]))
        return await self._server.handle(call)

    async def _streamed(self, call: Call, behind: int) -> Answer:
        version = call.query.get("resourceVersion")
        # Without a version it is of what storage has as it is asked for.
        listed = await self._cached(call, behind, int(version) if version else self._server.store.revision)
        if listed.stream is not None:
            return listed
        told = _initial_events(listed.body) if listed.code == HTTPStatus.OK else _error_event(listed.body)
        return Answer(HTTPStatus.OK, stream=_once(told))

    async def _cached(self, call: Call, behind: int, asked: int) -> Answer:
        """What the cache has; what it has not reached is waited for, and refused when it does not come."""
        if asked > behind and not await self._network.caught_up(FRESHNESS):
            return refused(too_large(asked, behind))
        if self._network.behind is None:
            return await self._server.handle(call)
        exact = {"resourceVersion": str(behind), "resourceVersionMatch": "Exact"}
        kept = {name: call.query[name] for name in ("labelSelector", "fieldSelector") if name in call.query}
        return await self._server.handle(replace(call, query={**kept, **exact}))

    async def _held(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """A watch that tells nothing until the cache has caught up."""
        async with contextlib.aclosing(stream):
            async for chunk in stream:
                await self._network.caught_up()
                yield chunk

    def _call(self, request: api.Request) -> Call:
        address = f"{request.path}?{urlencode(request.query)}"
        return call_of(request.method, address, request.body, content_type=request.content_type, token=self._token)

    async def _chunks(self, request: api.Request, answer: Answer, silence: float) -> AsyncGenerator[bytes, None]:
        if answer.stream is None:
            yield answer.body
            return
        line = self._network.stream()
        limit = min((each for each in (line.cut, line.mute) if each is not None), default=None)
        stream = answer.stream if limit is None else _until(limit, answer.stream)
        try:
            async with contextlib.aclosing(stream):
                async for chunk in stream:
                    await self._late(line)
                    self._port.note(f"{request} ...", chunk)
                    yield chunk
        except TimeoutError:
            self._unheard(request)
            if limit == line.mute:
                await self._network.mute(silence)
            self._port.note(f"{request}: the stream broke")
            raise _broken(request) from None
        if "apiserver" in self._network.down:
            raise _broken(request)

    def _unheard(self, request: api.Request) -> None:
        """Until it is watched again, a process that lives learns nothing of a collection."""
        if not self._port.process.dead and not request.path.startswith(ELECTION):
            self._network.troubles.begin(self._port.name, request.path)

    async def _late(self, line: Stream) -> None:
        """Let an event be on its way."""
        if line.lag:
            delay = self._network.source.uniform(0, line.lag)
            self._network.troubles.last(delay)
            await asyncio.sleep(delay)
        elif delay := self._network.delay():
            await asyncio.sleep(delay)


class GatewayWire:
    """Carries a process's requests to gateways, whose addresses are ``namespace/name``.

    Args:
        gateways: The gateways.
        port: Where requests leave.
    """

    def __init__(self, gateways: SimulatedGateways, port: Port) -> None:
        self._gateways = gateways
        self._port = port
        self._network = port.network

    @contextlib.asynccontextmanager
    async def exchange(self, request: marie.Request) -> AsyncIterator[marie.Response]:
        """Send a request; leaving the block ends it."""
        self._check(request)
        if not self._port.passes(f"{request.method} {request.base}{request.path}", writes=_changes(request)):
            raise marie.Unanswered(f"{request.base}: the process is dead", maybe_sent=False)
        if self._network.instant:
            reply = await self._served(request, Fate.ANSWERED)
        else:
            carried: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            self._network.send(self._deliver(request, self._network.fate(request.base), carried))
            reply = await carried
        yield marie.Response(reply.status, _once(reply.body))

    def _check(self, request: marie.Request) -> None:
        if request.check is None:
            return
        try:
            request.check()
        except NotLeader as error:
            raise marie.Unanswered(f"{request.base} was not asked: {error}", maybe_sent=False) from error

    async def _deliver(self, request: marie.Request, fate: Fate, reply: "asyncio.Future[Reply]") -> None:
        await asyncio.sleep(self._network.delay())
        try:
            answer = await self._served(request, fate)
        except marie.Unanswered as error:
            if not reply.done():
                reply.set_exception(error)
            return
        await asyncio.sleep(request.timeout if fate is Fate.SILENT else self._network.delay())
        if reply.done():
            return
        if fate in {Fate.UNANSWERED, Fate.SILENT}:
            reply.set_exception(marie.Unanswered(f"{request.base} broke off", maybe_sent=True))
        else:
            reply.set_result(answer)

    async def _served(self, request: marie.Request, fate: Fate) -> Reply:
        """What the gateway makes of a request.

        Raises:
            Unanswered: it does not get there.
        """
        if found := _ETCD.fullmatch(request.base):
            return self._etcd(self._gateways.cluster(found["namespace"], found["name"]), request, fate)
        namespace, _, name = request.base.partition("/")
        gateway = self._gateways.cluster(namespace, name)
        if not gateway.serving or fate is Fate.REFUSED:
            raise marie.Unanswered(f"{request.base} cannot be reached", maybe_sent=False)
        if fate is Fate.LOST:
            raise marie.Unanswered(f"{request.base} broke off", maybe_sent=True)
        asked = _asked(request)
        if fate is Fate.FAILED:
            if self._network.source.random() < 0.5:
                await gateway.respond(asked)
            self._port.note(f"{request.method} {request.base}{request.path} -> 500")
            return Reply(500, b"Internal Server Error")
        reply = await gateway.respond(asked)
        if reply is None:
            raise marie.Unanswered(f"{request.base} broke off", maybe_sent=True)
        told = f"{request.method} {request.base}{request.path} {asked.ref_id} -> {reply.status} {fate.name}"
        self._port.note(told, reply.body)
        return reply

    def _etcd(self, gateway: SimulatedMarie, request: marie.Request, fate: Fate) -> Reply:
        if fate in {Fate.REFUSED, Fate.LOST}:
            raise marie.Unanswered(f"{request.base} cannot be reached", maybe_sent=fate is Fate.LOST)
        if fate is Fate.FAILED:
            return Reply(500, b"Internal Server Error")
        return SimulatedEtcd(gateway).respond(request.method, request.path, request.body)


def _changes(request: marie.Request) -> bool:
    """Whether a request changes something at Marie; etcd is also read by what is posted."""
    if _ETCD.fullmatch(request.base):
        return isinstance(request.body, dict) and bool(request.body.get("compare"))
    return request.method != "GET"


class BucketWire:
    """Lists a bucket's keys for a process.

    Args:
        keys: What is in the bucket, in order; any bucket.
        page_size: How many of them come at a time.
        port: Where requests leave.
    """

    def __init__(self, keys: Sequence[str], page_size: int, port: Port) -> None:
        self._keys = keys
        self._page_size = page_size
        self._port = port
        self._network = port.network

    async def page(self, request: ListRequest) -> Page:
        """Read one page."""
        if not self._port.passes(f"LIST {request.source.uri}", writes=False):
            raise ListingError("the process is dead", answered=False)
        fate = Fate.ANSWERED if self._network.instant else self._network.fate("bucket")
        if delay := self._network.delay():
            await asyncio.sleep(delay)
        if fate is Fate.SILENT:
            await asyncio.sleep(SILENCE)
        self._port.note(f"LIST {request.source.uri} after {request.after!r} {fate.name}")
        if fate is not Fate.ANSWERED:
            raise ListingError(f"{request.source.uri} cannot be listed: {fate.name}.", answered=fate is Fate.FAILED)
        prefix = request.prefix.prefix
        start = max(bisect_right(self._keys, request.after), bisect_left(self._keys, prefix))
        ahead = [self._keys[each] for each in range(start, min(start + self._page_size + 1, len(self._keys)))]
        under = list(takewhile(lambda key: key.startswith(prefix), ahead))
        keys = tuple(under[: self._page_size])
        return Page(request, keys, keys[-1] if keys else request.after, last=len(under) <= self._page_size)


class ObjectsWire:
    """Works in buckets for a process; every bucket is there.

    Args:
        objects: What is in buckets, by bucket and key; may change.
        port: Where requests leave.
    """

    has_own = True

    def __init__(self, objects: Stored, port: Port) -> None:
        self._objects = objects
        self._port = port
        self._network = port.network

    async def keys(self, bucket: Bucket, folder: str, after: str = "") -> Sequence[str]:
        """The keys under a folder."""
        return await self._carried(bucket, f"LIST {folder} after {after!r}", lambda: self._under(bucket, folder, after))

    def _under(self, bucket: Bucket, folder: str, after: str) -> Sequence[str]:
        return [key for key in self._objects.under(bucket.name, folder) if key > after][:LISTED]

    async def copy(self, source: Bucket, key: str, target: Bucket, new: str) -> None:
        """Copy an object."""

        def copied() -> None:
            self._objects[target.name, new] = self._found(source, key)

        await self._carried(target, f"COPY {source.name}/{key} to {new}", copied, writes=True)

    async def read(self, bucket: Bucket, key: str) -> AsyncIterator[bytes]:
        """An object's content."""
        content = await self._carried(bucket, f"GET {key}", lambda: self._found(bucket, key))
        for start in range(0, len(content), 100):
            yield content[start : start + 100]

    async def write(self, bucket: Bucket, key: str, content: AsyncIterator[bytes]) -> None:
        """Make an object."""
        whole = await self._objects.gathered(bucket.name, key, content)

        def written() -> None:
            self._objects[bucket.name, key] = whole

        await self._carried(bucket, f"PUT {key}", written, writes=True)

    async def delete(self, bucket: Bucket, keys: Sequence[str]) -> None:
        """Delete objects."""

        def deleted() -> None:
            for key in keys:
                self._objects.discard((bucket.name, key))

        await self._carried(bucket, f"DELETE {', '.join(keys)}", deleted, writes=True)

    def _found(self, bucket: Bucket, key: str) -> bytes:
        if (bucket.name, key) not in self._objects:
            raise ObjectsError(f"{bucket.uri} has no {key}.", bucket, Refusal.NO_OBJECT)
        return self._objects[bucket.name, key]

    async def _carried(self, bucket: Bucket, what: str, act: Callable[[], T], *, writes: bool = False) -> T:
        """Have a request carried out, if it gets there."""
        what = f"{bucket.uri} {what}"
        if not self._port.passes(what, writes=writes):
            raise ObjectsError("the process is dead", bucket, Refusal.UNREACHABLE)
        if self._network.instant:
            self._port.note(f"{what} {Fate.ANSWERED.name}")
            return act()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._network.send(self._deliver(bucket, what, act, answer))
        return await answer

    async def _deliver(self, bucket: Bucket, what: str, act: Callable[[], T], answer: "asyncio.Future[T]") -> None:
        fate = self._network.fate("bucket")
        await asyncio.sleep(self._network.delay())
        carried = fate in {Fate.ANSWERED, Fate.UNANSWERED} or (
            fate is Fate.SILENT and self._network.source.random() < 0.5
        )
        self._port.note(f"{what} {fate.name}")
        error: ObjectsError | None = None
        try:
            found = act() if carried else None
        except ObjectsError as refused:
            found, error = None, refused
        await asyncio.sleep(SILENCE if fate is Fate.SILENT else self._network.delay())
        if answer.done():
            return
        if fate is not Fate.ANSWERED:
            refusal = Refusal.OTHER_STATUS if fate is Fate.FAILED else Refusal.UNREACHABLE
            error = ObjectsError(f"{bucket.uri} {fate.name}.", bucket, refusal)
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(cast("T", found))


def _asked(request: marie.Request) -> Asked:
    body = b"" if request.body is None else json.dumps(request.body).encode()
    path, _, query = request.path.partition("?")
    pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
    return Asked(request.method, path, pairs, f"Bearer {request.key}" if request.key else "", body)


def _reply(answer: Answer) -> api.Reply:
    warnings = tuple(value for name, value in answer.headers if name == "Warning")
    return api.Reply(answer.code, answer.body, _retry_after(answer), warnings)


def _retry_after(answer: Answer) -> float | None:
    value = dict(answer.headers).get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _broken(request: api.Request) -> Unreachable:
    return Unreachable(f"{request}: the connection broke", maybe_sent=True)


async def _until(limit: float, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """What comes before a moment; what it comes from ends with it.

    Raises:
        TimeoutError: it has passed.
    """
    async with contextlib.aclosing(chunks):
        while True:
            async with asyncio.timeout_at(limit):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk


def _initial_events(listed: bytes) -> bytes:
    """A list, as the beginning of a watch tells it."""
    found = json.loads(listed)
    bare = {"kind": found["kind"].removesuffix("List"), "apiVersion": found["apiVersion"]}
    end = {"resourceVersion": found["metadata"]["resourceVersion"], "annotations": {INITIAL_END: "true"}}
    events = [{"type": "ADDED", "object": {**bare, **item}} for item in found["items"]]
    events.append({"type": "BOOKMARK", "object": {**bare, "metadata": end}})
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def _error_event(status: bytes) -> bytes:
    """What a watch tells that cannot begin."""
    return b'{"type":"ERROR","object":%s}\n' % status


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
