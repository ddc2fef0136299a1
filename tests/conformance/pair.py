"""A real and an embedded server side by side: the same requests to both, and whether they answer alike."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.programs import Step, filled, merged
from tests.conformance.specimens import SPECIMENS
from tests.conformance.wire import Client, Namespace, Reply

_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b20(?!20-01-01)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ADDRESS = re.compile(r"\b10\.(?!1\.2\.)\d+\.\d+\.\d+\b")
_VERSION = re.compile(
    r"(ResourceVersion in (?:the )?(?:precondition|record) )\((\d+)\)|(ResourceVersion in \w+: )(\d+)"
)
# Where the source of a server makes its scheme, as far as the way it was built shows it.
_SCHEME = re.compile(r'in scheme "[^"]*"')
# The first of several that Go's maps happen to begin with.
_STRANGE = re.compile(r"\.[^ ]+: field not declared in schema")
_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}")
_AGES = re.compile(r"\d+[sm]")


@dataclass
class Names:
    """What one server calls what every server calls otherwise, by the order in which it came up."""

    uids: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def uid(self, found: str) -> str:
        return self.uids.setdefault(found, f"<uid {len(self.uids)}>")

    def version(self, found: str) -> str:
        return self.versions.setdefault(found, f"<version {len(self.versions)}>")

    def neutral(self, value: Any, at: str = "") -> Any:
        """A document without what differs between any two servers."""
        if isinstance(value, dict):
            if "columnDefinitions" in value:
                return self._table(value)
            if value.get("kind") == "Status" and "code" in value:
                value = _unordered(value)
            return {self.neutral(name): self._field(name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.neutral(each) for each in value]
        if not isinstance(value, str):
            return value
        text = _UID.sub(lambda found: self.uid(found[0]), value)
        text = _TIME.sub("<time>", text)
        text = _ADDRESS.sub("<address>", text)
        text = _VOLUME.sub("kube-api-access-<some>", text)
        text = _STRANGE.sub("<some>: field not declared in schema", _SCHEME.sub('in scheme "<some>"', text))
        text = _ordered(_without_quotes(text))
        return _VERSION.sub(lambda found: f"{found[1] or found[3]}({self.version(found[2] or found[4])})", text)

    def _field(self, name: str, value: Any) -> Any:
        if name == "managedFields" and isinstance(value, list):
            # Their order is that of their times, of which a second may lie between two.
            return sorted(self.neutral(value), key=lambda each: json.dumps(each, sort_keys=True))
        if name == "resourceVersion" and isinstance(value, str) and value.isdigit() and len(value) > 1:
            return self.version(value)
        if name == "nodePort" and isinstance(value, int) and 30000 <= value < 32768:
            return "<port>"
        return self.neutral(value)

    def _table(self, table: dict[str, Any]) -> Any:
        ages = {
            index for index, each in enumerate(table["columnDefinitions"]) if each["name"] in {"Age", "Last Schedule"}
        }
        rows = [
            {"cells": [None if index in ages else self.neutral(cell) for index, cell in enumerate(row["cells"])]}
            for row in table["rows"]
        ]
        # What documents a column is no part of what a server does.
        columns = [{**each, "description": ""} for each in table["columnDefinitions"]]
        return {"columns": columns, "rows": rows}


def _unordered(status: dict[str, Any]) -> dict[str, Any]:
    """A Status that tells everything that is wrong once, and in the order of the alphabet."""
    causes = status.get("details", {}).get("causes")
    if not causes:
        return status
    told = sorted({json.dumps(each, sort_keys=True): each for each in causes}.items())
    result = {**status, "details": {**status["details"], "causes": [each for _, each in told]}}
    if len(told) > 1 and " is invalid: [" in status["message"]:
        head, _, rest = status["message"].partition(" is invalid: [")
        # A message leaves out what it has said already; its parts are the causes.
        assert all(f"{each['field']}: {each['message']}" in rest for _, each in told), status
        result["message"] = f"{head} is invalid: <causes>"
    return result


def _ordered(text: str) -> str:
    """A message with the fields that were not expected in the order of the alphabet."""
    head, decoding, rest = text.partition("strict decoding error: ")
    return f"{head}{decoding}{', '.join(sorted(rest.split(', ')))}" if decoding else text


_QUOTED = re.compile(r'(?:Invalid|Unsupported) value: (?:("(?:\{|map\[)(?:[^"\\]|\\.)*")|(?=[{\[]|null))')
_CHANGES = re.compile(r"\n@@.*", re.DOTALL)


def _without_quotes(text: str) -> str:
    """A message without the objects that it quotes: a known difference."""
    text, start = _CHANGES.sub("\n<changes>", text), 0
    while found := _QUOTED.search(text, start):
        begin = found.start(1) if found[1] else found.end()
        end = found.end() if found[1] else begin + _length(text[begin:])
        text = f"{text[:begin]}<object>{text[end:]}"
        start = begin
    return text


def _length(text: str) -> int:
    """How long the JSON is that a text begins with."""
    try:
        return json.JSONDecoder().raw_decode(text)[1]
    except ValueError:
        return 0


class Side:
    """One of the two.

    Args:
        api: Its client.
        namespace: Where a program runs.
    """

    def __init__(self, api: Client, namespace: str) -> None:
        self._api = api
        self._ns = Namespace(namespace)
        self._names = Names()
        self._known: dict[str, dict[str, str]] = {}

    async def open(self) -> None:
        await self._api.post("/api/v1/namespaces", {"metadata": {"name": self._ns.name}})
        await self._api.post(self._ns("serviceaccounts"), {"metadata": {"name": "default"}})

    async def do(self, step: Step) -> Any:
        """Take a step; what came of it, in neutral words."""
        specimen = SPECIMENS[step.plural]
        path = self._ns(specimen.resource, *(each for each in (step.name, step.part) if each))
        known = self._known.setdefault(step.name, {})
        body = filled(step.body, known)
        if step.edit:
            read = await self._api.get(path)
            if read.status != 200:
                return self._told(read)
            body = merged(read.json, body)
        headers = {"Accept": step.accept, "Content-Type": step.content_type, "User-Agent": "programs/1"}
        sent = None if body is None else json.dumps(body)
        reply = await self._api.request(step.method, path, sent, headers=headers, query=step.query)
        if step.name or step.method == "POST":
            name = step.name or str((step.body.get("metadata") or {}).get("name"))
            self._learn(reply, self._known.setdefault(name, {}))
        return self._told(reply)

    async def end(self, plural: str) -> Any:
        """What is there at the end, and how it came about, as a watch tells it."""
        path = self._ns(SPECIMENS[plural].resource)
        listed = await self._api.get(path)
        return self._names.neutral([self._without(each) for each in listed.json["items"]])

    def _told(self, reply: Reply) -> Any:
        content = reply.json if reply.headers.get("Content-Type", "").startswith("application/json") else reply.text
        if isinstance(content, dict) and "items" in content:
            content = {**content, "metadata": {**content["metadata"], "resourceVersion": None}}
            if "continue" in content["metadata"]:
                content["metadata"]["continue"] = "<more>"
        return {
            "code": reply.status,
            "warnings": self._names.neutral(sorted(reply.warnings)),
            "body": self._names.neutral(content),
        }

    def _learn(self, reply: Reply, known: dict[str, str]) -> None:
        if reply.status not in {200, 201} or not reply.headers["Content-Type"].startswith("application/json"):
            return
        found = reply.json.get("metadata", {}) if reply.json.get("kind") != "Status" else {}
        if "resourceVersion" in found:
            known["version"] = found["resourceVersion"]
            known.setdefault("first", found["resourceVersion"])
        if "uid" in found:
            known["uid"] = found["uid"]

    @staticmethod
    def _without(obj: Any) -> Any:
        return obj


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two documents differ, one line for each place."""
    match one, other:
        case dict(), dict():
            names = sorted(one.keys() | other.keys())
            pairs = [(f"{path}.{name}", one.get(name, _MISSING), other.get(name, _MISSING)) for name in names]
        case list(), list() if len(one) == len(other):
            pairs = [(f"{path}[{index}]", *both) for index, both in enumerate(zip(one, other, strict=True))]
        case _:
            # Python takes True for 1, and 1.0 for 1.
            texts = [json.dumps(each, sort_keys=True) for each in (one, other)]
            return [] if texts[0] == texts[1] else [_told(path, *texts)]
    return [line for at, left, right in pairs for line in differences(left, right, at)]


_MISSING = "<missing>"
_AROUND = 150


def _told(path: str, one: str, other: str) -> str:
    """One difference: of long texts, what is around the place where they part."""
    same = next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), 0)
    start = max(0, same - _AROUND)
    shown = [("…" if start else "") + each[start : start + 3 * _AROUND] for each in (one, other)]
    return f"{path}: {shown[0]} instead of {shown[1]}"
