"""The API server's audit log: who asked for what, exactly."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
"""


class Request(NamedTuple):
    """One request that was answered."""

    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    path: str

    @property
    def writes(self) -> bool:
        """Whether it asked for a change; a dry run does not."""
        return self.verb in WRITES and "dryRun=" not in self.path.partition("?")[2]

    def __str__(self) -> str:
        kind = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {kind} {self.namespace}/{self.name} -> {self.code}"


class Requests(ABC):
    """What an API server was asked for, in order."""

    @abstractmethod
    def mark(self) -> int:
        """A place to read on from later."""

    def requests(
        self, *, user: str = "", verbs: Collection[str] = (), since: int = 0, writes: bool = False
    ) -> list[Request]:
        """Answered requests, each once; a watch counts when it has ended.

        Args:
            user: Only this user's.
            verbs: Only these, such as ``{"list", "watch"}``.
            since: Only those after this mark.
            writes: Only those that ask for a change.
        """
        return [
            each
            for each in self._answered(since)
            if (not user or each.user == user) and (not verbs or each.verb in verbs) and (not writes or each.writes)
        ]

    def writes(self, user: str = "", *, since: int = 0) -> list[Request]:
        """Answered requests of a user that ask for a change."""
        return self.requests(user=user, since=since, writes=True)

    def counted(self, *, user: str = "", since: int = 0) -> Counter[tuple[str, str]]:
        """Numbers of requests by verb and resource."""
        return Counter((each.verb, each.resource) for each in self.requests(user=user, since=since))

    @abstractmethod
    def _answered(self, since: int) -> Iterable[Request]:
        """Each request that was answered after a mark."""


class AuditLog(Requests):
    """Reads an audit log.

    Args:
        path: The file the API server writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """A place to read on from later."""
        if not self._path.exists():
            return 0
        with self._path.open("rb") as log:
            # An entry that is being written belongs to later.
            return sum(len(line) for line in log if line.endswith(b"\n"))

    def _answered(self, since: int) -> Iterator[Request]:
        seen: set[str] = set()
        with self._path.open("rb") as log:
            log.seek(since)
            for entry in (json.loads(line) for line in log if line.endswith(b"\n")):
                if entry["stage"] in {"ResponseComplete", "Panic"} and entry["auditID"] not in seen:
                    seen.add(entry["auditID"])
                    yield _request(entry)


def _request(entry: dict[str, Any]) -> Request:
    about = entry.get("objectRef") or {}
    return Request(
        user=entry["user"]["username"],
        verb=entry["verb"],
        group=about.get("apiGroup", ""),
        resource=about.get("resource", ""),
        subresource=about.get("subresource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=entry.get("responseStatus", {}).get("code", 0),
        path=entry["requestURI"],
    )


class Recorded(Requests):
    """Requests that a server in this process notes."""

    def __init__(self) -> None:
        self._noted: list[Request] = []

    def note(self, request: Request) -> None:
        """Add one that was answered."""
        self._noted.append(request)

    def mark(self) -> int:
        """A place to read on from later."""
        return len(self._noted)

    def _answered(self, since: int) -> Iterable[Request]:
        return self._noted[since:]
