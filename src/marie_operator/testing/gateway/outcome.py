"""What executors make of documents, as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a document in one executor.

    Attributes:
        seconds: How long each attempt works, before ``speed`` divides it.
        failures: How many attempts fail first; three or more fail the document for good.
    """

    seconds: float = 1.0
    failures: int = 0


NEVER = 3
"""As ``failures``: no attempt succeeds."""


@dataclass(frozen=True, slots=True)
class Document:
    """What an executor is given.

    Attributes:
        ref_id: What the submission called it.
        uri: Where it is.
        executor: The executor's name.
        metadata: All that the submission said.
    """

    ref_id: str
    uri: str
    executor: str
    metadata: Mapping[str, Any] = field(repr=False)


ResultStore: TypeAlias = Callable[[str, bytes], None]
"""Takes what an executor stores: the object's key in Marie's bucket, and its content."""

OutcomePolicy: TypeAlias = Callable[[Document], Outcome]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A policy from a table.

    Attributes:
        table: Outcomes by reference id or URI; the former goes first.
        default: For all other documents.
    """

    table: Mapping[str, Outcome] = field(default_factory=dict)
    default: Outcome = field(default_factory=Outcome)

    def __call__(self, document: Document) -> Outcome:
        """The outcome of a document."""
        return self.table.get(document.ref_id) or self.table.get(document.uri) or self.default
