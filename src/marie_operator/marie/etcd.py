"""What Marie's workers say of themselves in etcd, read over etcd's JSON gateway (MA-05, MA-07)."""

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pydantic_core import from_json

from marie_operator.marie.replies import Json
from marie_operator.marie.transport import Request, Transport, Unanswered

ROOT = "/marie/"
"""Before every key: Marie knows no other (MA-05)."""
DEPLOYMENTS = f"{ROOT}deployments/"
REGISTRATIONS = f"{ROOT}gateway/marie/"
CAPACITIES = f"{ROOT}capacity/"
SEMAPHORES = f"{ROOT}semaphores/"

PATH = "/v3/kv/txn"
TIMEOUT = 5.0
BUDGET = 16 << 20
"""Bytes of an answer that are read: a worker has about 1 kB."""

_SERVING = "SERVING"


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process.

    Attributes:
        address: Host and port.
        executor: What it serves; empty where it has not said so.
        busy: Whether it works, was given work that it has not begun, or does not say.
        registered: Whether the gateway finds it.
        steady: Whether every ticket of its executor is that of a busy worker: no work is on its way to anybody.
        assigned: The revision at which it was last given work; 0 when it never was.
        tickets: The revision at which a ticket of its executor was last taken or given back; 0 when none was.
        task: What it was last given.
    """

    address: str
    executor: str
    busy: bool
    registered: bool
    steady: bool = True
    assigned: int = 0
    tickets: int = 0
    task: str = ""

    @property
    def free(self) -> bool:
        """Whether it can be withdrawn without harm to any work."""
        return self.registered and self.steady and not self.busy


class Etcd:
    """The etcd of one cluster.

    Args:
        transport: Carries the requests.
        url: Scheme, host and port.
        fence: Called when a change is about to leave; raises NotLeader when another process may be about to make it.
    """

    def __init__(self, transport: Transport, url: str, *, fence: Callable[[], None] | None = None) -> None:
        self._transport = transport
        self._fence = fence
        self.url = url.rstrip("/")

    async def workers(self) -> dict[str, Worker]:
        """Every worker by its address, as of one moment.

        Raises:
            Unanswered: etcd does not answer, or not as etcd does.
        """
        whole = [_range(prefix) for prefix in (DEPLOYMENTS, REGISTRATIONS, CAPACITIES, SEMAPHORES)]
        answer = await self._ask({"success": whole})
        try:
            return _workers(*(list(_rows(each)) for each in answer["responses"]))
        except (KeyError, TypeError, ValueError) as error:
            raise Unanswered(f"{self.url} has no workers as Marie writes them: {error!r}", maybe_sent=True) from error

    async def withdraw(self, worker: Worker) -> bool:
        """Take a worker from the gateway's sight, unless it or another of its kind was given work since it was read.

        Before a gateway gives work to a worker it takes a ticket, and writes down whom it chose. The registration does
        not come back: the worker renews a lease, and writes the key no more (MA-06).

        Returns:
            Whether it is withdrawn.

        Raises:
            Unanswered: whether it is withdrawn is not known.
        """
        seen = {
            f"{DEPLOYMENTS}{worker.address}/{worker.executor}/desired": worker.assigned,
            f"{SEMAPHORES}{worker.executor}/count": worker.tickets,
        }
        same = [
            {"key": _coded(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
            for key, revision in seen.items()
        ]
        away = {"request_delete_range": {"key": _coded(REGISTRATIONS + worker.address)}}
        answer = await self._ask({"compare": same, "success": [away]}, check=self._fence)
        return answer.get("succeeded") is True

    async def _ask(self, body: Json, *, check: Callable[[], None] | None = None) -> Mapping[str, Json]:
        content = bytearray()
        request = Request("POST", self.url, PATH, body=body, timeout=TIMEOUT, check=check)
        async with self._transport.exchange(request) as response:
            async for chunk in response.chunks:
                content += chunk
                if len(content) > BUDGET:
                    raise Unanswered(f"{self.url} answers with more than {BUDGET >> 20} MiB", maybe_sent=True)
            status = response.status
        try:
            answer = from_json(bytes(content))
        except ValueError:
            answer = None
        if status != 200 or not isinstance(answer, Mapping) or "header" not in answer:
            raise Unanswered(f"{self.url} does not answer as etcd does: HTTP {status}", maybe_sent=True)
        return answer


class _Row(NamedTuple):
    """A key, without what all keys begin with."""

    key: str
    value: bytes
    revision: int


def _range(prefix: str) -> Json:
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return {"request_range": {"key": _coded(prefix), "range_end": _coded(end)}}


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _rows(answer: Json) -> Iterator[_Row]:
    for found in answer["response_range"].get("kvs") or ():
        key = base64.b64decode(found["key"]).decode()
        yield _Row(key.removeprefix(ROOT), base64.b64decode(found.get("value", "")), int(found["mod_revision"]))


def _workers(
    deployments: Sequence[_Row], registrations: Sequence[_Row], capacities: Sequence[_Row], semaphores: Sequence[_Row]
) -> dict[str, Worker]:
    names = {row.key.removeprefix("gateway/marie/"): _executor(row.value) for row in registrations}
    said: dict[tuple[str, str], dict[str, _Row]] = {}
    for row in deployments:
        # deployments/<address>/<executor>/<what>; a name with a slash would be none that Marie can address.
        address, executor, what = row.key.removeprefix("deployments/").split("/")
        said.setdefault((address, executor), {})[what] = row
    serves = {address: executor for (address, executor), rows in said.items() if "status" in rows}
    tickets = Counter(row.key.split("/")[1] for row in semaphores if "/holders/" in row.key)
    counted = {row.key.split("/")[1]: row.revision for row in semaphores if row.key.endswith("/count")}
    shared = _shared(capacities, tickets, Counter(names.values()))
    found = []
    for address in names.keys() | serves.keys():
        executor = serves.get(address) or names.get(address, "")
        rows = said.get((address, executor), {})
        desired = from_json(rows["desired"].value) if "desired" in rows else {}
        # Without a ticket no work is under way, whatever was once meant for this worker.
        assigned = int(desired.get("epoch", 0)) if tickets[executor] else 0
        found.append(
            Worker(
                address=address,
                executor=executor,
                busy=executor in shared or not _rests(rows, assigned),
                registered=address in names,
                assigned=rows["desired"].revision if "desired" in rows else 0,
                tickets=counted.get(executor, 0),
                task=str((desired.get("params") or {}).get("job_id", "")),
            )
        )
    busy = Counter(worker.executor for worker in found if worker.busy)
    return {
        worker.address: replace(worker, steady=tickets[worker.executor] <= busy[worker.executor]) for worker in found
    }


def _rests(rows: Mapping[str, _Row], assigned: int) -> bool:
    """Whether a worker says that it does nothing, and has heard of the last that it was given."""
    if "status" not in rows:
        return False
    status = from_json(rows["status"].value)
    return status.get("status_name") != _SERVING and int(status.get("epoch", 0)) >= assigned


def _shared(capacities: Sequence[_Row], tickets: Mapping[str, int], registered: Mapping[str, int]) -> set[str]:
    """Executors with several slots to a worker, some of which are taken.

    A worker with several slots has one status for all of them: it tells of the task that began or ended last.
    """
    limits = {row.key.removeprefix("capacity/"): int(from_json(row.value).get("limit", 0)) for row in capacities}
    return {executor for executor in tickets if limits.get(executor, 0) > registered.get(executor, 0)}


def _executor(registration: bytes) -> str:
    """What a worker says when it registers: a document that holds another as a text."""
    served = from_json(from_json(from_json(registration)["Metadata"]))
    return next(iter(served), "")
