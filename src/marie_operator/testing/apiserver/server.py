"""The API server: requests in, answers out, whatever carries them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus
from typing import NamedTuple

from marie_operator.testing.apiserver import lists, objectmeta, patching, reviews
from marie_operator.testing.apiserver.answers import Answer, in_yaml, refused, warnings
from marie_operator.testing.apiserver.authorization import Attributes, Authorizer, User
from marie_operator.testing.apiserver.deletion import DeleteOptions
from marie_operator.testing.apiserver.documents import Documents
from marie_operator.testing.apiserver.errors import Object, Refusal
from marie_operator.testing.apiserver.establishing import Establishment
from marie_operator.testing.apiserver.faults import Fault
from marie_operator.testing.apiserver.impersonation import acting
from marie_operator.testing.apiserver.intake import Intake
from marie_operator.testing.apiserver.kinds import Kind, Kinds
from marie_operator.testing.apiserver.negotiation import YAML, chosen, negotiated
from marie_operator.testing.apiserver.parts import Parts
from marie_operator.testing.apiserver.requests import (
    Call,
    Options,
    Target,
    check_timeout,
    document,
    having_read,
    media,
    options,
    target,
    unrecognized,
)
from marie_operator.testing.apiserver.routing import attributes, no_method, routed
from marie_operator.testing.apiserver.storage import Sources, Storage, Written
from marie_operator.testing.apiserver.store import Entry, Key, Store, encode
from marie_operator.testing.apiserver.views import View
from marie_operator.testing.apiserver.watches import Watch, told

_PARTS = {"status"}
"""Subresources that are a part of their object."""


class Audited(NamedTuple):
    """One request that was answered, as an audit log would have it.

    Attributes:
        user: Who asked.
        asked: For what.
        code: HTTP status.
        call: As it came.
    """

    user: str
    asked: Attributes
    code: int
    call: Call


class ApiServer:
    """A server.

    Args:
        kinds: What it serves from the beginning.
        sources: Time, ids, addresses.
        authorizer: Who may; made for a store.
        history: Changes that are kept for each kind.

    Attributes:
        store: What is stored.
        kinds: What is served.
        storage: The verbs, without authorization.
        authorizer: Who may.
        faults: Rules, of which the first that meets a request has its way.
        audited: Called with each request that was answered.
    """

    def __init__(
        self, kinds: Kinds, *, sources: Sources, authorizer: Callable[[Store], Authorizer], history: int = 4096
    ) -> None:
        self.store = Store(history=history)
        self.kinds = kinds
        self.storage = Storage(self.store, kinds, sources, after=Establishment(self.store, kinds, sources.now).after)
        self.authorizer = authorizer(self.store)
        self.faults: list[Fault] = []
        self.audited: Callable[[Audited], None] = lambda _: None
        self._now = sources.now
        self._watches: dict[Watch, None] = {}
        self._documents = Documents(kinds)
        self._parts = Parts(self.storage, self.authorizer, sources.now)

    async def handle(self, call: Call) -> Answer:
        """Answer one request; every problem is a Status."""
        if not self.faults:
            return await self._serve(call)
        asked = _asked(call, target(call.path))
        user = self.authorizer.named(call.headers)
        for fault in self.faults:
            if fault.meets(asked, user):
                return await fault.effect(call, self._serve)
        return await self._serve(call)

    async def _serve(self, call: Call) -> Answer:
        about, asked, user = target(call.path), None, "system:anonymous"
        try:
            who = acting(self.authorizer, self.authorizer.user(call.headers), call.headers)
            user = who.name
            if about is None or not about.watched:
                check_timeout(call)
            asked = _asked(call, about)
            self.authorizer.check(who, asked)
            answer = self._documents.answer(call) if about is None else self._resource(call, about, asked, who)
        except Refusal as refusal:
            answer = refused(refusal)
        self.audited(Audited(user, asked or _asked(call, None), answer.code, call))
        return answer if about is None and answer.code < HTTPStatus.BAD_REQUEST else _in_form(call, answer)

    def end_watches(self) -> None:
        """End every watch, as a server does that stops."""
        for watch in tuple(self._watches):
            watch.close()

    def _resource(self, call: Call, about: Target, asked: Attributes, user: User) -> Answer:
        kind = routed(self.kinds, call, about, asked)
        if kind.custom:
            # What comes after a part of it, nobody looks at.
            about = about._replace(subresource=about.subresource.partition("/")[0])
        choice = negotiated(call.headers.get("accept", ""))
        if asked.verb == "watch":
            # What is asked for must be right before it matters how it is to be told.
            lists.Selection.of(kind, call.query, about.name)
            choice = negotiated(call.headers.get("accept", ""), stream=True)
        if version := call.query.get("resourceVersion", "") if asked.verb == "get" else "":
            _check_version(self.store, version)
        shown = View.of(choice, call.query, self._now)
        if asked.verb == "watch":
            return self._watch(call, kind, about, shown)
        if asked.verb in {"list", "deletecollection"}:
            return _warned(kind, self._collection(call, kind, about, asked, shown))
        if about.subresource not in {"", *_PARTS}:
            return self._parts.answer(call, kind, about)
        if asked.verb == "get":
            return _warned(kind, Answer(200, shown.one(kind, self.storage.get(kind, _key(about)))))
        if "list" not in kind.verbs:
            return self._answered(call, kind, about, user, shown)
        return self._written(kind, self._write(call, kind, about), shown)

    def _answered(self, call: Call, kind: Kind, about: Target, user: User, shown: View) -> Answer:
        """What is never stored."""
        body, how = self._read(call, kind)
        taken = Intake(kind, how).take(body)
        if kind.kind == "Binding":
            key = Key(about.namespace, str((taken.get("metadata") or {}).get("name", "")))
            pods = self.kinds.find("", "v1", "pods")
            assert pods is not None  # noqa: S101 - every server has pods
            return self._parts.bind(call, pods, key, taken)
        now = objectmeta.timestamp(self._now())
        found = reviews.answered(kind.kind, about.namespace, taken, user, self.authorizer, now)
        found = found | {"metadata": found.get("metadata") or {}}
        return self._written(kind, Written(found, 201), shown)

    def _write(self, call: Call, kind: Kind, about: Target) -> Written:
        match call.method:
            case "POST" if not about.name or (kind.custom and not about.subresource):
                body, how = self._read(call, kind)
                return self.storage.create(kind, about.namespace, body, how)
            case "PUT" if about.name:
                body, how = self._read(call, kind)
                return self.storage.update(kind, _key(about), body, how, about.subresource)
            case "PATCH" if about.name:
                patching.accepted(call, kind)
                how = options(call)
                return self.storage.patch(kind, _key(about), patching.patch(call, kind), how, about.subresource)
            case "DELETE" if about.name and not about.subresource:
                return self.storage.delete(kind, _key(about), DeleteOptions.asked(call))
        raise no_method()

    @staticmethod
    def _read(call: Call, kind: Kind) -> tuple[Object, Options]:
        """The body of a request, and its options."""
        if call.method == "PUT":
            how = options(call)
            media(call, typed=not kind.custom)
        else:
            media(call, typed=not kind.custom)
            how = options(call)
        body: Object = document(call, kind.kind, typed=not kind.custom)
        if kind.custom and not body.get("kind"):
            shown = call.body.decode(errors="replace")
            raise unrecognized(call, kind.kind, f"Object 'Kind' is missing in '{shown}'")
        return body, having_read(how, call, body)

    def _written(self, kind: Kind, written: Written, shown: View) -> Answer:
        headers = warnings(written.warnings)
        if written.status is not None:
            return Answer(written.code, encode(written.status), headers)
        entry = written.entry or Entry(Key("", ""), written.object, 0)
        return Answer(written.code, shown.one(kind, entry), headers)

    def _collection(self, call: Call, kind: Kind, about: Target, asked: Attributes, shown: View) -> Answer:
        selection = lists.Selection.of(kind, call.query, about.name)
        how = DeleteOptions.asked(call) if asked.verb == "deletecollection" else DeleteOptions()
        page = lists.page(self.store, kind, about.namespace, selection, call.query)
        if asked.verb == "deletecollection":
            for entry in page.entries:
                self.storage.delete(kind, entry.key, replace(how, uid=None, version=None))
            return Answer(200, shown.many(kind, page), warnings(how.warnings(kind)))
        return Answer(200, shown.many(kind, page))

    def _watch(self, call: Call, kind: Kind, about: Target, shown: View) -> Answer:
        selection = lists.Selection.of(kind, call.query, about.name)
        try:
            watch = Watch(self.store, kind, about.namespace, selection, call.query, shown.writer(kind))
        except Refusal as refusal:
            if refusal.code not in {410, 504}:
                raise
            return Answer(200, stream=told(refusal))
        self._watches[watch] = None

        async def lines() -> AsyncGenerator[bytes, None]:
            try:
                async with aclosing(watch.events()) as events:
                    async for line in events:
                        yield line
            finally:
                self._watches.pop(watch, None)

        return Answer(200, stream=lines())


def _asked(call: Call, about: Target | None) -> Attributes:
    """What a request asks for; without a resource, by its path."""
    return Attributes(verb=call.method.lower(), path=call.path) if about is None else attributes(call, about)


def _in_form(call: Call, answer: Answer) -> Answer:
    """In JSON or YAML, as the client likes better; what went wrong is told even to who likes neither."""
    choice = chosen(call.headers.get("accept", ""), forms=answer.code < HTTPStatus.BAD_REQUEST)
    return in_yaml(answer) if choice is not None and choice.media == YAML else answer


def _check_version(store: Store, version: str) -> None:
    """See that an object can be read that is at least as new as this.

    Raises:
        Refusal: 500, the version is none, which is told so; 504, it is yet to come.
    """
    try:
        lists.asked_revision(store, version)
    except Refusal as refusal:
        if refusal.code != 400:
            raise
        raise Refusal(500, refusal.message.removeprefix("invalid resource version: "), reason="") from refusal


def _warned(kind: Kind, answer: Answer) -> Answer:
    """With the warning that every answer about a deprecated kind has."""
    return replace(answer, headers=warnings([kind.deprecated])) if kind.deprecated else answer


def _key(about: Target) -> Key:
    return Key(about.namespace, about.name)
