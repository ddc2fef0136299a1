"""A simulated Marie 4.0.0 gateway: the recorded behaviour of a real one, with time and failures as data.

A cluster is a :class:`SimulatedMarie`: start, stop or kill its gateway, register executors and let them die, and look
at every DAG that ever was. :class:`SimulatedGateways` serves many of them over HTTP. Documents take as long, and fail
as often, as an :class:`Outcome` says; a :class:`Fault` spoils requests. Nothing here has a clock or a task of its own:
a simulation is brought up to the loop's time whenever someone looks, so virtual time works, and ``speed`` shortens all.

Deliberate differences from the recordings, each pinned by a test:

=======================  ===============================================================================================
``/openapi.json``        lists paths and methods; no schemas, none of the paths that were never recorded
``/status``              environment and platform are made up
validation errors        name the missing field as pydantic does, without the input that it quotes
``/api/planners``        the planners that were given, ``extract`` alone by default
END nodes                have the last step's layout, as in ``extract``; other plans give them none
rows                     ``start_after`` stays the time of the submission after a retry
times                    count from a fixed date, EPOCH, so that runs repeat
order of queued work     by submission; a real gateway keeps no order
frontier ``leased``      counts nodes once dispatched until their DAG ends; a real one forgets some earlier
not serving              503 with an empty body, where a real one refuses connections
database down            what executors finish meanwhile is recorded when it is back; that was never recorded
scheduler not running    submissions wait in memory until it does; that was never recorded either
results                  two small objects for each document that succeeds, where there is a store for them
etcd                     ``SimulatedEtcd`` answers two kinds of transaction, and every worker has heard of its work
=======================  ===============================================================================================

A version of 5 shows what is known of that from its source alone (``fifth``): other pages, and a scheduler that pauses.

Not simulated: a worker dead inside a live node, gRPC.
"""

from marie_operator.testing.gateway.dag import Dag, Node
from marie_operator.testing.gateway.engine import Engine
from marie_operator.testing.gateway.etcd import SimulatedEtcd
from marie_operator.testing.gateway.exchange import Fault, Reply, Request
from marie_operator.testing.gateway.marie import SimulatedMarie
from marie_operator.testing.gateway.outcome import NEVER, Document, Outcome, OutcomePolicy, Outcomes, ResultStore
from marie_operator.testing.gateway.planner import EXTRACT, Planner, Step
from marie_operator.testing.gateway.server import SimulatedGateways, application, etcd_application, serving

__all__ = [
    "EXTRACT",
    "NEVER",
    "Dag",
    "Document",
    "Engine",
    "Fault",
    "Node",
    "Outcome",
    "OutcomePolicy",
    "Outcomes",
    "Planner",
    "Reply",
    "Request",
    "ResultStore",
    "SimulatedEtcd",
    "SimulatedGateways",
    "SimulatedMarie",
    "Step",
    "application",
    "etcd_application",
    "serving",
]
