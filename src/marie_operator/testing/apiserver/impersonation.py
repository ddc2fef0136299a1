"""Requests in another's name (``kubectl --as``), by who may do that."""

from collections.abc import Iterator, Mapping

from marie_operator.testing.apiserver.authorization import ANONYMOUS, Attributes, Authorizer, User
from marie_operator.testing.apiserver.errors import Refusal

_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
_ACCOUNT = "system:serviceaccount:"
_EXTRA = "impersonate-extra-"
_IDENTITY = "authentication.k8s.io"


def acting(authorizer: Authorizer, who: User, headers: Mapping[str, str]) -> User:
    """As whom a request is made.

    Args:
        authorizer: Who knows what they may.
        who: Who makes it.
        headers: Of the request; values of a repeated one are lines.

    Raises:
        Refusal: 400, only a group is named; 403, they may not act as that.
    """
    name = headers.get("impersonate-user", "")
    if not name and not [each for each in headers if each.startswith("impersonate-")]:
        return who
    if not name:
        raise Refusal(400, "requested groups, uid or extra without impersonating a user")
    for each in _asked(name, headers):
        authorizer.check(who, each)
    given = headers.get("impersonate-group", "")
    account = _account(name)
    if given:
        groups = frozenset(given.split("\n"))
    elif account:
        groups = User.service_account(*account).groups
    else:
        groups = frozenset()
    if name == ANONYMOUS.name:
        return User(name, groups | {_UNAUTHENTICATED})
    return User(name, groups if groups & {_AUTHENTICATED, _UNAUTHENTICATED} else groups | {_AUTHENTICATED})


def _account(name: str) -> list[str]:
    """Namespace and name of the service account that a user is; empty for another user."""
    found = name.removeprefix(_ACCOUNT).split(":") if name.startswith(_ACCOUNT) else []
    return found if len(found) == 2 else []


def _asked(name: str, headers: Mapping[str, str]) -> Iterator[Attributes]:
    """What one must be allowed for it."""
    if account := _account(name):
        yield Attributes("impersonate", resource="serviceaccounts", namespace=account[0], name=account[1])
    else:
        yield Attributes("impersonate", resource="users", name=name)
    if groups := headers.get("impersonate-group", ""):
        yield from (Attributes("impersonate", resource="groups", name=each) for each in groups.split("\n"))
    for header, value in headers.items():
        if header.startswith(_EXTRA):
            key = header.removeprefix(_EXTRA)
            yield Attributes("impersonate", group=_IDENTITY, resource="userextras", subresource=key, name=value)
    if uid := headers.get("impersonate-uid", ""):
        yield Attributes("impersonate", group=_IDENTITY, resource="uids", name=uid)
