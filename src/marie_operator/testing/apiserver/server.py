"""The API server: requests in, answers out, whatever carries them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from marie_operator.testing.apiserver import definitions, discovery, lists, objectmeta, openapi, patching, subresources
from marie_operator.testing.apiserver.answers import Answer, in_yaml, refused
from marie_operator.testing.apiserver.authorization import Attributes, Authorizer, User
from marie_operator.testing.apiserver.deletion import DeleteOptions
from marie_operator.testing.apiserver.errors import NoPage, Object, Refusal, not_found, unregistered
from marie_operator.testing.apiserver.faults import Fault
from marie_operator.testing.apiserver.kinds import CRD_FINALIZER, Kind, Kinds
from marie_operator.testing.apiserver.requests import (
    Call,
    Target,
    document,
    flag,
    go_type,
    options,
    target,
    unrecognized,
)
from marie_operator.testing.apiserver.storage import Sources, Storage, Written
from marie_operator.testing.apiserver.store import Entry, Key, Store, encode
from marie_operator.testing.apiserver.views import View, view
from marie_operator.testing.apiserver.watches import Watch, told

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
NOT_FOUND = "the server could not find the requested resource"
_METHODS = {
    "scale": ("GET", "PUT", "PATCH"),
    "binding": ("POST",),
    "eviction": ("POST",),
    "finalize": ("PUT",),
    "token": ("POST",),
}
_PARTS = {"status"}
"""Subresources that are a part of their object."""


@dataclass(frozen=True, slots=True)
class Audited:
    """One request that was answered, as an audit log would have it.

    Attributes:
        user: Who asked.
        asked: For what.
        code: HTTP status.
        path: Of the request.
    """

    user: str
    asked: Attributes
    code: int
    path: str


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
        self.storage = Storage(self.store, kinds, sources, after=self._after)
        self.authorizer = authorizer(self.store)
        self.faults: list[Fault] = []
        self.audited: Callable[[Audited], None] = lambda _: None
        self._now = sources.now
        self._watches: set[Watch] = set()
        self._documents: dict[tuple[int, str, str], Any] = {}

    async def handle(self, call: Call) -> Answer:
        """Answer one request; every problem is a Status."""
        about = target(call.path)
        asked = Attributes(verb=call.method.lower(), path=call.path) if about is None else _attributes(call, about)
        for fault in self.faults:
            if fault.meets(asked):
                return await fault.effect(call, self._serve)
        return await self._serve(call)

    async def _serve(self, call: Call) -> Answer:
        about = target(call.path)
        asked = Attributes(verb=call.method.lower(), path=call.path)
        user = "system:anonymous"
        try:
            who = self.authorizer.user(call.headers)
            user = who.name
            if about is not None:
                asked = _attributes(call, about)
            self.authorizer.check(who, asked)
            answer = self._document(call) if about is None else self._resource(call, about, asked, who)
        except Refusal as refusal:
            answer = refused(refusal)
        self.audited(Audited(user, asked, answer.code, call.path))
        return in_yaml(answer) if call.headers.get("accept", "").startswith("application/yaml") else answer

    def end_watches(self) -> None:
        """End every watch, as a server does that stops."""
        for watch in tuple(self._watches):
            watch.close()

    # What is no resource.

    def _document(self, call: Call) -> Answer:
        if call.path in {"/healthz", "/livez", "/readyz"}:
            return Answer(200, b"ok", content_type="text/plain; charset=utf-8")
        accept = call.headers.get("accept", "")
        key = (self.kinds.generation, call.path.rstrip("/"), accept)
        if key not in self._documents:
            self._documents = {k: v for k, v in self._documents.items() if k[0] == self.kinds.generation}
            self._documents[key] = self._made(call.path.rstrip("/"), accept)
        if call.method not in {"GET", "HEAD"}:
            raise _no_method()
        body, content_type, etag = self._documents[key]
        if etag and call.headers.get("if-none-match", "").strip('"') == etag:
            return Answer(304, headers=(("ETag", f'"{etag}"'),))
        headers = (("ETag", f'"{etag}"'), ("Vary", "Accept")) if etag else ()
        return Answer(200, body, headers, content_type)

    def _made(self, path: str, accept: str) -> tuple[bytes, str, str]:
        found = discovery.document(tuple(self.kinds), path, accept) or openapi.document(tuple(self.kinds), path, accept)
        if found is None:
            raise NoPage
        return found

    # Resources.

    def _resource(self, call: Call, about: Target, asked: Attributes, user: User) -> Answer:
        kind = self._kind(about)
        if "%" in about.name:
            raise Refusal(400, f"Name parameter invalid: \"{about.name}\": may not contain '%'")
        if not about.subresource and asked.verb not in kind.verbs:
            raise _no_method(kind)
        if kind.namespaced and not about.namespace and asked.verb not in {"list", "watch"}:
            if about.name:
                raise Refusal(404, NOT_FOUND, details={})
            raise _no_method()
        if version := call.query.get("resourceVersion", "") if asked.verb == "get" else "":
            lists.asked_revision(self.store, version)
        shown = view(call.headers.get("accept", ""), call.query, self._now)
        if asked.verb == "watch":
            return self._watch(call, kind, about, shown)
        if asked.verb in {"list", "deletecollection"}:
            return _warned(kind, self._collection(call, kind, about, asked, shown))
        if about.subresource not in {"", *_PARTS}:
            return self._subresource(call, kind, about, user)
        if asked.verb == "get":
            return _warned(kind, Answer(200, shown.one(kind, self.storage.get(kind, _key(about)))))
        return self._written(kind, self._write(call, kind, about, user), shown)

    def _kind(self, about: Target) -> Kind:
        """The kind that a path is about.

        Raises:
            Refusal: 404, there is none, or it has no such part.
        """
        kind = self.kinds.find(about.group, about.version, about.plural)
        if kind is None and not any(each.group == about.group and not each.custom for each in self.kinds):
            raise NoPage
        if kind is None or (about.namespace and not kind.namespaced):
            raise Refusal(404, NOT_FOUND, details={})
        if about.subresource and about.subresource not in kind.subresources:
            raise not_found(kind.plural, kind.group, about.name) if kind.custom else Refusal(404, NOT_FOUND, details={})
        return kind

    def _write(self, call: Call, kind: Kind, about: Target, user: User) -> Written:
        match call.method:
            case "POST" if not about.name:
                body = self._body(call, kind)
                if "list" not in kind.verbs:
                    answer = subresources.review(kind, body, user, self.authorizer)
                    return Written({k: v for k, v in answer.items() if k not in {"apiVersion", "kind"}}, 201)
                return self.storage.create(kind, about.namespace, body, options(call))
            case "PUT" if about.name:
                return self.storage.update(kind, _key(about), self._body(call, kind), options(call), about.subresource)
            case "PATCH" if about.name:
                patch = patching.patch(call, kind)
                return self.storage.patch(kind, _key(about), patch, options(call), about.subresource)
            case "DELETE" if about.name and not about.subresource:
                body = _delete_options(call)
                how = DeleteOptions.of(body, call.query)
                return self.storage.delete(kind, _key(about), options(call, body), how)
            case "PUT" | "PATCH" if kind.custom:
                raise Refusal(400, "name must be provided")
        raise _no_method()

    def _body(self, call: Call, kind: Kind) -> Object:
        body: Object = document(call, kind.kind, typed=not kind.custom)
        if kind.custom and not body.get("kind"):
            shown = call.body.decode(errors="replace")
            raise unrecognized(call, kind.kind, f"Object 'Kind' is missing in '{shown}'")
        return body

    def _written(self, kind: Kind, written: Written, shown: View) -> Answer:
        headers = tuple(("Warning", f'299 - "{_quoted(text)}"') for text in written.warnings)
        if written.status is not None:
            return Answer(written.code, encode(written.status), headers)
        entry = written.entry or Entry(Key("", ""), written.object, 0)
        return Answer(written.code, shown.one(kind, entry), headers)

    def _collection(self, call: Call, kind: Kind, about: Target, asked: Attributes, shown: View) -> Answer:
        selection = lists.Selection.of(kind, call.query, about.name)
        page = lists.page(self.store, kind, about.namespace, selection, call.query)
        if asked.verb == "deletecollection":
            body = _delete_options(call)
            how = DeleteOptions.of(body, call.query)
            chosen = options(call, body)
            for entry in page.entries:
                self.storage.delete(kind, entry.key, chosen, replace(how, uid="", version=""))
        return Answer(200, shown.many(kind, page))

    def _watch(self, call: Call, kind: Kind, about: Target, shown: View) -> Answer:
        selection = lists.Selection.of(kind, call.query, about.name)
        try:
            watch = Watch(self.store, kind, about.namespace, selection, call.query, shown.writer(kind))
        except Refusal as refusal:
            if refusal.code != 410:
                raise
            return Answer(200, stream=told(refusal))
        self._watches.add(watch)

        async def lines() -> AsyncIterator[bytes]:
            try:
                async for line in watch.events():
                    yield line
            finally:
                self._watches.discard(watch)

        return Answer(200, stream=lines())

    def _subresource(self, call: Call, kind: Kind, about: Target, user: User) -> Answer:
        if call.method not in _METHODS.get(about.subresource, ()):
            raise _no_method()
        key, entry = _key(about), self.storage.get(kind, _key(about))
        match about.subresource, call.method:
            case "scale", "GET":
                return Answer(200, encode(subresources.read_scale(kind, entry.object)))
            case "scale", "PUT" | "PATCH":
                wanted = self._scale(call, kind, entry)
                changed = kind.shown(subresources.scaled(kind, entry.object, wanted))
                how = replace(options(call), field_validation="Ignore")
                written = self.storage.update(kind, key, changed, how, "scale")
                return Answer(200, encode(subresources.scale(kind, written.object)))
            case "binding", "POST":
                pod = subresources.bound(entry.object, document(call), objectmeta.timestamp(self._now()))
                self.storage.rewrite(kind, key, pod, options(call))
                return Answer(201, encode(_success()))
            case "eviction", "POST":
                doomed = DeleteOptions.of((document(call).get("deleteOptions") or {}), {})
                self.storage.delete(kind, key, options(call), doomed)
                return Answer(201, encode(_success()))
            case "finalize", "PUT":
                written = self.storage.finalize(kind, key, document(call), options(call))
                return Answer(200, encode(kind.shown(written.object)))
            case "token", "POST":
                return self._token(call, key)
            case _:
                raise _no_method()

    def _scale(self, call: Call, kind: Kind, entry: Entry) -> Object:
        if call.method == "PUT":
            body = document(call)
        else:
            patch = patching.patch(call, kind)
            now = subresources.scale(kind, entry.object)
            if isinstance(patch, patching.Apply):
                body = now | {"spec": patch.configuration.get("spec") or {}}
            else:
                body = patch.applied(now, kind.schema)
        if not isinstance(body, dict):
            raise Refusal(400, f"json: cannot unmarshal {go_type(body)} into Go value of type v1.Scale")
        name = (body.get("metadata") or {}).get("name") or entry.key.name
        if name != entry.key.name:
            raise Refusal(400, f"the name of the object ({name}) does not match the name on the URL ({entry.key.name})")
        return body

    def _token(self, call: Call, account: Key) -> Answer:
        """A token that this server accepts as the service account's."""
        body = document(call)
        token = f"{account.namespace}.{account.name}.{len(self.authorizer.tokens)}"
        self.authorizer.tokens[token] = User.service_account(account.namespace, account.name)
        return Answer(201, encode(body | {"status": {"token": token, "expirationTimestamp": "2100-01-01T00:00:00Z"}}))

    # What the server does to itself.

    def _after(self, kind: Kind, new: Object | None, old: Object | None) -> None:
        if not definitions.is_definition(kind):
            return
        if new is not None and new["metadata"].get("deletionTimestamp"):
            self._retire(kind, new)
        elif new is not None:
            self._accept(kind, new)

    def _accept(self, kind: Kind, definition: Object) -> None:
        """Serve a definition, as far as its names are no other's."""
        name, group = definition["metadata"]["name"], definition["spec"]["group"]
        rest = [entry.object for entry in self.store.range(kind.bucket) if entry.key.name != name]
        others = [each for each in rest if each["spec"]["group"] == group]
        told = definitions.accepted(definition, others, objectmeta.timestamp(self._now()))
        definitions.serve(self.kinds, told)
        if told != definition:
            self.store.put(kind.bucket, Key("", name), told)
            self._reconsider(kind, others)

    def _reconsider(self, kind: Kind, others: list[Object]) -> None:
        """Names may have become free."""
        for other in others:
            if other["spec"]["names"] != other["status"]["acceptedNames"]:
                self._accept(kind, other)

    def _retire(self, kind: Kind, definition: Object) -> None:
        """Delete what a definition that goes has defined, then the definition."""
        spec = definition["spec"]
        bucket = (spec["group"], spec["names"]["plural"])
        for entry in list(self.store.range(bucket)):
            self.store.remove(bucket, entry.key)
        self.kinds.remove(*bucket)
        meta = definition["metadata"]
        left = [each for each in meta.get("finalizers") or () if each != CRD_FINALIZER]
        key = Key("", meta["name"])
        if left:
            self.store.put(kind.bucket, key, definition | {"metadata": meta | {"finalizers": left}})
            return
        if self.store.get(kind.bucket, key) is not None:
            self.store.remove(kind.bucket, key)
        rest = [entry.object for entry in self.store.range(kind.bucket)]
        self._reconsider(kind, [each for each in rest if each["spec"]["group"] == spec["group"]])


def _attributes(call: Call, about: Target) -> Attributes:
    verb = _VERBS.get(call.method, call.method.lower())
    if verb == "get" and (flag(call.query, "watch") or about.watched):
        verb = "watch"
    elif not about.name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    namespace, name = about.namespace, about.name
    if (about.group, about.plural) == ("", "namespaces"):
        namespace = name
    if not name and verb in {"list", "watch", "deletecollection"}:
        # Who may have one object by its name may also list that one.
        fields = dict(each.split("=", 1) for each in call.query.get("fieldSelector", "").split(",") if "=" in each)
        name = fields.get("metadata.name", "").lstrip("=")
    return Attributes(verb, about.group, about.plural, about.subresource, namespace, name)


def _warned(kind: Kind, answer: Answer) -> Answer:
    """With the warning that every answer about a deprecated kind has."""
    return replace(answer, headers=(("Warning", f'299 - "{kind.deprecated}"'),)) if kind.deprecated else answer


def _delete_options(call: Call) -> Object:
    if not call.body:
        return {}
    found = document(call)
    if not isinstance(found, dict):
        raise Refusal(400, f"json: cannot unmarshal {go_type(found)} into Go value of type v1.DeleteOptions")
    if found.get("kind", "DeleteOptions") != "DeleteOptions":
        version = found.get("apiVersion", "")
        raise Refusal(400, unregistered(version, found["kind"]))
    return found


def _key(about: Target) -> Key:
    return Key(about.namespace, about.name)


def _success() -> Object:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _no_method(kind: Kind | None = None) -> Refusal:
    if kind is not None and kind.custom:
        details = {"group": kind.group, "kind": kind.plural}
        return Refusal(405, f' is not supported on resources of kind "{kind.qualified}"', details=details)
    return Refusal(405, "the server does not allow this method on the requested resource", details={})


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
