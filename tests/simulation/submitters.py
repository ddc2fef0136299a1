"""What runs in submitter pods: the submitter itself, on the simulation's network."""

import asyncio
import base64
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Protocol

from marie_operator.marie import errand
from marie_operator.marie.errand import Errand
from marie_operator.marie.submitter import Submitter
from marie_operator.runtime import Clock
from marie_operator.testing.api import Api
from marie_operator.testing.gateway import SimulatedGateways
from marie_operator.testing.kubelet import Pod
from marie_operator.testing.virtual import Process
from tests.simulation.network import Network
from tests.simulation.trace import Trace
from tests.simulation.wires import GatewayWire, Port

KILLED = 137
_SERVICE = re.compile(r"http://(?P<name>.+)-server-svc\.(?P<namespace>[^.]+)\.svc:\d+")


class Surroundings(Protocol):
    """What submitters run in."""

    api: Api
    gateways: SimulatedGateways
    network: Network
    trace: Trace
    clock: Clock
    source: random.Random

    def on_send(self, who: str, what: str) -> None:
        """A submission is about to leave a process."""


@dataclass
class Submitters:
    """The submitters of a world.

    Attributes:
        around: What they run in.
        lines: What each has printed, by the pod's name.
        fuses: Messages after which those that start next are killed, one each; of the others, none.
        running: Where the messages of those leave that run.
    """

    around: Surroundings
    lines: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    fuses: list[int] = field(default_factory=list)
    running: list[Port] = field(default_factory=list)

    def kill(self, messages: int) -> None:
        """Kill one that runs, or else the next that starts, at its so manieth message from here on."""
        if self.running:
            self.running[0].fuse = messages
        else:
            self.fuses.append(messages)

    def spare(self) -> None:
        """Kill none any more."""
        self.fuses.clear()
        for port in self.running:
            port.fuse = None

    async def __call__(self, pod: Pod) -> tuple[int, str]:
        """Run a pod's container to its end."""
        around, name, process = self.around, pod["metadata"]["name"], Process()
        told, key = Errand.read(await environment(around.api, pod, "{namespace}/{name}"))
        port = Port(around.network, process, name, around.trace, around.on_send)
        if self.fuses:
            port.fuse = self.fuses.pop(0)
        submitter = Submitter(
            told,
            key,
            transport=GatewayWire(around.gateways, port),
            clock=around.clock,
            tell=self.lines[name].append,
            jitter=around.source.random,
        )
        run = process.start(submitter.run())
        self.running.append(port)
        try:
            return await run
        except asyncio.CancelledError:
            if not process.dead:
                # The pod is ended, not the process in it.
                raise
            return KILLED, ""
        finally:
            self.running.remove(port)
            if not process.dead:
                await process.kill()


async def environment(api: Api, pod: Pod, url: str) -> dict[str, str]:
    """The variables of a submitter's container, as the kubelet gives them.

    Args:
        api: Reads Secrets.
        pod: The container's.
        url: Where gateways are; ``{namespace}`` and ``{name}`` are the MarieCluster's.
    """
    (container,) = pod["spec"]["containers"]
    found = {}
    for each in container["env"]:
        source = each.get("valueFrom")
        found[each["name"]] = each.get("value", "") if source is None else await _secret(api, pod, source)
    service = _SERVICE.fullmatch(found[errand.URL])
    assert service is not None, found[errand.URL]
    return found | {errand.URL: url.format(**service.groupdict())}


async def _secret(api: Api, pod: Pod, source: dict[str, dict[str, str]]) -> str:
    reference = source["secretKeyRef"]
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{reference['name']}"
    return base64.b64decode((await api.get(path))["data"][reference["key"]]).decode()
