"""A reconcile under way: what it has written, and what was heard of its key meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Self

from marie_operator.runtime.informer import Event
from marie_operator.runtime.resource import Object, Resource

_present: ContextVar["Turn | None"] = ContextVar("turn", default=None)


class News(NamedTuple):
    """Why a key has to run.

    Attributes:
        cause: For people.
        priority: How urgently.
        within: Seconds that it may wait for more news.
    """

    cause: str
    priority: int
    within: float


def most_urgent(news: Sequence[News]) -> News:
    """All of it as one, which waits for no longer than any of it may."""
    most = max(news, key=lambda told: told.priority)
    return most._replace(within=min(told.within for told in news))


class Turn:
    """One reconcile of one key.

    Its own writes come back as events, which often overtake the answers. Which ones those are is known once it has
    ended, and not before; nothing waits for it, since its key would not run again earlier.
    """

    def __init__(self) -> None:
        self._written: set[tuple[Resource, str]] = set()
        self._heard: dict[tuple[Resource, str], News] = {}

    @classmethod
    def present(cls) -> Self | None:
        """The one that is running here; None outside of reconciles."""
        found = _present.get()
        return found if isinstance(found, cls) else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """While entered, what is written here is its own."""
        token = _present.set(self)
        try:
            yield
        finally:
            _present.reset(token)

    def wrote(self, resource: Resource, obj: Object) -> None:
        """The API server has answered a write with ``obj``, which holds what was written and nothing that is news."""
        self._written.add((resource, obj["metadata"]["resourceVersion"]))

    def hear(self, resource: Resource, event: Event, news: News) -> None:
        """Something has happened for which its key has to run again, unless it has done that itself.

        Args:
            resource: The object's kind.
            event: What happened.
            news: The same, for the next run.
        """
        # An object that is gone is told of as it was last, which may be as it was written.
        version = "" if event.kind == "deleted" else event.object["metadata"]["resourceVersion"]
        heard = self._heard.get((resource, version))
        self._heard[resource, version] = news if heard is None else most_urgent((heard, news))

    def news(self, *, own: bool) -> News | None:
        """What its key has to run again for, at its most urgent; None for nothing.

        Args:
            own: Whether what it has written itself counts.
        """
        counted = [told for version, told in self._heard.items() if own or version not in self._written]
        if not counted:
            return None
        return most_urgent(counted)
