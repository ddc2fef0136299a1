"""What lets the operator in changes under way: tokens, client certificates, the API server's own certificate."""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from marie_operator.testing.controlplane import OPERATOR_USER, ControlPlane
from tests.controlplane.faults.bounds import after_outage
from tests.controlplane.faults.conftest import made
from tests.controlplane.faults.trial import Expected, Trial
from tests.controlplane.installation import install
from tests.controlplane.processes import ServedStage

pytestmark = pytest.mark.real

ACCOUNT = "/api/v1/namespaces/marie-system/serviceaccounts/marie-operator"
CACHED = 10.0
"""Seconds that an API server believes a token that it has looked at."""
RESTART = 15.0
"""Most seconds that the API server is away to start anew."""


@dataclass(frozen=True)
class Clients:
    """Who signs client certificates: the file that the API server reads when it starts, and what is in it at first."""

    file: Path
    authority: trustme.CA


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    result = Clients(tmp_path_factory.mktemp("clients") / "ca.crt", trustme.CA())
    result.authority.cert_pem.write_to_path(result.file)
    return result


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(
    light: ServedStage, binaries: Path, clients: Clients, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServedStage]:
    """An API server that also takes client certificates."""
    directory = tmp_path_factory.mktemp("guarded")
    arguments = [f"--client-ca-file={clients.file}"]
    async with ControlPlane(binaries, directory, arguments=arguments, controllers=False) as plane, plane.api() as api:
        await install(plane)
        yield ServedStage(plane, api, light.kubelet, light.gateways, light.gateways_url, light.s3)


@pytest_asyncio.fixture(loop_scope="session")
async def trial(guarded: ServedStage, expected: Expected, tmp_path: Path) -> Trial:
    return await made(guarded, tmp_path, expected)


def configured(trial: Trial, user: dict[str, str], authority: Path | None = None) -> str:
    """The option of a kubeconfig with this user."""
    config = json.loads(trial.stage.plane.kubeconfig("operator").read_text())
    config["users"][0]["user"] = user
    if authority is not None:
        config["clusters"][0]["cluster"]["certificate-authority"] = str(authority)
    return trial.configured(config)


async def token_of(trial: Trial, secret: str) -> str:
    """A token of the operator's account that is good for as long as a Secret exists."""
    reference = {"kind": "Secret", "apiVersion": "v1", "name": secret}
    await trial.api.create("/api/v1/namespaces/marie-system/secrets", {"metadata": {"name": secret}})
    asked = {"spec": {"boundObjectRef": reference, "expirationSeconds": 600}}
    given = await trial.api.create(f"{ACCOUNT}/token", asked)
    return str(given["status"]["token"])


async def test_a_token_that_is_no_longer_good_and_another_in_its_file(trial: Trial) -> None:
    file = trial.folder / "token"
    file.write_text(await token_of(trial, "first"))
    async with trial.running(configured(trial, {"tokenFile": str(file)})):
        await trial.started()
        await trial.api.delete("/api/v1/namespaces/marie-system/secrets/first")

        async def refused() -> bool:
            review = {"spec": {"token": file.read_text()}}
            told = await trial.api.create("/apis/authentication.k8s.io/v1/tokenreviews", review)
            return not told["status"].get("authenticated", False)

        await trial.until("the token is refused", refused)
        await trial.clusters()
        await trial.told(trial.logged, "failed; will try again", "Unauthorized", within=after_outage(CACHED))
        await trial.told(trial.metrics, 'rest_client_requests_total{code="401"', within=after_outage(CACHED))
        file.write_text(await token_of(trial, "second"))
        await trial.told(trial.logged, "credentials have changed", "token", within=after_outage(2 * CACHED))
        await trial.recovered(within=after_outage(2 * CACHED))


async def test_a_client_certificate_that_is_no_longer_good_and_another_in_its_file(
    trial: Trial, clients: Clients
) -> None:
    plane, other = trial.plane, trustme.CA()
    certificate, key = trial.folder / "client.crt", trial.folder / "client.key"

    def issue(authority: trustme.CA) -> None:
        # Go takes no certificate without a name of a host.
        issued = authority.issue_cert("operator.test", common_name=OPERATOR_USER)
        issued.private_key_pem.write_to_path(key)
        issued.cert_chain_pems[0].write_to_path(certificate)

    issue(clients.authority)
    async with trial.running(configured(trial, {"client-certificate": str(certificate), "client-key": str(key)})):
        await trial.started()
        await trial.clusters(last=2)
        await plane.stop_apiserver()
        other.cert_pem.write_to_path(clients.file)
        await plane.start_apiserver()
        await trial.clusters(first=2)
        await trial.told(trial.readiness, "[-]caches failed", "Unauthorized", within=after_outage(RESTART))
        await trial.told(trial.metrics, 'rest_client_requests_total{code="401"', within=after_outage(RESTART))
        issue(other)
        await trial.told(trial.logged, "credentials have changed", "certificates", within=after_outage(RESTART))
        await trial.recovered(within=after_outage(2 * RESTART))


async def test_an_api_server_under_another_authority(trial: Trial, guarded: ServedStage) -> None:
    plane = trial.plane
    served, trusted = plane.directory / "pki", trial.folder / "ca.crt"
    shutil.copy(served / "apiserver.crt", trusted)
    token = json.loads(plane.kubeconfig("operator").read_text())["users"][0]["user"]
    async with trial.running(configured(trial, token, authority=trusted)):
        await trial.started()
        await trial.clusters(last=2)
        await trial.until("the first child is there", lambda: trial.items("services"))
        await plane.stop_apiserver()
        shutil.rmtree(served)
        # It makes itself another key and certificate.
        await plane.start_apiserver()
        async with plane.api() as api:
            trial.stage = ServedStage(plane, api, guarded.kubelet, guarded.gateways, guarded.gateways_url, guarded.s3)
            await trial.told(
                trial.readiness,
                "[-]caches failed",
                "the server's certificate is not trusted",
                "is the certificate authority given the server's?",
                within=after_outage(RESTART),
            )
            await trial.clusters(first=2)
            shutil.copy(served / "apiserver.crt", trusted)
            await trial.recovered(within=after_outage(4 * RESTART))
        assert "credentials have changed" in trial.operator.log
