"""What holds for every component class: its type, its constructor, its outputs."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import components
from components.base import Component
from tests.components.support import run_stack

# The type of a component is part of every URN below it: a changed one would replace what is deployed.
CANONICAL = {
    "AlarmTopic": "slipway:data:AlarmTopic",
    "Bucket": "slipway:data:Bucket",
    "Cache": "slipway:data:Cache",
    "Cluster": "slipway:service:Cluster",
    "ContainerService": "slipway:service:ContainerService",
    "DataTier": "slipway:data:DataTier",
    "Database": "slipway:data:Database",
    "DeclaredUsage": "slipway:budget:DeclaredUsage",
    "ImageBuild": "slipway:service:ImageBuild",
    "Key": "slipway:key:Key",
    "LoadBalancer": "slipway:realtime:LoadBalancer",
    "LogBucket": "slipway:data:LogBucket",
    "Network": "slipway:network:Network",
    "OneOffTask": "slipway:oneoff:OneOffTask",
    "RealtimeTier": "slipway:realtime:RealtimeTier",
    "Secret": "slipway:data:Secret",
    "StackBudget": "slipway:budget:StackBudget",
    "WebAcl": "slipway:realtime:WebAcl",
}


def classes() -> list[type[Component]]:
    """Every component class of every module; what starts with an underscore is a base of some of them."""
    for module in pkgutil.walk_packages(components.__path__, "components."):
        importlib.import_module(module.name)
    found: list[type[Component]] = []
    pending = list(Component.__subclasses__())
    while pending:
        each = pending.pop()
        pending.extend(each.__subclasses__())
        if each.__module__.startswith("components.") and not each.__name__.startswith("_"):
            found.append(each)
    return sorted(found, key=lambda each: each.__name__)


def test_every_component_class_has_a_canonical_type() -> None:
    """A new class needs an entry here, and a renamed one shows up."""
    assert {each.__name__ for each in classes()} == set(CANONICAL)


def test_the_types_of_a_stack_are_the_canonical_ones() -> None:
    """What prod registers has exactly the types that the list pins."""
    registered = {each.type for each in run_stack("prod").resources if each.type.startswith("slipway:")}
    assert registered <= set(CANONICAL.values())
    assert len(registered) >= 14


@pytest.mark.parametrize("component", classes(), ids=lambda each: each.__name__)
def test_wiring_is_keyword_only(component: type[Component]) -> None:
    """`(name, config, *, ctx, ..., opts=None)`: what is wired is named where it is wired."""
    parameters = list(inspect.signature(component.__init__).parameters.values())[1:]
    positional = [each.name for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional in (["name"], ["name", "config"])
    named = {each.name: each for each in parameters}
    assert named["ctx"].default is inspect.Parameter.empty
    assert named["opts"].default is None


@pytest.mark.parametrize("component", classes(), ids=lambda each: each.__name__)
def test_every_component_explains_itself(component: type[Component]) -> None:
    """A docstring on the class and on the constructor."""
    assert component.__doc__
    assert component.__doc__ != Component.__doc__
