"""Starting the operator wrongly gets a sentence, not a traceback."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from marie_operator.testing import manifests
from marie_operator.testing.controlplane import OPERATOR, ControlPlane
from tests.controlplane.processes import ServedStage
from tests.controlplane.world import ROOT

pytestmark = pytest.mark.real


async def started(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and errors of ``python -m marie_operator``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "marie_operator",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200", **environment},
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def refused(*arguments: str, **environment: str) -> str:
    """The sentence of a start that fails."""
    code, _, errors = await started(*arguments, **environment)
    assert code != 0
    assert "Traceback" not in errors
    return errors.strip()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlane]:
    """An API server without the CRDs."""
    async with ControlPlane(binaries, tmp_path_factory.mktemp("bare"), controllers=False) as plane:
        yield plane


async def test_help_names_every_option_and_its_variable() -> None:
    code, output, _ = await started("run", "--help")
    assert code == 0
    for word in (
        "--kubeconfig",
        "--namespaces",
        "--concurrency",
        "--leader-election",
        "LEADER_ELECTION",
        "METRICS_BIND_ADDRESS",
        "HEALTH_PROBE_BIND_ADDRESS",
        "DEBUG_BIND_ADDRESS",
        "MARIE_URL_TEMPLATE",
        "--log-level",
        "--log-format",
        "--lease-name",
    ):
        assert word in output
    code, output, _ = await started("--help")
    assert code == 0
    assert "run" in output
    assert "demo" in output


async def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    assert f"kubeconfig {tmp_path}/none does not exist" in await refused(f"--kubeconfig={tmp_path}/none")


async def test_a_kubeconfig_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("]:not yaml")
    assert "error: kubeconfig" in await refused(f"--kubeconfig={tmp_path}/config")


async def test_a_context_that_is_not_there(stage: ServedStage) -> None:
    message = await refused(f"--kubeconfig={stage.plane.kubeconfig()}", "--context=production")
    assert "production" in message


async def test_a_server_that_does_not_answer(stage: ServedStage, tmp_path: Path) -> None:
    config = json.loads(stage.plane.kubeconfig().read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "config").write_text(json.dumps(config))
    message = await refused(f"--kubeconfig={tmp_path}/config")
    assert message.startswith("error: the API server at https://127.0.0.1:1 does not answer")


async def test_crds_that_are_not_installed(bare: ControlPlane) -> None:
    message = await refused(f"--kubeconfig={bare.kubeconfig()}")
    assert "are not installed" in message
    assert "kubectl apply -k config/crd" in message


async def test_a_token_that_is_not_accepted(stage: ServedStage, tmp_path: Path) -> None:
    config = json.loads(stage.plane.kubeconfig().read_text())
    config["users"][0]["user"]["token"] = "wrong"
    (tmp_path / "config").write_text(json.dumps(config))
    assert "does not accept the credentials" in await refused(f"--kubeconfig={tmp_path}/config")


async def test_an_account_without_rights(bare: ControlPlane) -> None:
    async with bare.api() as api:
        await manifests.apply(api, manifests.read(ROOT / "config/crd"))
    message = await refused(f"--kubeconfig={bare.kubeconfig(OPERATOR)}")
    assert 'cannot list resource "marieclusters"' in message
    assert "config/rbac" in message


async def test_an_address_that_is_taken(stage: ServedStage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        message = await refused(
            f"--kubeconfig={stage.plane.kubeconfig(OPERATOR)}",
            f"--metrics-bind-address={taken}",
            "--health-probe-bind-address=0",
        )
    assert f"cannot listen on {taken}" in message
    assert "METRICS_BIND_ADDRESS" in message


async def test_an_address_for_debugging_that_others_can_reach(stage: ServedStage) -> None:
    message = await refused(
        f"--kubeconfig={stage.plane.kubeconfig(OPERATOR)}",
        "--metrics-bind-address=0",
        "--health-probe-bind-address=0",
        "--debug-bind-address=:8082",
    )
    assert "error: DEBUG_BIND_ADDRESS=:8082 can be reached from other machines" in message
    assert "give 127.0.0.1:8082" in message


@pytest.mark.parametrize("template", ["localhost:80/{name}", "http://x/{cluster}", "http://x/{name"])
async def test_a_url_template_that_cannot_work(stage: ServedStage, template: str) -> None:
    message = await refused(
        f"--kubeconfig={stage.plane.kubeconfig(OPERATOR)}",
        f"--marie-url-template={template}",
        "--metrics-bind-address=0",
    )
    assert "--marie-url-template" in message
