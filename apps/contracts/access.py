"""Who may see an entity: the one decision that the API, the gateway and the filter processor share.

Queries that select what a user may see repeat it in SQL; a test holds all of them against this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

#: The scope that sees and changes what others own.
ADMIN: Final = "entities:admin"


class Rule(Protocol):
    """An access rule, as stored, sent or shown."""

    @property
    def rule(self) -> str:
        """`public`, `group` or `owner`."""
        ...

    @property
    def owner(self) -> str:
        """Whose entity it is."""
        ...

    @property
    def group(self) -> str:
        """The group of the group rule."""
        ...


def sees_all(scopes: Collection[str]) -> bool:
    """Whether a token's scopes stand above every rule."""
    return ADMIN in scopes


def may_see(access: Rule, user: str, groups: Collection[str], *, everything: bool = False) -> bool:
    """Everyone sees what is public; an owner always sees their own, a group what is theirs."""
    if access.rule == "public" or access.owner == user or everything:
        return True
    return access.rule == "group" and access.group in groups
