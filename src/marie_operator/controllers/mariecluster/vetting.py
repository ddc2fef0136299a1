"""Changes that are to wait are shown to the API server first: nobody waits, or is held up, for one that it refuses."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from marie_operator.builders import association
from marie_operator.controllers.mariecluster import refusals, sizes
from marie_operator.controllers.mariecluster.admission import Admission
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.runtime import BadRequest, Writer
from marie_operator.runtime.children import Change, Identity, LiveChildren, Step, identity
from marie_operator.runtime.resource import Object, ObjectKey

_Version: TypeAlias = tuple[str, int]
"""What an object is to be, by its hash, and the generation of what it is."""

_KNOWS_NONE = "does not support dry run"
"""What the API server says where a webhook that may have effects of its own would have to be asked."""


class Vetting:
    """Knows which changes the API server takes: each is shown to it once, and again for as long as it is refused.

    Args:
        client: Asks it.
        admission: Takes what it would make of them.
    """

    def __init__(self, client: Writer, admission: Admission) -> None:
        self._client = client
        self._admission = admission
        self._verdicts: dict[ObjectKey, dict[Identity, tuple[_Version, Refusal | None]]] = {}

    def forget(self, key: ObjectKey) -> None:
        """The cluster is gone."""
        self._verdicts.pop(key, None)

    def note(self, key: ObjectKey, step: Step, live: Object | None, refusal: Refusal) -> None:
        """What was to be made has been refused, whatever was known of it."""
        if live is not None and isinstance(step, Change):
            self._verdicts.setdefault(key, {})[identity(step)] = _version(step, live), refusal

    async def refused(
        self, key: ObjectKey, waiting: Sequence[Change], children: LiveChildren
    ) -> Mapping[Identity, Refusal]:
        """Which changes the API server refuses, and why.

        Args:
            key: The cluster's.
            waiting: Changes that are made only while Marie has nothing in hand.
            children: What there is.
        """
        before = self._verdicts.pop(key, {})
        verdicts: dict[Identity, tuple[_Version, Refusal | None]] = {}
        for step in waiting:
            which = identity(step)
            version = _version(step, children[which])
            known, refusal = before.get(which, (None, None))
            if known != version or refusal is not None:
                refusal = await self._tried(key, step, refusal if known == version else None)
            verdicts[which] = version, refusal
        if verdicts:
            self._verdicts[key] = verdicts
        return {which: refusal for which, (_, refusal) in verdicts.items() if refusal is not None}

    async def _tried(self, key: ObjectKey, step: Change, last: Refusal | None) -> Refusal | None:
        """What keeps a change from being made; where nobody can say without making it, what did so last."""
        try:
            answer = await self._client.try_apply(step.resource, step.desired, field_manager=association.FIELD_MANAGER)
        except refusals.REFUSED as error:
            if (isinstance(error, BadRequest) and _KNOWS_NONE in error.message) or sizes.alone_conflicts(step, error):
                return last
            return refusals.of(step, error)
        self._admission.note(key, step, answer)
        return None


def _version(step: Change, live: Object) -> _Version:
    return association.spec_hash(step.desired), int(live["metadata"].get("generation", 0))
