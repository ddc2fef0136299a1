"""Where the API server is and who we are to it: kubeconfig and in-cluster configuration."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from marie_operator.runtime.errors import ConfigError
from marie_operator.runtime.loaders import ConfigException, Configuration, incluster_config, kube_config

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


@dataclass(frozen=True)
class Connection:
    """An API server's address, trust and credentials.

    Attributes:
        url: Scheme, host and port, without a trailing slash.
        tls: How to verify the server and identify with a client certificate; None for plain HTTP.
        server_name: Name to verify instead of the host's; None for the host's.
        proxy: HTTP proxy on the way, or None.
    """

    url: str
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None
    _configuration: Any

    async def authorization(self) -> str | None:
        """The Authorization header of the moment; a service account's token is read when its file changes (N-05)."""
        value = await self._configuration.get_api_key_with_prefix("BearerToken")
        return value.strip() if value else None

    def connector(self, limit: int) -> aiohttp.TCPConnector:
        """A pool of at most ``limit`` connections (0: no limit) that notices a dead peer within a minute (N-03)."""
        return aiohttp.TCPConnector(
            limit=limit, ssl=self.tls if self.tls is not None else True, socket_factory=_socket, keepalive_timeout=60
        )


def _socket(address: Any) -> socket.socket:
    family, kind, protocol, *_ = address
    result = socket.socket(family=family, type=kind, proto=protocol)
    result.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        result.setsockopt(socket.IPPROTO_TCP, option, value)
    result.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)
    return result


async def load(*, kubeconfig: Path | None = None, context: str | None = None) -> Connection:
    """Find the API server as kubectl does: the file given, $KUBECONFIG, the pod's service account, ~/.kube/config.

    Raises:
        ConfigError: nothing was found, or what was found cannot be used.
    """
    configuration = type.__call__(Configuration)
    named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    if named:
        await _load_file(named, context, configuration)
    elif "KUBERNETES_SERVICE_HOST" in os.environ and context is None:
        await asyncio.to_thread(_load_service_account, configuration)
    else:
        default = Path.home() / ".kube" / "config"
        if not await asyncio.to_thread(default.exists):
            raise ConfigError(
                f"no kubeconfig: {default} does not exist and this is not a pod;"
                " name a file with --kubeconfig or KUBECONFIG"
            )
        await _load_file(str(default), context, configuration)
    return Connection(
        url=configuration.host.rstrip("/"),
        tls=await asyncio.to_thread(_tls, configuration),
        server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
        _configuration=configuration,
    )


async def _load_file(name: str, context: str | None, configuration: Any) -> None:
    missing = [part for part in name.split(os.pathsep) if part and not await asyncio.to_thread(os.path.isfile, part)]
    if missing:
        raise ConfigError(f"kubeconfig {missing[0]} does not exist; correct --kubeconfig or KUBECONFIG")
    try:
        await kube_config.load_kube_config(
            config_file=name, context=context, client_configuration=configuration, persist_config=False
        )
    except ConfigException as error:
        raise ConfigError(f"kubeconfig {name} cannot be used: {error}") from error
    except (yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        # The loader trusts the file's shape: anything else than YAML of the right form ends here.
        raise ConfigError(f"kubeconfig {name} is not a kubeconfig: {error}") from error


def _load_service_account(configuration: Any) -> None:
    try:
        incluster_config.load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise ConfigError(
            f"the pod's service account cannot be used: {error} Set automountServiceAccountToken, or KUBECONFIG."
        ) from error
    configuration.refresh_api_key_hook = _rereading(Path(incluster_config.SERVICE_TOKEN_FILENAME))


def _rereading(path: Path) -> Callable[[Any], None]:
    """Takes a rotated token from its file at once; the loader's own way is up to a minute late."""
    seen = 0

    def refresh(configuration: Any, *_: Any) -> None:
        nonlocal seen
        try:
            changed = path.stat().st_mtime_ns
            if changed != seen:
                configuration.api_key["BearerToken"] = f"Bearer {path.read_text(encoding='utf-8').strip()}"
                seen = changed
        except OSError:
            # While it is being replaced the token of before still holds.
            return

    return refresh


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
