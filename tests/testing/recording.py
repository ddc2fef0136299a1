"""The recordings of a real gateway: what was asked, what was answered, and what is the same in every run."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent.parent / "recordings"
KEY = "mas_EXAMPLE-KEY-000000000000000000000000000000000000000000"

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MASKS = {
    ID: "<id>",
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)(Z|\+00:00)?"): "<time>",
    re.compile(r'(?<=_at": ")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ'): "<time>",
    re.compile(r"127\.0\.0\.1:\d{5}"): "<address>",
    re.compile(r"\bq\d__t=5"): "<queued>",
    re.compile(r"(?<=input_value=)\{.*?\}(?=, input_type)"): "<input>",
    re.compile(r'(?<=_human": ")[^"]+'): "<duration>",
}


@dataclass(frozen=True)
class Exchange:
    """A request and its reply, as they went over the wire."""

    request: str
    body: str
    status: str
    headers: Mapping[str, str]
    reply: Any

    @classmethod
    def parse(cls, text: str) -> "Exchange":
        asked, _, answered = text.partition("=== RESPONSE ===\n")
        lines = [line for line in asked.split("\n") if not line.startswith("# ")]
        request, _, body = "\n".join(lines).strip().partition("\n\n")
        top, _, reply = answered.strip().partition("\n\n")
        status, *headers = top.split("\n")
        named = {name.lower(): value for name, value in (line.split(": ", 1) for line in headers)}
        return cls(request, body.strip(), status, named, json.loads(reply or "null"))


def recorded(name: str) -> Exchange:
    return Exchange.parse((RECORDINGS / name).read_text())


def essence(reply: Any) -> Any:
    """A reply without what no two runs share: ids, times, addresses, and order."""
    text = json.dumps(reply)
    for pattern, mask in MASKS.items():
        text = pattern.sub(mask, text)
    return _unordered(json.loads(text, object_pairs_hook=_pairs))


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    """Several keys that were ids are one now: keep what belongs to them all."""
    merged = dict(pairs)
    return merged if len(merged) == len(pairs) else [{key: value} for key, value in pairs]


def _unordered(value: Any) -> Any:
    match value:
        case dict():
            return {key: _unordered(each) for key, each in value.items() if key != "known_queues"}
        case list():
            return sorted((_unordered(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
        case float():
            return "<number>"
        case _:
            return value


def shape(value: Any) -> Any:
    """Keys and types; keys that are ids count as one, and so do elements that are alike."""
    match value:
        case dict():
            return {"<id>" if ID.fullmatch(key) else key: shape(each) for key, each in value.items()}
        case list():
            return sorted({json.dumps(shape(each), sort_keys=True) for each in value})
        case None:
            return None
        case _:
            return "number" if isinstance(value, float) else type(value).__name__
