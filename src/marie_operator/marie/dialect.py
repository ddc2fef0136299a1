"""Which Marie answers, and what it can be asked that not every Marie can (MA-25)."""

from collections.abc import Mapping
from dataclasses import dataclass

from marie_operator.marie.replies import Json, Unreadable, unexpected

READINESS = "/api/discovery/readiness"
OPENAPI = "/openapi.json"
PAUSE, UNPAUSE = "/api/scheduler/pause", "/api/scheduler/unpause"
_OPERATIONS = "/api/operations/"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a gateway says of itself.

    Attributes:
        version: As it calls itself; empty while that is not known.
        operations: Whether it has the pages of Marie 5 about DAGs, jobs and health. What stands in their rows is
            nowhere written, so that documents are followed by what both generations have.
        readiness: Whether it tells which workers it has probed, and with what success.
        pauses: Whether its scheduler can be told to begin nothing new, and to go on.
    """

    version: str = ""
    operations: bool = False
    readiness: bool = False
    pauses: bool = False

    def __str__(self) -> str:
        return f"{self.version} ({'operations API' if self.operations else 'jobs API'})"


def dialect(status: int, body: Json) -> Dialect:
    """The description of a gateway's API: what is there is looked up, and not concluded from a version.

    Raises:
        Unreadable: it is none.
    """
    described = body if status == 200 and isinstance(body, Mapping) else {}
    paths, info = described.get("paths"), described.get("info")
    if not isinstance(paths, Mapping) or not isinstance(info, Mapping):
        raise Unreadable(unexpected(status, body))
    version = info.get("version")
    return Dialect(
        version=version if isinstance(version, str) else "",
        operations=any(str(path).startswith(_OPERATIONS) for path in paths),
        readiness=READINESS in paths,
        pauses={PAUSE, UNPAUSE} <= paths.keys(),
    )
