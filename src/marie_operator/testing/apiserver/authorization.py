"""Who asks, and whether they may: bearer tokens, and roles as RBAC evaluates them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from marie_operator.testing.apiserver.errors import Object, Refusal
from marie_operator.testing.apiserver.store import Bucket, Key, Store

_RBAC = "rbac.authorization.k8s.io"
_CLUSTER_BINDINGS: Bucket = (_RBAC, "clusterrolebindings")
_BINDINGS: Bucket = (_RBAC, "rolebindings")
_CLUSTER_ROLES: Bucket = (_RBAC, "clusterroles")
_ROLES: Bucket = (_RBAC, "roles")
_MOST_DECIDED = 4096
"""Answers that are kept until a role or a binding changes."""
MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks.

    Attributes:
        name: Such as ``system:serviceaccount:default:robot``.
        groups: What they belong to.
    """

    name: str
    groups: frozenset[str] = frozenset({"system:authenticated"})

    @classmethod
    def service_account(cls, namespace: str, name: str) -> "User":
        """A service account, with the groups that it has."""
        groups = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}
        return cls(f"system:serviceaccount:{namespace}:{name}", frozenset(groups))


_HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_RULES: Mapping[str, tuple[Object, ...]] = {
    "system:authenticated": (
        # system:basic-user
        {
            "verbs": ["create"],
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        },
        {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
        # system:discovery
        {
            "verbs": ["get"],
            "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_HEALTH],
        },
    ),
    # system:public-info-viewer
    "system:unauthenticated": ({"verbs": ["get"], "nonResourceURLs": _HEALTH},),
    MASTERS: (
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ),
}
"""What a server gives its users by the roles that it makes itself, by group."""

ANONYMOUS = User("system:anonymous", frozenset({"system:unauthenticated"}))
ADMIN = User("kubernetes-admin", frozenset({MASTERS, "system:authenticated"}))


class Attributes(NamedTuple):
    """What is asked for.

    Attributes:
        verb: Such as ``list``.
        group: API group.
        resource: Plural name.
        subresource: Such as ``status``.
        namespace: Empty for all, and for kinds without.
        name: Empty for a collection.
        path: Of a request that is about no resource.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def qualified(self) -> str:
        """Resource and subresource, as rules name them."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass
class Authorizer:
    """Lets in whom tokens name, and asks the stored roles.

    Attributes:
        store: Where roles and bindings are.
        tokens: Users by bearer token.
        anonymous: Who comes without a token; None when nobody may.
    """

    store: Store
    tokens: dict[str, User] = field(default_factory=dict)
    anonymous: User | None = None
    _decided: dict[tuple[str, frozenset[str], Attributes], bool] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for bucket in (_CLUSTER_BINDINGS, _BINDINGS, _CLUSTER_ROLES, _ROLES):
            self.store.listen(bucket, lambda _: self.forget())

    def forget(self) -> None:
        """Ask roles and bindings anew: what is stored is not what it was."""
        self._decided.clear()

    def user(self, headers: Mapping[str, str]) -> User:
        """Who a request comes from.

        Raises:
            Refusal: 401.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (user := self.tokens.get(token.strip())):
            return user
        if not scheme and self.anonymous is not None:
            return self.anonymous
        raise Refusal(401, "Unauthorized")

    def named(self, headers: Mapping[str, str]) -> str:
        """The name of whom a request comes from; empty for nobody who is known."""
        try:
            return self.user(headers).name
        except Refusal:
            return ""

    def check(self, user: User, asked: Attributes) -> None:
        """See that a user may.

        Raises:
            Refusal: 403.
        """
        if not self.allows(user, asked):
            raise _denied(user, asked)

    def allows(self, user: User, asked: Attributes) -> bool:
        """Whether a user may."""
        if MASTERS in user.groups:
            return True
        question = (user.name, user.groups, asked)
        answer = self._decided.get(question)
        if answer is None:
            if len(self._decided) >= _MOST_DECIDED:
                self._decided.clear()
            answer = any(_covers(rule, asked) for rule in self.rules(user, asked.namespace))
            self._decided[question] = answer
        return answer

    def rules(self, user: User, namespace: str) -> Iterator[Object]:
        """What a user may, everywhere and in a namespace: rules as roles have them."""
        for group, rules in _RULES.items():
            if group in user.groups:
                yield from rules
        for entry in self.store.range(_CLUSTER_BINDINGS):
            if _binds(entry.object, user, ""):
                yield from self._of_role(entry.object["roleRef"], "")
        if namespace:
            for entry in self.store.range(_BINDINGS, namespace):
                if _binds(entry.object, user, namespace):
                    yield from self._of_role(entry.object["roleRef"], namespace)

    def _of_role(self, reference: Object, namespace: str) -> Iterator[Object]:
        wide = reference["kind"] == "ClusterRole"
        bucket = _CLUSTER_ROLES if wide else _ROLES
        found = self.store.get(bucket, Key("" if wide else namespace, reference["name"]))
        if found is not None:
            yield from found.object.get("rules") or ()


def _binds(binding: Object, user: User, namespace: str) -> bool:
    for subject in binding.get("subjects") or ():
        match subject["kind"]:
            case "User" if subject["name"] == user.name:
                return True
            case "Group" if subject["name"] in user.groups:
                return True
            case "ServiceAccount":
                home = subject.get("namespace") or namespace
                if user.name == f"system:serviceaccount:{home}:{subject['name']}":
                    return True
            case _:
                continue
    return False


def _covers(rule: Object, asked: Attributes) -> bool:
    if not _named(rule.get("verbs"), asked.verb):
        return False
    if asked.path:
        return any(_path(each, asked.path) for each in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames")
    return (
        _named(rule.get("apiGroups"), asked.group)
        and (
            _named(rule.get("resources"), asked.qualified)
            or bool(asked.subresource and f"*/{asked.subresource}" in (rule.get("resources") or ()))
        )
        and (not names or asked.name in names)
    )


def _named(values: list[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _path(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _denied(user: User, asked: Attributes) -> Refusal:
    if asked.path:
        why = f'User "{user.name}" cannot {asked.verb} path "{asked.path}"'
        return Refusal(403, f"forbidden: {why}", details={})
    scope = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {asked.verb} resource "{asked.qualified}" in API group "{asked.group}" {scope}'
    qualified = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    named = f'{qualified} "{asked.name}"' if asked.name else qualified
    details = {
        name: value for name, value in (("name", asked.name), ("group", asked.group), ("kind", asked.resource)) if value
    }
    return Refusal(403, f"{named} is forbidden: {why}", details=details)
