"""The informers of a process."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from marie_operator.runtime.client import Client
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.informer import IndexFunction, Informer, NotCached, Transform
from marie_operator.runtime.metrics import CollectionMetrics, Metrics
from marie_operator.runtime.reflector import Reflector
from marie_operator.runtime.resource import Resource


class Cache:
    """The informers of a process.

    Args:
        client: Lists and watches.
        namespaces: What to look at; empty for all namespaces.
        clock: For the reflectors.
        metrics: The operator_cache_* families; None for none.
        jitter: Yields numbers in [0, 1); spreads what many processes would do together.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespaces: Sequence[str] = (),
        clock: Clock,
        metrics: Metrics | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._namespaces = tuple(dict.fromkeys(namespaces)) or ("",)
        self._clock = clock
        self._metrics = metrics
        self._counted: dict[Resource, CollectionMetrics] = {}
        self._jitter = jitter
        self._informers: dict[Resource, Informer] = {}
        self._given: dict[Resource, tuple[object, ...]] = {}
        self._running = False

    def add(
        self,
        resource: Resource,
        *,
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, IndexFunction] | None = None,
        transform: Transform | None = None,
    ) -> Informer:
        """Keep a kind; before ``run``. What is asked for again in the same way is there once.

        Args:
            resource: The kind.
            label_selector: Narrows on the server; equality and existence only.
            field_selector: Narrows on the server. Whether what is written here still fits it is not known here, so the
                copy of such a kind learns of own writes by the watch alone.
            indexes: Functions from an object to the values it is found under, by the index's name.
            transform: Cuts an object down before it is stored; must keep its name, uid and version (R-60).

        Raises:
            ValueError: the kind is there already in another way, or the selector is of another form.
            RuntimeError: the cache runs: what is added now would never be read (W-15).
        """
        given = label_selector, field_selector, dict(indexes or {}), transform
        if resource in self._informers:
            if self._given[resource] != given:
                raise ValueError(f"{resource} is cached already, with other selectors, indexes or another transform")
            return self._informers[resource]
        if self._running:
            raise RuntimeError(f"{resource} must be added to the cache before it runs")
        namespaces = self._namespaces if resource.namespaced else ("",)
        informer = Informer(
            resource,
            namespaces=namespaces,
            label_selector=label_selector,
            field_selector=field_selector,
            indexes=indexes or {},
            transform=transform,
        )
        if self._metrics is not None:
            self._counted[resource] = CollectionMetrics(self._metrics, str(resource))
        informer.reflectors = [
            Reflector(
                self._client,
                resource,
                namespace,
                informer,
                clock=self._clock,
                label_selector=label_selector,
                field_selector=field_selector,
                metrics=self._counted.get(resource),
                jitter=self._jitter,
            )
            for namespace in namespaces
        ]
        self._informers[resource], self._given[resource] = informer, given
        return informer

    def __getitem__(self, resource: Resource) -> Informer:
        try:
            return self._informers[resource]
        except KeyError:
            raise NotCached(resource) from None

    def informers(self) -> Iterable[Informer]:
        """Every informer, in the order they were added."""
        return self._informers.values()

    def measure(self) -> None:
        """Bring the gauges of every copy up to date."""
        for resource, counted in self._counted.items():
            informer = self._informers[resource]
            counted.state(objects=len(informer), synced=informer.synced, age=informer.age)

    def report(self) -> list[dict[str, Any]]:
        """Every copy with its size, versions and age, for /debug."""
        return [informer.report() for informer in self._informers.values()]

    async def run(self) -> None:
        """Keep all copies until cancelled."""
        self._running = True
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers.values():
                for reflector in informer.reflectors:
                    tasks.create_task(reflector.run(), name=f"reflector {informer.resource}")
            # Also one that keeps nothing runs until it is cancelled.
            await asyncio.Event().wait()

    async def wait_synced(self) -> None:
        """Return once every informer has been read once."""
        for informer in self._informers.values():
            await informer.wait_synced()

    def find(self, resource: Resource) -> Informer | None:
        """The informer of a kind, if there is one."""
        return self._informers.get(resource)
