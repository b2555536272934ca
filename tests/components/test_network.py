"""The network: what each kind of subnet reaches, and that growing it replaces nothing."""

from __future__ import annotations

import ipaddress
import itertools

import pulumi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.key import Key
from components.network import acls, plan
from components.network.component import Network
from components.network.config import NetworkConfig
from tests.components.support import CTX, MODES, Program, document, run

# Inputs that AWS changes in place; whatever else changes on a resource of the network replaces it.
IN_PLACE = {
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "routeTableIds"),
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "subnetIds"),
    ("aws:ec2/route:Route", "natGatewayId"),
}


def build(
    config: NetworkConfig, mode: str = "resolved", opts: pulumi.ResourceOptions | None = None
) -> Program:
    """The registrations of a network with this config."""

    def program() -> None:
        key = Key("key", ctx=CTX, tier="security", purpose="stack")
        Network("network", config, ctx=CTX, key=key, opts=opts)

    return run(program, mode=mode)


def grown() -> st.SearchStrategy[tuple[NetworkConfig, NetworkConfig]]:
    """A network and the same with more zones, kinds, endpoints, or a NAT in each zone."""
    zones = st.permutations("abcdef").flatmap(
        lambda order: st.tuples(st.integers(2, 6), st.integers(2, 6)).map(
            lambda pair: (tuple(order[: min(pair)]), tuple(order[: max(pair)]))
        )
    )
    kinds = st.sampled_from(
        [
            (("public",), ("public", "private")),
            (("public", "private"), ("public", "private", "isolated")),
            (("isolated",), ("public", "private", "isolated")),
            (("public", "private", "isolated"), ("public", "private", "isolated")),
        ]
    )
    nat = st.sampled_from([("single", "single"), ("single", "per_zone"), ("per_zone", "per_zone")])
    endpoints = st.sampled_from([((), ()), ((), ("ssm",)), (("logs",), ("logs", "ecr.api"))])
    cidr = st.sampled_from(["10.0.0.0/16", "172.16.0.0/18", "192.168.8.0/21"])

    def pair(z: tuple, k: tuple, n: tuple, e: tuple, c: str) -> tuple[NetworkConfig, NetworkConfig]:
        private = "private" in k[0]
        before, after = (
            NetworkConfig(cidr=c, zones=z[i], kinds=k[i], nat=n[i], endpoints=e[i] if private else ())
            for i in (0, 1)
        )
        return before, after

    return st.builds(pair, zones, kinds, nat, endpoints, cidr)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grown())
def test_growing_replaces_nothing(pair: tuple[NetworkConfig, NetworkConfig]) -> None:
    """Every resource of the smaller network is in the larger one, changed at most in place."""
    before, after = (build(config) for config in pair)
    later = {each.urn: each for each in after.resources}
    for old in before.resources:
        assert old.urn in later, f"{old.urn} is gone"
        new = later[old.urn]
        changed = {
            key for key in old.inputs.keys() | new.inputs.keys() if old.inputs.get(key) != new.inputs.get(key)
        }
        assert {(old.type, key) for key in changed} <= IN_PLACE, f"{old.urn}: {changed}"


@given(st.sampled_from(["10.0.0.0/16", "10.64.0.0/17", "172.16.0.0/20", "192.168.8.0/21"]))
def test_no_two_subnets_overlap(cidr: str) -> None:
    """All zones and kinds of one VPC have blocks of their own, inside the VPC and within AWS's /28."""
    planned = plan.subnets(cidr, plan.ZONE_LETTERS, ("public", "private", "isolated"))
    blocks = [ipaddress.IPv4Network(each.cidr) for each in planned]
    assert all(block.subnet_of(ipaddress.IPv4Network(cidr)) and block.prefixlen <= 28 for block in blocks)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(blocks, 2))


def test_the_plan_is_pinned() -> None:
    """These addresses are in use: a change of the plan would move subnets that exist."""
    assert {
        each.name: each.cidr for each in plan.subnets("10.0.0.0/16", "ah", ("public", "private", "isolated"))
    } == {
        "public-a": "10.0.16.0/22",
        "public-h": "10.0.240.0/22",
        "private-a": "10.0.0.0/20",
        "private-h": "10.0.224.0/20",
        "isolated-a": "10.0.20.0/22",
        "isolated-h": "10.0.244.0/22",
    }


@pytest.mark.parametrize("mode", MODES)
def test_only_public_subnets_reach_the_internet_gateway(mode: str) -> None:
    """Walked over property dependencies, as the policies do, with every id unknown at preview."""
    program = build(NetworkConfig(zones=("a", "b", "c"), nat="per_zone"), mode)
    gateway = program.one("InternetGateway").urn
    routed = {
        urn
        for route in program.of("Route")
        if gateway in route.depends("gatewayId")
        for urn in route.depends("routeTableId")
    }
    open_subnets = {
        urn
        for each in program.of("RouteTableAssociation")
        if each.depends("routeTableId") & routed
        for urn in each.depends("subnetId")
    }
    by_urn = {each.urn: each for each in program.resources}
    assert sorted(by_urn[urn].name for urn in open_subnets) == [f"network-public-{zone}" for zone in "abc"]
    isolated = {each.urn for each in program.of("RouteTable") if "isolated" in each.name}
    assert not any(route.depends("routeTableId") & isolated for route in program.of("Route"))


def test_each_private_zone_uses_its_own_nat() -> None:
    """With a NAT per zone, the loss of one zone takes no other zone's way out."""
    program = build(NetworkConfig(zones=("a", "b"), nat="per_zone"))
    routes = {each.name: each.inputs.get("natGatewayId") for each in program.of("Route")}
    assert routes["network-private-a"] == "network-nat-a-id"
    assert routes["network-private-b"] == "network-nat-b-id"


def test_a_single_nat_serves_all_zones() -> None:
    """Development pays for one NAT gateway and one address."""
    program = build(NetworkConfig(zones=("c", "a"), nat="single"))
    assert [each.name for each in program.of("NatGateway")] == ["network-nat-c"]
    assert len(program.of("Eip")) == 1
    routes = [each.inputs["natGatewayId"] for each in program.of("Route") if "natGatewayId" in each.inputs]
    assert routes == ["network-nat-c-id"] * 2


def test_no_subnet_gives_public_addresses_and_no_route_is_inline() -> None:
    """Public subnets are for load balancers and NAT, which bring their own addresses."""
    program = build(NetworkConfig())
    assert all(each.inputs["mapPublicIpOnLaunch"] is False for each in program.of("Subnet"))
    assert not any("routes" in each.inputs for each in program.of("RouteTable"))


def test_the_default_group_is_emptied() -> None:
    """Security Hub EC2.2: the default security group has no rules."""
    group = build(NetworkConfig()).one("DefaultSecurityGroup")
    assert group.inputs["ingress"] == []
    assert group.inputs["egress"] == []


@pytest.mark.parametrize("mode", MODES)
def test_endpoint_policies_name_actions_and_are_known(mode: str) -> None:
    """No endpoint lets every action through, and each policy is decided at preview."""
    program = build(NetworkConfig(endpoints=("ecr.api", "logs")), mode)
    found = program.of("VpcEndpoint")
    assert len(found) == 4
    for each in found:
        for statement in document(each.inputs["policy"])["Statement"]:
            assert not any("*" in action for action in statement["Action"]), each.name
            assert statement["Resource"] != "*" or "Condition" in statement, each.name


def test_interface_endpoints_take_tls_from_the_vpc_only() -> None:
    """Their group has one rule in and none out."""
    program = build(NetworkConfig(endpoints=("ssm",)))
    rule = program.one("SecurityGroupIngressRule").inputs
    assert (rule["fromPort"], rule["toPort"], rule["cidrIpv4"]) == (443, 443, "10.0.0.0/16")
    assert program.of("SecurityGroupEgressRule") == []
    assert set(program.one("VpcEndpoint", "network-ssm").depends("subnetIds")) == {
        each.urn for each in program.of("Subnet") if "private" in each.name
    }


def test_flow_logs_are_encrypted_and_their_role_writes_nothing_else() -> None:
    """The role may write to the flow log group only, for flow logs of this account only."""
    program = build(NetworkConfig(), "preview")
    group = program.one("LogGroup")
    assert group.depends("kmsKeyId") == {program.one("kms/key:Key").urn}
    assert group.inputs["retentionInDays"] == 30
    statement = document(program.one("RolePolicy").inputs["policy"])["Statement"][0]
    arn = "arn:aws:logs:us-east-1:111111111111:log-group:/slipway/dev/network/flow"
    assert statement["Resource"] == [f"{arn}:*"]
    trust = document(program.one("Role").inputs["assumeRolePolicy"])["Statement"][0]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "111111111111"}


@pytest.mark.parametrize("kind", ["public", "private", "isolated"])
def test_acls_never_let_the_world_reach_a_login_port(kind: str) -> None:
    """Security Hub EC2.21: no rule from the world covers 22 or 3389."""
    for rule in acls.rules(kind, "10.0.0.0/16"):
        if not rule.egress and rule.cidr == acls.WORLD:
            assert not any(rule.from_port <= port <= rule.to_port for port in (22, 3389))
    if kind == "isolated":
        assert all(rule.cidr != acls.WORLD for rule in acls.rules(kind, "10.0.0.0/16"))


def test_acls_let_path_mtu_discovery_in() -> None:
    """Custom network ACLs must let ICMP type 3 code 4 in, or connections over narrow paths stall."""
    program = build(NetworkConfig())
    icmp = [each.inputs for each in program.of("NetworkAclRule") if each.inputs["protocol"] != "tcp"]
    assert len(icmp) == 2
    for rule in icmp:
        assert (rule["protocol"], rule["icmpType"], rule["icmpCode"], rule["egress"]) == ("icmp", 3, 4, False)


def test_acl_rule_numbers_are_unique() -> None:
    """Two rules of one direction with one number would overwrite each other."""
    for kind in ("public", "private", "isolated"):
        numbers = [(rule.egress, rule.number) for rule in acls.rules(kind, "10.0.0.0/16")]
        assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cidr": "10.0.0.0/22"}, "/16"),
        ({"cidr": "8.8.0.0/16"}, "RFC 1918"),
        ({"cidr": "10.0.0.1/16"}, "no IPv4 network"),
        ({"zones": ("a", "a")}, "listed twice"),
        ({"zones": ("a",)}, "at least 2"),
        ({"kinds": ("private",)}, "add public"),
        ({"endpoints": ("s4",)}, "ecr.api"),
    ],
)
def test_an_impossible_network_is_refused(values: dict, words: str) -> None:
    """Each mistake is refused with what would be right."""
    with pytest.raises(ValidationError, match=words):
        NetworkConfig(**values)


def test_a_child_is_reached_by_a_transform() -> None:
    """The example of the guide: Pulumi's own transforms change a resource inside the component."""

    def longer(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        if args.type_ == "aws:cloudwatch/logGroup:LogGroup":
            return pulumi.ResourceTransformResult(
                props={**args.props, "retentionInDays": 365}, opts=args.opts
            )
        return None

    program = build(NetworkConfig(), opts=pulumi.ResourceOptions(transforms=[longer]))
    assert program.one("LogGroup").inputs["retentionInDays"] == 365
