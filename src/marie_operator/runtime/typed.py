"""Objects of an informer as models, parsed once for each version."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from marie_operator.runtime.informer import Event, Informer
from marie_operator.runtime.resource import Object, ObjectKey

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Unparsable:
    """An object that is not what its model says, as one stored under an older schema may be.

    Attributes:
        object: As the API server has it.
        error: What is wrong with it, as a sentence that names the fields.
    """

    object: Object
    error: str


class Typed(Generic[M]):
    """A view of an informer.

    Args:
        informer: Holds the objects.
        parse: Makes a model of an object; raises pydantic's ValidationError.
    """

    def __init__(self, informer: Informer, parse: Callable[[Object], M]) -> None:
        self._informer = informer
        self._parse = parse
        self._parsed: dict[ObjectKey, tuple[Object, M | Unparsable]] = {}
        informer.add_handler(self._forget)

    def get(self, key: ObjectKey) -> M | Unparsable | None:
        """The model of this key; Unparsable when there is none to make; None when there is no object."""
        obj = self._informer.get(key)
        if obj is None:
            return None
        known = self._parsed.get(key)
        # Not by its version, which a server that was set back may give twice.
        if known is None or known[0] is not obj:
            known = self._parsed[key] = obj, self._attempt(obj)
        return known[1]

    def list(self, namespace: str = "") -> list[M]:
        """Every object that can be parsed, in the order of their keys."""
        models = (self.get(ObjectKey.of(obj)) for obj in self._informer.list(namespace))
        return [model for model in models if model is not None and not isinstance(model, Unparsable)]

    def _attempt(self, obj: Object) -> M | Unparsable:
        try:
            return self._parse(obj)
        except ValidationError as error:
            return Unparsable(obj, _sentence(error))

    def _forget(self, event: Event) -> None:
        if event.kind == "deleted":
            self._parsed.pop(ObjectKey.of(event.object), None)


def _sentence(error: ValidationError, limit: int = 5) -> str:
    found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    more = f"; and {len(found) - limit} more" if len(found) > limit else ""
    return "; ".join(found[:limit]) + more
