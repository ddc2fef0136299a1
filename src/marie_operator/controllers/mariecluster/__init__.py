"""Runs MarieClusters: one gateway with its scheduler, and the pools of executors that work for it."""

from marie_operator.controllers.mariecluster.reconciler import MarieClusterReconciler
from marie_operator.controllers.mariecluster.wiring import add_informers, controller

__all__ = ["MarieClusterReconciler", "add_informers", "controller"]
