"""S3 buckets: private, encrypted under the stack's key, TLS only, cheaper with age, every access logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi_aws as aws

from components.base import Component
from components.data.documents import allow_service, deny_insecure_transport, resource_policy
from components.links import Link, Statement, kms_statement

if TYPE_CHECKING:
    import pulumi

    from components.base import Context
    from components.data.config import BucketConfig
    from components.key import Key

_LOG_DAYS = 90
_ALB_PREFIX = "alb"
_S3_PREFIX = "s3"
_IA_MINIMUM_DAYS = 30  # S3 moves nothing to Standard-IA earlier


class _PrivateBucket(Component):
    """What the two kinds share: computed name, owner-enforced, no public access, TLS only, no leftovers."""

    def __init__(
        self, kind: str, name: str, *, ctx: Context, force_destroy: bool, opts: pulumi.ResourceOptions | None
    ) -> None:
        super().__init__(kind, name, ctx, tier="data", opts=opts)
        self.bucket_name = ctx.bucket_name(name)
        self.arn = ctx.bucket_arn(self.bucket_name)
        self.bucket = aws.s3.Bucket(
            name,
            bucket=self.bucket_name,
            force_destroy=force_destroy,
            tags=self.tagged(self.bucket_name),
            opts=self.child(stateful=True),
        )
        self.public_access_block = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=self.bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )
        aws.s3.BucketOwnershipControls(
            name,
            bucket=self.bucket.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self.child(),
        )

    def _policy(self, *statements: dict[str, Any]) -> None:
        aws.s3.BucketPolicy(
            self.name,
            bucket=self.bucket.bucket,
            policy=resource_policy(deny_insecure_transport("s3:*", self.arn, f"{self.arn}/*"), *statements),
            # S3 answers 409 to two configuration calls on one bucket at once
            opts=self.child(depends_on=[self.public_access_block]),
        )

    def _encryption(self, algorithm: str, key_arn: pulumi.Input[str] | None = None) -> None:
        aws.s3.BucketServerSideEncryptionConfiguration(
            self.name,
            bucket=self.bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": algorithm,
                        "kms_master_key_id": key_arn,
                    },
                    "bucket_key_enabled": key_arn is not None,
                }
            ],
            opts=self.child(),
        )

    def _versioning(self, *, enabled: bool) -> aws.s3.BucketVersioning:
        return aws.s3.BucketVersioning(
            self.name,
            bucket=self.bucket.bucket,
            versioning_configuration={"status": "Enabled" if enabled else "Suspended"},
            opts=self.child(),
        )


class LogBucket(_PrivateBucket):
    """Access logs of the load balancer and of the other buckets, gone after 90 days.

    The only bucket under S3's own key: neither ELB nor S3 server access logging can write under a customer
    key. It has no log of itself, which would never end.

    Sources: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html,
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """

    def __init__(self, name: str, *, ctx: Context, opts: pulumi.ResourceOptions | None = None) -> None:
        """Kept like any other bucket: protected when retained, emptied on destroy when disposable."""
        super().__init__("data:LogBucket", name, ctx=ctx, force_destroy=not ctx.retained, opts=opts)
        self.alb_prefix = _ALB_PREFIX
        account = ctx.account_id
        self._policy(
            allow_service(
                "LoadBalancerLogs",
                "logdelivery.elasticloadbalancing.amazonaws.com",
                ["s3:PutObject"],
                [f"{self.arn}/{_ALB_PREFIX}/AWSLogs/{account}/*"],
                {"ArnLike": {"aws:SourceArn": ctx.arn("elasticloadbalancing", "loadbalancer/*")}},
            ),
            allow_service(
                "BucketLogs",
                "logging.s3.amazonaws.com",
                ["s3:PutObject"],
                [f"{self.arn}/{_S3_PREFIX}/*"],
                {"StringEquals": {"aws:SourceAccount": account}},
            ),
        )
        self._encryption("AES256")
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=self.bucket.bucket,
            rules=[
                {
                    "id": "expire",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": _LOG_DAYS},
                    "noncurrent_version_expiration": {"noncurrent_days": 1},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                }
            ],
            opts=self.child(depends_on=[self._versioning(enabled=True)]),
        )
        self.register_outputs({"bucket": self.bucket_name})


class Bucket(_PrivateBucket):
    """Objects of the apps; links are by folder, `read(prefix)` and `write(prefix)`."""

    def __init__(
        self,
        name: str,
        config: BucketConfig,
        *,
        ctx: Context,
        key: Key,
        logs: LogBucket,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`key` encrypts (one data key per bucket, so KMS requests stay few); `logs` takes the access log."""
        super().__init__("data:Bucket", name, ctx=ctx, force_destroy=not ctx.retained, opts=opts)
        self.key = key
        self._policy()
        self._encryption("aws:kms", key.arn)
        versioning = self._versioning(enabled=config.versioning)
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=self.bucket.bucket,
            rules=[_lifecycle_rule(config)],
            opts=self.child(depends_on=[versioning]),
        )
        aws.s3.BucketLogging(
            name,
            bucket=self.bucket.bucket,
            target_bucket=logs.bucket.bucket,
            target_prefix=f"{_S3_PREFIX}/{name}/",
            # S3 refuses a target that it may not write to yet
            opts=self.child(depends_on=[logs]),
        )
        self.register_outputs({"bucket": self.bucket_name})

    def read(self, prefix: str) -> Link:
        """Get and list objects under the prefix; the bucket's name comes as `<NAME>_BUCKET`."""
        prefix = _checked(prefix)
        return self._link(
            "read",
            prefix,
            Statement(
                sid=self._sid("Read", prefix),
                actions=("s3:GetObject",),
                resources=(f"{self.arn}/{prefix}*",),
            ),
            Statement(
                sid=self._sid("List", prefix),
                actions=("s3:ListBucket",),
                resources=(self.arn,),
                conditions={"StringLike": {"s3:prefix": [f"{prefix}*"]}},
            ),
            self._use_key("Read", ("kms:Decrypt",)),
        )

    def write(self, prefix: str) -> Link:
        """Put objects under the prefix, multipart ones too (S3 decrypts the parts to join them)."""
        prefix = _checked(prefix)
        return self._link(
            "write",
            prefix,
            Statement(
                sid=self._sid("Write", prefix),
                actions=("s3:AbortMultipartUpload", "s3:PutObject"),
                resources=(f"{self.arn}/{prefix}*",),
            ),
            self._use_key("Write", ("kms:Decrypt", "kms:GenerateDataKey")),
        )

    def _link(self, verb: str, prefix: str, *statements: Statement) -> Link:
        return Link(
            name=f"{self.name}.{verb}({prefix})",
            environment={f"{self.name.upper().replace('-', '_')}_BUCKET": self.bucket_name},
            statements=statements,
            depends_on=(self.bucket, self.key.alias_resource),
        )

    def _use_key(self, verb: str, actions: tuple[str, ...]) -> Statement:
        return kms_statement(
            self.ctx, self._sid(f"{verb}Key", ""), alias=self.key.alias, actions=actions, via="s3"
        )

    def _sid(self, verb: str, prefix: str) -> str:
        """IAM takes letters and digits only."""
        return verb + "".join(
            part.capitalize() for part in f"{self.name}/{prefix}".replace("-", "/").split("/")
        )


def _checked(prefix: str) -> str:
    if not prefix.endswith("/") or prefix.startswith("/") or "*" in prefix:
        raise ValueError(f"prefix {prefix!r}: give a folder such as 'uploads/', so that no neighbour matches")
    return prefix


def _lifecycle_rule(config: BucketConfig) -> aws.s3.BucketLifecycleConfigurationRuleArgsDict:
    transition: aws.s3.BucketLifecycleConfigurationRuleTransitionArgsDict = (
        {"days": _IA_MINIMUM_DAYS, "storage_class": "STANDARD_IA"}
        if config.lifecycle == "ia_after_30_days"
        else {"days": 0, "storage_class": "INTELLIGENT_TIERING"}
    )
    rule: aws.s3.BucketLifecycleConfigurationRuleArgsDict = {
        "id": config.lifecycle.replace("_", "-"),
        "status": "Enabled",
        "filter": {"prefix": ""},
        "transitions": [transition],
        "noncurrent_version_expiration": {"noncurrent_days": config.noncurrent_days},
        "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
    }
    if config.expire_days is not None:
        rule["expiration"] = {"days": config.expire_days}
    return rule
