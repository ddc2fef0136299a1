"""What the operator can be told when it starts."""

from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from marie_operator import __version__
from marie_operator.runtime import ObjectKey, Options, StartError
from marie_operator.runtime.process import own_namespace


class SettingsError(StartError):
    """A setting that cannot work; the message says which, and what to give instead."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of ``marie-operator run``; the command line documents each."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    concurrency: int = 8
    leader_election: bool = False
    lease_name: str = "marie-operator"
    lease_namespace: str = ""
    metrics_bind_address: str = ":8080"
    health_probe_bind_address: str = ":8081"
    debug_bind_address: str = "0"
    marie_url_template: str = ""
    submitter_image: str = ""

    def process(self) -> Options:
        """What any operator's process is told; the lease is in the pod's own namespace, or in ``marie-system``."""
        return Options(
            name="marie-operator",
            version=__version__,
            kubeconfig=self.kubeconfig,
            context=self.context,
            namespaces=self.namespaces,
            leader_election=self.leader_election,
            lease_name=self.lease_name,
            lease_namespace=self.lease_namespace or own_namespace("marie-system"),
            metrics_bind_address=self.metrics_bind_address,
            health_probe_bind_address=self.health_probe_bind_address,
            debug_bind_address=self.debug_bind_address,
        )


class GatewayUrl:
    """Where a cluster's gateway is reached from here.

    Args:
        template: Empty when the operator runs inside the cluster's network; else a URL in which
            ``{namespace}`` and ``{name}`` stand for the MarieCluster's.

    Raises:
        SettingsError: the template is no HTTP URL, or names another placeholder.
    """

    def __init__(self, template: str) -> None:
        self._template = template
        if not template:
            return
        if not template.startswith(("http://", "https://")):
            raise SettingsError(
                f"--marie-url-template {template!r} is not an HTTP URL; give one like http://localhost:8000/{{namespace}}/{{name}}"
            )
        try:
            fields = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
        except ValueError as error:
            raise SettingsError(f"--marie-url-template {template!r}: {error}") from error
        if unknown := fields - {"namespace", "name"}:
            raise SettingsError(
                f"--marie-url-template {template!r} names {', '.join(sorted(unknown)) or 'an empty placeholder'};"
                " only {namespace} and {name} can be filled in"
            )

    def of(self, cluster: ObjectKey, service_url: str) -> str:
        """The URL to reach ``cluster`` at; ``service_url`` is its Service's, inside the cluster's network."""
        if not self._template:
            return service_url
        return self._template.format(namespace=cluster.namespace, name=cluster.name)
