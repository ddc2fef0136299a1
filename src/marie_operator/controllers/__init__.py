"""Reconcilers: gather from caches, decide without I/O, write what differs."""
