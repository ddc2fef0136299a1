"""Questions about access, which are answered and never stored."""

from collections.abc import Callable, Mapping

from marie_operator.testing.apiserver.authorization import Attributes, Authorizer, User
from marie_operator.testing.apiserver.errors import FieldError, Object, Refusal, invalid

_ONE = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
_WHO = "at least one of user or group must be specified"
_EITHER = "cannot be specified in combination with resourceAttributes"


def answered(kind: str, namespace: str, asked: Object, user: User, authorizer: Authorizer, now: str) -> Object:
    """A review with its answer.

    Args:
        kind: Such as ``SelfSubjectAccessReview``.
        namespace: Of the path; empty where the kind has none.
        asked: The review, read.
        user: Who asks.
        authorizer: Who knows.
        now: The time, as RFC 3339.

    Raises:
        Refusal: 422 or 400, there is no question in it.
    """
    if kind == "SelfSubjectReview":
        return {**asked, "metadata": {"creationTimestamp": now}, "status": {"userInfo": _told(user)}}
    return _ANSWERS[kind](asked, namespace, user, authorizer)


def _token(asked: Object, _: str, __: User, authorizer: Authorizer) -> Object:
    token = (asked.get("spec") or {}).get("token")
    if not token:
        raise Refusal(400, "token is required for TokenReview in authentication")
    found = authorizer.tokens.get(token)
    if found is None:
        return {**asked, "status": {"user": {}, "error": "invalid bearer token"}}
    return {**asked, "status": {"authenticated": True, "user": _told(found)}}


def _told(user: User) -> Object:
    return {"username": user.name, "groups": sorted(user.groups)}


def _rules(asked: Object, _: str, user: User, authorizer: Authorizer) -> Object:
    namespace = (asked.get("spec") or {}).get("namespace")
    if not namespace:
        raise Refusal(400, "no namespace on request")
    rules = list(authorizer.rules(user, namespace))
    status = {
        "resourceRules": [
            _named(each, "verbs", "apiGroups", "resources", "resourceNames") for each in rules if each.get("resources")
        ],
        "nonResourceRules": [_named(each, "verbs", "nonResourceURLs") for each in rules if each.get("nonResourceURLs")],
        "incomplete": False,
    }
    return {**asked, "spec": {}, "status": status}


def _named(rule: Object, *names: str) -> Object:
    return {name: list(rule[name]) for name in names if rule.get(name)}


def _own_access(asked: Object, _: str, user: User, authorizer: Authorizer) -> Object:
    _refuse([*_contradictions(asked["spec"], whose=False), *_metadata(asked, "must be empty")])
    return _allowed(asked, user, authorizer)


def _access(asked: Object, _: str, __: User, authorizer: Authorizer) -> Object:
    _refuse([*_contradictions(asked["spec"], whose=True), *_metadata(asked, "must be empty")])
    return _allowed(asked, _subject(asked["spec"]), authorizer)


def _local_access(asked: Object, namespace: str, _: User, authorizer: Authorizer) -> Object:
    spec = asked["spec"]
    given = (asked.get("metadata") or {}).get("namespace") or namespace
    if given != namespace:
        raise Refusal(400, "the namespace of the provided object does not match the namespace sent on the request")
    found = [*_contradictions(spec, whose=True), *_metadata(asked, "must be empty except for namespace", "namespace")]
    about = spec.get("resourceAttributes")
    if about is not None and about.get("namespace", "") != namespace:
        why = "must match metadata.namespace"
        found.append(FieldError.invalid("spec.resourceAttributes.namespace", about.get("namespace", ""), why))
    if (path := spec.get("nonResourceAttributes")) is not None:
        why = "disallowed on this kind of request"
        found.append(FieldError.invalid("spec.nonResourceAttributes", _path(path), why))
    _refuse(found)
    return _allowed(asked, _subject(spec), authorizer)


_ANSWERS: Mapping[str, Callable[[Object, str, User, Authorizer], Object]] = {
    "TokenReview": _token,
    "SelfSubjectRulesReview": _rules,
    "SelfSubjectAccessReview": _own_access,
    "SubjectAccessReview": _access,
    "LocalSubjectAccessReview": _local_access,
}


def _contradictions(spec: Object, *, whose: bool) -> list[FieldError]:
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    found = []
    if about is not None and path is not None:
        found.append(FieldError.invalid("spec.nonResourceAttributes", _path(path), _EITHER))
    if about is None and path is None:
        found.append(FieldError.invalid("spec.resourceAttributes", None, _ONE))
    if whose and not spec.get("user") and not spec.get("groups"):
        found.append(FieldError.invalid("spec.user", "", _WHO))
    return found


def _path(attributes: Object) -> Object:
    """As messages show it."""
    return {"Path": attributes.get("path", ""), "Verb": attributes.get("verb", "")}


def _metadata(asked: Object, why: str, *allowed: str) -> list[FieldError]:
    given = asked.get("metadata") or {}
    return [FieldError.invalid("metadata", given, why)] if given.keys() - {*allowed, "managedFields"} else []


def _refuse(problems: list[FieldError]) -> None:
    if problems:
        # Such an object has no name, and nobody has told the kind by then.
        raise invalid("", "authorization.k8s.io", "", problems)


def _subject(spec: Object) -> User:
    return User(spec.get("user", ""), frozenset(spec.get("groups") or ()))


def _allowed(asked: Object, who: User, authorizer: Authorizer) -> Object:
    allowed = authorizer.allows(who, _attributes(asked["spec"]))
    return {**asked, "status": {"allowed": allowed}}


def _attributes(spec: Object) -> Attributes:
    about = spec.get("nonResourceAttributes")
    if about is not None:
        return Attributes(verb=about.get("verb", ""), path=about.get("path", ""))
    about = spec["resourceAttributes"]
    names = ("group", "resource", "subresource", "namespace", "name")
    return Attributes(verb=about.get("verb", ""), **{name: about.get(name, "") for name in names})
