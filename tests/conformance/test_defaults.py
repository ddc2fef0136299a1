"""What becomes of objects of every built-in kind, beside what became of them on a real server.

The manifests in ``manifests/`` are created, updated, patched and given a status. Every answer must be what
``goldens/`` has of it, whole, with who owns what; only times, ids and what is chosen at random are masked. A golden is
what the real server answered; to record them again, after a change of manifests or of the version of Kubernetes::

    RECORD_GOLDENS=1 .venv/bin/pytest -m controlplane tests/conformance/test_defaults.py

Read their diff before committing it.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from marie_operator.testing.apiserver.builtin import BuiltinKind, builtin
from tests.conformance.conftest import Server
from tests.conformance.wire import Client, Namespace

HERE = Path(__file__).parent
RECORDING = bool(os.environ.get("RECORD_GOLDENS"))
MANAGER = {"fieldManager": "author"}
CRDS = "apiextensions.k8s.io/v1/customresourcedefinitions"

MANIFESTS: dict[str, dict[str, Any]] = {
    resource: cases
    for path in sorted((HERE / "manifests").glob("*.yaml"))
    for resource, cases in yaml.safe_load(path.read_text()).items()
}
KINDS = {
    f"{kind.group}/{kind.version}/{kind.plural}".removeprefix("/"): kind
    for kind in builtin()
    if {"create", "get"} <= set(kind.verbs)
}
CASES = [(resource, case) for resource, cases in MANIFESTS.items() for case in cases]

MASKS = (
    # What follows is how Go prints what is inside of the server.
    (re.compile(r'(?<=if it was previously negative\))\\n(?:[^"\\]|\\.)*'), "$DIFFERENCE"),
    (re.compile(r'(?<=Invalid value: )\{(?:[^"]|\\")*?\}(?=: field is immutable)'), "$VALUE"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"), "$UID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(?<!2026-01-01T00:00:00Z)"), "$TIME"),
    (re.compile(r"(?<=kube-api-access-)[bcdfghjklmnpqrstvwxz2456789]{5}"), "$SUFFIX"),
    (re.compile(r'(?<=")10\.0\.\d+\.\d+(?=")(?<!10\.0\.0\.9)'), "$ADDRESS"),
    (re.compile(r'(?<=[pP]ort": )3[0-2]\d{3}(?<!30053)'), '"$PORT"'),
)


async def test_every_kind_has_a_manifest(api: Client) -> None:
    assert MANIFESTS.keys() == KINDS.keys()
    for resource, kind in KINDS.items():
        listed = (await api.get(f"/apis/{resource}" if kind.group else f"/api/{resource}")).ok()
        assert listed["kind"] == f"{kind.kind}List"


@pytest.mark.parametrize(("resource", "case"), CASES, ids=[f"{resource}-{case}" for resource, case in CASES])
async def test_answers_are_those_of_a_real_server(
    server: Server, api: Client, ns: Namespace, resource: str, case: str, cleanup: AsyncExitStack
) -> None:
    manifest = json.loads(json.dumps(MANIFESTS[resource][case]).replace("$NAMESPACE", ns.name))
    answers = await _answers(api, ns, KINDS[resource], manifest, case, cleanup)
    # By a real server alone, lest a golden be what it should be compared with.
    if RECORDING and server.real:
        _record(resource, case, answers)
    differences = list(_differences(answers, _goldens(resource)[case]))
    assert not differences, "\n".join(differences)


async def _answers(
    api: Client, ns: Namespace, kind: BuiltinKind, manifest: dict[str, Any], case: str, cleanup: AsyncExitStack
) -> Any:
    body = _named(manifest["create"], kind, case)
    many = _path(ns, kind)
    one = f"{many}/{body['metadata']['name']}"
    reply = await api.post(many, body, **MANAGER)
    created = reply.json
    if reply.status != 201:
        return _masked({"create": created}, ns)
    if not kind.namespaced:
        cleanup.push_async_callback(_remove, api, one)
    answers = {"create": created}
    if kind.plural == "customresourcedefinitions":
        # What follows is done by the server itself, when it gets round to it.
        return _masked(answers, ns)
    assert (await api.get(one)).ok() == created
    if "update" in manifest:
        answers["update"] = (await api.put(one, _merged(body, manifest["update"]), **MANAGER)).json
    if "patch" in manifest:
        answers["patch"] = (await api.patch(one, manifest["patch"], **MANAGER)).json
    if "status" in manifest:
        answers["status"] = (await api.patch(f"{one}/status", manifest["status"], fieldManager="controller")).json
    return _masked(answers, ns)


def _differences(found: Any, golden: Any, path: str = "") -> Iterator[str]:
    """What is not as it is on a real server, by where it is."""
    if isinstance(found, dict) and isinstance(golden, dict):
        for name in sorted(found.keys() | golden.keys()):
            yield from _differences(found.get(name, ...), golden.get(name, ...), f"{path}.{name}")
    elif isinstance(found, list) and isinstance(golden, list) and len(found) == len(golden):
        for number, (one, other) in enumerate(zip(found, golden, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    elif found != golden or isinstance(found, bool) != isinstance(golden, bool):
        yield f"{path}: {'nothing' if found is ... else found} instead of {'nothing' if golden is ... else golden}"


def _path(ns: Namespace, kind: BuiltinKind) -> str:
    group = f"{kind.group}/{kind.version}/" if kind.group else ""
    if kind.namespaced:
        return ns(f"{group}{kind.plural}")
    return f"/apis/{group}{kind.plural}" if group else f"/api/{kind.version}/{kind.plural}"


def _named(body: dict[str, Any], kind: BuiltinKind, case: str) -> Any:
    name = "a" if kind.namespaced else f"defaults-{case}"
    return body | {"metadata": {"name": name} | body.get("metadata", {})}


def _merged(value: Any, change: Any) -> Any:
    """As a merge patch has it."""
    if not isinstance(change, dict) or not isinstance(value, dict):
        return change
    merged = {name: _merged(value.get(name), each) for name, each in change.items() if each is not None}
    return {name: each for name, each in value.items() if name not in change} | merged


def _masked(answers: dict[str, Any], ns: Namespace) -> Any:
    text = json.dumps(answers, sort_keys=True)
    text = re.sub(rf"\b{re.escape(ns.name)}\b", "$NAMESPACE", text)
    text = re.sub(r'"resourceVersion": "(?!1")\d+"', '"resourceVersion": "$VERSION"', text)
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return json.loads(text)


async def _remove(api: Client, path: str) -> None:
    await api.delete(path)
    await api.patch(path, {"metadata": {"finalizers": None}})


def _file(resource: str) -> Path:
    return HERE / "goldens" / f"{resource.replace('/', '-')}.json"


def _goldens(resource: str) -> dict[str, Any]:
    return json.loads(_file(resource).read_text()) if _file(resource).exists() else {}


def _record(resource: str, case: str, answers: Any) -> None:
    found = {name: each for name, each in (_goldens(resource) | {case: answers}).items() if name in MANIFESTS[resource]}
    _file(resource).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
