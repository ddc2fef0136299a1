"""What a server says about the kinds that it serves: discovery, unaggregated and aggregated."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple, Protocol

from marie_operator.testing.apiserver.builtin import KUBERNETES, Subresource, builtin, find_builtin
from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.schema import Schema

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""The media type of aggregated discovery, in ``Accept`` and in ``Content-Type``."""

_VERSION = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?\Z")
_READ_AND_WRITTEN = ("get", "patch", "update")


class Document(NamedTuple):
    """What is answered to a request that is not about a resource.

    Attributes:
        body: The document.
        content_type: Its media type.
        etag: Changes with the document, without quotes; empty where there is none.
    """

    body: bytes
    content_type: str
    etag: str


class Kind(Protocol):
    """What is told about a kind, built in or from a CRD."""

    @property
    def group(self) -> str:
        """API group; empty for the core."""

    @property
    def version(self) -> str:
        """Such as ``v1``."""

    @property
    def plural(self) -> str:
        """Resource name in URLs."""

    @property
    def singular(self) -> str:
        """For people."""

    @property
    def kind(self) -> str:
        """As objects name it."""

    @property
    def list_kind(self) -> str:
        """As lists name it."""

    @property
    def namespaced(self) -> bool:
        """Whether its objects live in namespaces."""

    @property
    def short_names(self) -> tuple[str, ...]:
        """What kubectl takes as well."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Groups of kinds that kubectl takes as well."""

    @property
    def verbs(self) -> Collection[str]:
        """What may be asked."""

    @property
    def subresources(self) -> frozenset[str]:
        """Names of the parts with paths of their own."""

    @property
    def schema(self) -> Schema:
        """Of its objects."""

    @property
    def columns(self) -> tuple[Mapping[str, object], ...]:
        """``additionalPrinterColumns``."""


def subresources(kind: Kind) -> list[Subresource]:
    """What is known of a kind's subresources, in the order in which they are listed."""
    known = find_builtin(kind.group, kind.version, kind.plural)
    if known is None:
        # The status comes before the scale.
        return [_custom_part(kind, name) for name in sorted(kind.subresources, reverse=True)]
    return [known.parts[name] for name in sorted(kind.subresources)]


def _custom_part(kind: Kind, name: str) -> Subresource:
    if name == "scale":
        return Subresource(name, "Scale", "autoscaling", "v1", _READ_AND_WRITTEN)
    return Subresource(name, kind.kind, kind.group, kind.version, _READ_AND_WRITTEN)


@lru_cache(maxsize=256)
def document(kinds: tuple[Kind, ...], path: str, accept: str) -> Document | None:
    """The document of discovery at a path; None when there is none.

    Args:
        kinds: What is served.
        path: Without a slash at its end.
        accept: What the client accepts: it may prefer aggregated documents.
    """
    if path == "/version":
        return _encoded(version())
    match path.split("/")[1:]:
        case ["api" | "apis" as root] if _wants_aggregated(accept):
            return _encoded(aggregated(kinds, core=root == "api"), AGGREGATED)
        case ["api"]:
            return _encoded(core_versions())
        case ["apis"]:
            return _encoded(groups(kinds))
        case ["api", number]:
            found = resources(kinds, "", number)
        case ["apis", name]:
            found = group(kinds, name)
        case ["apis", name, number]:
            found = resources(kinds, name, number)
        case _:
            return None
    return None if found is None else _encoded(found)


def _wants_aggregated(accept: str) -> bool:
    """Whether a client's first choice that can be served is an aggregated document."""
    for choice in accept.split(","):
        media, *parameters = choice.replace(" ", "").split(";")
        if media == "application/json":
            wanted = dict(each.partition("=")[::2] for each in parameters)
            if not wanted.get("as"):
                return False
            if (wanted["as"], wanted.get("v")) == ("APIGroupDiscoveryList", "v2"):
                return True
    return False


def _encoded(content: Object, content_type: str = "application/json") -> Document:
    body = json.dumps(content, separators=(",", ":")).encode()
    return Document(body, content_type, digest(body) if content_type == AGGREGATED else "")


def digest(body: bytes) -> str:
    """The ``ETag`` of a document."""
    return hashlib.sha512(body).hexdigest().upper()


def core_versions() -> Object:
    """``/api``: the versions of the core group."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(kinds: Iterable[Kind]) -> Object:
    """``/apis``: all groups but the core."""
    listed = _by_group(kinds)
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, list(versions)) for name, versions in listed.items() if name],
    }


def group(kinds: Iterable[Kind], name: str) -> Object | None:
    """``/apis/<group>``; None when there is no such group."""
    versions = _by_group(kinds).get(name)
    if not name or versions is None:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, list(versions))}


def resources(kinds: Iterable[Kind], group: str, version: str) -> Object | None:
    """``/api/v1`` and ``/apis/<group>/<version>``; None when there is no such version."""
    found = sorted(
        (kind for kind in kinds if (kind.group, kind.version) == (group, version)), key=lambda kind: kind.plural
    )
    if not found:
        return None
    entries = [entry for kind in found for entry in (_resource(kind), *_parts(kind))]
    # The core's list has no apiVersion; clients of all ages live with it.
    head = {"kind": "APIResourceList"} | ({"apiVersion": "v1"} if group else {})
    return head | {"groupVersion": f"{group}/{version}" if group else version, "resources": entries}


def aggregated(kinds: Iterable[Kind], *, core: bool) -> Object:
    """All of discovery in one document, of media type AGGREGATED.

    Args:
        kinds: What is served.
        core: Whether it is asked for at ``/api``, which has the core group only; ``/apis`` has all others.
    """
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [_aggregated_version(version, served) for version, served in versions.items()],
        }
        for name, versions in _by_group(kinds).items()
        if (not name) == core
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def version() -> Object:
    """``/version``."""
    major, minor = KUBERNETES.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": KUBERNETES,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


def preference(version: str) -> tuple[int, int, int, str]:
    """Sorts versions: released ones first, then betas, then alphas, newest first; what is no version comes last."""
    match = _VERSION.match(version)
    if match is None:
        return 3, 0, 0, version
    major, stage, minor = match.groups()
    return {None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0), version


def _by_group(kinds: Iterable[Kind]) -> dict[str, dict[str, list[Kind]]]:
    """Groups, their versions and kinds, in the order in which an API server has them."""
    order = {name: place for place, name in enumerate(dict.fromkeys(each.group for each in builtin()))}
    found: dict[str, dict[str, list[Kind]]] = {}
    listed = sorted(
        kinds, key=lambda kind: (order.get(kind.group, len(order)), kind.group, preference(kind.version), kind.plural)
    )
    for (name, number), served in groupby(listed, key=lambda kind: (kind.group, kind.version)):
        found.setdefault(name, {})[number] = list(served)
    return found


def _group(name: str, versions: list[str]) -> Object:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resource(kind: Kind) -> Object:
    return {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(kind.verbs),
        **_names(kind),
    }


def _parts(kind: Kind) -> Iterable[Object]:
    for part in subresources(kind):
        foreign = (part.group, part.version) != (kind.group, kind.version)
        yield {
            "name": f"{kind.plural}/{part.name}",
            "singularName": "",
            "namespaced": kind.namespaced,
            **({"group": part.group, "version": part.version} if foreign else {}),
            "kind": part.kind,
            "verbs": list(part.verbs),
        }


def _names(kind: Kind) -> Object:
    names = {"shortNames": list(kind.short_names), "categories": list(kind.categories)}
    return {name: value for name, value in names.items() if value}


def _aggregated_version(version: str, kinds: list[Kind]) -> Object:
    return {"version": version, "resources": [_aggregated_resource(kind) for kind in kinds], "freshness": "Current"}


def _aggregated_resource(kind: Kind) -> Object:
    parts = [
        {
            "subresource": part.name,
            "responseKind": _response_kind(kind, part.group, part.version, part.kind),
            "verbs": list(part.verbs),
        }
        for part in subresources(kind)
    ]
    return {
        "resource": kind.plural,
        "responseKind": _response_kind(kind, kind.group, kind.version, kind.kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": sorted(kind.verbs),
        **_names(kind),
        **({"subresources": parts} if parts else {}),
    }


def _response_kind(kind: Kind, group: str, version: str, name: str) -> Object:
    """A built-in kind leaves group and version out where they are its own; one from a CRD does not."""
    own = (group, version) == (kind.group, kind.version) and find_builtin(kind.group, kind.version, kind.plural)
    return {"group": "", "version": "", "kind": name} if own else {"group": group, "version": version, "kind": name}
