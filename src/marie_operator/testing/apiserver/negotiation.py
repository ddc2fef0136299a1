"""Which representation a request is answered with: what its ``Accept`` says, read as an API server reads it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from marie_operator.testing.apiserver.errors import Refusal

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
OFFERED = (JSON, YAML, PROTOBUF)
"""What a server says it has."""
WRITTEN = (JSON, YAML)
"""What this one writes."""
_STREAMED = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
_FORMS = frozenset({"Table", "PartialObjectMetadata", "PartialObjectMetadataList"})
_VERSIONS = frozenset({"v1", "v1beta1"})


class Clause(NamedTuple):
    """One of the choices of an ``Accept`` header.

    Attributes:
        type: Before the slash.
        subtype: Behind it.
        parameters: But for the quality.
        quality: How much it is preferred.
    """

    type: str
    subtype: str
    parameters: Mapping[str, str]
    quality: float

    def before(self, other: "Clause") -> bool:
        """Whether it is preferred."""
        return (
            self.quality > other.quality
            or (self.type != "*" and other.type == "*")
            or (self.subtype != "*" and other.subtype == "*")
        )

    def covers(self, media: str) -> bool:
        """Whether a media type is one that it names."""
        kind, _, subkind = media.partition("/")
        return (self.type, self.subtype) in {(kind, subkind), (kind, "*"), ("*", "*")}


class Choice(NamedTuple):
    """What a client gets.

    Attributes:
        media: JSON or YAML.
        form: What objects become; empty for themselves.
        version: Of that form.
    """

    media: str
    form: str = ""
    version: str = "v1"


def clauses(accept: str) -> list[Clause]:
    """The choices of a header, most preferred first."""
    found: list[Clause] = []
    for each in accept.split(","):
        clause = _clause(each.strip(" "))
        if clause is not None:
            # Insertion: the order of preference is not transitive, so another sort would sort otherwise.
            place = len(found)
            while place and clause.before(found[place - 1]):
                place -= 1
            found.insert(place, clause)
    return found


def _clause(text: str) -> Clause | None:
    media, *rest = text.split(";")
    kind, _, subkind = (part.strip(" ") for part in media.partition("/"))
    if not subkind:
        if kind != "*":
            return None
        subkind = "*"
    if "/" in subkind:
        return None
    parameters = {
        name.strip(" "): value.strip(" ")
        for name, equals, value in (each.partition("=") for each in rest)
        if equals and value and "=" not in value
    }
    return Clause(kind, subkind, parameters, _quality(parameters.pop("q", "1")))


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


@lru_cache(maxsize=256)
def chosen(accept: str, *, forms: bool) -> Choice | None:
    """The first choice that is served; None when none is.

    Args:
        accept: The header; empty for whatever there is.
        forms: Whether objects may become tables and the like.
    """
    if not accept:
        return Choice(JSON)
    for clause in clauses(accept):
        for media in WRITTEN:
            if clause.covers(media) and (choice := _served(clause.parameters, media, forms=forms)):
                return choice
    return None


def _served(parameters: Mapping[str, str], media: str, *, forms: bool) -> Choice | None:
    """What the parameters of a choice ask for, if that is served."""
    stream = parameters.get("stream", "")
    if stream and (stream != "watch" or media == YAML):
        return None
    if parameters.get("sv", "") not in ({"", "v1"} if forms else {""}):
        return None
    if not parameters.keys() & {"as", "g", "v"}:
        return Choice(media)
    group, version, form = (parameters.get(name, "") for name in ("g", "v", "as"))
    if forms and form in _FORMS and version in _VERSIONS and group == "meta.k8s.io":
        return Choice(media, form, version)
    return None


def negotiated(accept: str, *, stream: bool = False) -> Choice:
    """What a client gets of a resource.

    Args:
        accept: The header.
        stream: Whether it is to be a watch.

    Raises:
        Refusal: 406, nothing that it would take.
    """
    choice = chosen(accept, forms=True)
    if choice is None:
        raise not_acceptable(OFFERED)
    if stream and choice.media == YAML:
        raise not_acceptable(_STREAMED)
    return choice


@lru_cache(maxsize=256)
def routed(accept: str, *, collection: bool) -> None:
    """See that a route to a built-in kind has a type that a client takes; parameters do not count here.

    Raises:
        Refusal: 406.
    """
    available = (*OFFERED, *_STREAMED) if collection else OFFERED
    named = {each.partition(";")[0].strip(" ") for each in accept.split(",")} if accept else {"*/*"}
    if not named & {"*/*", *available}:
        raise Refusal(406, f"406: Not Acceptable\n\nAvailable representations: {', '.join(available)}")


def not_acceptable(offered: tuple[str, ...]) -> Refusal:
    """406: a client takes nothing of what there is."""
    return Refusal(406, f"only the following media types are accepted: {', '.join(offered)}")
