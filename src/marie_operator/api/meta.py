"""What every kind of the ``marie.ai`` group shares: the model base, field types, object metadata, conditions."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

GROUP = "marie.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

POD_TEMPLATE_MARK = "x-pod-template"
"""In the models' JSON schema, where the CRD has the whole ``v1.PodTemplateSpec``."""


def _no_number(value: object) -> object:
    if isinstance(value, (int, float)):
        raise ValueError("a time is an RFC 3339 string such as 2026-01-31T12:00:00Z")  # noqa: TRY004 - pydantic's contract
    return value


@lru_cache(maxsize=1024)
def _rfc3339(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pod_template(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what no builder could read; everything finer is the API server's to check."""
    metadata, spec = _mapping(value, "metadata"), _mapping(value, "spec")
    for part in ("labels", "annotations"):
        if not all(isinstance(entry, str) for entry in _mapping(metadata, part, "metadata.").values()):
            raise ValueError(f"metadata.{part} must map strings to strings")
    for container in (*_named(spec, "containers", "spec."), *_named(spec, "initContainers", "spec.")):
        where = f"container {container['name']}: "
        for part, key in (("env", "name"), ("ports", "containerPort"), ("volumeMounts", "name")):
            _named(container, part, where, key=key)
        resources = _mapping(container, "resources", where)
        for part in ("requests", "limits"):
            if not all(isinstance(entry, str | int) for entry in _mapping(resources, part, where).values()):
                raise ValueError(f"{where}resources.{part} must map names to quantities")
    _named(spec, "volumes", "spec.")
    return value


def _mapping(parent: dict[str, Any], part: str, where: str = "") -> dict[str, Any]:
    found = parent.get(part, {})
    if not isinstance(found, dict):
        raise ValueError(f"{where}{part} must be an object")  # noqa: TRY004 - pydantic's contract
    return found


def _named(parent: dict[str, Any], part: str, where: str, key: str = "name") -> list[dict[str, Any]]:
    entries = parent.get(part, [])
    kind = int if key == "containerPort" else str
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get(key), kind) for entry in entries
    ):
        raise ValueError(f"{where}{part} must be a list of objects with a {key}")
    return entries


Int32 = Annotated[int, Strict(), Field(json_schema_extra={"format": "int32"})]
"""``int32``: the API server keeps its bounds; a boolean, a float or a string is none."""

Int64 = Annotated[int, Strict(), Field(json_schema_extra={"format": "int64"})]
"""``int64``: as ``Int32``."""

Bool = Annotated[bool, Strict()]

Time = Annotated[AwareDatetime, BeforeValidator(_no_number), PlainSerializer(_rfc3339, when_used="json")]
"""``metav1.Time``: written in UTC to the second."""

Quantity = Annotated[
    Annotated[int, Strict()] | str,
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": (
                r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
                r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
            ),
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""``resource.Quantity``, as the user wrote it."""

IntOrPercent = Annotated[
    Annotated[int, Strict(), Field(ge=0)] | Annotated[str, Field(pattern=r"^(100|[1-9]?[0-9])%$")],
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "pattern": r"^(100|[1-9]?[0-9])%$",
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""``intstr.IntOrString`` as a number or a share of a whole: 5 or "5%"."""

PodTemplate = Annotated[
    dict[str, Any], AfterValidator(_pod_template), WithJsonSchema({"type": "object", POD_TEMPLATE_MARK: True})
]
"""A ``v1.PodTemplateSpec``, kept as the user wrote it; the CRD carries its full schema."""


class Model(BaseModel):
    """Base of all API types: camelCase on the wire, snake_case in Python, immutable once parsed.

    Fields this version does not know are ignored rather than refused: the API server has
    already pruned or rejected them, and an object stored by a newer CRD must still be readable.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        """Read a null as the API server does: as if the field were not there."""
        if isinstance(value, dict) and None in value.values():
            return {name: entry for name, entry in value.items() if entry is not None}
        return value


class OwnerReference(Model):
    """Names an object that another belongs to, in the same namespace."""

    uid: str = ""
    controller: Bool = False


class ObjectMeta(Model):
    """The part of ``metadata`` that reconcilers read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: Int64 = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class Condition(Model):
    """One observation of an object's state, as ``metav1.Condition`` defines it."""

    type: str = Field(
        description="What is observed, in CamelCase; the project's documentation lists the types.",
        max_length=316,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
        r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds: True, False, or Unknown.")
    reason: str = Field(
        description="Why, as one CamelCase word that programs can match.",
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
    )
    message: str = Field(description="Why, as a sentence for people, and what to do about it.", max_length=32768)
    last_transition_time: Time = Field(description="When status last changed from one value to another.")
    observed_generation: Int64 | None = Field(
        default=None, ge=0, description="The metadata.generation this condition was computed from."
    )


ManagedBy = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9._~-]+)?$",
        description="Who looks after the object, as a domain with a path. Leave it out, or set "
        "marie.ai/marie-operator, for this operator; with any other value it does nothing. Cannot be changed.",
    ),
]
"""``spec.managedBy``, as ``batch/v1`` Jobs have it."""


class LocalObjectReference(Model):
    """Names an object of a known kind in the same namespace; an empty name refers to nothing."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    name: str = Field(default="", max_length=253, description="Name of the object, in the same namespace.")


class SecretReference(Model):
    """Names a Secret in the same namespace."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret, in the same namespace.")


class SecretKeyReference(Model):
    """Names one key of a Secret in the same namespace."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret, in the same namespace.")
    key: str = Field(
        default="apiKey",
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="Key within the Secret whose value is used.",
    )
