"""Runs MarieClusters: one gateway with its scheduler, and the pools of executors that work for it."""

from marie_operator.controllers.mariecluster.reconciler import MarieClusterReconciler
from marie_operator.controllers.mariecluster.routes import Routes
from marie_operator.controllers.mariecluster.sharing import STORE_INDEX, stores
from marie_operator.controllers.mariecluster.supplies import Supplies
from marie_operator.controllers.mariecluster.wiring import add_informers, controller

__all__ = ["STORE_INDEX", "MarieClusterReconciler", "Routes", "Supplies", "add_informers", "controller", "stores"]
