"""The rig: a control plane of its own for each measurement, and what the audit log tells of it."""

import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from benchmarks.subject import OPERATOR, Subject, Usage
from marie_operator.testing import controlplane, manifests
from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.controlplane import OPERATOR_USER, ControlPlane

REPOSITORY = Path(__file__).parents[1]
CONCURRENCY = 8
"""Clusters at a time, of the operator and of the bare client."""
QUIET = 3.0
"""Seconds without a write after which a subject is done."""
Object: TypeAlias = dict[str, Any]

_ADMIN = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
_PEER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "peer"},
    "roleRef": _ADMIN,
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR_USER}],
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured, and how much of it.

    Attributes:
        clusters: How many are made.
        peer: Command of another operator, with ``{kubeconfig}``; empty for ours.
        crds: Its CustomResourceDefinitions.
        sample: A file with one object of its, in which ``{name}`` stands for the name.
        rounds: How often each side is measured; the median counts.
        foreign: Pods of others beside what rests, and a quarter as many Secrets.
        instructions: Whether instructions are counted.
    """

    clusters: int
    peer: str
    crds: Path
    sample: Path
    rounds: int
    foreign: int
    instructions: bool

    @property
    def name(self) -> str:
        return "peer" if self.peer else "operator"

    def manifest(self, number: int | str) -> Object:
        """One object of the kind that is reconciled."""
        found: Object = yaml.safe_load(self.sample.read_text(encoding="utf-8").replace("{name}", f"c{number}"))
        return found

    def subject(self, plane: ControlPlane, *arguments: str, name: str = "", **environment: str) -> Subject:
        """A process of what is measured."""
        directory = plane.directory / (name or "subject")
        directory.mkdir(exist_ok=True)
        command = " ".join([self.peer or OPERATOR, *arguments])
        url = {"MARIE_URL_TEMPLATE": "http://127.0.0.1:1/{namespace}/{name}"}
        kubeconfig = plane.kubeconfig(controlplane.OPERATOR)
        return Subject(command, kubeconfig, directory=directory, environment={**url, **environment})


def unmeasured(benchmark: str, because: str) -> str:
    """The row of what is not measured for a peer."""
    return f"| {benchmark} | not measured for a peer: {because} | | |"


@asynccontextmanager
async def control_plane(options: Options, *, controllers: bool = False) -> AsyncIterator[tuple[ControlPlane, Api]]:
    """A fresh control plane that knows the kinds and grants the role."""
    found = await asyncio.to_thread(
        controlplane.locate_binaries, None if "KUBEBUILDER_ASSETS" in os.environ else REPOSITORY
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        directory = Path(folder) / "plane"
        directory.mkdir()
        async with ControlPlane(found, directory, controllers=controllers) as plane, plane.api() as api:
            config = REPOSITORY / "config"
            await manifests.apply(api, manifests.read(config / "default" / "namespace.yaml", options.crds))
            rights = [_PEER] if options.peer else manifests.read(config / "rbac")
            await manifests.apply(api, rights)
            yield plane, api


@dataclass(frozen=True)
class Written:
    """One write that was answered well.

    Attributes:
        at: When, in seconds since the epoch.
        created: Whether it made the object.
    """

    at: float
    verb: str
    resource: str
    subresource: str
    group: str
    version: str
    namespace: str
    name: str
    created: bool
    path: str


@dataclass
class Tail:
    """Follows the writes of a subject in an audit log.

    Attributes:
        writes: All that were seen.
        refused: How many were answered with an error.
        reads: How often what was read, by verb and resource.
    """

    log: Path
    place: int = 0
    writes: list[Written] = field(default_factory=list)
    refused: int = 0
    reads: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, plane: ControlPlane) -> "Tail":
        """From now on."""
        return cls(plane.directory / "audit.log", plane.audit.mark())

    def read(self) -> list[Written]:
        """What is new."""
        with self.log.open("rb") as log:
            log.seek(self.place)
            content = log.read()
        end = content.rfind(b"\n") + 1
        self.place += end
        user = f'"username":"{OPERATOR_USER}"'.encode()
        new = list(self._writes(line for line in content[:end].splitlines() if user in line))
        self.writes += new
        return new

    def _writes(self, lines: Iterable[bytes]) -> Iterator[Written]:
        for entry in map(json.loads, lines):
            about, code = entry.get("objectRef") or {}, entry.get("responseStatus", {}).get("code", 0)
            resource, verb = about.get("resource", ""), entry["verb"]
            if entry["stage"] != "ResponseComplete":
                continue
            if verb in {"get", "list", "watch"}:
                self.reads[f"{verb} {resource}"] += 1
            elif code >= 300:
                self.refused += 1
            elif resource != "leases":
                moment = datetime.fromisoformat(entry["stageTimestamp"])
                yield Written(
                    moment.timestamp(),
                    verb,
                    resource,
                    about.get("subresource", ""),
                    about.get("apiGroup", ""),
                    about.get("apiVersion", ""),
                    about.get("namespace", ""),
                    about.get("name", ""),
                    code == 201,
                    entry["requestURI"].partition("?")[0],
                )

    async def until_quiet(self, subject: Subject, *, at_least: int = 1, seconds: float = QUIET) -> None:
        """Return when so many objects were created, and nothing was written for a while."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.25)
            subject.check()
            if self.read():
                last = time.monotonic()
            made = sum(each.created for each in self.writes)
            if made >= at_least and time.monotonic() - last >= seconds:
                return

    @property
    def children(self) -> list[Written]:
        """What was created, but for events."""
        return [each for each in self.writes if each.created and each.resource != "events"]

    def counted(self) -> str:
        """The writes by what they were, such as ``apply 700, event 100``."""
        kinds = Counter(_kind(each) for each in self.writes)
        return ", ".join(f"{kind} {number}" for kind, number in kinds.most_common())


def _kind(write: Written) -> str:
    if write.resource == "events":
        return "event"
    if write.subresource == "status":
        return "status"
    return "child" if write.created else f"{write.verb} {write.resource}"


async def create(api: Api, path: str, objects: Sequence[Object], *, at_once: int = 16) -> list[Object]:
    """Create objects, some at a time; what the API server made of them."""
    limit = asyncio.Semaphore(at_once)

    async def one(obj: Object) -> Object:
        async with limit:
            made: Object = await api.create(path, obj)
            return made

    return list(await asyncio.gather(*map(one, objects)))


def collection(obj: Object, namespace: str = "default") -> str:
    """Where objects of the kind of a custom object are created; its plural is the simple one."""
    return f"/apis/{obj['apiVersion']}/namespaces/{namespace}/{obj['kind'].lower()}s"


async def replayed(api: Api, tail: Tail, owners: str) -> list[list[Any]]:
    """Prepared requests that make again what a subject has made: its children by their owner, then the last status.

    Args:
        api: Of the control plane on which it made them.
        tail: What it wrote.
        owners: The collection of what it reconciles.
    """
    known: dict[str, Object] = {}
    for place in {write.path.rpartition("/")[0] if write.verb == "patch" else write.path for write in tail.children}:
        listed = await api.get(place)
        kind = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        known |= {f"{place}/{item['metadata']['name']}": kind | item for item in listed["items"]}
    requests: dict[str, list[Any]] = {}
    for write in tail.children:
        path = write.path if write.verb == "patch" else f"{write.path}/{write.name}"
        found = known[path]
        metadata = {
            key: value
            for key, value in found["metadata"].items()
            if key in {"name", "namespace", "labels", "annotations", "ownerReferences"}
        }
        body = {key: value for key, value in found.items() if key != "status"} | {"metadata": metadata}
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if body.get("kind") == "Service" and body["spec"].get("clusterIP") != "None":
                body["spec"].pop(name, None)
        owner = next((each["name"] for each in metadata.get("ownerReferences", ())), "")
        if write.verb == "patch":
            request = ["PATCH", f"{path}?fieldManager=bare", "application/apply-patch+yaml", body]
        else:
            request = ["POST", write.path, "application/json", body]
        requests.setdefault(owner, []).append(request)
    for item in (await api.get(owners))["items"]:
        name = item["metadata"]["name"]
        if name in requests and "status" in item:
            requests[name].append(
                ["PATCH", f"{owners}/{name}/status", "application/merge-patch+json", {"status": item["status"]}]
            )
    return list(requests.values())


def owned_by(requests: list[list[Any]], owners: Sequence[Object]) -> list[list[Any]]:
    """The same requests, for owners that were made anew."""
    uids = {owner["metadata"]["name"]: owner["metadata"]["uid"] for owner in owners}
    for group in requests:
        for *_, body in group:
            for reference in body.get("metadata", {}).get("ownerReferences", ()):
                reference["uid"] = uids[reference["name"]]
    return requests


@dataclass(frozen=True)
class Cost:
    """What something took.

    Attributes:
        seconds: Of time.
        cpu: Seconds of processor time.
        peak: MiB.
    """

    seconds: float
    cpu: float
    peak: float


def compared(what: str, options: Options, subjects: Sequence[Cost], floors: Sequence[Cost]) -> list[str]:
    """Rows of the table: time and processor time beside the floor's, and memory."""
    rows = []
    for name, unit, of in (("time", "s", "seconds"), ("processor time", "s", "cpu")):
        found, floor = (statistics.median(getattr(each, of) for each in costs) for costs in (subjects, floors))
        rows.append(f"| {what}: {name} | {found:.2f} {unit} | {floor:.2f} {unit} | {found / floor:.2f}x |")
    rows.append(f"| {what}: peak memory of the {options.name} | {max(each.peak for each in subjects):.0f} MiB | | |")
    return rows


class Bare:
    """The bare client, which does prepared requests when told.

    Args:
        plane: Whom it asks, under the subject's name.
        requests: Lists of requests that follow each other.
    """

    def __init__(self, plane: ControlPlane, requests: list[list[Any]]) -> None:
        self._plane = plane
        self._file = plane.directory / "requests.jsonl"
        self._file.write_text("\n".join(map(json.dumps, requests)), encoding="utf-8")

    async def run(self) -> Cost:
        """Do them; what it took from the word go."""
        kubeconfig = self._plane.kubeconfig(controlplane.OPERATOR)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.bare", str(kubeconfig), str(self._file), str(CONCURRENCY)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=REPOSITORY,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        usage = Usage(process.pid)
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the bare client did not start")
        began, cpu = time.perf_counter(), usage.cpu
        process.stdin.write(b"go\n")
        if await process.stdout.readline() != b"done\n":
            raise RuntimeError("the bare client failed")
        cost = Cost(time.perf_counter() - began, usage.cpu - cpu, usage.peak)
        process.stdin.write(b"end\n")
        await process.wait()
        return cost


async def exists(api: Api, path: str) -> bool:
    """Whether there is such an object."""
    with contextlib.suppress(ApiStatus):
        await api.get(path)
        return True
    return False
