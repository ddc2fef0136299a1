"""What the embedded API server is known to do otherwise than a real one, on purpose.

``docs/testing.md`` has the same as a table, and ``test_differences.py`` a case for each, on both servers.
"""

from typing import NamedTuple


class Difference(NamedTuple):
    """One of them.

    Attributes:
        id: Names the case, ``test_<id>``.
        what: What differs.
        why: Why it is meant to stay.
    """

    id: str
    what: str
    why: str


DIFFERENCES = (
    Difference(
        "protobuf",
        "Protobuf is read, but objects are answered in JSON and YAML only; who takes nothing else gets 406.",
        "Clients that like protobuf better take JSON as well; two encoders would have to be kept equal.",
    ),
    Difference(
        "groups",
        "The groups `admissionregistration`, `apiregistration`, `certificates`, `flowcontrol`, `node` and `resource` "
        "are not served, and of `storage.k8s.io` only StorageClasses.",
        "They are about the cluster itself: webhooks, further API servers, certificates, queues, devices.",
    ),
    Difference(
        "admission",
        "Pod Security, LimitRanges, ResourceQuotas and PodDisruptionBudgets are stored, but not applied; there are no "
        "webhooks.",
        "What a cluster's administrator forbids differs from cluster to cluster; tests of that need theirs.",
    ),
    Difference(
        "roles",
        "The roles that a real server makes for itself (`cluster-admin`, `view`, `system:…`) are not there.",
        "Users have what discovery and questions about themselves need; a test binds the roles that it is about.",
    ),
    Difference(
        "escalation",
        "Whoever may write roles may grant more than they have themselves.",
        "The check protects clusters with several tenants; a test has one author.",
    ),
    Difference(
        "connections",
        "`log`, `exec`, `attach`, `portforward` and `proxy` end with 503 once the pod has a node; "
        "`pods/ephemeralcontainers` and `pods/resize` are listed, but answer 405.",
        "There are no kubelets and no containers behind the pods.",
    ),
    Difference(
        "quotes",
        "Messages that quote a whole object, or how it has changed, quote it as the API has it.",
        "A real server quotes the types of its source, which nobody reads by machine.",
    ),
    Difference(
        "rules",
        "CEL rules have no functions on URLs, semantic versions and formats; definitions that use them are refused.",
        "A rule that was not evaluated would let in what it has to keep out.",
    ),
    Difference(
        "pages",
        "There are no metrics, no index of paths, and no checks of health by name.",
        "They tell about the process, which is the test's own.",
    ),
)
