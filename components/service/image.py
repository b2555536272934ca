"""The containers' image: built and pushed by awsx at deploy, or a reference that a pipeline pushed before."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pulumi_aws as aws
import pulumi_awsx as awsx

from components.base import Component
from components.names import LIMITS
from components.service.context import context_hash

if TYPE_CHECKING:
    import pulumi

    from components.base import Context
    from components.key import Key
    from components.service.config import BuildConfig, ImageConfig

PLATFORMS: Final = {"ARM64": "linux/arm64", "X86_64": "linux/amd64"}
_KEPT_IMAGES: Final = 30


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image by its literal reference, what may pull it, and what must be done before it exists."""

    uri: str
    repository_arn: str | None = None
    depends_on: tuple[pulumi.Resource, ...] = field(default=(), repr=False)


class ImageBuild(Component):
    """An ECR repository and one build of the apps' image, tagged with the hash of its context.

    The reference is computed, not read from the build, so that task definitions are known at preview; tags
    are immutable, and a changed context is a new tag, a new build and a new task definition revision. A
    context that returns to an earlier state asks for a tag that ECR has and refuses: raise `generation`.
    `awsx.ecr.Image` names its build resource after the tag. Lifecycle: the last 30 images stay, so that a
    rollback finds its image (https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html).
    """

    def __init__(
        self,
        name: str,
        config: BuildConfig,
        *,
        ctx: Context,
        key: Key,
        root: Path,
        architecture: str = "ARM64",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`root` is the project's folder: the context is relative to it."""
        super().__init__("service:ImageBuild", name, ctx, tier="image", opts=opts)
        repository_name = ctx.name(name, limit=LIMITS["repository"])
        context = root / config.context
        platform = PLATFORMS[architecture]
        settings = {"platform": platform, "generation": str(config.generation)}
        self.tag = context_hash(context, context / config.dockerfile, settings)
        self.repository_name = repository_name
        self.repository = awsx.ecr.Repository(
            name,
            name=repository_name,
            image_tag_mutability="IMMUTABLE",
            force_delete=not ctx.retained,
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[
                aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=key.arn)
            ],
            lifecycle_policy=awsx.ecr.LifecyclePolicyArgs(
                rules=[
                    awsx.ecr.LifecyclePolicyRuleArgs(
                        description=f"the last {_KEPT_IMAGES} images stay for rollbacks",
                        tag_status=awsx.ecr.LifecycleTagStatus.ANY,
                        maximum_number_of_images=_KEPT_IMAGES,
                    )
                ]
            ),
            tags=self.tagged(repository_name),
            opts=self.child(),
        )
        self.build = awsx.ecr.Image(
            name,
            repository_url=self.repository.url,
            context=config.context,
            dockerfile=str(Path(config.context) / config.dockerfile),
            image_tag=self.tag,
            platform=platform,
            opts=self.child(),
        )
        registry = f"{ctx.account_id}.dkr.ecr.{ctx.region}.amazonaws.com"
        self.image = Image(
            uri=f"{registry}/{repository_name}:{self.tag}",
            repository_arn=ctx.arn("ecr", f"repository/{repository_name}"),
            depends_on=(self.build,),
        )
        self.register_outputs({"uri": self.image.uri})


def make_image(
    name: str,
    config: ImageConfig,
    *,
    ctx: Context,
    key: Key,
    root: Path,
    opts: pulumi.ResourceOptions | None = None,
) -> Image:
    """The image that the config asks for; IAM lets it be pulled from a registry of this account."""
    if config.build is not None:
        return ImageBuild(name, config.build, ctx=ctx, key=key, root=root, opts=opts).image
    reference = config.reference or ""
    registry = f"{ctx.account_id}.dkr.ecr.{ctx.region}.amazonaws.com/"
    if not reference.startswith(registry):
        return Image(uri=reference)
    repository = reference.removeprefix(registry).split("@")[0].split(":")[0]
    return Image(uri=reference, repository_arn=ctx.arn("ecr", f"repository/{repository}"))
