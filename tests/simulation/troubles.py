"""When something was in the way of what processes learn and say: apart from these times, what they say is new."""

import asyncio


class Troubles:
    """A record of the times at which something was late, silent, broken or standing still, or several things were."""

    def __init__(self) -> None:
        # Beginnings and ends, in order; the last end is moved as long as it has not come.
        self._spans: list[tuple[float, float]] = []
        self._open: set[tuple[str, str]] = set()

    def last(self, seconds: float) -> None:
        """There is one from here on, for so long."""
        self._extend(_now() + seconds)

    def begin(self, who: str, what: str) -> None:
        """Somebody has one, until it is told to be over."""
        self._extend(_now())
        self._open.add((who, what))

    def end(self, who: str, what: str = "") -> None:
        """One is over, if it has begun; without saying which, all that somebody has."""
        over = {each for each in self._open if each[0] == who and what in {"", each[1]}}
        if over:
            self._extend(_now())
            self._open -= over

    def before(self, seconds: float) -> float:
        """The moment since which there have been so many seconds without any; negative where it is before all."""
        moment, left = _now(), seconds
        spans = list(self._spans)
        if spans and self._open:
            spans[-1] = spans[-1][0], moment
        for start, end in reversed(spans):
            well = max(0.0, moment - end)
            if well >= left:
                break
            left -= well
            moment = min(moment, start)
        return moment - left

    def _extend(self, until: float) -> None:
        now = _now()
        if self._spans and (self._open or self._spans[-1][1] >= now):
            start, end = self._spans[-1]
            self._spans[-1] = start, max(end, until)
        else:
            self._spans.append((now, until))


def _now() -> float:
    return asyncio.get_running_loop().time()
