"""Secrets Manager secrets whose values an operator or another system puts; read by services at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from components.base import Component
from components.links import Link, Statement, kms_statement

if TYPE_CHECKING:
    import pulumi

    from components.base import Context
    from components.key import Key


class Secret(Component):
    """One secret, made without a value, so that none is ever in the program or its state.

    A retained stack can take a deletion back for 30 days; a disposable one frees the name at once, because
    a secret that still waits for deletion blocks the next `up`.
    Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_delete-secret.html
    """

    def __init__(
        self, name: str, *, ctx: Context, key: Key, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """`key` encrypts the value."""
        super().__init__("data:Secret", name, ctx, tier="data", opts=opts)
        self.key = key
        self.secret_name = f"{ctx.project}/{ctx.stack}/{name}"
        self.secret = aws.secretsmanager.Secret(
            name,
            name=self.secret_name,
            description=f"{name} of {ctx.project} {ctx.stack}",
            kms_key_id=key.arn,
            recovery_window_in_days=30 if ctx.retained else 0,
            tags=self.tagged(self.secret_name),
            opts=self.child(stateful=True),
        )
        self.register_outputs({"name": self.secret_name})

    def read(self) -> Link:
        """The secret's name as `<NAME>_SECRET`; the app fetches the value, so a rotation needs no deploy."""
        ctx = self.ctx
        words = "".join(word.capitalize() for word in self.name.split("-"))
        return Link(
            name=f"{self.name}.read",
            environment={f"{self.name.upper().replace('-', '_')}_SECRET": self.secret_name},
            statements=(
                Statement(
                    sid=f"Read{words}Secret",
                    actions=("secretsmanager:GetSecretValue",),
                    # Secrets Manager ends every ARN with six random characters
                    resources=(ctx.arn("secretsmanager", f"secret:{self.secret_name}-??????"),),
                ),
                kms_statement(
                    ctx,
                    f"Decrypt{words}Secret",
                    alias=self.key.alias,
                    actions=("kms:Decrypt",),
                    via="secretsmanager",
                ),
            ),
            depends_on=(self.secret, self.key.alias_resource),
        )
