"""Changes that are to wait are shown to the API server first: nobody waits, or is held up, for one that it refuses."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from marie_operator.builders import association
from marie_operator.controllers.mariecluster import refusals
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.runtime import ApplyConflict, BadRequest, Forbidden, Invalid, Writer
from marie_operator.runtime.children import Change, LiveChildren, Step
from marie_operator.runtime.resource import Object, ObjectKey, Resource

_Identity: TypeAlias = tuple[Resource, str]
_Version: TypeAlias = tuple[str, int]
"""What an object is to be, by its hash, and the generation of what it is."""


class Vetting:
    """Knows which changes the API server takes: each is shown to it once, and again for as long as it is refused.

    Args:
        client: Asks it.
    """

    def __init__(self, client: Writer) -> None:
        self._client = client
        self._taken: dict[ObjectKey, dict[_Identity, _Version]] = {}
        self._refused: dict[ObjectKey, dict[_Identity, tuple[_Version, Refusal]]] = {}

    def forget(self, key: ObjectKey) -> None:
        """The cluster is gone."""
        self._taken.pop(key, None)
        self._refused.pop(key, None)

    def note(self, key: ObjectKey, step: Step, live: Object | None, refusal: Refusal) -> None:
        """What was to be made has been refused, whatever was known of it."""
        if live is None or not isinstance(step, Change):
            return
        identity = step.resource, refusals.name(step)
        self._taken.get(key, {}).pop(identity, None)
        self._refused.setdefault(key, {})[identity] = (_version(step, live), refusal)

    async def refused(
        self, key: ObjectKey, waiting: Sequence[Change], children: LiveChildren
    ) -> Mapping[_Identity, Refusal]:
        """Which changes the API server refuses, and why.

        Args:
            key: The cluster's.
            waiting: Changes that are made only while Marie has nothing in hand.
            children: What there is.
        """
        before, refused = self._taken.pop(key, {}), self._refused.pop(key, {})
        found: dict[_Identity, tuple[_Version, Refusal]] = {}
        taken: dict[_Identity, _Version] = {}
        for step in waiting:
            identity = step.resource, refusals.name(step)
            version = _version(step, children[identity])
            if before.get(identity) == version:
                taken[identity] = version
                continue
            last = refused.get(identity)
            refusal = await self._tried(step, None if last is None or last[0] != version else last[1])
            if refusal is None:
                taken[identity] = version
            else:
                found[identity] = version, refusal
        if taken:
            self._taken[key] = taken
        if found:
            self._refused[key] = found
        return {identity: refusal for identity, (_, refusal) in found.items()}

    async def _tried(self, step: Change, last: Refusal | None) -> Refusal | None:
        """What keeps a change from being made; where nobody can say without making it, what did so last."""
        try:
            await self._client.try_apply(step.resource, step.desired, field_manager=association.FIELD_MANAGER)
        except BadRequest:
            # A webhook that knows no dry run stands before it.
            return last
        except (Invalid, Forbidden, ApplyConflict) as error:
            return refusals.of(step, error)
        return None


def _version(step: Change, live: Object) -> _Version:
    return association.spec_hash(step.desired), int(live["metadata"].get("generation", 0))
