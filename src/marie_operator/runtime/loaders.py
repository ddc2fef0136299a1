"""kubernetes-asyncio's configuration loaders, without the 800 models and APIs that its packages import on the way.

Each of its packages imports all others: 60 MiB and more time than the rest of an operator together. What reads
kubeconfigs, service accounts and the output of exec plugins needs one class of them.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

_PACKAGE = "kubernetes_asyncio"
_HTTP = "urllib3"
"""What configurations encode a user's name and password with, which nobody here asks for."""


def _loaded() -> tuple[Any, Any, Any]:
    """The class of configurations, the module of kubeconfigs and the one of service accounts."""
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in {_PACKAGE, _HTTP}}
    for name in kept:
        del sys.modules[name]
    sys.modules[_HTTP] = _later(_HTTP)
    try:
        package, client = _bare(_PACKAGE), _bare(f"{_PACKAGE}.client")
        package.client, client.ApiClient = client, None  # type: ignore[attr-defined]
        configuration = importlib.import_module(f"{_PACKAGE}.client.configuration").Configuration
        client.Configuration = configuration  # type: ignore[attr-defined]
        kubeconfig = importlib.import_module(f"{_PACKAGE}.config.kube_config")
        return configuration, kubeconfig, importlib.import_module(f"{_PACKAGE}.config.incluster_config")
    finally:
        # Whoever imports the package elsewhere gets all of it, and not what is left out here.
        for name in [each for each in sys.modules if each.partition(".")[0] in {_PACKAGE, _HTTP}]:
            del sys.modules[name]
        sys.modules.update(kept)


def _bare(name: str) -> ModuleType:
    """A package whose modules can be imported although it has not been itself."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"{name} is not installed", name=name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    return module


def _later(name: str) -> ModuleType:
    """A module that is imported when something of it is first used."""
    module = ModuleType(name)
    module.__getattr__ = lambda attribute: getattr(importlib.import_module(name), attribute)  # type: ignore[method-assign]
    return module


Configuration, kube_config, incluster_config = _loaded()
ConfigException = kube_config.ConfigException
