"""A real Kubernetes control plane on this machine: etcd, API server, controller manager and scheduler, on loopback."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from marie_operator.testing.api import Api, ApiStatus, HttpWire
from marie_operator.testing.audit import POLICY, AuditLog
from marie_operator.testing.processes import Process, ProcessError, free_ports, kubectl
from marie_operator.testing.workloads import Periods

START_TIMEOUT = 180.0
PERIODS = Periods(node_monitor=1.0, node_grace=8.0)
"""Of the controllers: nodes that die are noticed within seconds."""

ADMIN = "admin"
OPERATOR = "operator"
OPERATOR_USER = "system:serviceaccount:marie-system:marie-operator"
_CONTROLLER_MANAGER = "system:kube-controller-manager"
_SCHEDULER = "system:kube-scheduler"

# Group memberships by user; the operator has the rights that config/rbac gives its service account, and no others.
_USERS = {
    ADMIN: ("admin", "system:masters"),
    OPERATOR: (OPERATOR_USER, "system:serviceaccounts,system:serviceaccounts:marie-system"),
    _CONTROLLER_MANAGER: (_CONTROLLER_MANAGER, ""),
    _SCHEDULER: (_SCHEDULER, ""),
}
_NO_CLOUD = "*,-node-ipam-controller,-node-route-controller,-service-lb-controller,-cloud-node-lifecycle-controller"


def locate_binaries(repository: Path | None = None) -> Path:
    """The folder with the servers' binaries, built first if need be (hack/controlplane).

    Args:
        repository: A checkout; without one, KUBEBUILDER_ASSETS names the folder.

    Raises:
        ProcessError: there is neither, or the build failed; its output is in the message.
    """
    if repository is None:
        assets = os.environ.get("KUBEBUILDER_ASSETS")
        if not assets:
            raise ProcessError(
                "No control plane to start: set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, "
                "kube-controller-manager, kube-scheduler and kubectl, or run this from a checkout of marie-operator, "
                "which builds them with Go."
            )
        return Path(assets)
    script = repository / "hack" / "controlplane" / "build.sh"
    result = subprocess.run([script], check=False, capture_output=True, text=True)  # noqa: S603 - our own script
    if result.returncode:
        raise ProcessError(f"{script} failed:\n{result.stderr}")
    return Path(result.stdout.strip())


class ControlPlane:
    """A control plane that runs while it is entered.

    Args:
        binaries: Folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl.
        directory: For its data, keys, logs and kubeconfigs; empty, and the caller's to delete.
        arguments: More of the API server's.
        controllers: Whether controller manager and scheduler run.
        guard_owners: Whether an owner reference that blocks deletion needs permission on the owner, as some
            distributions ask for. The API server then learns of a new CustomResourceDefinition half a minute late.
        periods: How long the controllers wait before they take a node for lost.
    """

    def __init__(
        self,
        binaries: Path,
        directory: Path,
        *,
        arguments: Sequence[str] = (),
        controllers: bool = True,
        guard_owners: bool = False,
        periods: Periods = PERIODS,
    ) -> None:
        self.binaries = binaries
        self.directory = directory
        self._tokens = {user: secrets.token_hex(16) for user in _USERS}
        client, peer, secure = free_ports(3)
        self._etcd_port = client
        self.url = f"https://127.0.0.1:{secure}"
        self.audit = AuditLog(directory / "audit.log")
        self._etcd = self._process(
            "etcd",
            f"--data-dir={directory}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )
        self._apiserver = self._process(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{client}",
            "--bind-address=127.0.0.1",
            f"--secure-port={secure}",
            f"--cert-dir={directory}/pki",
            f"--token-auth-file={directory}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            *(["--enable-admission-plugins=OwnerReferencesPermissionEnforcement"] if guard_owners else []),
            "--service-cluster-ip-range=10.0.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={directory}/sa.pub",
            f"--service-account-signing-key-file={directory}/sa.key",
            "--allow-privileged=true",
            "--endpoint-reconciler-type=none",
            "--advertise-address=127.0.0.1",
            "--enable-priority-and-fairness=false",
            f"--audit-log-path={directory}/audit.log",
            # Megabytes; a log that rotates would invalidate marks.
            "--audit-log-maxsize=100000",
            f"--audit-policy-file={directory}/audit.yaml",
            # A namespace's end and a deletion of a whole collection take one object at a time otherwise.
            "--delete-collection-workers=10",
            "--profiling=false",
            *arguments,
        )
        self._workers = [
            self._process(
                "kube-controller-manager",
                f"--kubeconfig={directory}/{_CONTROLLER_MANAGER}.kubeconfig",
                "--leader-elect=false",
                "--secure-port=0",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={directory}/sa.key",
                f"--root-ca-file={directory}/pki/apiserver.crt",
                f"--node-monitor-period={periods.node_monitor:g}s",
                f"--node-monitor-grace-period={periods.node_grace:g}s",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
                "--concurrent-deployment-syncs=20",
                "--concurrent-replicaset-syncs=20",
                "--concurrent-gc-syncs=40",
                "--concurrent-namespace-syncs=20",
                f"--controllers={_NO_CLOUD}",
            ),
            self._process(
                "kube-scheduler",
                f"--kubeconfig={directory}/{_SCHEDULER}.kubeconfig",
                "--leader-elect=false",
                "--secure-port=0",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
            ),
        ]
        self._workers = self._workers if controllers else []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything, and return when objects and, with controllers, pods can be created.

        Raises:
            ProcessError: a server did not start; the message holds the end of its log.
        """
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(self._prepare)
            for process in (self._etcd, self._apiserver, *self._workers):
                stack.push_async_callback(process.stop)
            await self.start_etcd()
            await self.start_apiserver()
            await self._until(self._begun, self._apiserver, self._etcd)
            for process in self._workers:
                await process.start()
            if self._workers:
                await self._until(self._account_made, *self._workers)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End everything.

        Raises:
            ProcessError: a server has ended by itself meanwhile, and nothing else went wrong.
        """
        try:
            if error is None:
                self.check()
        finally:
            await self._stack.aclose()

    def check(self) -> None:
        """Tell whether all servers run, but for those that were stopped.

        Raises:
            ProcessError: one has ended by itself; the message holds the end of its log.
        """
        for process in (self._etcd, self._apiserver, *self._workers):
            process.check()

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """The kubeconfig of ADMIN, or of OPERATOR under its own role."""
        return self.directory / f"{user}.kubeconfig"

    def api(self, user: str = ADMIN) -> Api:
        """A client, to be entered."""
        return Api(HttpWire(self.url, ca=self.directory / "pki" / "apiserver.crt", token=self._tokens[user]))

    async def start_apiserver(self) -> None:
        """Start the API server, and return when it is ready."""
        await self._apiserver.start()
        await self._until(self._ready, self._apiserver, self._etcd)

    async def stop_apiserver(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End the API server; its data stays in etcd."""
        await self._apiserver.stop(sig)

    async def kill_apiserver(self) -> None:
        """End the API server as a crash would."""
        await self.stop_apiserver(signal.SIGKILL)

    async def start_etcd(self) -> None:
        """Start etcd, and return when it listens and an API server that runs has found it."""
        await self._etcd.start()
        await self._until(self._store_listens, self._etcd)
        if self._apiserver.running:
            await self._until(self._ready, self._apiserver, self._etcd)

    async def kill_etcd(self) -> None:
        """End etcd as a crash would; its data stays on disk."""
        await self._etcd.stop(signal.SIGKILL)

    async def back_up(self) -> None:
        """Keep what etcd holds for ``restore``; meanwhile it is away."""
        await self._etcd.stop()
        await asyncio.to_thread(shutil.copytree, self.directory / "etcd", self.directory / "backup")
        await self.start_etcd()

    async def restore(self) -> None:
        """Have etcd hold what it held at the one ``back_up``: all that came later never was, and versions go back.

        The API server is dead meanwhile, as it has to be.
        """
        await self.kill_apiserver()
        await self.kill_etcd()
        await asyncio.to_thread(shutil.rmtree, self.directory / "etcd")
        await asyncio.to_thread(shutil.move, self.directory / "backup", self.directory / "etcd")
        await self.start_etcd()
        await self.start_apiserver()

    async def compact(self) -> None:
        """Have etcd forget all history, as an API server asks it to each five minutes for what is older than that."""
        store = f"http://127.0.0.1:{self._etcd_port}/v3"
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            async with session.post(f"{store}/maintenance/status", json={}) as response:
                revision = (await response.json())["header"]["revision"]
            async with session.post(f"{store}/kv/compaction", json={"revision": revision, "physical": True}):
                return

    async def kubectl(self, *arguments: str, stdin: str = "", user: str = ADMIN) -> str:
        """Run kubectl; what it prints.

        Raises:
            ProcessError: it failed; the message is its own.
        """
        program, config = self.binaries / "kubectl", self.kubeconfig(user)
        return await kubectl(program, config, self.directory, *arguments, stdin=stdin)

    async def _until(self, holds: Callable[[], Awaitable[bool]], *servers: Process) -> None:
        """Wait for the first of some servers; if one of them ends, that is why it never comes."""
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await holds():
                    for server in servers:
                        server.check()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise servers[0].failure(f"was not ready within {START_TIMEOUT:g} s") from None

    async def _store_listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._etcd_port)
        except OSError:
            return False
        writer.close()
        return True

    async def _ready(self) -> bool:
        if not await asyncio.to_thread((self.directory / "pki" / "apiserver.crt").exists):
            return False
        try:
            async with self.api() as api:
                return bool(await api.get("/readyz") == "ok")
        except (OSError, ApiStatus):
            return False

    async def _begun(self) -> bool:
        """Whether what each cluster begins with is there: namespaces, and everybody's rights; both follow soon."""
        async with self.api() as admin, self.api(OPERATOR) as other:
            try:
                await other.get("/api")
            except ApiStatus as error:
                if error.code != 403:
                    raise
                return False
            return await admin.exists("/api/v1/namespaces/default")

    async def _account_made(self) -> bool:
        """Whether the controller manager has made the account that a pod without one is given."""
        async with self.api() as api:
            return await api.exists("/api/v1/namespaces/default/serviceaccounts/default")

    def _prepare(self) -> None:
        (self.directory / "pki").mkdir(parents=True, exist_ok=True)
        (self.directory / "audit.yaml").write_text(POLICY)
        _make_key(self.directory)
        rows = [f'{self._tokens[user]},{name},{user},"{groups}"' for user, (name, groups) in _USERS.items()]
        (self.directory / "tokens.csv").write_text("\n".join(rows) + "\n")
        for user, token in self._tokens.items():
            self.kubeconfig(user).write_text(json.dumps(self._config(user, token), indent=2))

    def _config(self, user: str, token: str) -> dict[str, object]:
        cluster = {"server": self.url, "certificate-authority": str(self.directory / "pki" / "apiserver.crt")}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": user,
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": user, "context": {"cluster": "local", "user": user, "namespace": "default"}}],
        }

    def _process(self, name: str, *arguments: str) -> Process:
        return Process(name, [str(self.binaries / name), *arguments], directory=self.directory)


def _make_key(directory: Path) -> None:
    """The key pair that service account tokens are signed with."""
    key = ec.generate_private_key(ec.SECP256R1())
    encoded = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (directory / "sa.key").write_bytes(encoded)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (directory / "sa.pub").write_bytes(public)
