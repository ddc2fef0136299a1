"""Requests for subresources that are no part of an object as it is stored."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from marie_operator.testing.apiserver import objectmeta, patching, subresources
from marie_operator.testing.apiserver.answers import Answer
from marie_operator.testing.apiserver.authorization import Authorizer, User
from marie_operator.testing.apiserver.decoding import go_type
from marie_operator.testing.apiserver.deletion import DeleteOptions
from marie_operator.testing.apiserver.errors import Object, Refusal, not_found
from marie_operator.testing.apiserver.kinds import Kind
from marie_operator.testing.apiserver.requests import Call, Target, delete_options, document, options
from marie_operator.testing.apiserver.routing import no_method
from marie_operator.testing.apiserver.storage import Storage
from marie_operator.testing.apiserver.store import Bucket, Entry, Key, encode

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_NODES: Bucket = ("", "nodes")
_CONNECTIONS = frozenset({"attach", "exec", "log", "portforward", "proxy"})


class Parts:
    """Answers them.

    Args:
        storage: Where the objects are.
        authorizer: Who learns of tokens.
        now: The time.
    """

    def __init__(self, storage: Storage, authorizer: Authorizer, now: Callable[[], datetime]) -> None:
        self._storage = storage
        self._authorizer = authorizer
        self._now = now

    def answer(self, call: Call, kind: Kind, about: Target) -> Answer:
        """The answer to a request.

        Raises:
            Refusal: The object does not exist, or its part does not take this.
        """
        entry = self._storage.get(kind, Key(about.namespace, about.name))
        if about.subresource.partition("/")[0] in _CONNECTIONS:
            return self._connected(kind, entry, about)
        if about.subresource == "scale":
            return self._scaled(call, kind, entry)
        return self._acted(call, kind, about, entry.key)

    def _acted(self, call: Call, kind: Kind, about: Target, key: Key) -> Answer:
        match about.subresource, call.method:
            case "binding", "POST":
                return self.bind(call, kind, key, _object(call, "Binding"))
            case "eviction", "POST":
                return self._evicted(call, kind, key)
            case "finalize", "PUT":
                written = self._storage.finalize(kind, key, _object(call, kind.kind), options(call))
                return Answer(200, encode(kind.shown(written.object)))
            case "token", "POST":
                return self._token(call, key)
            case _:
                raise no_method()

    def bind(self, call: Call, kind: Kind, key: Key, binding: Object) -> Answer:
        """Give a pod its node."""
        entry = self._storage.get(kind, key)
        pod = subresources.bound(entry.object, binding, objectmeta.timestamp(self._now()))
        self._storage.rewrite(kind, key, pod, options(call))
        return Answer(201, encode(SUCCESS))

    def _evicted(self, call: Call, kind: Kind, key: Key) -> Answer:
        asked = delete_options(_object(call, "Eviction").get("deleteOptions"))
        self._storage.delete(kind, key, options(call), DeleteOptions.of(asked, {}))
        return Answer(201, encode(SUCCESS))

    def _scaled(self, call: Call, kind: Kind, entry: Entry) -> Answer:
        if call.method not in {"PUT", "PATCH"}:
            return Answer(200, encode(subresources.read_scale(kind, entry.object)))
        wanted = self._scale(call, kind, entry)
        changed = kind.shown(subresources.scaled(kind, entry.object, wanted))
        how = replace(options(call), field_validation="Ignore")
        written = self._storage.update(kind, entry.key, changed, how, "scale")
        return Answer(200, encode(subresources.scale(kind, written.object)))

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
        body = _object(call, "TokenRequest")
        token = f"{account.namespace}.{account.name}.{len(self._authorizer.tokens)}"
        self._authorizer.tokens[token] = User.service_account(account.namespace, account.name)
        return Answer(201, encode(body | {"status": {"token": token, "expirationTimestamp": "2100-01-01T00:00:00Z"}}))

    def _connected(self, kind: Kind, entry: Entry, about: Target) -> Answer:
        """What is behind an object: nothing, for there are no kubelets, and there is no network."""
        name = entry.key.name
        if kind.kind == "Pod":
            node = entry.object["spec"].get("nodeName")
            if not node and about.subresource == "log":
                return Answer(204)
            if not node:
                raise Refusal(400, f"pod {name} does not have a host assigned")
            if self._storage.store.get(_NODES, Key("", node)) is None:
                # A real server says "pods" here, too.
                raise not_found("pods", "", node)
        why = "the embedded API server has no nodes to connect to: it has no logs, and runs no commands"
        raise Refusal(503, f'{kind.qualified} "{name}" cannot be reached: {why}')


def _object(call: Call, kind: str) -> Object:
    """The object in the body."""
    found: Object = document(call, kind)
    return found
