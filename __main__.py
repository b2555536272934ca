"""The architecture on one page: which tiers this stack has, and what each is given."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.budget.component import StackBudget
from components.budget.usage import DeclaredUsage
from components.data.component import DataTier
from components.key import Key
from components.network.component import Network
from components.realtime.component import RealtimeTier
from components.service.image import make_image
from components.stack.loader import load_program_config

config = load_program_config()
ctx = config.context(pulumi.get_project(), pulumi.get_stack())

# One explicit provider: it refuses any account but the stack's own, and tags what nobody tagged.
provider = aws.Provider(
    "aws",
    region=ctx.region,
    allowed_account_ids=[ctx.account_id],
    default_tags=aws.ProviderDefaultTagsArgs(tags={"project": ctx.project, "managed-by": "pulumi"}),
)
within = pulumi.ResourceOptions(providers=[provider])

if config.budget:
    StackBudget("budget", config.budget, ctx=ctx, opts=within)
DeclaredUsage("usage", config.usage, ctx=ctx, opts=within)

key = Key("key", ctx=ctx, tier="security", purpose="stack", services=("logs", "cloudwatch"), opts=within)

if config.network:
    network = Network("network", config.network, ctx=ctx, key=key, opts=within)
    pulumi.export("vpc_id", network.vpc_id)

    if config.data:
        data = DataTier("data", config.data, ctx=ctx, network=network, key=key, opts=within)
        pulumi.export("restore_command", data.restore_command)

        if config.realtime and config.image:
            here = Path(__file__).parent
            image = make_image("apps", config.image, ctx=ctx, key=key, root=here, opts=within)
            realtime = RealtimeTier(
                "realtime",
                config.realtime,
                ctx=ctx,
                network=network,
                data=data,
                image=image,
                key=key,
                opts=within,
            )
            pulumi.export("image", image.uri)
            pulumi.export("url", realtime.url)
            pulumi.export("load_balancer", realtime.load_balancer.balancer.dns_name)
