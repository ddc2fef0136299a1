"""The kinds that every API server has, as facts: names, verbs, subresources and schemas, from ``builtin.json``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files

from marie_operator.testing.apiserver.errors import Json
from marie_operator.testing.apiserver.schema import Schema

KUBERNETES = "v1.36.2"
"""The version of Kubernetes that the facts are of."""

_DEPRECATED = {
    ("v1", "ComponentStatus"): "v1 ComponentStatus is deprecated in v1.19+",
    ("v1", "Endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}

GROUP_VERSION_KIND = "x-kubernetes-group-version-kind"


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object with a path of its own.

    Attributes:
        name: Such as ``status``.
        kind: Of what is read and written there.
        group: API group of that kind.
        version: Its version.
        verbs: What may be asked.
    """

    name: str
    kind: str
    group: str
    version: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class BuiltinKind:
    """A kind in one version.

    Attributes:
        group: API group; empty for the core.
        version: Such as ``v1``.
        plural: Resource name in URLs.
        singular: For people.
        kind: As objects name it.
        namespaced: Whether its objects live in namespaces.
        short_names: What kubectl takes as well.
        categories: Groups of kinds that kubectl takes as well, such as ``all``.
        verbs: What may be asked.
        parts: The subresources, by name.
        definition: Name of the definition of its objects.
        columns: Empty: tables of built-in kinds are made by code.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    verbs: tuple[str, ...]
    parts: Mapping[str, Subresource]
    definition: str
    columns: tuple[Mapping[str, object], ...] = field(default=())

    @property
    def list_kind(self) -> str:
        """As lists name it."""
        return f"{self.kind}List"

    @property
    def deprecated(self) -> str:
        """The sentence that every answer warns with; empty when it is not deprecated."""
        return "" if self.group else _DEPRECATED.get((self.version, self.kind), "")

    @cached_property
    def subresources(self) -> frozenset[str]:
        """Names of the subresources."""
        return frozenset(self.parts)

    @cached_property
    def schema(self) -> Schema:
        """Of its objects."""
        return schema_of(self.definition)


@cache
def builtin() -> tuple[BuiltinKind, ...]:
    """All built-in kinds, groups in the order in which an API server lists them."""
    names = _names()
    return tuple(_kind(each, names) for each in _facts()["kinds"])


@cache
def find_builtin(group: str, version: str, plural: str) -> BuiltinKind | None:
    """The built-in kind of a resource; None for another."""
    return next(
        (each for each in builtin() if (each.group, each.version, each.plural) == (group, version, plural)), None
    )


@cache
def find_kind(api_version: str, kind: str) -> BuiltinKind | None:
    """The built-in kind that an object names."""
    group, _, version = api_version.rpartition("/")
    return next((each for each in builtin() if (each.group, each.version, each.kind) == (group, version, kind)), None)


def definitions() -> Mapping[str, Json]:
    """OpenAPI schemas by name; what they refer to (``$ref``) are such names. Not to be changed."""
    found: Mapping[str, Json] = _facts()["definitions"]
    return found


@cache
def schema_of(definition: str) -> Schema:
    """The compiled schema of a definition."""
    return Schema(definitions()[definition], definitions().__getitem__)


def definition_of(group: str, version: str, kind: str) -> str:
    """The name of the definition of a kind's objects; empty when it is not built in."""
    return _names().get((group, version, kind), "")


@cache
def _facts() -> Mapping[str, Json]:
    facts: Mapping[str, Json] = json.loads((files(__package__) / "builtin.json").read_bytes())
    return facts


@cache
def _names() -> Mapping[tuple[str, str, str], str]:
    return {
        (each["group"], each["version"], each["kind"]): name
        for name, definition in definitions().items()
        for each in definition.get(GROUP_VERSION_KIND, ())
    }


def _kind(facts: Mapping[str, Json], names: Mapping[tuple[str, str, str], str]) -> BuiltinKind:
    group, version = facts["group"], facts["version"]
    parts = {
        each["name"]: Subresource(
            name=each["name"],
            kind=each["kind"],
            group=each.get("group", group),
            version=each.get("version", version),
            verbs=tuple(each["verbs"]),
        )
        for each in facts["subresources"]
    }
    return BuiltinKind(
        group=group,
        version=version,
        plural=facts["plural"],
        singular=facts["singular"],
        kind=facts["kind"],
        namespaced=facts["namespaced"],
        short_names=tuple(facts["shortNames"]),
        categories=tuple(facts["categories"]),
        verbs=tuple(facts["verbs"]),
        parts=parts,
        definition=names[group, version, facts["kind"]],
    )
