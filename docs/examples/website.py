"""An operator in sixty lines: a Website becomes a Deployment and a Service, and its status says how it is."""

from marie_operator import runtime as rt

WEBSITES = rt.Resource("example.com", "v1", "Website", "websites")


def deployment(site: rt.Object) -> rt.Object:
    """The pods that serve a website."""
    name, spec = site["metadata"]["name"], site["spec"]
    container = {"name": "web", "image": spec["image"], "ports": [{"containerPort": 80}]}
    template = {"metadata": {"labels": {"website": name}}, "spec": {"containers": [container]}}
    body = {"replicas": spec["replicas"], "selector": {"matchLabels": {"website": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def service(site: rt.Object) -> rt.Object:
    """The address of a website."""
    name = site["metadata"]["name"]
    body = {"selector": {"website": name}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


class Websites:
    """Makes websites what their specs say."""

    def __init__(self, process: rt.Process) -> None:
        self.process = process
        self.sites = process.cache.add(WEBSITES)
        self.children = process.children(WEBSITES, rt.DEPLOYMENTS, rt.SERVICES)
        self.controller = process.controller("website", self.reconcile, concurrency=4)
        self.controller.watch(self.sites, when=rt.asked_for).owns(self.children)

    async def reconcile(self, key: rt.ObjectKey) -> rt.Result:
        """Bring one website closer to its spec; called when something has happened to it, or to what it owns."""
        if (site := self.sites.get(key)) is None:
            return rt.Result()  # What it owned is deleted with it.
        changes = await self.children.apply(site, [deployment(site), service(site)])
        await rt.write_status(self.process.writer, WEBSITES, site, self.status(site))
        return rt.Result(changes=changes)

    def status(self, site: rt.Object) -> rt.Object:
        """How a website is, with a condition that ``kubectl wait`` can wait for."""
        pods, wanted = self.children.get(rt.DEPLOYMENTS, site) or {}, site["spec"]["replicas"]
        ready = pods.get("status", {}).get("readyReplicas", 0)
        reason, message = "Serving" if ready >= wanted else "Starting", f"{ready} of {wanted} pods are ready."
        now = self.process.clock.now()
        condition = rt.conditions_with(site, "Ready", ready >= wanted, reason=reason, message=message, now=now)
        return {"readyReplicas": ready, "conditions": condition}


async def main() -> None:
    """Run until SIGTERM."""
    async with rt.Process(rt.Options(name="website-operator", leader_election=True)) as process:
        await process.run(Websites(process).controller)


if __name__ == "__main__":
    rt.configure_logs()
    raise SystemExit(rt.run(main))
