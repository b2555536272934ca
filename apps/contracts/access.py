"""Who may see an entity: the one decision that the API, the gateway and the filter processor share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from apps.contracts.entities import Access


def may_see(access: Access, user: str, groups: Collection[str]) -> bool:
    """Everyone sees what is public; an owner always sees their own, a group what is theirs."""
    if access.rule == "public" or access.owner == user:
        return True
    return access.rule == "group" and access.group in groups
