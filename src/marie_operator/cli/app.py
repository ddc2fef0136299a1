"""The commands and their options."""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from marie_operator import __version__
from marie_operator.cli.settings import Settings
from marie_operator.runtime import configure_logs

app = typer.Typer(
    name="marie-operator",
    help="Runs Marie-AI clusters and document jobs on Kubernetes.",
    epilog="Without a command, marie-operator runs the operator; 'marie-operator run --help' lists its options.",
    no_args_is_help=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    # Its boxes cut the names of options short, and its markup takes away what stands in brackets.
    rich_markup_mode=None,
)


class LogLevel(StrEnum):
    """Least severe lines that are logged."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class LogFormat(StrEnum):
    """How lines are written."""

    auto = "auto"
    json = "json"
    console = "console"


_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _namespaces(value: str) -> str:
    """Check what must not end as the whole cluster, or as a namespace that nobody can have."""
    if value and not _names(value):
        raise typer.BadParameter(f"{value!r} names no namespace; leave it empty for all of them.")
    for name in _names(value):
        if not _LABEL.fullmatch(name):
            raise typer.BadParameter(f"{name!r} is no name of a namespace; separate several by commas.")
    return value


def _lease_name(value: str) -> str:
    if len(value) > 253 or not _SUBDOMAIN.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is no name of an object: small letters, digits, '-' and '.'.")
    return value


def _lease_namespace(value: str) -> str:
    if value and not _LABEL.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is no name of a namespace: small letters, digits and '-'.")
    return value


@app.command()
def run(
    *,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(help="Kubeconfig file. Default: $KUBECONFIG, the pod's service account, ~/.kube/config."),
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="Context within the kubeconfig. Default: its current one.")
    ] = None,
    namespaces: Annotated[
        str,
        typer.Option(
            envvar="WATCH_NAMESPACE",
            metavar="A,B",
            help="Namespaces to look after. Default: all.",
            callback=_namespaces,
        ),
    ] = "",
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Objects of one kind that are reconciled at the same time.")
    ] = 8,
    leader_election: Annotated[
        bool,
        typer.Option(
            "--leader-election/--no-leader-election",
            envvar="LEADER_ELECTION",
            help="Work only while holding the lease. Needed with more than one replica.",
        ),
    ] = False,
    lease_name: Annotated[str, typer.Option(help="Name of the lease.", callback=_lease_name)] = "marie-operator",
    lease_namespace: Annotated[
        str,
        typer.Option(
            help="Namespace of the lease. Default: the pod's own, else marie-system.", callback=_lease_namespace
        ),
    ] = "",
    metrics_bind_address: Annotated[
        str, typer.Option(envvar="METRICS_BIND_ADDRESS", help="Address of /metrics, as [host]:port; 0 turns it off.")
    ] = ":8080",
    health_probe_bind_address: Annotated[
        str,
        typer.Option(
            envvar="HEALTH_PROBE_BIND_ADDRESS", help="Address of /healthz and /readyz, as [host]:port; 0 turns it off."
        ),
    ] = ":8081",
    debug_bind_address: Annotated[
        str,
        typer.Option(
            envvar="DEBUG_BIND_ADDRESS",
            help="Address of /debug (tasks, queues, caches), on the loopback interface only; 0 turns it off.",
        ),
    ] = "0",
    marie_url_template: Annotated[
        str,
        typer.Option(
            envvar="MARIE_URL_TEMPLATE",
            metavar="URL",
            help="Where gateways are reached from outside the cluster's network; {namespace} and {name} are the"
            " MarieCluster's. Default: the Service of each cluster.",
        ),
    ] = "",
    submitter_image: Annotated[
        str,
        typer.Option(
            envvar="MARIE_OPERATOR_IMAGE",
            metavar="IMAGE",
            help="Image of submitter pods (submissionMode K8sJobSubmission) that name none of their own: the operator's"
            " own. Without it, such jobs say that it is missing.",
        ),
    ] = "",
    log_level: Annotated[LogLevel, typer.Option(envvar="LOG_LEVEL", help="Least severe lines to log.")] = LogLevel.info,
    log_format: Annotated[
        LogFormat, typer.Option(envvar="LOG_FORMAT", help="auto: console on a terminal, json elsewhere.")
    ] = LogFormat.auto,
) -> None:
    """Run the operator against a Kubernetes cluster (the default)."""
    import marie_operator.cli.run as running  # noqa: PLC0415 - --help answers without loading the operator

    configure_logs(level=log_level, style=log_format)
    settings = Settings(
        kubeconfig=kubeconfig,
        context=context,
        namespaces=_names(namespaces),
        concurrency=concurrency,
        leader_election=leader_election,
        lease_name=lease_name,
        lease_namespace=lease_namespace,
        metrics_bind_address=metrics_bind_address,
        health_probe_bind_address=health_probe_bind_address,
        debug_bind_address=debug_bind_address,
        marie_url_template=marie_url_template,
        submitter_image=submitter_image,
    )
    raise typer.Exit(running.main(settings))


@app.command()
def demo(
    *,
    jobs: Annotated[int, typer.Option(min=1, max=100, help="Jobs that share the cluster.")] = 1,
    documents: Annotated[int, typer.Option(min=1, max=10_000, help="Documents that each job processes.")] = 12,
    real: Annotated[
        bool,
        typer.Option(
            "--real",
            help="On etcd and kube-apiserver as processes, built with Go when $KUBEBUILDER_ASSETS does not have them,"
            " instead of an API server inside this process.",
        ),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end, until Ctrl-C.")] = False,
) -> None:
    """Watch the example cluster and job run; no Kubernetes is needed."""
    try:
        import marie_operator.cli.demo as showing  # noqa: PLC0415 - the demo's dependencies are optional
    except ModuleNotFoundError as error:
        why = f"the demo needs {error.name}, which is not installed"
        typer.echo(f"error: {why}; install the extra 'testing' of marie-operator", err=True)
        raise typer.Exit(1) from error

    raise typer.Exit(showing.main(jobs=jobs, documents=documents, real=real, keep=keep))


@app.command()
def submit() -> None:
    """Submit one document and follow it: for pods of submitters.

    Which document, and where to, the environment says (submissionMode K8sJobSubmission).
    """
    import marie_operator.cli.submit as submitting  # noqa: PLC0415 - as above

    raise typer.Exit(submitting.main())


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"marie-operator {__version__}")


def main() -> None:
    """Entry point; options without a command before them are those of ``run``."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        arguments = ["version"]
    elif not arguments or (arguments[0].startswith("-") and arguments[0] not in {"--help", "-h"}):
        arguments = ["run", *arguments]
    app(args=arguments, prog_name="marie-operator")
