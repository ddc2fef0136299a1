"""The kinds a server knows: built in, or from CustomResourceDefinitions."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from marie_operator.testing.apiserver import pruning
from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.schema import Schema
from marie_operator.testing.apiserver.store import Bucket, Entry, encode
from marie_operator.testing.apiserver.strategies import Strategy

CORE = ("v1", "")
CRD_GROUP, CRDS = "apiextensions.k8s.io", "customresourcedefinitions"
CRD_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
"""Of a definition that goes, until its objects have gone."""
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a kind keeps what ``/scale`` shows, as paths such as ``.spec.replicas``."""

    spec: str = ".spec.replicas"
    status: str = ".status.replicas"
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Conversion:
    """Of a kind whose objects are stored as those of another.

    Attributes:
        bucket: Where they are stored.
        stored: From its own form to that of what is stored.
        served: And back.
    """

    bucket: Bucket
    stored: Callable[[Object], Object]
    served: Callable[[Object], Object]


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind in one version.

    Attributes:
        group: API group; empty for the core.
        version: Such as ``v1``.
        plural: Resource name in URLs.
        singular: For people.
        kind: As objects name it.
        list_kind: As lists name it.
        namespaced: Whether its objects live in namespaces.
        short_names: What kubectl takes as well.
        categories: Groups of kinds that kubectl takes as well, such as ``all``.
        verbs: What may be asked.
        subresources: Such as ``status`` and ``scale``.
        schema: Of its objects.
        strategy: What the server does with its objects beyond the schema.
        form: Gives JSON of its objects the one form that the server writes; raises ValueError for what is none.
        exact: The same for JSON of known fields of the right types alone, and without null; raises ValueError for any
            other. None where that cannot be told in passing.
        read_back: Gives an object what it has when it comes out of storage.
        columns: ``additionalPrinterColumns`` of a CRD.
        selectable: Fields of a field selector, beside name and namespace.
        scale: Where replicas are; None without ``/scale``.
        custom: Whether it comes from a CRD.
        made_by_put: Whether an update creates what is not there.
        deprecated: The sentence that every answer warns with; empty when it is not deprecated.
        conversion: When its objects are stored as those of another kind.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    list_kind: str
    namespaced: bool
    schema: Schema
    strategy: Strategy
    form: Callable[[Object], Object] = field(default=lambda given: given)
    exact: Callable[[Object], Object] | None = None
    read_back: Callable[[Object], Object] = field(default=lambda given: given)
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: Collection[str] = ALL_VERBS
    subresources: frozenset[str] = frozenset()
    columns: tuple[Mapping[str, object], ...] = ()
    selectable: Mapping[str, str] = field(default_factory=dict)
    scale: ScalePaths | None = None
    custom: bool = False
    made_by_put: bool = False
    deprecated: str = ""
    conversion: Conversion | None = None

    @cached_property
    def blank(self) -> Object:
        """The fields that every object has, as they are when nothing was said of them."""
        return {} if self.custom else unnamed(self.form({}))

    @cached_property
    def bucket(self) -> Bucket:
        """Where its objects are stored, whatever the version."""
        return (self.group, self.plural) if self.conversion is None else self.conversion.bucket

    @cached_property
    def api_version(self) -> str:
        """As objects name it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def everywhere(self) -> frozenset[str]:
        """The verbs that its collection takes, across namespaces where it has them."""
        verbs = self.in_collection
        return verbs & {"list", "watch"} if self.namespaced else verbs

    @cached_property
    def in_collection(self) -> frozenset[str]:
        """The verbs that its collection takes, in a namespace where it has them."""
        return frozenset(self.verbs) - {"get", "update", "patch", "delete"}

    @cached_property
    def by_name(self) -> frozenset[str]:
        """The verbs that one of its objects takes."""
        return frozenset(self.verbs) - {"list", "create", "deletecollection"}

    def served(self, stored: Object) -> Object:
        """A stored object in the kind's own form."""
        return stored if self.conversion is None else self.conversion.served(stored)

    def stored(self, own: Object) -> Object:
        """An object of the kind as it is stored."""
        return own if self.conversion is None else self.conversion.stored(own)

    def shown(self, stored: Object) -> Object:
        """An object as it is served: what is stored is the same in every version, and names none."""
        return self.named(self.served(stored))

    def named(self, own: Object) -> Object:
        """An object with its kind and version."""
        return {"kind": self.kind, "apiVersion": self.api_version, **own}

    def bare(self, entry: Entry) -> bytes:
        """An object as it is served in JSON, without its kind and version."""
        return entry.encoded if self.conversion is None else encode(self.served(entry.object))

    def read(self, entry: Entry) -> Entry:
        """What is stored, as it is served: of a custom kind, by what its schema says now."""
        if not self.custom or entry.writer is self:
            return entry
        if entry.reading is None or entry.reading[0] is not self:
            new = pruning.completed(pruning.prune(entry.object, self.schema), self.schema)
            served = entry if new is entry.object else Entry(entry.key, new, entry.revision)
            entry.reading = (self, served)
        return entry.reading[1]

    @cached_property
    def prefix(self) -> bytes:
        """What an encoded object begins with when it is served."""
        return f'{{"kind":"{self.kind}","apiVersion":"{self.api_version}",'.encode()

    @property
    def qualified(self) -> str:
        """Resource and group, as messages name it: ``deployments.apps``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def unnamed(shown: Object) -> Object:
    """An object as it is stored."""
    return {name: value for name, value in shown.items() if name not in {"apiVersion", "kind"}}


class Kinds:
    """All kinds of a server; some come and go with CRDs."""

    def __init__(self, kinds: Collection[Kind] = ()) -> None:
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self.generation = 0
        """Moves with every change, so that what is derived (discovery, OpenAPI) knows when it is old."""
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Serve a kind from now on, in place of one of its name."""
        self._kinds[kind.group, kind.version, kind.plural] = kind
        self.generation += 1

    def begin_with(self, other: "Kinds") -> None:
        """Serve what another serves at this moment."""
        self._kinds = dict(other._kinds)
        self.generation += 1

    def remove(self, group: str, plural: str, version: str = "") -> None:
        """Serve it no longer, in one version or all."""
        for key in [key for key in self._kinds if key[0] == group and key[2] == plural and version in {"", key[1]}]:
            del self._kinds[key]
        self.generation += 1

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind behind a URL."""
        return self._kinds.get((group, version, plural))

    def of_object(self, api_version: str, kind: str) -> Kind | None:
        """The kind that an object names."""
        group, _, version = api_version.rpartition("/")
        return next((each for each in self if (each.group, each.version, each.kind) == (group, version, kind)), None)

    def has_version(self, group: str, version: str) -> bool:
        """Whether anything is served there."""
        return any(key[:2] == (group, version) for key in self._kinds)

    def is_built_in(self, group: str) -> bool:
        """Whether a group is one of those that every server has."""
        return any(kind.group == group and not kind.custom for kind in self._kinds.values())

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._kinds.values()))

    def stored(self) -> Iterator[Kind]:
        """One version of each kind that is stored."""
        seen: dict[Bucket, Kind] = {}
        for kind in self:
            if "list" in kind.verbs:
                seen.setdefault(kind.bucket, kind)
        return iter(seen.values())
