"""The proof that no workload sits in a subnet with a route to the internet, over the whole graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from policies.control import PASS, Verdict, fail, undecided, whole
from policies.example import Example, example, res
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.reader import MISSING, UNKNOWN
from policies.settings import RelationSettings, Settings

_PUBLIC_SUBNETS: Final = "https://docs.aws.amazon.com/vpc/latest/userguide/configure-subnets.html"
SUBNET: Final = "aws:ec2/subnet:Subnet"
TABLE: Final = "aws:ec2/routeTable:RouteTable"
DEFAULT_TABLE: Final = "aws:ec2/defaultRouteTable:DefaultRouteTable"
ASSOCIATION: Final = "aws:ec2/routeTableAssociation:RouteTableAssociation"
ROUTE: Final = "aws:ec2/route:Route"
GATEWAY: Final = "aws:ec2/internetGateway:InternetGateway"
# everything that can be put into subnets: the property that says which, and where inside it the ids are
ATTACHMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "aws:autoscaling/group:Group": ("vpcZoneIdentifiers", ""),
    "aws:batch/computeEnvironment:ComputeEnvironment": ("computeResources", "subnets"),
    "aws:cloudwatch/eventTarget:EventTarget": ("ecsTarget", "networkConfiguration.subnets"),
    "aws:docdb/subnetGroup:SubnetGroup": ("subnetIds", ""),
    "aws:ec2/instance:Instance": ("subnetId", ""),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("subnetIds", ""),
    "aws:ecs/service:Service": ("networkConfiguration", "subnets"),
    "aws:ecs/taskSet:TaskSet": ("networkConfiguration", "subnets"),
    "aws:efs/mountTarget:MountTarget": ("subnetId", ""),
    "aws:elasticache/subnetGroup:SubnetGroup": ("subnetIds", ""),
    "aws:lambda/function:Function": ("vpcConfig", "subnetIds"),
    "aws:lambda/invocation:Invocation": ("input", ""),
    "aws:lb/loadBalancer:LoadBalancer": ("subnets", ""),
    "aws:memorydb/subnetGroup:SubnetGroup": ("subnetIds", ""),
    "aws:opensearch/domain:Domain": ("vpcOptions", "subnetIds"),
    "aws:rds/proxy:Proxy": ("vpcSubnetIds", ""),
    "aws:rds/subnetGroup:SubnetGroup": ("subnetIds", ""),
    "aws:redshift/subnetGroup:SubnetGroup": ("subnetIds", ""),
    "aws:scheduler/schedule:Schedule": ("target", "ecsParameters.networkConfiguration.subnets"),
    "aws:synthetics/canary:Canary": ("vpcConfig", "subnetIds"),
}
# those whose property may hold much else: without a subnet among what it was made from, it says nothing
_LOOSE: Final = frozenset(
    (
        "aws:lambda/invocation:Invocation",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:scheduler/schedule:Schedule",
    )
)


def _walk(**way: str) -> Example:
    """A service whose subnet has this route."""
    return example(
        network=res("ec2/Vpc", cidrBlock="10.0.0.0/16"),
        gateway=res("ec2/InternetGateway", vpcId="${network.id}"),
        nat=res("ec2/NatGateway", subnetId="subnet-1"),
        subnet=res("ec2/Subnet", vpcId="${network.id}", cidrBlock="10.0.1.0/24"),
        table=res("ec2/RouteTable", vpcId="${network.id}"),
        link=res("ec2/RouteTableAssociation", subnetId="${subnet.id}", routeTableId="${table.id}"),
        out=res("ec2/Route", routeTableId="${table.id}", destinationCidrBlock="0.0.0.0/0", **way),
        it=res("ecs/Service", networkConfiguration={"subnets": ["${subnet.id}"], "assignPublicIp": False}),
    )


@whole(
    "SLP-NET-001",
    "Workloads run in subnets that the internet has no route to",
    "critical",
    "private-network",
    frameworks=maps("RDS.46"),
    rationale="A route to an internet gateway makes every address in the subnet one mistake in a security "
    "group away from the internet; without the route there is nothing to make a mistake about.",
    remediation="pass the network's private (or isolated) subnets",
    applies_to=tuple(ATTACHMENTS),
    waivable=False,
    bad=(_walk(gatewayId="${gateway.id}"), _walk(gatewayId="igw-0123")),
    good=(_walk(natGatewayId="${nat.id}"),),
    absent="silent",
    links=(_PUBLIC_SUBNETS,),
)
def private_subnets(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Walk workload → subnet → route table → route → internet gateway."""
    trusted = settings.trusted_subnets if isinstance(settings, RelationSettings) else ()
    for node in graph.of_type(*ATTACHMENTS):
        key, inner = ATTACHMENTS[node.type]
        if node.type == "aws:lb/loadBalancer:LoadBalancer" and node.get("internal") is not True:
            continue  # a load balancer for the internet is what public subnets are for
        verdict = _attachment(graph, node, key, inner, trusted)
        if verdict is not None:
            yield node, verdict


def _attachment(graph: Graph, node: Node, key: str, inner: str, trusted: tuple[str, ...]) -> Verdict | None:
    subnets = node.made_from(key, SUBNET)
    literals, hidden = _ids(node, f"{key}.{inner}" if inner else key, len(subnets))
    if not subnets and node.type in _LOOSE:
        return None
    if not subnets and not literals and not hidden:
        return None  # not in a VPC at all
    doubts: list[Verdict] = []
    for subnet in subnets:
        verdict = _subnet(graph, node, subnet)
        if verdict.outcome.value == "fail":
            return verdict
        if verdict is not PASS:
            doubts.append(verdict)
    strangers = [each for each in literals if each not in trusted]
    if strangers:
        words = f"subnet {', '.join(strangers)} is not of this stack, so its routes are not known"
        doubts.append(undecided(f"{words}; name it in trustedSubnets if it is private", path=[node]))
    if hidden:
        doubts.append(undecided(f"`{key}` is made from no subnet of this stack", path=[node]))
    return doubts[0] if doubts else PASS


def _ids(node: Node, path: str, traced: int) -> tuple[list[str], bool]:
    """Subnet ids written as literals; whether there are more that lead back to no subnet resource."""
    value = node.get(path)
    if value is MISSING:
        return [], False
    if value is UNKNOWN:
        return [], traced == 0
    values = cast("list[Any]", value if isinstance(value, list) else [value])
    literals = [each for each in values if isinstance(each, str) and each.startswith("subnet-")]
    unknown = sum(1 for each in values if each is UNKNOWN)
    # once they exist, traced subnets show their ids as well
    return (literals if traced == 0 else []), unknown > 0 and traced == 0


def _subnet(graph: Graph, workload: Node, subnet: Node) -> Verdict:
    associations = [user for user, key in graph.users(subnet, ASSOCIATION) if key == "subnetId"]
    if not associations:
        return undecided(
            f"{subnet.label} has no route table of its own, so the VPC's main table decides",
            path=[workload, subnet],
        )
    for association in associations:
        tables = association.made_from("routeTableId", TABLE, DEFAULT_TABLE)
        if not tables:
            return undecided(
                f"the route table of {subnet.label} is not of this stack", path=[workload, subnet]
            )
        for table in tables:
            verdict = _table(graph, [workload, subnet, table])
            if verdict is not PASS:
                return verdict
    return PASS


def _table(graph: Graph, path: list[Node]) -> Verdict:
    """Public when any route of the table leads to an internet gateway, inline or a resource of its own."""
    table = path[-1]
    subnet = path[1]
    for gateway in table.made_from("routes", GATEWAY):
        return _public(subnet, [*path, gateway])
    for route, key in graph.users(table, ROUTE):
        verdict = _route(subnet, route, path) if key == "routeTableId" else PASS
        if verdict is not PASS:
            return verdict
    for route in graph.strays(ROUTE, "routeTableId"):
        if _route(subnet, route, path) is not PASS:
            return undecided(f"whose table {route.label} is in is not known", path=path)
    for inline in _inline(table):
        target = inline.get("gatewayId")
        if isinstance(target, str) and target.startswith("igw-"):
            return _public(subnet, [*path, f"internet gateway {target}"])
    if UNKNOWN is table.get("routes") and not table.deps.get("routes"):
        return undecided(f"the routes of {table.label} are not known", path=path)
    return PASS


def _route(subnet: Node, route: Node, path: list[Node]) -> Verdict:
    for gateway in route.made_from("gatewayId", GATEWAY):
        return _public(subnet, [*path, route, gateway])
    target = route.get("gatewayId")
    if isinstance(target, str) and target.startswith("igw-"):
        return _public(subnet, [*path, route, f"internet gateway {target}"])
    if target is UNKNOWN and not route.deps.get("gatewayId"):
        return undecided(f"where {route.label} leads to is not known", path=[*path, route])
    return PASS


def _inline(table: Node) -> list[Mapping[str, Any]]:
    routes = table.get("routes")
    if not isinstance(routes, list):
        return []
    return [each for each in cast("list[Any]", routes) if isinstance(each, Mapping)]


def _public(subnet: Node, path: list[Node | str]) -> Verdict:
    workload = path[0]
    who = workload.label if isinstance(workload, Node) else workload
    return fail(f"{who} is in {subnet.label}, which has a route to the internet", path=path)


CONTROLS = (private_subnets,)
