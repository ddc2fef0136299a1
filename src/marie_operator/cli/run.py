"""Runs the operator: every collaborator is made here, and nowhere else."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import structlog
from prometheus_client import CollectorRegistry

from marie_operator import __version__
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.cli.settings import GatewayUrl, Settings, SettingsError, identity
from marie_operator.controllers import kinds, mariecluster, mariejob
from marie_operator.marie.gateways import Gateways
from marie_operator.runtime import (
    ApiError,
    Cache,
    Client,
    ConfigError,
    Controller,
    Elector,
    EventRecorder,
    Forbidden,
    LoopClock,
    Manager,
    Metrics,
    NotFound,
    Typed,
    Unreachable,
)

log = structlog.get_logger("marie_operator")


class StartError(Exception):
    """The operator cannot start; the message says what to do."""


def main(settings: Settings) -> int:
    """Run until a signal; the exit code is 0 after a clean stop, 1 after an error, which has been logged."""
    runner = asyncio.Runner(loop_factory=_loop_factory())
    try:
        with runner:
            runner.run(serve(settings))
    except (ConfigError, SettingsError, StartError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the command line's answer
        return 1
    return 0
