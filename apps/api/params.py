"""What route handlers are given: who calls, the services, and how Litestar is told where values come from."""

from __future__ import annotations

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from apps.api.entities.service import EntityService
from apps.api.filters.service import FilterService
from apps.api.limits import Limits
from apps.api.messages.service import MessageService
from apps.platform.auth import Identity

Caller = NamedDependency[Identity]
Entities = NamedDependency[EntityService]
Filters = NamedDependency[FilterService]
Allowances = NamedDependency[Limits]
MessageCalls = NamedDependency[MessageService]

__all__ = ["Allowances", "Caller", "Entities", "Filters", "FromPath", "JSONBody", "MessageCalls"]
