"""What runs in submitter pods beside a served control plane: the submitter, as a process."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable

from marie_operator.builders import association
from marie_operator.testing.api import Api
from marie_operator.testing.kubelet import Behaviour, Pod
from marie_operator.testing.processes import killed_with_parent
from tests.simulation.replica import SUBMITTER_IMAGE
from tests.simulation.submitters import environment


def behaviour(api: Api, gateways: str) -> Behaviour:
    """How submitter pods behave.

    Args:
        api: Reads the Secrets that they name.
        gateways: The URL that clusters add their place to.
    """
    labels = {association.NODE_TYPE_LABEL: association.SUBMITTER}
    return Behaviour(labels, image=SUBMITTER_IMAGE, program=_program(api, f"{gateways}/{{namespace}}/{{name}}"))


def _program(api: Api, url: str) -> Callable[[Pod], Awaitable[tuple[int, str]]]:
    async def program(pod: Pod) -> tuple[int, str]:
        told = await environment(api, pod, url)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "marie_operator", "submit",
            env={**os.environ, **told}, stdout=asyncio.subprocess.PIPE, preexec_fn=killed_with_parent(),
        )  # fmt: skip
        try:
            out, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        return process.returncode or 0, out.decode().strip().splitlines()[-1]

    return program
