"""What admission makes of children: a policy may write another value than was asked for, each time anew."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from marie_operator.runtime import drift
from marie_operator.runtime.children import Change, Identity, LiveChildren, Remove, Step, identity
from marie_operator.runtime.drift import Difference
from marie_operator.runtime.resource import Object, ObjectKey


class Admission:
    """Remembers where the API server's answers were not what was applied: an apply would bring the same again."""

    def __init__(self) -> None:
        self._answers: dict[ObjectKey, dict[Identity, Mapping[str, Difference]]] = {}

    def forget(self, key: ObjectKey) -> None:
        """The cluster is gone."""
        self._answers.pop(key, None)

    def note(self, key: ObjectKey, step: Step, answer: Object) -> None:
        """This is what the API server has made, or would make, of a child of the cluster of this key."""
        if isinstance(step, Remove):
            return
        known = self._answers.setdefault(key, {})
        known[identity(step)] = {each.path: each for each in drift.differences(step.desired, answer)}

    def left(self, key: ObjectKey, todo: Sequence[Step], children: LiveChildren) -> list[Step]:
        """The steps without the differences that would be there again afterwards.

        Args:
            key: The cluster's.
            todo: What is to be written.
            children: What there is.
        """
        known, result = self._answers.get(key, {}), list[Step]()
        for step in todo:
            if not isinstance(step, Change) or not (answered := known.get(identity(step))):
                result.append(step)
                continue
            found = drift.differences(step.desired, children[identity(step)])
            if paths := [each.path for each in found if answered.get(each.path) != each]:
                result.append(replace(step, paths=paths))
        return result
