"""A whole API server in one object: what a test, a demo or another operator's author uses."""

import json
import random
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from marie_operator.testing.api import Api, HttpWire
from marie_operator.testing.apiserver.authorization import ADMIN, ANONYMOUS, Authorizer, User
from marie_operator.testing.apiserver.direct import DirectWire
from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.http import Listener
from marie_operator.testing.apiserver.requests import Options
from marie_operator.testing.apiserver.served import served
from marie_operator.testing.apiserver.server import ApiServer, Audited
from marie_operator.testing.apiserver.storage import Sources
from marie_operator.testing.apiserver.store import Store
from marie_operator.testing.audit import Recorded, Request

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class EmbeddedApiServer:
    """An API server that runs while it is entered.

    It listens on the loopback interface. ``admin`` and every user of ``users`` has a token; whoever comes without one
    is nobody, and may nothing.

    Args:
        directory: For kubeconfigs and the certificate; without one, there are none.
        tls: Whether it speaks HTTPS, under a certificate of its own.
        users: Users by the name of their kubeconfig, beside ``admin``.
        seed: Of names and uids; two servers with one seed make the same.
        now: The time.
        history: Changes that are kept for each kind; an older watch is answered with 410.
        like: A server whose objects and definitions it begins with, as they are then: for many tests that start from
            one state, which costs much to reach. Give the two different seeds.

    Attributes:
        server: What answers.
        audit: What was asked for.
        url: Where it is, once entered.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        tls: bool = False,
        users: Mapping[str, User] | None = None,
        seed: int | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        history: int = 4096,
        like: "EmbeddedApiServer | None" = None,
    ) -> None:
        self._directory = directory
        self._random = random.Random(seed)  # noqa: S311 - names, not secrets
        self._users = {"admin": ADMIN, **(users or {})}
        self._tokens = {name: f"token-{name}" for name in self._users}
        tokens = {self._tokens[name]: user for name, user in self._users.items()}
        self.audit = Recorded()
        self.server = ApiServer(
            served(),
            sources=Sources(now=now, random_suffix=self._suffix, uid=self._uid),
            authorizer=lambda store: Authorizer(store, tokens, anonymous=ANONYMOUS),
            history=history,
        )
        self.server.audited = self._note
        self._authority: Path | None = None
        context = None
        if tls:
            from marie_operator.testing.apiserver import certificates  # noqa: PLC0415 - plain HTTP needs no cryptography

            context, self._authority = certificates.make(self._folder)
        self._listener = Listener(self.server, tls=context)
        if like is None:
            self._furnish()
        else:
            self.server.kinds.begin_with(like.server.kinds)
            self.server.store.begin_with(like.server.store)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._listener.url

    @property
    def listening(self) -> bool:
        """Whether it takes requests over its sockets."""
        return self._listener.open

    async def start(self, *, empty: bool = False) -> None:
        """Listen; again, on the same port, after a stop.

        Args:
            empty: Whether all that was stored is lost, and the definitions with it.
        """
        if empty:
            self.server.kinds.begin_with(served())
            self.server.store.begin_with(Store())
            self.server.authorizer.forget()
            self._furnish()
        await self._listener.start()

    async def stop(self) -> None:
        """Break every connection and take no more; what is stored stays."""
        await self._listener.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        if self._directory is not None:
            for name in self._users:
                self.kubeconfig(name).write_text(json.dumps(self._config(name), indent=2), encoding="utf-8")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def kubeconfig(self, user: str = "admin") -> Path:
        """The kubeconfig of a user.

        Raises:
            ValueError: the server was given no directory for them.
        """
        return self._folder / f"{user}.kubeconfig"

    @property
    def _folder(self) -> Path:
        if self._directory is None:
            raise ValueError("give the server a directory for kubeconfigs and certificate")
        return self._directory

    def token(self, user: str = "admin") -> str:
        """The bearer token of a user."""
        return self._tokens[user]

    def api(self, user: str = "admin") -> Api:
        """A client, to be entered."""
        return Api(HttpWire(self.url, ca=self._authority, token=self._tokens[user]))

    def direct(self, user: str = "admin") -> Api:
        """A client without sockets; the server need not listen for it."""
        return Api(DirectWire(self.server, token=self._tokens[user]))

    def _config(self, user: str) -> Object:
        trusted = {} if self._authority is None else {"certificate-authority": str(self._authority)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": user,
            "clusters": [{"name": "embedded", "cluster": {"server": self.url, **trusted}}],
            "users": [{"name": user, "user": {"token": self._tokens[user]}}],
            "contexts": [{"name": user, "context": {"cluster": "embedded", "user": user, "namespace": "default"}}],
        }

    def _furnish(self) -> None:
        """What every cluster has: its namespaces and their accounts."""
        kinds = self.server.kinds
        namespaces, accounts = kinds.find("", "v1", "namespaces"), kinds.find("", "v1", "serviceaccounts")
        if namespaces is None or accounts is None:
            raise LookupError("the built-in kinds lack namespaces or service accounts")
        options = Options(field_manager="kube-apiserver")
        for name in _NAMESPACES:
            self.server.storage.create(namespaces, "", {"metadata": {"name": name}}, options)
            self.server.storage.create(accounts, name, {"metadata": {"name": "default"}}, options)
        # Nobody was there to see how it came about: a watch from the very first version is too late.
        self.server.store.compact()

    def _suffix(self) -> str:
        return "".join(self._random.choices(_SUFFIX_LETTERS, k=5))

    def _uid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _note(self, audited: Audited) -> None:
        asked, call = audited.asked, audited.call
        self.audit.note(
            Request(
                user=audited.user,
                verb=asked.verb,
                group=asked.group,
                resource=asked.resource,
                subresource=asked.subresource,
                namespace=asked.namespace,
                name=asked.name,
                code=audited.code,
                path=f"{call.path}?{urlencode(call.query)}" if call.query else call.path,
            )
        )
