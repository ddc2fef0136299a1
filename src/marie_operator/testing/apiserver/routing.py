"""Which kind a request is about, and whether that takes such a request at all."""

from marie_operator.testing.apiserver import negotiation, patching
from marie_operator.testing.apiserver.authorization import Attributes
from marie_operator.testing.apiserver.builtin import find_builtin
from marie_operator.testing.apiserver.errors import NoPage, Refusal, not_found
from marie_operator.testing.apiserver.kinds import Kind, Kinds
from marie_operator.testing.apiserver.requests import Call, Target, flag

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_COLLECTED = {"get": "list", "delete": "deletecollection"}
_EVERYWHERE = frozenset({"list", "watch"})


def attributes(call: Call, about: Target) -> Attributes:
    """What a request asks for."""
    verb = _VERBS.get(call.method, "")
    if verb == "get" and (about.watched or (flag(call.query, "watch") and not about.name)):
        verb = "watch"
    elif not about.name:
        verb = _COLLECTED.get(verb, verb)
    namespace, name = about.namespace, about.name
    if (about.group, about.plural) == ("", "namespaces"):
        namespace = name
    if not name and verb in {"list", "watch", "deletecollection"}:
        # Who may have one object by its name may also list that one.
        fields = dict(each.split("=", 1) for each in call.query.get("fieldSelector", "").split(",") if "=" in each)
        name = fields.get("metadata.name", "").lstrip("=")
    return Attributes(verb, about.group, about.plural, about.subresource, namespace, name)


def routed(kinds: Kinds, call: Call, about: Target, asked: Attributes) -> Kind:
    """The kind that a request is about, which takes such requests.

    Raises:
        Refusal: 404, there is none, or it has no such part; 405, it does not take the method; 406, nor answer so.
    """
    kind = kinds.find(about.group, about.version, about.plural)
    if kind is None:
        raise no_resource() if kinds.is_built_in(about.group) else NoPage
    if kind.custom:
        _check_custom(kind, about, asked)
        if call.method == "PATCH":
            patching.accepted(call, kind)
        if call.method in {"PUT", "PATCH"} and not about.name:
            raise Refusal(400, "name must be provided")
        return kind
    if about.namespace and not kind.namespaced:
        raise no_resource()
    if kind.namespaced and not about.namespace and about.name:
        raise no_resource()
    if about.subresource and about.subresource not in kind.subresources:
        raise no_resource()
    if asked.verb not in _allowed(kind, about):
        raise no_method()
    if call.method == "PATCH":
        patching.accepted(call, kind)
    negotiation.routed(call.headers.get("accept", ""), collection=asked.verb in _EVERYWHERE)
    return kind


def _allowed(kind: Kind, about: Target) -> frozenset[str]:
    """The verbs that a path of a built-in kind takes."""
    if about.subresource:
        known = find_builtin(kind.group, kind.version, kind.plural)
        return frozenset(known.parts[about.subresource].verbs if known is not None else ())
    if about.name:
        return kind.by_name
    return kind.in_collection if about.namespace else kind.everywhere


def _check_custom(kind: Kind, about: Target, asked: Attributes) -> None:
    everywhere = kind.namespaced and not about.namespace
    if (about.namespace and not kind.namespaced) or (everywhere and asked.verb not in _EVERYWHERE):
        raise NoPage
    if about.subresource and about.subresource.partition("/")[0] not in kind.subresources:
        raise not_found(kind.plural, kind.group, about.name)
    known = ("get", "update", "patch") if about.subresource else kind.verbs
    if asked.verb not in known:
        details = {"group": kind.group, "kind": kind.plural}
        why = f'{asked.verb} is not supported on resources of kind "{kind.qualified}"'
        raise Refusal(405, why, details=details)


def no_resource() -> Refusal:
    """404 for a path of a group that there is."""
    return Refusal(404, "the server could not find the requested resource", details={})


def no_method() -> Refusal:
    """405 for a path that does not take a method."""
    return Refusal(405, "the server does not allow this method on the requested resource", details={})
