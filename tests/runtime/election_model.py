"""Candidates for a lease in any weather: a model in virtual time, in which a seed decides everything that happens.

Each candidate is the state machine that the operator runs, on a clock of its own rate, in a process that may stand
still, crash, be stopped and be started again. Between it and the lease's store lies a network that delays, loses,
and delivers long after the sender gave up, requests and answers alike. The store has the API server's optimistic
concurrency. After a while the weather turns fair, and what must happen then is measured.
"""

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from marie_operator.runtime.lease import NEVER, Candidate, Create, Read, Step, Terms, Update, Wait, holder_of
from marie_operator.runtime.resource import Object, ObjectKey

KEY = ObjectKey("n", "lease")
TERMS = (Terms(6, 4, 2), Terms(3, 2, 1), Terms(15, 10, 5), Terms(5, 2.5, 1), Terms(4, 2.5, 1))
DELAYS = (0.002, 0.01, 0.05, 0.3, 1.0, 2.0, 5.0, 12.0)
FAIR = 0.05
"""Longest way to the server, or back, in fair weather; seconds."""
RESTART = 2.0
"""Longest time that a process takes to be there again; seconds."""
ROUNDING = 1e-9

Reply = tuple[str, Object | None]
"""``ok`` with the lease, or ``conflict``, ``exists`` or ``missing``."""


class Violation(AssertionError):  # noqa: N818
    """An invariant does not hold."""


class Store:
    """A lease on an API server."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.version = 0

    def apply(self, step: Step) -> Reply:
        """Do what is asked."""
        if isinstance(step, Create):
            uid = {**step.lease["metadata"], "uid": self.version}
            return ("exists", None) if self.lease is not None else self._write({**step.lease, "metadata": uid})
        if self.lease is None:
            return "missing", None
        if isinstance(step, Update):
            known = step.lease["metadata"].get("resourceVersion")
            same = known in {None, self.lease["metadata"]["resourceVersion"]}
            return self._write(step.lease) if same else ("conflict", None)
        return "ok", self.lease

    def _write(self, lease: Object) -> Reply:
        self.version += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return "ok", self.lease


@dataclass
class Weather:
    """How bad it gets."""

    loss: float
    delays: tuple[float, ...]
    stalls: float
    """Chance that a watch does not tell of a change."""
    freezes: float
    """Chance that a process stands still while it waits for an answer."""

    @classmethod
    def drawn(cls, chance: random.Random) -> "Weather":
        """Some weather."""
        worst = chance.randint(1, len(DELAYS))
        loss, stalls, freezes = (chance.choice(each) for each in ((0, 0.05, 0.3), (0, 0.1, 1), (0, 0, 0.1)))
        return cls(loss, DELAYS[:worst], stalls, freezes)


class Process:
    """One candidate's process; a new one, of another name, after each end."""

    def __init__(self, world: "World", number: int, *, rate: float, terms: Terms) -> None:
        self.world = world
        self.number = number
        self.rate = rate
        self.terms = terms
        self.offset = world.chance.uniform(0, 1e5)
        self.skew = world.chance.choice((0.0, -40.0, 3600.0))
        self.life = 0
        self.turn = 0
        self.paused_until = NEVER
        self.cut_until = NEVER
        self.heard_until = NEVER
        self.alive = self.led = self.watching = self.stopping = False
        self.candidate = self._new()

    def _new(self) -> Candidate:
        return self.world.kind(
            KEY,
            f"{self.number}.{self.life}",
            self.terms,
            wall=lambda: repr(self.world.now + self.skew),
            jitter=self.world.chance.random,
        )

    @property
    def clock(self) -> float:
        """Its monotonic clock."""
        return self.offset + self.rate * self.world.now

    @property
    def leads(self) -> bool:
        """Whether it believes to lead."""
        return self.alive and self.candidate.valid_until > self.clock

    def start(self) -> None:
        """Begin anew."""
        self.life += 1
        self.turn += 1
        self.alive, self.led, self.stopping = True, False, False
        self.candidate = self._new()
        self.go()

    def crash(self) -> None:
        """End at once; what it had sent is under way all the same."""
        self.alive = self.watching = False
        self.turn += 1

    def stop(self) -> None:
        """End in order: hand the lease over."""
        if not self.leads:
            self._end()
            return
        self.candidate.resign()
        self.stopping = True
        self._send(Read())

    def go(self) -> None:
        """Do what the candidate decides."""
        now = self.clock
        self.watching = False
        if self.led and not self.candidate.leads(now):
            self.world.lost(self)
            return
        step = self.candidate.decide(now)
        if not isinstance(step, Wait):
            self._send(step)
            return
        self.turn += 1
        self.world.at((step.until - self.offset) / self.rate + ROUNDING, self, self.go)
        if step.lease is not None:
            self.watching = True
            self.world.watched(self, step.lease)

    def told(self, lease: Object | None) -> None:
        """A watch has brought a change."""
        self.candidate.observed(lease, self.clock)
        self.go()

    def unwatched(self) -> None:
        """A watch has ended."""
        self.candidate.unanswered(self.clock)
        self.go()

    def _send(self, step: Step) -> None:
        self.turn += 1
        sent = self.clock
        self.world.send(self, step, sent, self.candidate.patience(sent) / self.rate)

    def unanswered(self, step: Step, sent: float) -> None:
        """No answer came in time."""
        if self.stopping:
            self._end()
            return
        self.candidate.unanswered(sent)
        self.go()

    def answered(self, step: Step, sent: float, reply: Reply) -> None:
        """An answer came."""
        said, lease = reply
        if self.stopping:
            self._handed_over(step, said, lease)
            return
        if said in {"conflict", "exists"}:
            self.candidate.refused()
        elif said == "missing" or isinstance(step, Read):
            self.candidate.observed(lease, self.clock)
        else:
            assert lease is not None
            self.candidate.written(lease, sent=sent, now=self.clock)
            self.led = self.led or self.leads
            self.world.check(self)
        self.go()

    def _handed_over(self, step: Step, said: str, lease: Object | None) -> None:
        if said == "conflict":
            self._send(Read())
        elif isinstance(step, Read) and lease is not None and holder_of(lease) == self.candidate.identity:
            self._send(Update(self.candidate.released(lease)))
        else:
            self._end()

    def _end(self) -> None:
        self.crash()
        self.world.start_again(self)


class World:
    """All of it.

    Args:
        seed: Decides everything.
        kind: The state machine, or one with a defect.
        drift: Ratio of the fastest clock's rate to the slowest's, as a part of what the terms allow.
    """

    def __init__(self, seed: int, kind: Callable[..., Candidate] = Candidate, *, drift: float = 0.9999) -> None:
        self.chance = chance = random.Random(seed)
        self.kind = kind
        self.now = 0.0
        self.store = Store()
        self.weather = Weather.drawn(chance)
        self._events: list[tuple[float, int, Process | None, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._no_start_until = NEVER
        self.fair_from = float("inf")
        self._mixed = chance.random() < 0.2
        terms = chance.choice(TERMS)
        every = [chance.choice(TERMS) if self._mixed else terms for _ in range(chance.randint(2, 5))]
        self.longest = max(each.duration for each in every)
        ratio = min(each.duration / each.deadline for each in every) * drift
        slowest, fastest = ratio**-0.5, ratio**0.5
        self.processes = [
            Process(self, number, rate=chance.choice((slowest, fastest, chance.uniform(slowest, fastest))), terms=each)
            for number, each in enumerate(every)
        ]

    # Time.

    def at(self, moment: float, process: Process | None, what: Callable[..., None], *arguments: Any) -> None:
        """Have something happen, to a process if it still waits for it then."""
        self._count += 1
        turn = process.turn if process else 0
        heapq.heappush(self._events, (max(moment, self.now), self._count, process, turn, what, arguments))

    def run_until(self, moment: float, holds: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; True as soon as ``holds`` does."""
        while not holds():
            if not self._events or self._events[0][0] > moment:
                self.now = max(self.now, moment)
                return holds()
            self.now, _, process, turn, what, arguments = heapq.heappop(self._events)
            if process is None:
                what(*arguments)
            elif process.turn == turn and process.alive:
                if self.now < process.paused_until:
                    self.at(process.paused_until, process, what, *arguments)
                else:
                    what(*arguments)
        return True

    @property
    def fair(self) -> bool:
        """Whether the weather is."""
        return self.now >= self.fair_from

    # The network.

    def _way(self) -> float | None:
        """Seconds from one side to the other; None for never."""
        if self.fair:
            return self.chance.uniform(0, FAIR)
        if self.chance.random() < self.weather.loss:
            return None
        # What is under way when the weather turns fair arrives then.
        return min(self.chance.choice(self.weather.delays), max(self.fair_from - self.now, 0))

    def send(self, process: Process, step: Step, sent: float, patience: float) -> None:
        """Take a request to the store, and its answer back."""
        there = None if self.now < process.cut_until else self._way()
        back = self._way()
        answers = there is not None and back is not None and there + back < patience
        if not self.fair and self.chance.random() < self.weather.freezes:
            self._pause(process)
        if there is not None:
            self.at(self.now + there, None, self._arrive, process, process.turn, step, sent, back if answers else None)
        if not answers:
            self.at(self.now + patience, process, process.unanswered, step, sent)

    def _arrive(self, process: Process, turn: int, step: Step, sent: float, back: float | None) -> None:
        before = self.store.version
        reply = self.store.apply(step)
        if back is not None and process.turn == turn:
            if self.now + back < process.paused_until and self.chance.random() < 0.5:
                # It came in time, but nobody was there to see that.
                self.at(process.paused_until, process, process.unanswered, step, sent)
            else:
                self.at(self.now + back, process, process.answered, step, sent, reply)
        if self.store.version != before:
            self._changed()

    def _changed(self) -> None:
        for each in self.processes:
            if each.watching and each.alive:
                self._tell(each)

    def _tell(self, process: Process) -> None:
        way = self._way()
        silent = not self.fair and (self.chance.random() < self.weather.stalls or self.now < process.cut_until)
        if way is None:
            self.at(self.now, process, process.unwatched)
        elif not silent:
            process.heard_until = max(process.heard_until, self.now + way)
            self.at(process.heard_until, process, process.told, self.store.lease)

    def watched(self, process: Process, lease: Object) -> None:
        """A watch begins, after the version that is known."""
        current = self.store.lease
        if current is None or current["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
            self._tell(process)

    # Faults.

    def faults(self, until: float) -> None:
        """Draw what goes wrong until then."""
        chance = self.chance
        for _ in range(chance.randint(0, 8)):
            what = chance.choice((self._pause, self._cut, self._crash, self._stop, self._jump, self._delete))
            self.at(chance.uniform(0, until), None, what, chance.choice(self.processes))

    def _length(self) -> float:
        length = self.chance.choice((0.5, 1.0, 2.0)) * self.chance.uniform(0, self.longest)
        return min(self.now + length, self.fair_from)

    def _pause(self, process: Process) -> None:
        process.paused_until = self._length()

    def _cut(self, process: Process) -> None:
        process.cut_until = self._length()

    def _jump(self, process: Process) -> None:
        process.skew += self.chance.choice((-7200.0, -5.0, 5.0, 7200.0))

    def _crash(self, process: Process) -> None:
        process.crash()
        self.start_again(process)

    def _stop(self, process: Process) -> None:
        if process.alive and not process.stopping and self.now >= process.paused_until:
            process.stop()

    def _delete(self, _: Process) -> None:
        """By hand, now and then; who has never seen the lease could not know that it is held."""
        seen = all(not each.alive or each.candidate._lease is not None for each in self.processes)
        if seen and not self._mixed and self.store.lease is not None and self.now > self._no_start_until:
            self.store.lease = None
            self._no_start_until = self.now + 2 * self.longest
            self._changed()

    def start_again(self, process: Process) -> None:
        """Have another process take the place of one that has ended."""
        # Some are there again only when the weather is fair.
        wait = self.chance.uniform(0, RESTART) if self.chance.random() < 0.7 else self.longest
        self.at(min(self.now + wait, max(self.fair_from, self.now)), None, self._start, process)

    def _start(self, process: Process) -> None:
        if self.now < self._no_start_until:
            self.at(self._no_start_until, None, self._start, process)
        elif not process.alive:
            process.start()

    # What must hold.

    def lost(self, process: Process) -> None:
        """A leader has lost the lease: its process ends, and is started again."""
        if self.fair and self._settled:
            raise Violation(f"{self.now:.3f}: {process.candidate.identity} lost the lease in fair weather")
        self._crash(process)

    def check(self, gained: Process) -> None:
        """Never two: beliefs begin and grow only here."""
        if not gained.leads:
            return
        for each in self.processes:
            if each is not gained and each.leads:
                raise Violation(f"{self.now:.3f}: {gained.candidate.identity} and {each.candidate.identity} lead")

    _settled = False

    def leader(self) -> Process | None:
        """Who leads."""
        return next((each for each in self.processes if each.leads), None)

    def leads_surely(self) -> bool:
        """Whether somebody leads by a write that was sent in fair weather."""
        leader = self.leader()
        if leader is None:
            return False
        sent = leader.candidate.valid_until - leader.terms.deadline
        return (sent - leader.offset) / leader.rate >= self.fair_from

    def bound(self) -> float:
        """Seconds of fair weather after which somebody leads, at the latest."""
        slowest = min(each.rate for each in self.processes)
        asked = max(max(each.terms.patience, 2.2 * each.terms.period) for each in self.processes)
        return (asked + self.longest) / slowest + RESTART + 8 * FAIR

    def run(self) -> None:
        """A schedule from its start to its end.

        Raises:
            Violation: two led, or nobody did in time.
        """
        stormy = self.chance.uniform(0.4, 2) * self.longest
        self.fair_from = stormy
        self.faults(stormy)
        for each in self.processes:
            self.at(self.chance.uniform(0, 3), None, self._start, each)
        self.run_until(stormy)
        begin = max(stormy, self._no_start_until)
        if not self.run_until(begin + self.bound(), self.leads_surely):
            raise Violation(f"nobody leads after {self.bound():.3f} s of fair weather")
        self._settled = True
        self.run_until(self.now + self.longest / 2)
        if self.leader() is None:
            raise Violation("nobody leads any more in fair weather")

    def succession(self, *, clean: bool) -> None:
        """After a schedule: the leader ends, and who waits is there as soon as may be.

        Raises:
            Violation: it took longer.
        """
        before = self.leader()
        assert before is not None
        duration = before.terms.duration
        waiting = [each for each in self.processes if each.watching]
        if not waiting or self._no_start_until > NEVER:
            return
        self._settled = False
        began = self.now
        if clean:
            before.stop()
        else:
            before.crash()
        limit = 1.0 if clean else duration / min(each.rate for each in waiting) + 1.0
        if not self.run_until(began + limit, lambda: self.leader() is not None):
            raise Violation(f"nobody leads {limit:.3f} s after a {'stop' if clean else 'kill'}")


def first_violation(seeds: Iterator[int], kind: Callable[..., Candidate] = Candidate) -> tuple[int, str] | None:
    """The first of the seeds that breaks an invariant, and which."""
    for seed in seeds:
        world = World(seed, kind)
        try:
            world.run()
            if seed % 4 == 0:
                world.succession(clean=seed % 8 == 0)
        except Violation as broken:
            return seed, str(broken)
    return None
