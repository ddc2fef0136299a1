"""Executors as the gateway sees them: addresses, slots, and the tickets of those who work."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

TICKET_TTL = 30.0
"""How long a ticket lives that nobody renews, in seconds."""
RENEWAL = 10.0
"""How often a working executor renews its ticket, in seconds."""


@dataclass(slots=True, eq=False)
class Worker:
    """One registered process.

    Attributes:
        executor: What it serves.
        address: Host and port.
        slots: How many tasks it does at a time.
        since: When it registered, in seconds of the simulation.
        alive: False from its death until its registration lapses.
    """

    executor: str
    address: str
    slots: int
    since: float
    alive: bool = True


@dataclass(slots=True)
class _Ticket:
    executor: str
    granted: float
    expires: float = inf


@dataclass(slots=True)
class Pool:
    """Workers and tickets.

    Capacity is a number that Marie writes down now and then, never below what is in use: after a death it is a phantom,
    and work is given to nobody.

    Attributes:
        changes: How often a ticket was taken or given back.
    """

    _workers: dict[str, dict[str, Worker]] = field(default_factory=dict)
    _capacity: dict[str, int] = field(default_factory=dict)
    _tickets: dict[str, _Ticket] = field(default_factory=dict)
    _used: Counter[str] = field(default_factory=Counter)
    changes: int = 0

    def add(self, worker: Worker) -> None:
        """A worker registers, perhaps once more."""
        self._workers.setdefault(worker.executor, {})[worker.address] = worker
        self.recount()

    def remove(self, worker: Worker) -> None:
        """A registration ends, unless another worker has taken the address since."""
        found = self._workers.get(worker.executor, {})
        if found.get(worker.address) is worker:
            del found[worker.address]
            self.recount()

    def workers(self) -> Iterable[Worker]:
        """Everyone registered, by executor."""
        return [worker for found in self._workers.values() for worker in found.values()]

    def of(self, executor: str) -> list[Worker]:
        """Who serves an executor name, the longest registered first."""
        return list(self._workers.get(executor, {}).values())

    def executors(self) -> list[str]:
        """Every executor name that was ever registered."""
        return sorted(self._workers)

    def slots(self, executor: str) -> tuple[int, int]:
        """Capacity as written down, and how much of it is taken."""
        used = self._used[executor]
        return max(self._capacity.get(executor, 0), used), used

    def free(self, executor: str) -> bool:
        """Whether a slot of an executor is free."""
        capacity, used = self.slots(executor)
        return used < capacity

    def any_free(self) -> bool:
        """Whether any slot of any executor is free."""
        return any(map(self.free, self._workers))

    def holds(self, node_id: str) -> bool:
        """Whether there is a ticket for a node: then it gets no second one."""
        return node_id in self._tickets

    def take(self, executor: str, node_id: str, now: float) -> None:
        """Give a ticket to a node that somebody works at."""
        self._drop(node_id)
        self._tickets[node_id] = _Ticket(executor, now)
        self._used[executor] += 1
        self.changes += 1

    def release(self, node_id: str) -> None:
        """Take a ticket back."""
        self._drop(node_id)
        self.changes += 1

    def _drop(self, node_id: str) -> None:
        ticket = self._tickets.pop(node_id, None)
        if ticket is not None:
            self._used[ticket.executor] -= 1

    def tickets(self, executor: str) -> list[str]:
        """Nodes that have a ticket of an executor."""
        return [node_id for node_id, ticket in self._tickets.items() if ticket.executor == executor]

    def abandon(self, node_id: str, now: float) -> None:
        """Nobody renews a ticket from now on."""
        ticket = self._tickets[node_id]
        renewed = (now - ticket.granted) // RENEWAL * RENEWAL
        ticket.expires = ticket.granted + renewed + TICKET_TTL

    def recount(self) -> None:
        """Write the capacities down anew."""
        for executor, found in self._workers.items():
            _, used = self.slots(executor)
            self._capacity[executor] = max(sum(worker.slots for worker in found.values()), used)

    def reap(self, now: float) -> bool:
        """Drop the tickets that have expired; tells whether there were any."""
        expired = [node_id for node_id, ticket in self._tickets.items() if ticket.expires < now]
        for node_id in expired:
            self._drop(node_id)
        return bool(expired)

    def settled(self) -> bool:
        """Whether there is neither an abandoned ticket nor a phantom."""
        registered = {name: sum(worker.slots for worker in found.values()) for name, found in self._workers.items()}
        return self._capacity == registered and all(ticket.expires == inf for ticket in self._tickets.values())

    def forget_tickets(self) -> None:
        """Start over, as a gateway that starts does."""
        self._tickets.clear()
        self._used.clear()
        self.recount()
