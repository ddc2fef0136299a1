"""Runs the operator: every collaborator is made here, and nowhere else."""

import os

import aiohttp
import structlog

from marie_operator import __version__
from marie_operator.cli.assembly import Operator
from marie_operator.cli.settings import GatewayUrl, Settings
from marie_operator.controllers import kinds, mariejob
from marie_operator.marie import database
from marie_operator.marie.transport import HttpTransport
from marie_operator.runtime import (
    ApiError,
    Client,
    Forbidden,
    NotFound,
    Process,
    StartError,
    Unauthorized,
    Unreachable,
    run,
)

log = structlog.get_logger("marie_operator")


def main(settings: Settings) -> int:
    """Run until a signal; 0 after a clean stop, 1 after an error, which has been told."""
    return run(lambda: serve(settings))


async def serve(settings: Settings) -> None:
    """Run the operator with these settings until SIGTERM or SIGINT.

    Raises:
        StartError: it cannot start, and what to do about it.
        LeadershipLost: the lease could not be kept.
    """
    gateway_url = GatewayUrl(settings.marie_url_template)
    async with Process(settings.process()) as process, aiohttp.ClientSession(trust_env=False) as session:
        await _check(process.client, settings)
        log.info(
            "starting", version=__version__, server=process.client.url, namespaces=list(settings.namespaces) or "all"
        )
        operator = Operator(
            process.client,
            elector=process.elector,
            transport=HttpTransport(session),
            connect=database.connection,
            lister=mariejob.BucketLister(os.environ),
            objects=mariejob.BucketObjects(os.environ),
            gateway_url=gateway_url.of,
            submitter_image=settings.submitter_image,
            namespaces=settings.namespaces,
            concurrency=settings.concurrency,
            instance=process.instance,
            clock=process.clock,
            metrics=process.metrics,
            tracer=process.tracer,
        )
        await process.serve(operator.manager())


async def _check(client: Client, settings: Settings) -> None:
    """Find out at once what would otherwise show as endless retries.

    Raises:
        StartError: what is missing, and where to get it.
    """
    try:
        await client.version()
        for resource in (kinds.MARIE_CLUSTERS, kinds.MARIE_JOBS):
            for namespace in settings.namespaces or ("",):
                await anext(client.pages(resource, namespace, limit=1))
    except Unreachable as error:
        raise StartError(f"the API server at {client.url} does not answer: {error}") from error
    except NotFound as error:
        raise StartError(
            f"the CustomResourceDefinitions of marie.ai are not installed on {client.url};"
            " run 'make install', or 'kubectl apply -k config/crd'"
        ) from error
    except Unauthorized as error:
        raise StartError(f"the API server at {client.url} does not accept the credentials: {error.message}") from error
    except Forbidden as error:
        raise StartError(f"{error.message}; apply config/rbac and bind it to this account") from error
    except ApiError as error:
        raise StartError(f"the API server at {client.url} cannot be used: {error}") from error
