"""Manifests of a cluster's children: pure functions from the spec to plain objects."""
