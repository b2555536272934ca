"""The web ACL before the load balancer: a rate per address, known bad input, and a log of what it blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from components.base import Component

if TYPE_CHECKING:
    import pulumi

    from components.base import Context
    from components.key import Key
    from components.realtime.config import WafConfig

_WINDOW_SECONDS = 300


class WebAcl(Component):
    """About $7 a month and $0.60 per million requests; a websocket counts once, at its handshake.

    The managed rules read the first 8 KB of a body, so that bulk uploads pass at any size.
    Sources: https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statement-type-rate-based.html,
    .../aws-managed-rule-groups-baseline.html, .../logging-cw-logs.html (the log group's name)
    """

    def __init__(
        self,
        name: str,
        config: WafConfig,
        *,
        ctx: Context,
        key: Key,
        balancer_arn: pulumi.Input[str],
        log_retention_days: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`balancer_arn` is what it protects; `key` encrypts its log."""
        super().__init__("realtime:WebAcl", name, ctx, tier="realtime", opts=opts)
        acl_name = ctx.name(name)
        acl = aws.wafv2.WebAcl(
            name,
            name=acl_name,
            description=f"Before the load balancer of {ctx.project} {ctx.stack}",
            scope="REGIONAL",
            default_action={"allow": {}},
            rules=[self._rate_rule(config), self._managed_rule()],
            visibility_config=_visible(acl_name),
            tags=self.tagged(acl_name),
            opts=self.child(),
        )
        association = aws.wafv2.WebAclAssociation(
            name, resource_arn=balancer_arn, web_acl_arn=acl.arn, opts=self.child()
        )
        self._log(acl, key, log_retention_days)
        self.arn: pulumi.Output[str] = acl.arn
        self.association = association
        self.register_outputs({"arn": self.arn})

    def _rate_rule(self, config: WafConfig) -> aws.wafv2.WebAclRuleArgsDict:
        """An address above the rate is refused until it slows down."""
        return {
            "name": "rate-per-address",
            "priority": 0,
            "action": {"block": {}},
            "statement": {
                "rate_based_statement": {
                    "aggregate_key_type": "IP",
                    "limit": config.requests_per_5_minutes,
                    "evaluation_window_sec": _WINDOW_SECONDS,
                }
            },
            "visibility_config": _visible(self.ctx.name("rate-per-address")),
        }

    def _managed_rule(self) -> aws.wafv2.WebAclRuleArgsDict:
        """Requests known to attack (Log4j, Java deserialisation and the like), as AWS keeps the list."""
        return {
            "name": "known-bad-inputs",
            "priority": 1,
            "override_action": {"none": {}},
            "statement": {
                "managed_rule_group_statement": {
                    "vendor_name": "AWS",
                    "name": "AWSManagedRulesKnownBadInputsRuleSet",
                }
            },
            "visibility_config": _visible(self.ctx.name("known-bad-inputs")),
        }

    def _log(self, acl: aws.wafv2.WebAcl, key: Key, days: int) -> None:
        """Blocked requests only, without the callers' tokens."""
        group_name = f"aws-waf-logs-{self.ctx.name(self.name)}"
        group = aws.cloudwatch.LogGroup(
            self.name,
            name=group_name,
            kms_key_id=key.arn,
            retention_in_days=days,
            tags=self.tagged(group_name),
            opts=self.child(depends_on=[key]),
        )
        aws.wafv2.WebAclLoggingConfiguration(
            self.name,
            resource_arn=acl.arn,
            log_destination_configs=[group.arn],
            redacted_fields=[{"single_header": {"name": "authorization"}}],
            logging_filter={
                "default_behavior": "DROP",
                "filters": [
                    {
                        "behavior": "KEEP",
                        "requirement": "MEETS_ANY",
                        "conditions": [{"action_condition": {"action": "BLOCK"}}],
                    }
                ],
            },
            opts=self.child(),
        )


def _visible(metric: str) -> aws.wafv2.WebAclVisibilityConfigArgsDict:
    return {"cloudwatch_metrics_enabled": True, "sampled_requests_enabled": True, "metric_name": metric}
