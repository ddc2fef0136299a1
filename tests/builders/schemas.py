"""Kubernetes' own schemas."""

import functools
from typing import Any

import kubernetes_validate
from kubernetes_validate import utils

# It reads all definitions of a version, which are megabytes, anew for each object.
utils.schema_contents = functools.cache(utils.schema_contents)


def validate(manifest: dict[str, Any], version: str) -> None:
    """Fail for what a version of Kubernetes would not take, or not know."""
    kubernetes_validate.validate(manifest, version, strict=True)
