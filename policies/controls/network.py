"""Controls of the private network that are decided by literals, or by who carries which security group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from policies.control import PASS, Verdict, each, fail, need, one, undecided, whole
from policies.example import Example, example, res
from policies.frameworks import maps
from policies.graph import Graph, Node, Values
from policies.reader import UNKNOWN, UndecidedError
from policies.settings import RelationSettings, Settings

WORLD: Final = frozenset(("0.0.0.0/0", "::/0"))
GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
INGRESS_RULE: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
OLD_RULE: Final = "aws:ec2/securityGroupRule:SecurityGroupRule"
LOAD_BALANCER: Final = "aws:lb/loadBalancer:LoadBalancer"
VPC: Final = "aws:ec2/vpc:Vpc"
DATA_STORES: Final = (
    "aws:rds/instance:Instance",
    "aws:rds/cluster:Cluster",
    "aws:rds/proxy:Proxy",
    "aws:elasticache/replicationGroup:ReplicationGroup",
    "aws:elasticache/cluster:Cluster",
    "aws:memorydb/cluster:Cluster",
    "aws:efs/mountTarget:MountTarget",
    "aws:opensearch/domain:Domain",
)
_CIDR_KEYS: Final = ("cidrIpv4", "cidrIpv6", "cidrBlocks", "ipv6CidrBlocks", "cidrBlock", "ipv6CidrBlock")


def _opened(**rule: Any) -> Example:
    """A public load balancer whose security group has this rule."""
    return example(
        group=res("ec2/SecurityGroup", vpcId="vpc-1"),
        it=res(
            "vpc/SecurityGroupIngressRule", securityGroupId="${group.id}", **{"ipProtocol": "tcp", **rule}
        ),
        balancer=res("lb/LoadBalancer", internal=False, securityGroups=["${group.id}"]),
    )


def _stored(**source: Any) -> Example:
    """A database whose security group lets somebody in."""
    return example(
        caller=res("ec2/SecurityGroup", vpcId="vpc-1"),
        group=res("ec2/SecurityGroup", vpcId="vpc-1"),
        rule=res(
            "vpc/SecurityGroupIngressRule",
            securityGroupId="${group.id}",
            ipProtocol="tcp",
            fromPort=5432,
            toPort=5432,
            **source,
        ),
        it=res("rds/Instance", engine="postgres", vpcSecurityGroupIds=["${group.id}"]),
    )


def _acl(**rule: Any) -> Example:
    """A network ACL's rule that lets in."""
    return example(it=res("ec2/NetworkAclRule", ruleAction="allow", egress=False, protocol="tcp", **rule))


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


def _cidrs(rule: Values) -> list[str]:
    """The CIDRs of a rule, in each of the three styles of writing one."""
    found: list[str] = []
    for key in _CIDR_KEYS:
        value = rule.known(key)
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            values = cast("list[Any]", value)
            if UNKNOWN in values:
                raise UndecidedError(key)
            found.extend(str(each) for each in values)
    return found


def _ports(rule: Values) -> tuple[int, int]:
    protocol = str(rule.known("ipProtocol", "")) or str(rule.known("protocol", ""))
    first, last = int(rule.known("fromPort", -1)), int(rule.known("toPort", -1))
    return (0, 65535) if protocol in ("-1", "all") or first < 0 or last < 0 else (first, last)


def _rules(graph: Graph) -> Iterator[tuple[Node, Values, Node | None]]:
    """Every ingress rule: the resource that says it, the rule itself, and the group it opens."""
    for rule in graph.of_type(INGRESS_RULE, OLD_RULE):
        if rule.type == OLD_RULE and rule.get("type") != "ingress":
            continue
        yield rule, rule, graph.referred(rule, "securityGroupId", GROUP)
    for group in graph.of_type(GROUP):
        if group.get("ingress") is UNKNOWN:
            yield group, Values({"cidrBlocks": UNKNOWN}, "ingress."), group
        elif group.given("ingress"):
            for block in group.blocks("ingress"):
                yield group, block, group


def _carriers(graph: Graph, group: Node) -> list[Node]:
    """The resources that carry a security group; rules, which only name it, left out."""
    users = {id(user): user for user, _ in graph.users(group)}
    return [user for user in users.values() if user.type not in (INGRESS_RULE, OLD_RULE, GROUP, _EGRESS_RULE)]


_EGRESS_RULE: Final = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"


@whole(
    "SLP-NET-005",
    "Only public load balancers are open to the world, on HTTP and HTTPS",
    "high",
    "private-network",
    frameworks=maps("EC2.18 EC2.19", nag="EC23", checkov="260"),
    rationale="Each port that the world may reach is attacked within minutes of being opened.",
    remediation="let the rule name the security group of the caller (referenced_security_group_id)",
    applies_to=(INGRESS_RULE, OLD_RULE, GROUP),
    bad=(
        _opened(cidrIpv4="0.0.0.0/0", fromPort=22, toPort=22),
        _opened(cidrIpv6="::/0", fromPort=0, toPort=65535),
        _opened(cidrIpv4="0.0.0.0/0", ipProtocol="-1"),
    ),
    good=(
        _opened(cidrIpv4="0.0.0.0/0", fromPort=443, toPort=443),
        _opened(cidrIpv4="10.0.0.0/8", ipProtocol="-1"),
    ),
    absent="pass",
)
def world_ingress(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """All three styles of writing a rule."""
    allowed = settings.public_ports if isinstance(settings, RelationSettings) else ()
    for said_by, rule, group in _rules(graph):
        try:
            yield said_by, _world_verdict(graph, rule, group, allowed)
        except UndecidedError as unknown:
            yield said_by, undecided(f"reads `{unknown.path}`, which is not known before the stack exists")


def _world_verdict(graph: Graph, rule: Values, group: Node | None, allowed: tuple[int, ...]) -> Verdict:
    if not WORLD & set(_cidrs(rule)):
        return PASS
    first, last = _ports(rule)
    open_ports = f"port {first}" if first == last else f"ports {first} to {last}"
    if first != last or first not in allowed:
        return fail(f"{open_ports} is open to the world")
    carriers = _carriers(graph, group) if group else []
    others = [each for each in carriers if each.type != LOAD_BALANCER]
    path = [each for each in (group, *others[:1]) if each is not None]
    if others:
        return fail(f"{open_ports} of {others[0].label}, no load balancer, is open to the world", path=path)
    return PASS


@whole(
    "SLP-NET-006",
    "Data stores let in named security groups only",
    "high",
    "private-network",
    rationale="A CIDR lets in whatever starts in that range tomorrow; a security group lets in one service.",
    remediation="replace the CIDR by referenced_security_group_id of the service that connects",
    applies_to=DATA_STORES,
    bad=(_stored(cidrIpv4="10.0.0.0/8"), _stored(cidrIpv6="fd00::/8")),
    good=(_stored(referencedSecurityGroupId="${caller.id}"),),
    absent="undecided",
    links=("https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",),
)
def data_ingress(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """For each store, the rules of each security group that it carries."""
    rules = list(_rules(graph))
    yield from each(graph.of_type(*DATA_STORES), lambda store: _store_verdict(store, rules))


def _store_verdict(store: Node, rules: Iterable[tuple[Node, Values, Node | None]]) -> Verdict:
    groups = [node for nodes in store.deps.values() for node in nodes if node.type == GROUP]
    if not groups:
        return undecided("its security groups are not of this stack")
    strays: list[Node] = []
    for said_by, rule, group in rules:
        if group in groups and _cidrs(rule):
            return fail("lets in a range of addresses", path=[store, group, said_by])
        if (
            group is None
            and said_by.get("securityGroupId") is UNKNOWN
            and not said_by.deps.get("securityGroupId")
        ):
            strays.append(said_by)
    if strays:
        return undecided(f"which group {strays[0].label} is of is not known", path=[store, strays[0]])
    return PASS


@whole(
    "SLP-NET-007",
    "The default security group of each VPC is empty",
    "high",
    "private-network",
    frameworks=maps("EC2.2", checkov="2-12"),
    rationale="What names no security group gets the default one, which lets all its members talk.",
    remediation="add aws.ec2.DefaultSecurityGroup(vpc_id=…, ingress=[], egress=[])",
    applies_to=(VPC,),
    bad=(
        example(
            it=res("ec2/Vpc", cidrBlock="10.0.0.0/16"),
            default=res("ec2/DefaultSecurityGroup", vpcId="${it.id}", egress=[{"protocol": "-1"}]),
        ),
        example(it=res("ec2/Vpc", cidrBlock="10.0.0.0/16")),
    ),
    good=(
        example(
            it=res("ec2/Vpc", cidrBlock="10.0.0.0/16"),
            default=res("ec2/DefaultSecurityGroup", vpcId="${it.id}", ingress=[], egress=[]),
        ),
    ),
)
def default_group_empty(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Adopted by the stack, with no rules."""
    kind = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"

    def judge(vpc: Node) -> Verdict:
        groups = graph.about(vpc, kind, "vpcId")
        if not groups:
            return fail("its default security group keeps AWS's rules: the stack does not adopt it")
        full = [key for key in ("ingress", "egress") if groups[0].known(key, [])]
        return need(not full, f"its default security group has {' and '.join(full)} rules")

    return each(graph.of_type(VPC), judge)


@whole(
    "SLP-NET-008",
    "Each VPC logs its flows",
    "medium",
    "private-network",
    frameworks=maps("EC2.6", nag="VPC7", checkov="2-11"),
    rationale="Without flow logs nobody can say afterwards who talked to whom.",
    remediation="add aws.ec2.FlowLog(vpc_id=…, traffic_type='ALL', …)",
    applies_to=(VPC,),
    bad=(
        example(
            it=res("ec2/Vpc", cidrBlock="10.0.0.0/16"),
            flows=res("ec2/FlowLog", vpcId="${it.id}", trafficType="REJECT"),
        ),
        example(
            it=res("ec2/Vpc", cidrBlock="10.0.0.0/16"),
            flows=res("ec2/FlowLog", vpcId="vpc-another", trafficType="ALL"),
        ),
    ),
    good=(
        example(
            it=res("ec2/Vpc", cidrBlock="10.0.0.0/16"),
            flows=res("ec2/FlowLog", vpcId="${it.id}", trafficType="ALL"),
        ),
    ),
)
def flow_logs(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """All traffic, not only what was accepted."""

    def judge(vpc: Node) -> Verdict:
        logs = graph.about(vpc, "aws:ec2/flowLog:FlowLog", "vpcId")
        return need(any(log.known("trafficType") == "ALL" for log in logs), "no flow log of ALL its traffic")

    return each(graph.of_type(VPC), judge)


@one(
    "SLP-NET-009",
    "Route tables have no inline routes",
    "medium",
    "private-network",
    rationale="Inline routes mix NAT and internet gateway in one property, so which subnet is public cannot "
    "be proved before it exists; they also fight with aws.ec2.Route resources.",
    remediation="write each route as an aws.ec2.Route",
    applies_to=("aws:ec2/routeTable:RouteTable", "aws:ec2/defaultRouteTable:DefaultRouteTable"),
    bad=(
        example(
            it=res("ec2/RouteTable", vpcId="vpc-1", routes=[{"cidrBlock": "0.0.0.0/0", "gatewayId": "igw-1"}])
        ),
    ),
    good=(example(it=res("ec2/RouteTable", vpcId="vpc-1", routes=[])),),
    absent="pass",
    presence=("routes",),
    links=("https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html",),
)
def no_inline_routes(table: Node, _settings: Settings) -> Verdict:
    """An empty list only adopts the table."""
    return need(not table.given("routes"), "has inline routes")


@one(
    "SLP-NET-010",
    "Network ACLs let nobody administer from the internet",
    "medium",
    "private-network",
    frameworks=maps("EC2.21", checkov="231 232"),
    rationale="SSH and RDP from everywhere are what scanners look for first.",
    remediation="name the range that may administer, or use SSM Session Manager and remove the rule",
    applies_to=("aws:ec2/networkAclRule:NetworkAclRule",),
    bad=(
        _acl(cidrBlock="0.0.0.0/0", fromPort=22, toPort=22),
        _acl(ipv6CidrBlock="::/0", fromPort=3000, toPort=4000),
    ),
    good=(
        _acl(cidrBlock="10.0.0.0/8", fromPort=22, toPort=22),
        _acl(cidrBlock="0.0.0.0/0", fromPort=443, toPort=443),
    ),
    absent="pass",
)
def acl_administration(rule: Node, _settings: Settings) -> Verdict:
    """An allowing ingress rule for the world that covers port 22 or 3389."""
    if rule.known("egress", default=False) is True or rule.known("ruleAction") != "allow":
        return PASS
    if not WORLD & set(_cidrs(rule)):
        return PASS
    first, last = _ports(rule)
    admin = [port for port in (22, 3389) if first <= port <= last]
    return need(not admin, f"lets the world in on {' and '.join(map(str, admin))}")


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


CONTROLS = (
    no_public_addresses,
    no_public_tasks,
    no_public_databases,
    world_ingress,
    data_ingress,
    default_group_empty,
    flow_logs,
    no_inline_routes,
    acl_administration,
    awsvpc,
    buckets_private,
)
