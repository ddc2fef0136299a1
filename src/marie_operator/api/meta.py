"""What every kind of the ``marie.ai`` group shares: the model base, object metadata, conditions."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "marie.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Model(BaseModel):
    """Base of all API types: camelCase on the wire, snake_case in Python, immutable once parsed.

    Fields this version does not know are ignored rather than refused: the API server has
    already pruned or rejected them, and an object stored by a newer CRD must still be readable.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class ObjectMeta(Model):
    """The part of ``metadata`` that reconcilers read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()


class Condition(Model):
    """One observation of an object's state, as ``metav1.Condition`` defines it."""

    type: str = Field(description="What is observed, in CamelCase.", max_length=316)
    status: Literal["True", "False", "Unknown"] = Field(description="True, False, or Unknown.")
    reason: str = Field(description="Why, as one CamelCase word that programs can match.", max_length=1024)
    message: str = Field(description="Why, as a sentence for people.", max_length=32768)
    last_transition_time: datetime = Field(description="When status last changed.")
    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation this condition was computed from."
    )


class LocalObjectReference(Model):
    """Names an object of a known kind in the same namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the object, in the same namespace.")


class SecretKeyReference(Model):
    """Names one key of a Secret in the same namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret, in the same namespace.")
    key: str = Field(default="apiKey", min_length=1, max_length=253, description="Key within the Secret.")
