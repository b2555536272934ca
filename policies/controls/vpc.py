"""What a VPC has and lacks: flow logs, endpoints, gateways, network ACLs, routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from policies import documents
from policies.control import PASS, Verdict, each, fail, need, one, undecided, whole
from policies.controls.security_groups import VPC, WORLD, cidrs_of, ports_of
from policies.example import Example, Resource, example, res, to_json
from policies.frameworks import maps
from policies.graph import Graph, Node, Values
from policies.reader import token, tokens, true
from policies.settings import Settings, in_production

_ENDPOINT: Final = token("ec2/VpcEndpoint")
_NAT: Final = token("ec2/NatGateway")
SUBNET: Final = token("ec2/Subnet")


def _acl(**rule: Any) -> Example:
    """A network ACL's rule that lets in."""
    return example(it=res("ec2/NetworkAclRule", ruleAction="allow", egress=False, protocol="tcp", **rule))


def _inline_acl(type_: str, **rule: Any) -> Example:
    """A network ACL with a rule inside."""
    return example(it=res(type_, ingress=[{"action": "allow", "ruleNo": 100, **rule}]))


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
    applies_to=tokens("ec2/NetworkAclRule", "ec2/NetworkAcl", "ec2/DefaultNetworkAcl"),
    bad=(
        _acl(cidrBlock="0.0.0.0/0", fromPort=22, toPort=22),
        _acl(ipv6CidrBlock="::/0", fromPort=3000, toPort=4000),
        _inline_acl("ec2/NetworkAcl", cidrBlock="0.0.0.0/0", fromPort=0, toPort=0, protocol="-1"),
        _inline_acl("ec2/DefaultNetworkAcl", cidrBlock="0.0.0.0/0", fromPort=20, toPort=30, protocol="tcp"),
    ),
    good=(
        _inline_acl("ec2/NetworkAcl", cidrBlock="0.0.0.0/0", fromPort=443, toPort=443, protocol="tcp"),
        _inline_acl("ec2/NetworkAcl", cidrBlock="10.0.0.0/8", fromPort=0, toPort=0, protocol="-1"),
        _acl(cidrBlock="10.0.0.0/8", fromPort=22, toPort=22),
        _acl(cidrBlock="0.0.0.0/0", fromPort=443, toPort=443),
    ),
    absent="pass",
)
def acl_administration(node: Node, _settings: Settings) -> Verdict:
    """An allowing ingress rule for the world that covers port 22 or 3389, of its own or inside its ACL."""
    if node.type == token("ec2/NetworkAclRule"):
        rules = [] if node.known("egress", default=False) is True else [node]
        allowing = [rule for rule in rules if rule.known("ruleAction") == "allow"]
    else:
        allowing = [rule for rule in node.blocks("ingress") if rule.known("action") == "allow"]
    admin = sorted({port for rule in allowing for port in _administers(rule)})
    return need(not admin, f"lets the world in on {' and '.join(map(str, admin))}")


def _administers(rule: Values) -> list[int]:
    """The ports of administration that a rule opens to the world."""
    if not WORLD & set(cidrs_of(rule)):
        return []
    first, last = ports_of(rule)
    return [port for port in (22, 3389) if first <= port <= last]


_VPC_EXAMPLE: Final = res("ec2/Vpc", cidrBlock="10.0.0.0/16")
# what private workloads call all day; through a NAT each of them pays for its traffic
_GATEWAYS: Final = (("s3", "s3/Bucket"), ("dynamodb", "dynamodb/Table"))
_INTERFACES: Final = (
    ("ecr.api", "ecr/Repository"),
    ("ecr.dkr", "ecr/Repository"),
    ("logs", "cloudwatch/LogGroup"),
    ("secretsmanager", "secretsmanager/Secret"),
    ("sqs", "sqs/Queue"),
    ("ssm", "ssm/Parameter"),
)


def _endpoint(service: str, **given: Any) -> Resource:
    return res("ec2/VpcEndpoint", vpcId="${it.id}", serviceName=f"com.amazonaws.us-east-1.{service}", **given)


def _reached(graph: Graph, vpc: Node) -> set[str]:
    """The services that the VPC has an endpoint of, by the ends of their names."""
    endpoints = graph.about(vpc, _ENDPOINT, "vpcId")
    return {str(endpoint.known("serviceName", "")).split(".", 3)[-1] for endpoint in endpoints}


@whole(
    "SLP-NET-013",
    "VPCs reach S3 and DynamoDB by gateway endpoints",
    "medium",
    "private-network",
    rationale="A gateway endpoint is free and keeps traffic off the internet; a NAT charges each gigabyte.",
    remediation="add aws.ec2.VpcEndpoint(vpc_endpoint_type='Gateway', route_table_ids=[…]) for the service",
    links=("https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html",),
    applies_to=(VPC,),
    bad=(
        example(it=_VPC_EXAMPLE, photos=res("s3/Bucket", bucket="photos")),
        example(it=_VPC_EXAMPLE, orders=res("dynamodb/Table", name="orders"), s3=_endpoint("s3")),
    ),
    good=(
        example(it=_VPC_EXAMPLE, photos=res("s3/Bucket", bucket="photos"), s3=_endpoint("s3")),
        example(it=_VPC_EXAMPLE, orders=res("dynamodb/Table", name="orders"), dynamodb=_endpoint("dynamodb")),
    ),
    absent="pass",
)
def gateway_endpoints(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Only for what the stack has."""
    wanted = [service for service, type_ in _GATEWAYS if graph.of_type(token(type_))]
    return each(graph.of_type(VPC), lambda vpc: _missing(graph, vpc, wanted))


def _missing(graph: Graph, vpc: Node, wanted: list[str]) -> Verdict:
    reached = _reached(graph, vpc) if wanted else set[str]()
    missing = [service for service in wanted if service not in reached]
    return need(not missing, f"has no endpoint of {', '.join(missing)}")


@whole(
    "SLP-NET-014",
    "In production, VPCs reach the services that the stack uses by interface endpoints",
    "medium",
    "private-network",
    frameworks=maps("EC2.55 EC2.56 EC2.57"),
    rationale="Pulling images, reading secrets and writing logs should not depend on a NAT, nor leave AWS.",
    remediation="add aws.ec2.VpcEndpoint(vpc_endpoint_type='Interface', private_dns_enabled=True) for each",
    applies_to=(VPC,),
    bad=(
        example(it=_VPC_EXAMPLE, images=res("ecr/Repository", name="api"), api=_endpoint("ecr.api")),
        example(it=_VPC_EXAMPLE, lines=res("cloudwatch/LogGroup", name="/api"), s3=_endpoint("s3")),
    ),
    good=(
        example(
            it=_VPC_EXAMPLE,
            images=res("ecr/Repository", name="api"),
            api=_endpoint("ecr.api"),
            dkr=_endpoint("ecr.dkr"),
        ),
        example(it=_VPC_EXAMPLE, jobs=res("sqs/Queue", name="jobs"), sqs=_endpoint("sqs")),
    ),
    absent="pass",
)
def interface_endpoints(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Each costs 7 dollars a month and zone: not for a stack that nobody depends on."""
    if not in_production(settings):
        return iter(())
    wanted = [service for service, type_ in _INTERFACES if graph.of_type(token(type_))]
    return each(graph.of_type(VPC), lambda vpc: _missing(graph, vpc, wanted))


_OWN: Final = {"StringEquals": {"aws:PrincipalAccount": "111111111111"}}


def _guarded(*, private: bool = True, **more: Any) -> Example:
    """An interface endpoint with a policy."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", **more}
    return example(
        it=res(
            "ec2/VpcEndpoint",
            vpcId="vpc-1",
            vpcEndpointType="Interface",
            privateDnsEnabled=private,
            policy=to_json({"Version": "2012-10-17", "Statement": [statement]}),
        )
    )


@one(
    "SLP-NET-015",
    "Endpoints are used under their service's own name, and not by everybody for everything",
    "medium",
    "private-network",
    rationale="Without private DNS calls still go through the NAT; with the default policy an intruder can "
    "carry data to a bucket of an account of his own.",
    remediation="set private_dns_enabled, and a policy that names actions, resources or aws:PrincipalAccount",
    links=("https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html",),
    applies_to=(_ENDPOINT,),
    bad=(
        _guarded(),
        _guarded(private=False, Condition=_OWN),
        example(it=res("ec2/VpcEndpoint", vpcId="vpc-1", serviceName="com.amazonaws.us-east-1.s3")),
    ),
    good=(
        _guarded(Condition=_OWN),
        _guarded(Action="s3:GetObject"),
        _guarded(Resource="arn:aws:s3:::photos/*"),
        _guarded(Principal={"AWS": "arn:aws:iam::111111111111:role/api"}),
    ),
)
def endpoint_policy(endpoint: Node, _settings: Settings) -> Verdict:
    """Load balancer endpoints take no policy."""
    kind = endpoint.known("vpcEndpointType", "Gateway")
    if kind == "Interface" and not true(endpoint.known("privateDnsEnabled")):
        return fail("privateDnsEnabled is not on")
    if kind not in ("Interface", "Gateway"):
        return PASS
    policy = endpoint.known("policy")
    if policy is None:
        return fail("has no policy, so AWS's default allows everything")
    return need(
        not any(_allows_all(each) for each in documents.parse(policy, "policy").decided()),
        "allows everything",
    )


def _allows_all(statement: documents.Statement) -> bool:
    everybody = any(principal.everyone for principal in statement.principals or ())
    anything = "*" in (statement.actions or ()) and "*" in (statement.resources or ())
    return statement.allows and everybody and anything and not statement.conditions


@whole(
    "SLP-NET-016",
    "In production, each zone has a NAT of its own",
    "medium",
    "private-network",
    rationale="With one NAT the loss of its zone cuts off the others, and what crosses zones is paid twice.",
    remediation="place a NAT gateway in each zone's public subnet, or one with availability_mode regional",
    links=("https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html",),
    applies_to=(VPC,),
    bad=(
        example(
            it=_VPC_EXAMPLE,
            a=res("ec2/Subnet", vpcId="${it.id}", availabilityZone="us-east-1a"),
            b=res("ec2/Subnet", vpcId="${it.id}", availabilityZone="us-east-1b"),
            nat=res("ec2/NatGateway", subnetId="${a.id}"),
        ),
        example(
            it=_VPC_EXAMPLE,
            a=res("ec2/Subnet", vpcId="${it.id}", availabilityZone="us-east-1a"),
            b=res("ec2/Subnet", vpcId="${it.id}", availabilityZone="us-east-1b"),
            nat=res("ec2/NatGateway", subnetId="${a.id}"),
            second=res("ec2/NatGateway", subnetId="${a.id}"),
        ),
    ),
    good=(
        example(
            it=_VPC_EXAMPLE,
            a=res("ec2/Subnet", vpcId="${it.id}", availabilityZone="us-east-1a"),
            b=res("ec2/Subnet", vpcId="${it.id}", availabilityZone="us-east-1b"),
            nat=res("ec2/NatGateway", subnetId="${a.id}"),
            second=res("ec2/NatGateway", subnetId="${b.id}"),
        ),
        example(
            it=_VPC_EXAMPLE,
            a=res("ec2/Subnet", vpcId="${it.id}", availabilityZone="us-east-1a"),
            b=res("ec2/Subnet", vpcId="${it.id}", availabilityZone="us-east-1b"),
            nat=res("ec2/NatGateway", vpcId="${it.id}", availabilityMode="regional"),
        ),
    ),
    absent="pass",
)
def nat_per_zone(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """A VPC without a NAT reaches nothing, so there is nothing to lose."""

    def judge(vpc: Node) -> Verdict:
        subnets = {subnet.urn: subnet for subnet in graph.about(vpc, SUBNET, "vpcId")}
        zones = {urn: str(subnet.known("availabilityZone")) for urn, subnet in subnets.items()}
        served: set[str] = set()
        doubts = graph.strays(SUBNET, "vpcId")
        for gateway in graph.of_type(_NAT):
            regional = gateway.known("availabilityMode", "zonal") == "regional"
            if regional and graph.refers(gateway, "vpcId", vpc):
                return PASS
            homes = gateway.made_from("subnetId", SUBNET)
            served.update(zones[home.urn] for home in homes if home.urn in zones)
            if not regional and not homes:
                doubts.append(gateway)
        bare = sorted(set(zones.values()) - served)
        if doubts and (bare or served):
            return undecided(f"which zone of which VPC {doubts[0].label} is in is not known", path=[vpc])
        return need(
            not bare or not served, f"{len(bare)} of its {len(set(zones.values()))} zones have no NAT"
        )

    return each(graph.of_type(VPC) if in_production(settings) else (), judge)


@one(
    "SLP-NET-017",
    "A region that blocks public access to VPCs says so for both directions or for ingress",
    "medium",
    "private-network",
    frameworks=maps("EC2.172"),
    rationale="The block overrules every route and gateway of the region, whatever a program says.",
    remediation="set internet_gateway_block_mode to block-bidirectional or block-ingress",
    applies_to=tokens("ec2/VpcBlockPublicAccessOptions"),
    bad=(example(it=res("ec2/VpcBlockPublicAccessOptions", internetGatewayBlockMode="off")),),
    good=(
        example(it=res("ec2/VpcBlockPublicAccessOptions", internetGatewayBlockMode="block-ingress")),
        example(it=res("ec2/VpcBlockPublicAccessOptions", internetGatewayBlockMode="block-bidirectional")),
    ),
)
def region_block(options: Node, _settings: Settings) -> Verdict:
    """It belongs to a region, not to a stack: only a stack that sets it is judged."""
    modes = ("block-ingress", "block-bidirectional")
    return need(options.known("internetGatewayBlockMode") in modes, "blocks nothing")


CONTROLS = (
    flow_logs,
    no_inline_routes,
    acl_administration,
    gateway_endpoints,
    interface_endpoints,
    endpoint_policy,
    nat_per_zone,
    region_block,
)
