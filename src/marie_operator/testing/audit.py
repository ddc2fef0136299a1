"""The API server's audit log: who asked for what, exactly."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
"""


@dataclass(frozen=True, slots=True)
class Request:
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
        """Whether it asked for a change."""
        return self.verb in WRITES

    def __str__(self) -> str:
        kind = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {kind} {self.namespace}/{self.name} -> {self.code}"


class AuditLog:
    """Reads an audit log.

    Args:
        path: The file the API server writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """A place to read on from later."""
        return self._path.stat().st_size if self._path.exists() else 0

    def requests(self, *, user: str = "", since: int = 0, writes: bool = False) -> list[Request]:
        """Answered requests after a mark, of one user, or only those that write."""
        with self._path.open("rb") as log:
            log.seek(since)
            entries = [json.loads(line) for line in log if line.endswith(b"\n")]
        found = [_request(entry) for entry in entries if entry["stage"] in {"ResponseComplete", "Panic"}]
        return [each for each in found if (not user or each.user == user) and (not writes or each.writes)]

    def counted(self, *, user: str = "", since: int = 0) -> Counter[tuple[str, str]]:
        """Numbers of requests by verb and resource."""
        return Counter((each.verb, each.resource) for each in self.requests(user=user, since=since))


def _request(entry: dict[str, dict[str, str]]) -> Request:
    about = entry.get("objectRef") or {}
    return Request(
        user=entry["user"]["username"],
        verb=str(entry["verb"]),
        group=about.get("apiGroup", ""),
        resource=about.get("resource", ""),
        subresource=about.get("subresource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=int(entry.get("responseStatus", {}).get("code", 0)),
        path=str(entry["requestURI"]),
    )
