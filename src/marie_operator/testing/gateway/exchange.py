"""Requests, replies, and what can go wrong between the two."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Request:
    """What a gateway is asked.

    Attributes:
        method: In capitals.
        path: Without the cluster's prefix.
        query: Decoded.
        authorization: The header, or nothing.
        body: As received.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    authorization: str = ""
    body: bytes = b""

    @property
    def ref_id(self) -> str:
        """The document that a submission is about; nothing for other requests."""
        if self.path != "/api/v1/invoke":
            return ""
        try:
            return str(json.loads(self.body)["parameters"]["invoke_action"]["metadata"]["ref_id"])
        except (ValueError, KeyError, TypeError):
            return ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a gateway answers.

    Attributes:
        status: Of HTTP.
        body: To be sent as it is.
        headers: Besides those that every reply has.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any, status: int = 200, **headers: str) -> Self:
        """A reply in JSON, written as Marie does."""
        return cls(status, written(document).encode(), {"content-type": "application/json", **headers})

    @classmethod
    def written(cls, text: str) -> Self:
        """A reply in JSON that is written already."""
        return cls(200, text.encode(), {"content-type": "application/json"})


def written(document: Any) -> str:
    """JSON, as Marie writes it."""
    return _ENCODER.encode(document)


@dataclass(slots=True)
class Fault:
    """Something that goes wrong with requests.

    Which requests: ``path``, ``method`` and ``matches`` must all agree. What happens:

    ============================  =========================================================
    ``delay=5.0``                 the gateway does nothing for a while, then its usual work
    ``reset=True``                the connection breaks; the request had no effect
    ``lost=True``                 the connection breaks; the request took effect
    ``status=502``                somebody else answers; the request had no effect
    ``status=500, effect=True``   somebody else answers; the request took effect
    ``status=200, body="<html>``  rubbish
    ============================  =========================================================

    Attributes:
        path: Requests whose path begins so.
        times: How many of them; -1 for all.
        status: Another answer; 0 for the real one.
        body: Of the other answer.
        delay: Seconds of the loop's clock, which ``speed`` does not divide.
        lost: No answer, though the request takes effect; short for ``reset`` and ``effect``.
        reset: No answer.
        effect: Whether a request takes effect that gets no answer, or another one.
        method: In capitals; nothing for any.
        matches: Whether a request that agrees so far is meant.
    """

    path: str
    times: int = 1
    status: int = 0
    body: str | bytes = ""
    delay: float = 0.0
    lost: bool = False
    reset: bool = False
    effect: bool = False
    method: str = ""
    matches: Callable[[Request], bool] = lambda _: True

    def instead_of(self, answer: Callable[[], Reply]) -> Reply | None:
        """What comes instead of the real answer; None when nothing does.

        Args:
            answer: Executes the request.
        """
        if not (self.status or self.lost or self.reset):
            return answer()
        if self.effect or self.lost:
            answer()
        if self.lost or self.reset:
            return None
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return Reply(self.status, body, {"content-type": "application/json"})

    def meets(self, request: Request) -> bool:
        """Whether the fault happens to a request; that uses it up."""
        meant = self.times != 0 and request.path.startswith(self.path) and self.method in {"", request.method}
        if not meant or not self.matches(request):
            return False
        self.times -= 1
        return True
