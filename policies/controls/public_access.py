"""No public way in: addresses, databases, buckets and load balancers that are not meant for the internet."""

from __future__ import annotations

from collections.abc import Iterator

from policies.control import Verdict, each, fail, need, one, whole
from policies.example import Example, example, res
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.settings import Settings


def _blocked(bucket: str = "${it.bucket}", **flags: bool) -> Example:
    """A bucket and an access block with these flags off."""
    block = {
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    return example(
        it=res("s3/Bucket", bucket="photos"),
        other=res("s3/Bucket", bucket="scratch"),
        block=res("s3/BucketPublicAccessBlock", bucket=bucket, **{**block, **flags}),
    )


@one(
    "SLP-NET-002",
    "Subnets give no public addresses to what starts in them",
    "high",
    "private-network",
    frameworks=maps("EC2.15", checkov="130"),
    rationale="An address handed out on launch makes a workload reachable without anyone having said so.",
    remediation="set map_public_ip_on_launch and assign_ipv6_address_on_creation to false",
    applies_to=("aws:ec2/subnet:Subnet",),
    bad=(
        example(it=res("ec2/Subnet", vpcId="vpc-1", mapPublicIpOnLaunch=True)),
        example(it=res("ec2/Subnet", vpcId="vpc-1", assignIpv6AddressOnCreation=True)),
    ),
    good=(
        example(
            it=res("ec2/Subnet", vpcId="vpc-1", mapPublicIpOnLaunch=False, assignIpv6AddressOnCreation=False)
        ),
    ),
    absent="pass",
)
def no_public_addresses(subnet: Node, _settings: Settings) -> Verdict:
    """Both address families."""
    given = [
        key
        for key in ("mapPublicIpOnLaunch", "assignIpv6AddressOnCreation")
        if subnet.known(key, default=False) is True
    ]
    return need(not given, f"{' and '.join(given)} is on")


@one(
    "SLP-NET-003",
    "Tasks and instances get no public address",
    "high",
    "private-network",
    frameworks=maps("ECS.2 EC2.9", checkov="333 88"),
    rationale="A public address on a task or instance bypasses the load balancer and its rules.",
    remediation="set assign_public_ip (or associate_public_ip_address) to false; reach out through the NAT",
    applies_to=(
        "aws:ecs/service:Service",
        "aws:ecs/taskSet:TaskSet",
        "aws:ec2/instance:Instance",
        "aws:ec2/launchTemplate:LaunchTemplate",
    ),
    bad=(
        example(
            it=res("ecs/Service", networkConfiguration={"subnets": ["subnet-1"], "assignPublicIp": True})
        ),
        example(
            it=res("ecs/TaskSet", networkConfiguration={"subnets": ["subnet-1"], "assignPublicIp": True})
        ),
        example(it=res("ec2/Instance", associatePublicIpAddress=True)),
        example(it=res("ec2/LaunchTemplate", networkInterfaces=[{"associatePublicIpAddress": "true"}])),
    ),
    good=(
        example(
            it=res("ecs/Service", networkConfiguration={"subnets": ["subnet-1"], "assignPublicIp": False})
        ),
        example(it=res("ec2/Instance", associatePublicIpAddress=False)),
        example(it=res("ec2/LaunchTemplate", networkInterfaces=[{"associatePublicIpAddress": "false"}])),
    ),
    absent="pass",
)
def no_public_tasks(node: Node, _settings: Settings) -> Verdict:
    """ECS says it in its network configuration, EC2 on the instance or its interfaces."""
    if node.type.startswith("aws:ecs/"):
        asked = node.known("networkConfiguration.assignPublicIp", default=False)
        return need(asked is not True, "networkConfiguration.assignPublicIp is on")
    if node.type == "aws:ec2/instance:Instance":
        asked = node.known("associatePublicIpAddress", default=False)
        return need(asked is not True, "associatePublicIpAddress is on")
    interfaces = node.blocks("networkInterfaces")
    public = [each for each in interfaces if str(each.known("associatePublicIpAddress")).lower() == "true"]
    return need(not public, "a network interface has associatePublicIpAddress on")


@one(
    "SLP-NET-004",
    "Databases are not publicly accessible",
    "critical",
    "private-network",
    frameworks=maps("RDS.2", checkov="17"),
    rationale="A public database has an address on the internet, whatever its security group says.",
    remediation="set publicly_accessible to false",
    applies_to=(
        "aws:rds/instance:Instance",
        "aws:rds/clusterInstance:ClusterInstance",
        "aws:redshift/cluster:Cluster",
    ),
    waivable=False,
    bad=(
        example(it=res("rds/Instance", publiclyAccessible=True)),
        example(it=res("rds/ClusterInstance", publiclyAccessible=True)),
        example(it=res("redshift/Cluster", publiclyAccessible=True)),
    ),
    good=(example(it=res("rds/Instance", publiclyAccessible=False)),),
    absent="pass",
)
def no_public_databases(database: Node, _settings: Settings) -> Verdict:
    """`publiclyAccessible`, which Redshift turned on by default for years."""
    return need(database.known("publiclyAccessible", default=False) is not True, "publiclyAccessible is on")


@one(
    "SLP-NET-011",
    "Tasks have a network interface and a security group of their own",
    "high",
    "private-network",
    frameworks=maps("ECS.17"),
    rationale="In host and bridge mode tasks share the instance's address and its security group.",
    remediation="set network_mode to awsvpc",
    applies_to=("aws:ecs/taskDefinition:TaskDefinition",),
    bad=(example(it=res("ecs/TaskDefinition", family="api", networkMode="bridge")),),
    good=(example(it=res("ecs/TaskDefinition", family="api", networkMode="awsvpc")),),
)
def awsvpc(task: Node, _settings: Settings) -> Verdict:
    """Fargate insists on it; EC2 does not."""
    return need(task.known("networkMode") == "awsvpc", "networkMode is not awsvpc")


@whole(
    "SLP-NET-012",
    "Buckets block public access",
    "critical",
    "private-network",
    frameworks=maps("S3.8", nag="S2", checkov="2-6"),
    rationale="One public ACL or policy is enough to publish a bucket; the block overrules both.",
    remediation="add aws.s3.BucketPublicAccessBlock with all four flags on",
    applies_to=("aws:s3/bucket:Bucket",),
    bad=(
        _blocked(blockPublicPolicy=False),
        _blocked(bucket="${other.bucket}"),
        example(it=res("s3/Bucket", bucket="photos")),
    ),
    good=(_blocked(),),
)
def buckets_private(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """All four flags, for each bucket."""
    flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")

    def judge(bucket: Node) -> Verdict:
        blocks = graph.about(bucket, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "bucket")
        if not blocks:
            return fail("has no public access block")
        off = [flag for flag in flags if blocks[0].known(flag, default=False) is not True]
        return need(not off, f"{', '.join(off)} is off")

    return each(graph.of_type("aws:s3/bucket:Bucket"), judge)


CONTROLS = (no_public_addresses, no_public_tasks, no_public_databases, awsvpc, buckets_private)
