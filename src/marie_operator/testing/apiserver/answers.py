"""What a request is answered with."""

import json
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, replace

import yaml

from marie_operator.testing.apiserver.errors import NoPage, Refusal, quoted
from marie_operator.testing.apiserver.negotiation import JSON, YAML
from marie_operator.testing.apiserver.store import encode


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, before anything carries it.

    Attributes:
        code: HTTP status.
        body: The content; of a watch, nothing.
        headers: Beside the content's length and type.
        content_type: Of the body.
        stream: Lines of a watch, which ends when its reader closes it.
        dropped: Whether the connection breaks instead.
        broken: Whether the connection breaks at the end of the stream.
    """

    code: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = JSON
    stream: AsyncGenerator[bytes, None] | None = None
    dropped: bool = False
    broken: bool = False


def in_yaml(answer: Answer) -> Answer:
    """The same in YAML, for who wants it so."""
    if answer.content_type != JSON or answer.stream is not None:
        return answer
    body = yaml.safe_dump(json.loads(answer.body), sort_keys=True, allow_unicode=True).encode()
    return replace(answer, body=body, content_type=YAML)


def refused(refusal: Refusal) -> Answer:
    """The answer that carries a refusal."""
    if isinstance(refusal, NoPage):
        return Answer(refusal.code, f"{refusal.message}\n".encode(), content_type="text/plain; charset=utf-8")
    headers = warnings(refusal.warnings)
    if refusal.retry_after is not None:
        headers += (("Retry-After", str(refusal.retry_after)),)
    return Answer(refusal.code, encode(refusal.status()), headers)


def warnings(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The headers that warn people; what is said twice is said once."""
    return tuple(("Warning", f"299 - {quoted(text)}") for text in dict.fromkeys(texts))
