"""MarieJob: gather what is known, decide (pure), apply.

A job is a set of documents, each of which has exactly one live intent: an entry of
``status.documents.inFlight`` that is written before the document is sent to Marie. What happens
at a crash between any two steps follows from that entry alone.
"""

from marie_operator.controllers.mariejob.deliveries import Deliveries
from marie_operator.controllers.mariejob.gather import Sources
from marie_operator.controllers.mariejob.imports import Imports
from marie_operator.controllers.mariejob.listing import Listings
from marie_operator.controllers.mariejob.objects import BucketObjects, FencedObjects, Objects
from marie_operator.controllers.mariejob.outcomes import Outcomes
from marie_operator.controllers.mariejob.owned import Owned
from marie_operator.controllers.mariejob.reconciler import MarieJobReconciler
from marie_operator.controllers.mariejob.rerun import Origins
from marie_operator.controllers.mariejob.secrets import Secrets
from marie_operator.controllers.mariejob.staging import Clearances
from marie_operator.controllers.mariejob.store import BucketLister, Lister
from marie_operator.controllers.mariejob.submitters import POD_INDEXES, CachedSubmitters, add_informer
from marie_operator.controllers.mariejob.turns import Turns
from marie_operator.controllers.mariejob.wiring import INDEXES, controller, of_cluster

__all__ = [
    "INDEXES",
    "POD_INDEXES",
    "BucketLister",
    "BucketObjects",
    "CachedSubmitters",
    "Clearances",
    "Deliveries",
    "FencedObjects",
    "Imports",
    "Lister",
    "Listings",
    "MarieJobReconciler",
    "Objects",
    "Origins",
    "Outcomes",
    "Owned",
    "Secrets",
    "Sources",
    "Turns",
    "add_informer",
    "controller",
    "of_cluster",
]
