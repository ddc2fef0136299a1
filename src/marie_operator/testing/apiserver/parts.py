"""Requests for subresources that are no part of an object as it is stored."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from marie_operator.testing.apiserver import binding, managedfields, objectmeta, patching, scaling
from marie_operator.testing.apiserver.answers import Answer, warnings
from marie_operator.testing.apiserver.authorization import Authorizer, User
from marie_operator.testing.apiserver.deletion import DeleteOptions, delete_options
from marie_operator.testing.apiserver.errors import Object, Refusal, conflict, not_found
from marie_operator.testing.apiserver.intake import Intake
from marie_operator.testing.apiserver.kinds import Kind
from marie_operator.testing.apiserver.requests import Call, Options, Target, document, having_read, media, options
from marie_operator.testing.apiserver.routing import no_method
from marie_operator.testing.apiserver.storage import Storage
from marie_operator.testing.apiserver.store import Bucket, Entry, Key, encode

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_Change = Callable[[Object], Object]
_BODIES = {"binding": "Binding", "eviction": "Eviction", "token": "TokenRequest"}
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
        key = Key(about.namespace, about.name)
        if about.subresource == "scale":
            return self._scaled(call, kind, key)
        if call.method == "POST" and about.subresource in _BODIES:
            # What is sent is looked at before what it is about is looked for.
            document(call, _BODIES[about.subresource])
        entry = self._storage.get(kind, key)
        if about.subresource.partition("/")[0] in _CONNECTIONS:
            return self._connected(kind, entry, about)
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

    def bind(self, call: Call, kind: Kind, key: Key, given: Object) -> Answer:
        """Give a pod its node."""
        entry = self._storage.get(kind, key)
        pod = binding.bound(entry.object, given, objectmeta.timestamp(self._now()))
        self._storage.rewrite(kind, key, pod, options(call))
        return Answer(201, encode(SUCCESS))

    def _evicted(self, call: Call, kind: Kind, key: Key) -> Answer:
        asked = delete_options(_object(call, "Eviction").get("deleteOptions"))
        dry = options(call).dry_run
        how = DeleteOptions.of(asked)
        self._storage.delete(kind, key, replace(how, dry_run=how.dry_run or dry))
        return Answer(201, encode(SUCCESS))

    def _scaled(self, call: Call, kind: Kind, key: Key) -> Answer:
        if call.method == "GET":
            return Answer(200, encode(scaling.read(kind, self._storage.get(kind, key).object)))
        how, intake, change = (self._patched if call.method == "PATCH" else self._put)(call, kind, key)
        written = self._storage.change(kind, key, lambda live: scaling.rescaled(kind, live, change), how)
        told = warnings((*intake.warnings, *written.warnings))
        return Answer(200, encode(scaling.shown(kind, written.object)), told)

    def _put(self, call: Call, kind: Kind, key: Key) -> tuple[Options, Intake, _Change]:
        how = options(call)
        media(call)
        sent = document(call, "Scale")
        how = having_read(how, call, sent)
        intake = Intake(scaling.SCALE, how)
        new = objectmeta.placed(intake.take(sent), scaling.SCALE, *key)
        asked, found = new["metadata"].get("uid"), self._storage.get(kind, key).object["metadata"]["uid"]
        if asked and asked != found:
            why = objectmeta.other_uid(kind, key, asked, found, dry=how.dry_run)
            raise conflict(kind.plural, kind.group, key.name, why)
        return how, intake, lambda old: self._owned(old, new, how)

    def _patched(self, call: Call, kind: Kind, key: Key) -> tuple[Options, Intake, _Change]:
        patching.accepted(call, kind)
        how = options(call)
        patch = patching.patch(call, kind)
        intake = Intake(scaling.SCALE, how, origin=patch.origin)

        def change(old: Object) -> Object:
            if isinstance(patch, patching.Apply):
                if kind.custom and not old["metadata"].get("managedFields"):
                    raise _unconvertible()
                applied = self._applied(old, patch.configuration, how)
                return objectmeta.placed(intake.take(applied), scaling.SCALE, *key)
            patched = patch.applied(old, scaling.SCALE.schema)
            return self._owned(old, objectmeta.placed(intake.take(patched), scaling.SCALE, *key), how)

        return how, intake, change

    def _owned(self, old: Object, new: Object, how: Options) -> Object:
        return managedfields.update(
            old,
            scaling.written(new),
            schema=scaling.SCALE.schema,
            manager=how.field_manager,
            api_version=scaling.SCALE.api_version,
            subresource="scale",
            now=objectmeta.timestamp(self._now()),
        )

    def _applied(self, old: Object, configuration: Object, how: Options) -> Object:
        return managedfields.apply(
            old,
            configuration,
            schema=scaling.SCALE.schema,
            manager=how.field_manager,
            force=how.force,
            api_version=scaling.SCALE.api_version,
            subresource="scale",
            now=objectmeta.timestamp(self._now()),
            kind=scaling.SCALE.kind,
        )

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


def _unconvertible() -> Refusal:
    """500: a server cannot tell who had the Scale of a custom object before its first apply."""
    wanted = "request to convert CR to an invalid group/version: autoscaling/v1"
    why = f"failed to convert live object (/; autoscaling/v1, Kind=Scale) to proper version: {wanted}"
    return Refusal(500, f"failed to create manager for existing fields: {why}", reason="")


def _object(call: Call, kind: str) -> Object:
    """The object in the body."""
    found: Object = document(call, kind)
    return found
