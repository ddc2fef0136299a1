"""Where the API server is and who we are to it: kubeconfig and in-cluster configuration, followed as they change."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import structlog
import yaml

from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import ConfigError
from marie_operator.runtime.loaders import ConfigException, Configuration, incluster_config, kube_config

RELOAD_PERIOD = 5.0
"""Seconds between two attempts to renew credentials that cannot be read, or that a plug-in has to be asked for."""

log = structlog.get_logger(__name__)

_Signature: TypeAlias = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Connection:
    """An API server's address, and the trust and credentials of the moment.

    Attributes:
        url: Scheme, host and port, without a trailing slash.
        tls: How to verify the server and identify with a client certificate; None for plain HTTP. The same object for
            as long as neither has changed.
        server_name: Name to verify instead of the host's; None for the host's.
        proxy: HTTP proxy on the way, or None.
        authorization: The Authorization header; None where a client certificate says who calls, or nothing does.
    """

    url: str
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None
    authorization: str | None


@dataclass(frozen=True)
class _Read:
    """What was read.

    Attributes:
        configuration: The loader's.
        files: Where it came from, to be looked at for changes.
        expires: When a plug-in's credentials end.
        asks: Whether a plug-in, or another server, gave the credentials, so that no file tells of a change.
    """

    configuration: Any
    files: Sequence[Path]
    expires: datetime | None = None
    asks: bool = False


class Access:
    """The way to one API server, which follows what its configuration says.

    Kubeconfig, token, authority, client certificate and key are read again as soon as one of the files changes
    (client-go looks after one minute at tokens and after five at certificates, and never again at the kubeconfig
    itself); a credential plug-in is asked again when what it gave has expired or was refused (N-05). What cannot be
    read is told, and what was known before goes on.

    Args:
        read: Reads the configuration.
        clock: Tells when credentials expire.
    """

    def __init__(self, read: Callable[[], Awaitable[_Read]], *, clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._trust: object = None
        self._files: Sequence[Path] = ()
        self._seen: _Signature = ()
        self._asks = False
        self._expires: datetime | None = None
        self._refused = False
        self._not_before = 0.0
        self._problem = ""

    @property
    def url(self) -> str:
        """The API server's address, which stays what it was at the start."""
        return self._known.url

    @property
    def _known(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the connection was not opened")
        return self._connection

    async def open(self) -> None:
        """Read for the first time.

        Raises:
            ConfigError: what was found cannot be used.
        """
        await self._renew()

    async def current(self) -> Connection:
        """How to connect at this moment."""
        if self._stale():
            async with self._lock:
                if self._stale():
                    await self._follow()
        return self._known

    def refused(self, connection: Connection) -> None:
        """The server did not accept these credentials: what gave them is asked again, if it has to be asked."""
        if self._asks and connection is self._connection:
            self._refused = True

    def _stale(self) -> bool:
        if _signature(self._files) != self._seen:
            return True
        over = self._refused or (self._expires is not None and self._clock.now() >= self._expires)
        return over and self._clock.monotonic() >= self._not_before

    async def _follow(self) -> None:
        """Take what has changed; going on with what was known beats ending the process over half a file."""
        self._not_before = self._clock.monotonic() + RELOAD_PERIOD
        before, trust = self._known, self._trust
        try:
            await self._renew()
        except ConfigError as error:
            if str(error) != self._problem:
                log.warning("the changed credentials cannot be used; going on with those of before", problem=str(error))
            self._problem = str(error)
            return
        self._problem = ""
        changed = {"certificates": self._trust != trust, "token": self._known.authorization != before.authorization}
        if told := [name for name, differs in changed.items() if differs]:
            log.info("credentials have changed", server=self.url, changed=told)

    async def _renew(self) -> None:
        # Before they are read: what changes meanwhile is a change for the next time.
        self._seen = _signature(self._files)
        found = await self._read()
        self._files = found.files
        if self._connection is None:
            self._seen = _signature(self._files)
        configuration = found.configuration
        url = configuration.host.rstrip("/")
        if self._connection is not None and url != self._connection.url:
            raise ConfigError(f"they are for {url}; restart the process to move it there from {self._connection.url}")
        trust = await asyncio.to_thread(_trust, configuration)
        if self._connection is not None and trust == self._trust:
            tls = self._connection.tls
        else:
            tls = await asyncio.to_thread(_tls, configuration)
        token = await configuration.get_api_key_with_prefix("BearerToken")
        self._connection = Connection(
            url=url,
            tls=tls,
            server_name=configuration.tls_server_name,
            proxy=configuration.proxy,
            authorization=token.strip() if token else None,
        )
        self._trust, self._asks, self._expires, self._refused = trust, found.asks, found.expires, False


async def load(*, kubeconfig: Path | None = None, context: str | None = None, clock: Clock) -> Access:
    """Find the API server as kubectl does: the file given, $KUBECONFIG, the pod's service account, ~/.kube/config.

    Raises:
        ConfigError: nothing was found, or what was found cannot be used.
    """
    access = Access(await _source(kubeconfig, context), clock=clock)
    await access.open()
    return access


async def _source(kubeconfig: Path | None, context: str | None) -> Callable[[], Awaitable[_Read]]:
    named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    if not named and "KUBERNETES_SERVICE_HOST" in os.environ and context is None:
        return _service_account
    if not named:
        default = Path.home() / ".kube" / "config"
        if not await asyncio.to_thread(default.exists):
            raise ConfigError(
                f"no kubeconfig: {default} does not exist and this is not a pod;"
                " name a file with --kubeconfig or KUBECONFIG"
            )
        named = str(default)
    return lambda: _kubeconfig(named, context)


async def _kubeconfig(name: str, context: str | None) -> _Read:
    paths = await asyncio.to_thread(_kubeconfigs, name)
    configuration = type.__call__(Configuration)
    try:
        merged = kube_config.KubeConfigMerger(name).config
        loader = kube_config.KubeConfigLoader(config_dict=merged, active_context=context, config_base_path=None)
        user = _user(merged, loader)
        provider = user.fields.get("auth-provider")
        if isinstance(provider, dict) and provider.get("name") == "oidc":
            # The loader would send its secrets to whoever answers for the issuer, without asking for a certificate.
            raise ConfigError(
                f"kubeconfig {name} has the auth-provider oidc, which is not supported;"
                " use an exec plugin such as kubelogin instead"
            )
        await loader.load_and_set(configuration)
    except ConfigException as error:
        raise ConfigError(f"kubeconfig {name} cannot be used: {error}") from error
    except (yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        # The loader trusts the file's shape: anything else than YAML of the right form ends here.
        raise ConfigError(f"kubeconfig {name} is not a kubeconfig: {error}") from error
    named = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    token = [user.path.parent / user.fields["tokenFile"]] if "tokenFile" in user.fields else []
    return _Read(
        configuration,
        files=[*paths, *(Path(each) for each in named if each), *token],
        expires=getattr(loader, "exec_plugin_expiry", None),
        asks="exec" in user.fields or "auth-provider" in user.fields,
    )


def _kubeconfigs(name: str) -> list[Path]:
    paths = [Path(part).expanduser() for part in name.split(os.pathsep) if part]
    if missing := [path for path in paths if not path.is_file()]:
        raise ConfigError(f"kubeconfig {missing[0]} does not exist; correct --kubeconfig or KUBECONFIG")
    return paths


@dataclass(frozen=True)
class _User:
    fields: dict[str, Any]
    path: Path


def _user(merged: Any, loader: Any) -> _User:
    """The user of the context, and the file that names it, in which paths are relative to it."""
    name = loader.current_context["context"].get("user")
    node = merged["users"].get_with_name(name, safe=True) if name else None
    return _User({}, Path()) if node is None else _User(node["user"].value, Path(node.path))


async def _service_account() -> _Read:
    return await asyncio.to_thread(_mounted)


def _mounted() -> _Read:
    configuration = type.__call__(Configuration)
    token, authority = incluster_config.SERVICE_TOKEN_FILENAME, incluster_config.SERVICE_CERT_FILENAME
    try:
        incluster_config.load_incluster_config(
            client_configuration=configuration,
            try_refresh_token=False,
            token_filename=token,
            cert_filename=authority,
        )
    except (ConfigException, OSError) as error:
        raise ConfigError(
            f"the pod's service account cannot be used: {error} Set automountServiceAccountToken, or KUBECONFIG."
        ) from error
    return _Read(configuration, files=[Path(token), Path(authority)])


def _signature(files: Sequence[Path]) -> _Signature:
    """Which files are there; another one under a name, or another content, is another signature."""
    return tuple([_stat(path) for path in files])


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, before each request
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _trust(configuration: Any) -> object:
    """All that a TLS context is made from."""
    try:
        files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
        contents = [Path(name).read_bytes() if name else b"" for name in files]
    except OSError as error:
        raise ConfigError(f"the certificates of the kubeconfig cannot be used: {error}") from error
    return contents, configuration.verify_ssl


def _tls(configuration: Any) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https"):
        return None
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificates of the kubeconfig cannot be used: {error}") from error
    # Clusters' own authorities often lack the key usage extension that Python 3.13 began to ask for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
