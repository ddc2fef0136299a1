"""Kubernetes operator for Marie-AI: clusters, document jobs, and the controller runtime beneath them."""

__version__ = "0.1.0"
