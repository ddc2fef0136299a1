"""The API server's verbs, with typed errors, timeouts on everything, and retries only where they are safe."""

import copy
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from marie_operator.runtime import connection as connections
from marie_operator.runtime.calls import Calls, RequestMetrics
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.decoding import Lines, ObjectList, WatchEvent, page_of, watch_event
from marie_operator.runtime.errors import AlreadyExists, Conflict, Expired, Silent
from marie_operator.runtime.resource import Object, ObjectKey, Resource
from marie_operator.runtime.tracing import TracedTransport, Tracer
from marie_operator.runtime.transport import HttpTransport, Request, Transport

WATCH_SILENCE = 90.0
"""Seconds after which a watch that brings nothing is given up (W-13).

An API server sends a bookmark each minute. Where one does not, a watch that is asked for again from where it was costs
next to nothing, and a connection that some box on the way has forgotten costs all that happens meanwhile.
"""
NEVER = "1"
"""A resource version that no object has, since etcd counts from 1 before the first write: applied with it, an object
can be created and not changed (registry/generic/registry/store.go, Update)."""


class PatchKind(StrEnum):
    """Content types of patches."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    APPLY = "application/apply-patch+yaml"


class Client:
    """Calls one API server.

    Args:
        transport: Carries the requests; closed with the client.
        clock: For durations.
        metrics: Counts requests; None for none.
        jitter: Yields numbers in [0, 1); spreads retries.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        metrics: RequestMetrics | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._calls = Calls(transport, clock=clock, metrics=metrics, jitter=jitter)
        self._clock = clock
        self._check: Callable[[], None] | None = None

    @classmethod
    async def connect(
        cls,
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        user_agent: str,
        clock: Clock,
        metrics: RequestMetrics | None = None,
        tracer: Tracer | None = None,
    ) -> "Client":
        """A client of the API server that kubectl would use.

        Args:
            kubeconfig: A file instead of those that kubectl would look for.
            context: A context within it instead of its current one.
            user_agent: Names the program in the server's audit log.
            clock: For durations.
            metrics: Counts requests; None for none.
            tracer: Has a span for each request but watches; None for none.

        Raises:
            ConfigError: no usable configuration.
        """
        access = await connections.load(kubeconfig=kubeconfig, context=context, clock=clock)
        transport: Transport = HttpTransport(access, user_agent=user_agent)
        if tracer is not None:
            transport = TracedTransport(transport, tracer)
        return cls(transport, clock=clock, metrics=metrics)

    @property
    def url(self) -> str:
        """The API server's address."""
        return self._calls.transport.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every connection; also those of ``fenced`` views."""
        await self._calls.transport.close()

    def fenced(self, check: Callable[[], None]) -> "Client":
        """A view of this client whose writes first call ``check``, which raises to refuse them."""
        view = copy.copy(self)
        view._check = check
        return view

    async def version(self) -> str:
        """The server's version, such as ``v1.36.2``."""
        return str((await self._calls.call("GET", "/version"))["gitVersion"])

    async def get(self, resource: Resource, key: ObjectKey) -> Object:
        """Read one object from the server.

        Raises:
            NotFound: it does not exist.
        """
        return await self._calls.call("GET", resource.path(key.namespace, key.name))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
        limit: int = 500,
        each: Callable[[Object], Object] | None = None,
    ) -> ObjectList:
        """Read a whole collection, page by page.

        A continue token that expires on a later page leads to one full list (R-13). ``resource_version`` asks for a
        state at least as new, and empty for the newest; ``each`` says what is kept of an object, so that no page
        lives longer than it takes to read it (R-65).
        """
        items: list[Object] = []
        version, paged = "", False
        selectors = {"label_selector": label_selector, "field_selector": field_selector}
        try:
            async for page in self.pages(
                resource, namespace, resource_version=resource_version, limit=limit, **selectors
            ):
                items += page.items if each is None else map(each, page.items)
                version, paged = page.resource_version, True
                del page
        except Expired:
            if not paged:
                raise
            return await self.list(
                resource, namespace, resource_version=resource_version, limit=0, each=each, **selectors
            )
        return ObjectList(items, version)

    async def pages(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
        limit: int = 500,
    ) -> AsyncGenerator[ObjectList, None]:
        """A collection's pages; all carry the resource version of the first (R-13).

        Items are whole objects: of built-in kinds the API server leaves out what the list says for all of them.
        """
        query = _query(labelSelector=label_selector, fieldSelector=field_selector, limit=str(limit) if limit else "")
        first = _query(resourceVersion=resource_version or "")
        path, token = resource.path(namespace), ""
        while True:
            paging = {"continue": token} if token else first
            page = page_of(path, await self._calls.call("GET", path, query={**query, **paging}))
            token = page.remaining
            for item in page.items:
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
            yield page
            del page
            if not token:
                return

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout: float,
        send_initial_events: bool = False,
        opened: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after ``resource_version``, until the server ends the watch.

        Args:
            resource: What to watch.
            namespace: Where; empty for everywhere.
            resource_version: Start after this version.
            label_selector: Narrows on the server.
            field_selector: Narrows on the server.
            timeout: Seconds after which the server ends the watch.
            send_initial_events: Start with the present objects, ended by an annotated bookmark (R-41).
            opened: Called once the server has accepted the watch.

        Raises:
            ApiError: the server refused, or sent an ERROR event (Expired for 410).
            Silent: nothing came for ``WATCH_SILENCE`` seconds.
            Unreachable: the connection failed.
        """
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=str(int(timeout)),
            sendInitialEvents="true" if send_initial_events else "",
            resourceVersionMatch="NotOlderThan" if send_initial_events else "",
        )
        request = Request("GET", resource.path(namespace), query)
        async with self._calls.stream(request, silence=WATCH_SILENCE) as stream:
            if opened is not None:
                opened()
            lines, last = Lines(), self._clock.monotonic()
            async for chunk in stream.chunks:
                complete = lines.feed(chunk)
                for line in complete:
                    yield watch_event(line, request=f"watch {request.path}")
                now = self._clock.monotonic()
                if complete:
                    last = now
                elif now - last >= WATCH_SILENCE:
                    # Bytes that trickle in and never make a line are silence as well.
                    raise Silent(f"watch {request.path}: no answer in time", maybe_sent=True)

    async def create(self, resource: Resource, obj: Object) -> Object:
        """Create an object; a POST is sent at most once.

        Raises:
            AlreadyExists: the name is taken.
        """
        path = resource.path(obj["metadata"].get("namespace", ""))
        return await self._write("POST", path, body=obj)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Replace an object at the resource version it carries.

        Raises:
            Conflict: it has changed since.
        """
        key = ObjectKey.of(obj)
        return await self._write("PUT", resource.path(key.namespace, key.name, subresource), body=obj)

    async def apply(
        self,
        resource: Resource,
        obj: Object,
        *,
        field_manager: str,
        force: bool = False,
        only_create: bool = False,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        """Server-side apply: create the object, or make the fields it names so and drop those named before.

        What the API server gave can be applied as it is: who owns which field is not sent back to it (K-23).

        Args:
            resource: Its kind.
            obj: The fields.
            field_manager: Who owns them from now on.
            force: Take fields over that others own.
            only_create: Leave an object that exists as it is. A reply that was lost may be why it does.
            dry_run: Have all of it done but the storing.
            subresource: Of the object; empty for itself.

        Raises:
            ApplyConflict: another manager owns a field, and ``force`` is not set.
            AlreadyExists: the object exists, and ``only_create`` is set.
        """
        key = ObjectKey.of(obj)
        if only_create:
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": NEVER}}
            try:
                return await self.apply(
                    resource,
                    obj,
                    field_manager=field_manager,
                    force=force,
                    dry_run=dry_run,
                    subresource=subresource,
                )
            except Conflict as error:
                raise AlreadyExists(error.code, "AlreadyExists", f"{resource} {key} exists") from error
        query = _query(
            fieldManager=field_manager,
            force="true" if force else "",
            dryRun="All" if dry_run else "",
            fieldValidation="Strict",
        )
        path = resource.path(key.namespace, key.name, subresource)
        metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
        body = {**obj, "metadata": metadata}
        return await self._write("PATCH", path, body=body, query=query, content_type=PatchKind.APPLY, repeatable=True)

    async def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        body: Object | Sequence[Object],
        *,
        kind: PatchKind,
        subresource: str = "",
    ) -> Object:
        """Patch an object or its subresource."""
        return await self._write(
            "PATCH", resource.path(key.namespace, key.name, subresource), body=body, content_type=kind
        )

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
        grace: int | None = None,
    ) -> Object:
        """Delete an object, only while it is the one meant.

        Args:
            resource: Its kind.
            key: Its name.
            uid: Refuse when the object is another one of the same name.
            resource_version: Refuse when the object has changed.
            propagation: Background, Foreground or Orphan.
            grace: Seconds that a pod gets to end, which can be made fewer while it ends; None for its own.

        Returns:
            A Status, or the object: as it stays until its end, which pods and those with finalizers do, or for some
            kinds, such as Services, as it was last.

        Raises:
            NotFound: it does not exist.
            Conflict: a precondition does not hold.
        """
        preconditions = _query(uid=uid, resourceVersion=resource_version)
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if preconditions:
            body["preconditions"] = preconditions
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        return await self._write("DELETE", resource.path(key.namespace, key.name), body=body)

    async def _write(
        self,
        method: str,
        path: str,
        *,
        body: Object | Sequence[Object],
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        repeatable: bool = False,
    ) -> Object:
        return await self._calls.call(
            method, path, body=body, query=query, content_type=content_type, repeatable=repeatable, check=self._check
        )


def _query(**parameters: str) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}
