"""Security groups: who reaches whom, in all three styles of writing a rule."""

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
_EGRESS_RULE: Final = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"


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


def cidrs_of(rule: Values) -> list[str]:
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


def ports_of(rule: Values) -> tuple[int, int]:
    """The first and the last port of a rule; all of them where it names none."""
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
        _opened(cidrIpv4="0.0.0.0/0", fromPort=80, toPort=443),
        example(
            it=res(
                "ec2/SecurityGroupRule",
                type="ingress",
                protocol="tcp",
                fromPort=22,
                toPort=22,
                cidrBlocks=["10.0.0.0/8", "0.0.0.0/0"],
            )
        ),
        example(
            it=res(
                "ec2/SecurityGroup",
                ingress=[{"protocol": "tcp", "fromPort": 22, "toPort": 22, "ipv6CidrBlocks": ["::/0"]}],
            )
        ),
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
    if not WORLD & set(cidrs_of(rule)):
        return PASS
    first, last = ports_of(rule)
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
        if group in groups and cidrs_of(rule):
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


def _leaving(**rule: Any) -> Example:
    """A security group with a rule of what may leave."""
    return example(it=res("vpc/SecurityGroupEgressRule", securityGroupId="sg-1", **rule))


@one(
    "SLP-NET-018",
    "What leaves for the world has a port",
    "medium",
    "private-network",
    frameworks=maps(checkov="382"),
    links=("https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",),
    rationale="An intruder's first call home goes to a port that the service never uses.",
    remediation="name the ports (443 for APIs), or the security group or prefix list that is called",
    applies_to=(_EGRESS_RULE, OLD_RULE, GROUP),
    bad=(
        _leaving(cidrIpv4="0.0.0.0/0", ipProtocol="-1"),
        _leaving(cidrIpv6="::/0", ipProtocol="tcp", fromPort=0, toPort=65535),
        example(it=res("ec2/SecurityGroupRule", type="egress", protocol="-1", cidrBlocks=["0.0.0.0/0"])),
        example(it=res("ec2/SecurityGroup", egress=[{"protocol": "-1", "ipv6CidrBlocks": ["::/0"]}])),
    ),
    good=(
        _leaving(cidrIpv4="0.0.0.0/0", ipProtocol="tcp", fromPort=443, toPort=443),
        _leaving(cidrIpv4="10.0.0.0/8", ipProtocol="-1"),
        example(it=res("ec2/SecurityGroupRule", type="ingress", protocol="-1", cidrBlocks=["0.0.0.0/0"])),
        example(it=res("ec2/SecurityGroup", egress=[{"protocol": "-1", "cidrBlocks": ["10.0.0.0/8"]}])),
    ),
    absent="pass",
)
def world_egress(node: Node, _settings: Settings) -> Verdict:
    """All three styles; NAT and endpoints are behind the same rules."""
    if node.type == OLD_RULE and node.known("type", "ingress") != "egress":
        return PASS
    rules = node.blocks("egress") if node.type == GROUP else [node]
    return need(not any(_all_of_the_world(rule) for rule in rules), "lets everything leave for the world")


def _all_of_the_world(rule: Values) -> bool:
    return bool(WORLD & set(cidrs_of(rule))) and ports_of(rule) == (0, 65535)


_DEFAULT_WORDS: Final = "Managed by Pulumi"


@one(
    "SLP-NET-019",
    "Security groups and their rules say what they are for",
    "low",
    "private-network",
    frameworks=maps(nag="EC27", checkov="23"),
    rationale="A rule that nobody can explain is never removed.",
    remediation="give it a description",
    links=("https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",),
    applies_to=(GROUP, INGRESS_RULE, _EGRESS_RULE, OLD_RULE),
    bad=(
        example(it=res("ec2/SecurityGroup", vpcId="vpc-1")),
        example(it=res("ec2/SecurityGroup", vpcId="vpc-1", description="Managed by Pulumi")),
        example(it=res("vpc/SecurityGroupIngressRule", securityGroupId="sg-1", description="")),
        example(it=res("ec2/SecurityGroup", description="the API", ingress=[{"protocol": "tcp"}])),
    ),
    good=(
        example(it=res("ec2/SecurityGroup", vpcId="vpc-1", description="the API's tasks")),
        example(it=res("vpc/SecurityGroupEgressRule", securityGroupId="sg-1", description="to the database")),
        example(it=res("ec2/SecurityGroup", description="the API", egress=[{"description": "to the cache"}])),
    ),
    presence=("description", "egress.description"),
)
def described(node: Node, _settings: Settings) -> Verdict:
    """The inline rules of a group too; the provider's own words say nothing."""
    if not node.given("description") or node.get("description") == _DEFAULT_WORDS:
        return fail("has no description")
    if node.type != GROUP:
        return PASS
    rules = [*node.blocks("ingress"), *node.blocks("egress")]
    return need(all(rule.given("description") for rule in rules), "an inline rule has no description")


CONTROLS = (world_ingress, data_ingress, default_group_empty, world_egress, described)
