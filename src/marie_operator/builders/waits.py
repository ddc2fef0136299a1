"""Init containers that hold a pod back until its backing services answer.

The pod itself looks, since only its own network says what Marie will reach; the operator may run elsewhere.
"""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import backing
from marie_operator.builders.backing import Service
from marie_operator.runtime.resource import Object

# As the first process of its container, Python ends on SIGTERM only when told to.
_SCRIPT = """\
import signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
name, host, port = sys.argv[1:]
while True:
    try:
        socket.create_connection((host, int(port)), 5).close()
        break
    except OSError as error:
        print(f"{name} at {host}:{port} does not answer: {error}", flush=True)
        time.sleep(2)
"""
_SHARED = ("cpu", "memory", "ephemeral-storage")


def name(service: Service) -> str:
    """The init container that waits for a service."""
    return f"wait-{service}"


def containers(cluster: MarieCluster, main: Object) -> list[Object]:
    """One for each service, in the image that will use it: Marie's has Python.

    Args:
        cluster: The cluster; without backing services there is nothing to wait for.
        main: Marie's container as the user wrote it. What it asks for is asked for here too, which costs the pod
            nothing and satisfies quotas; so does its security context.
    """
    return [
        {
            "name": name(service),
            "image": main.get("image", ""),
            **({"imagePullPolicy": main["imagePullPolicy"]} if "imagePullPolicy" in main else {}),
            "command": ["python3", "-c", _SCRIPT, service.value, address.host, str(address.port)],
            **({"resources": asked} if (asked := _resources(main)) else {}),
            "securityContext": {"allowPrivilegeEscalation": False, **_context(main)},
        }
        for service, address in backing.addresses(cluster).items()
    ]


def _resources(main: Object) -> Object:
    asked = main.get("resources") or {}
    kept = {
        part: {key: value for key, value in asked[part].items() if key in _SHARED}
        for part in ("requests", "limits")
        if asked.get(part)
    }
    return {part: amounts for part, amounts in kept.items() if amounts}


def _context(main: Object) -> Object:
    context = main.get("securityContext") or {}
    kept = {key: value for key, value in context.items() if key not in {"privileged", "allowPrivilegeEscalation"}}
    if added := kept.get("capabilities"):
        # What Marie may do is more than waiting needs, and SYS_ADMIN is refused without escalation.
        kept["capabilities"] = {key: value for key, value in added.items() if key != "add"}
    return kept
