"""The Secrets of jobs and clusters as texts."""

from collections.abc import Mapping

from marie_operator.builders import secret
from marie_operator.controllers.named import NamedObjects
from marie_operator.runtime.resource import SECRETS, ObjectKey


class Secrets:
    """Reads Secrets.

    Args:
        named: Reads them from the API server, by name and seldom.
    """

    def __init__(self, named: NamedObjects) -> None:
        self._named = named

    async def get(self, key: ObjectKey) -> Mapping[str, str] | None:
        """The decoded data of a Secret, at most 30 seconds old; ``None`` when there is no such Secret.

        Values that are no UTF-8 text are left out: none of ours can be.

        Raises:
            ApiError: the API server refused; ``Forbidden`` when the operator may not read it.
            Unreachable: the API server did not answer.
        """
        found = await self._named.get(SECRETS, key)
        return None if found is None else secret.texts(found)
