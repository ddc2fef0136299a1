"""The Secrets of a cluster: the user's are read, its own are made once, and the configuration is written from both."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from marie_operator.api.conditions import ClusterReason, EventReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, backing, configuration, pod, quoting, secret
from marie_operator.builders.backing import Service, Wanted
from marie_operator.controllers.mariecluster import refusals
from marie_operator.controllers.named import NamedObjects
from marie_operator.runtime import AlreadyExists, Forbidden, NotFound, PatchKind, Writer
from marie_operator.runtime.children import Done
from marie_operator.runtime.ownership import controller_of, controller_uid
from marie_operator.runtime.resource import SECRETS, Object, ObjectKey

KEY_LENGTH = 58
"""Characters of an API key that Marie accepts."""


class Problem(NamedTuple):
    """Why the configuration cannot be rendered, or must not be used.

    Attributes:
        service: The service it concerns; None for the gateway itself.
        reason: As conditions have it.
        message: What is wrong and what to do.
    """

    service: Service | None
    reason: ClusterReason
    message: str


class Supplies:
    """Sees to it that a cluster's Secrets are there.

    Args:
        named: Reads Secrets.
        client: Writes them.
        random: That many bytes that nobody can guess.
    """

    def __init__(self, named: NamedObjects, client: Writer, *, random: Callable[[int], bytes]) -> None:
        self._named = named
        self._client = client
        self._random = random

    async def provide(self, cluster: MarieCluster, changes: list[Done], *, has_data: bool) -> Sequence[Problem]:
        """Read and make what the configuration needs, and write it when it is not what it should be.

        Args:
            cluster: A valid cluster.
            changes: Takes what was written.
            has_data: Whether the managed database has a volume: its password is then no longer made anew.

        Returns:
            What keeps the configuration from being rendered.
        """
        if backing.of(cluster) is None:
            return ()
        problems = [
            Problem(None, ClusterReason.INVALID_SPEC, str(each)) for each in configuration.unrenderable(cluster)
        ]
        values: dict[str, Mapping[str, str]] = {}
        for wanted in backing.secrets(cluster):
            if wanted.service is None and not pod.renders_server(cluster):
                # Which keys its gateway takes is in a file of the user's.
                continue
            try:
                found = await self._found_or_made(cluster, wanted, changes, has_data=has_data)
            except refusals.DENIED as error:
                problems.append(Problem(wanted.service, *refusals.worded(f"Secret {wanted.secret}", error)))
                continue
            problem: Problem | None = None
            if found is None:
                problem = _missing(cluster, wanted)
            elif _maker(cluster, wanted) is not None and _is_others(cluster, found):
                problem = _taken(wanted.service, wanted.secret)
            else:
                problem = _lacking(cluster, wanted, secret.texts(found))
            if problem is not None:
                problems.append(problem)
            elif found is not None:
                values[wanted.secret] = secret.texts(found)
        if not problems:
            problems += await self._write(cluster, values, changes)
        return problems

    async def retire(self, cluster: MarieCluster, changes: list[Done]) -> None:
        """Delete the configuration of a cluster none of whose pods reads it any more.

        Without the right to delete it stays, and harms nobody.

        Args:
            cluster: A cluster that has, or has had, backing services, and whose pods are as its spec asks.
            changes: Takes what was written.
        """
        if configuration.renders(cluster):
            return
        key = ObjectKey(cluster.metadata.namespace, association.config_secret_name(cluster.metadata.name))
        with contextlib.suppress(Forbidden):
            live = await self._named.get(SECRETS, key)
            if live is None or not _is_ours(cluster, live):
                return
            with contextlib.suppress(NotFound):
                await self._client.delete(SECRETS, key, uid=live["metadata"]["uid"])
                changes.append(Done(EventReason.DELETED, f"Secret {key.name}"))
            self._named.forget(SECRETS, key)

    async def _found_or_made(
        self, cluster: MarieCluster, wanted: Wanted, changes: list[Done], *, has_data: bool
    ) -> Object | None:
        key = ObjectKey(cluster.metadata.namespace, wanted.secret)
        found = await self._named.get(SECRETS, key)
        make = _maker(cluster, wanted)
        if make is None:
            return found
        if found is not None and _is_others(cluster, found):
            # That of a cluster of this name which was deleted goes with it.
            found = await self._named.read(SECRETS, key)
        if found is None:
            lost = make is secret.postgres and has_data
            return None if lost else await self._made(cluster, wanted.secret, make, changes)
        if make is secret.api_key and _rotation_due(cluster, found):
            return await self._rotated(cluster, key, changes)
        if make is secret.postgres and _lacks_file(cluster, found):
            return await self._completed(cluster, key, changes)
        return found

    async def _made(
        self, cluster: MarieCluster, name: str, make: Callable[[MarieCluster, bytes], Object], changes: list[Done]
    ) -> Object | None:
        """Create a Secret, unless someone else has by now: what is there is never written over."""
        size = secret.KEY_BYTES if make is secret.api_key else secret.PASSWORD_BYTES
        try:
            created = await self._client.create(SECRETS, make(cluster, self._random(size)))
        except AlreadyExists:
            return await self._named.read(SECRETS, ObjectKey(cluster.metadata.namespace, name))
        self._named.written(SECRETS, created)
        changes.append(Done(EventReason.CREATED, f"Secret {name}"))
        return created

    async def _rotated(self, cluster: MarieCluster, key: ObjectKey, changes: list[Done]) -> Object | None:
        """Replace the key in a Secret of ours, on the version that was just read."""
        found = await self._named.read(SECRETS, key)
        if found is None or not _rotation_due(cluster, found):
            return found
        new = secret.api_key(cluster, self._random(secret.KEY_BYTES))
        body = {
            "metadata": {
                "resourceVersion": found["metadata"]["resourceVersion"],
                "annotations": new["metadata"]["annotations"],
            },
            "data": new["data"],
        }
        written = await self._client.patch(SECRETS, key, body, kind=PatchKind.MERGE)
        self._named.written(SECRETS, written)
        changes.append(Done(EventReason.CHANGED, f"Secret {key.name}: a new API key"))
        return written

    async def _completed(self, cluster: MarieCluster, key: ObjectKey, changes: list[Done]) -> Object | None:
        """Add the file that the database's pod mounts to a Secret that a user has made, or restored."""
        found = await self._named.read(SECRETS, key)
        if found is None or not _lacks_file(cluster, found):
            return found
        body = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "data": {association.POSTGRES_FILE: secret.encoded(configuration.POSTGRES_INIT)},
        }
        written = await self._client.patch(SECRETS, key, body, kind=PatchKind.MERGE)
        self._named.written(SECRETS, written)
        changes.append(Done(EventReason.CHANGED, f"Secret {key.name}: {association.POSTGRES_FILE}"))
        return written

    async def _write(
        self, cluster: MarieCluster, values: Mapping[str, Mapping[str, str]], changes: list[Done]
    ) -> list[Problem]:
        """Write the configuration when it is not what it should be."""
        files = configuration.files(cluster, values)
        if not files:
            return []
        wanted = secret.config(cluster, files)
        key = ObjectKey.of(wanted)
        live = await self._named.get(SECRETS, key)
        if live is not None and _same(live, wanted):
            return []
        live = await self._named.read(SECRETS, key)
        if live is not None and not _is_ours(cluster, live):
            return [_taken(None, key.name)]
        if live is not None and _same(live, wanted):
            return []
        try:
            written = await self._client.apply(SECRETS, wanted, field_manager=association.FIELD_MANAGER, force=True)
        except refusals.DENIED as error:
            return [Problem(None, *refusals.worded(f"Secret {key.name}", error))]
        self._named.written(SECRETS, written)
        changes.append(Done(EventReason.CREATED if live is None else EventReason.CHANGED, f"Secret {key.name}"))
        return []


def _maker(cluster: MarieCluster, wanted: Wanted) -> Callable[[MarieCluster, bytes], Object] | None:
    """How a Secret is made that the user is not asked for."""
    own = wanted.secret == association.api_key_secret_name(cluster.metadata.name)
    if own and not (cluster.spec.auth and cluster.spec.auth.api_key_secret_ref):
        return secret.api_key
    if wanted.service is Service.POSTGRES and Service.POSTGRES in backing.managed(cluster):
        return secret.postgres
    return None


def _rotation_due(cluster: MarieCluster, found: Object) -> bool:
    asked = cluster.metadata.annotations.get(secret.ROTATE)
    done = (found["metadata"].get("annotations") or {}).get(secret.ROTATED)
    return asked is not None and asked != done and _is_ours(cluster, found)


def _is_ours(cluster: MarieCluster, found: Object) -> bool:
    return controller_uid(found) == cluster.metadata.uid


def _is_others(cluster: MarieCluster, found: Object) -> bool:
    """Whether a Secret was made for another cluster: one that nobody, or something else, controls is the user's."""
    owner = controller_of(found)
    return owner is not None and owner["kind"] == cluster.kind and owner["uid"] != cluster.metadata.uid


def _lacks_file(cluster: MarieCluster, found: Object) -> bool:
    return not _is_others(cluster, found) and association.POSTGRES_FILE not in (found.get("data") or {})


def _same(live: Object, wanted: Object) -> bool:
    """Whether a Secret is as wanted; what someone has added to it is theirs."""
    found = live.get("data") or {}
    return (
        all(found.get(key) == value for key, value in wanted["data"].items())
        and controller_uid(live) == controller_uid(wanted)
        and association.spec_hash(live) == association.spec_hash(wanted)
    )


def _taken(service: Service | None, name: str) -> Problem:
    message = (
        f"Secret {name} exists and does not belong to this cluster; if it is of one of the same name that was deleted, "
        "it goes by itself. Otherwise delete or rename it, or give the cluster another name."
    )
    return Problem(service, ClusterReason.NAME_TAKEN, message)


def _missing(cluster: MarieCluster, wanted: Wanted) -> Problem:
    namespace = cluster.metadata.namespace
    if wanted.service is Service.POSTGRES and Service.POSTGRES in backing.managed(cluster):
        message = (
            f"Secret {wanted.secret} is gone from namespace {namespace}, and with it the password of the managed "
            f"database, which has data: restore it with the keys {' and '.join(wanted.keys)}."
        )
    else:
        message = (
            f"There is no Secret {wanted.secret} in namespace {namespace}, which {wanted.field} names: "
            f"create it with the keys {' and '.join(wanted.keys)}, or correct the field."
        )
    return Problem(wanted.service, ClusterReason.SECRET_MISSING, message)


def _lacking(cluster: MarieCluster, wanted: Wanted, data: Mapping[str, str]) -> Problem | None:
    """What is wrong with a Secret's content."""
    place = f"Secret {wanted.secret} in namespace {cluster.metadata.namespace}"
    if absent := [key for key in wanted.keys if not data.get(key)]:
        message = (
            f"{place}, which {wanted.field} names, has no {' and no '.join(absent)}: add it, or correct the field."
        )
        return Problem(wanted.service, ClusterReason.SECRET_KEY_MISSING, message)
    if not configuration.renders(cluster):
        return None
    if wanted.service is None:
        (key,) = wanted.keys
        if len(data[key]) != KEY_LENGTH or data[key][:4] not in {"mas_", "mau_"} or not quoting.survives(data[key]):
            message = (
                f"{key} in {place} is no API key that Marie accepts: "
                f'write "mas_" or "mau_" and {KEY_LENGTH - 4} letters, digits, dashes or underscores.'
            )
            return Problem(None, ClusterReason.SECRET_UNUSABLE, message)
    elif misread := [key for key in wanted.keys if not quoting.survives(data[key])]:
        message = f"Marie would misread {' and '.join(misread)} in {place}: {quoting.ADVICE}"
        return Problem(wanted.service, ClusterReason.SECRET_UNUSABLE, message)
    return None
