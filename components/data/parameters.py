"""Encrypted SSM parameters: the only way an Output reaches a container, by a name known at preview."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws
import pulumi_random as random

if TYPE_CHECKING:
    import pulumi

    from components.base import Component
    from components.key import Key


class SecureParameter:
    """A SecureString under the stack's key; standard tier, so at most 4 KiB and no charge.

    Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
    """

    def __init__(
        self, owner: Component, name: str, value: pulumi.Input[str], description: str, *, key: Key
    ) -> None:
        """`/slipway/<stack>/<tier>/<name>`."""
        ctx = owner.ctx
        path = ctx.parameter_name(owner.tier, name)
        self.arn = ctx.parameter_arn(path)
        self.resource = aws.ssm.Parameter(
            name,
            name=path,
            type="SecureString",
            value=value,
            key_id=key.arn,
            description=description,
            tags=owner.tagged(path),
            opts=owner.child(),
        )


def generated_password(owner: Component, name: str, *, length: int) -> pulumi.Output[str]:
    """A random password, in the stack's encrypted state; letters and digits only, as URLs and AUTH want."""
    password = random.RandomPassword(name, length=length, special=False, opts=owner.child())
    return password.result
