"""What the internet meets first: load balancers, web ACLs, distributions, APIs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from policies.control import PASS, Verdict, each, fail, need, one, undecided, whole
from policies.example import Example, example, res
from policies.frameworks import maps
from policies.graph import Graph, Node, Values
from policies.reader import UNKNOWN, token, true
from policies.settings import Settings

_BALANCER: Final = token("lb/LoadBalancer")
_DISTRIBUTION: Final = token("cloudfront/Distribution")
_ACL: Final = token("wafv2/WebAcl")
_ASSOCIATION: Final = token("wafv2/WebAclAssociation")
_REST_STAGE: Final = token("apigateway/Stage")


@one(
    "SLP-NET-020",
    "Load balancers say whether they are for the internet",
    "high",
    "private-network",
    rationale="A load balancer that says nothing gets public addresses: AWS's default is the internet.",
    remediation="set internal explicitly: true, or false for one that the internet is meant to reach",
    links=(
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html",
    ),
    applies_to=(_BALANCER,),
    bad=(example(it=res("lb/LoadBalancer", subnets=["subnet-1", "subnet-2"])),),
    good=(
        example(it=res("lb/LoadBalancer", internal=True, subnets=["subnet-1", "subnet-2"])),
        example(it=res("lb/LoadBalancer", internal=False, subnets=["subnet-1", "subnet-2"])),
    ),
    presence=("internal",),
)
def balancer_says_so(balancer: Node, _settings: Settings) -> Verdict:
    """Which ones may be public is a reviewer's question; that one is by accident is not."""
    return need(balancer.given("internal"), "internal is not set, so it is public")


def _spread(type_: str, key: str, *values: str) -> Example:
    """A resource in these subnets or zones."""
    inner: Any = list(values)
    first, _, last = key.partition(".")
    return example(it=res(type_, **{first: {last: inner} if last else inner}))


_SPREAD: Final = {
    _BALANCER: ("subnets", "subnetMappings"),
    token("autoscaling/Group"): ("vpcZoneIdentifiers", "availabilityZones"),
    token("lambda/Function"): ("vpcConfig.subnetIds", ""),
}


@one(
    "SLP-NET-021",
    "What stands in a VPC stands in two zones at least",
    "medium",
    "private-network",
    frameworks=maps("ELB.13 AutoScaling.2 Lambda.5", checkov="117"),
    rationale="AWS loses a zone now and then; what is in one only is lost with it.",
    remediation="pass subnets of two or more zones",
    applies_to=tuple(_SPREAD),
    bad=(
        _spread("lb/LoadBalancer", "subnets", "subnet-1"),
        _spread("lb/LoadBalancer", "subnets", "subnet-1", "subnet-1"),
        _spread("autoscaling/Group", "vpcZoneIdentifiers", "subnet-1"),
        _spread("lambda/Function", "vpcConfig.subnetIds", "subnet-1"),
    ),
    good=(
        _spread("lb/LoadBalancer", "subnets", "subnet-1", "subnet-2"),
        example(
            it=res("lb/LoadBalancer", subnetMappings=[{"subnetId": "subnet-1"}, {"subnetId": "subnet-2"}])
        ),
        _spread("autoscaling/Group", "vpcZoneIdentifiers", "subnet-1", "subnet-2"),
        _spread("autoscaling/Group", "availabilityZones", "us-east-1a", "us-east-1b"),
        _spread("lambda/Function", "vpcConfig.subnetIds", "subnet-1", "subnet-2"),
    ),
    absent="pass",
    presence=("subnets", "subnetMappings", "vpcZoneIdentifiers", "availabilityZones", "vpcConfig.subnetIds"),
)
def two_zones(node: Node, _settings: Settings) -> Verdict:
    """Subnets that are not made yet count one each; a list that is not known at all is undecided."""
    keys = [key for key in _SPREAD[node.type] if key and node.given(key)]
    if not keys:
        return PASS
    values = node.known(keys[0])
    many = cast("list[Any]", values if isinstance(values, list) else [values])
    known = {str(each) for each in many if each is not UNKNOWN}
    return need(len(known) + many.count(UNKNOWN) > 1, f"{keys[0]} names one subnet or zone")


def _shielded(arn: str) -> Example:
    """A public load balancer, and a web ACL for something."""
    return example(
        it=res("lb/LoadBalancer", internal=False, loadBalancerType="application"),
        other=res("lb/LoadBalancer", internal=True, loadBalancerType="application"),
        acl=res("wafv2/WebAcl", scope="REGIONAL"),
        link=res("wafv2/WebAclAssociation", resourceArn=arn, webAclArn="${acl.arn}"),
    )


@whole(
    "SLP-NET-022",
    "A web ACL stands before each public load balancer and API",
    "high",
    "private-network",
    frameworks=maps("ELB.16 APIGateway.4", nag="APIG3", checkov="2-28 2-29"),
    rationale="Floods and known exploits should be dropped before they reach a task that has to answer.",
    remediation="add aws.wafv2.WebAclAssociation(resource_arn=…, web_acl_arn=…)",
    applies_to=(_BALANCER, _REST_STAGE),
    bad=(
        _shielded("${other.arn}"),
        example(it=res("lb/LoadBalancer", internal=False)),
        example(it=res("apigateway/Stage", stageName="v1")),
    ),
    good=(
        _shielded("${it.arn}"),
        example(it=res("lb/LoadBalancer", internal=True)),
        example(it=res("lb/LoadBalancer", internal=False, loadBalancerType="network")),
        example(
            it=res("apigateway/Stage", stageName="v1"),
            link=res("wafv2/WebAclAssociation", resourceArn="${it.arn}"),
        ),
    ),
)
def shielded(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Network load balancers take no web ACL."""

    def judge(node: Node) -> Verdict:
        if node.type == _BALANCER:
            kind = node.known("loadBalancerType", "application")
            if node.known("internal", default=False) is True or kind != "application":
                return PASS
        if graph.about(node, _ASSOCIATION, "resourceArn"):
            return PASS
        strays = graph.strays(_ASSOCIATION, "resourceArn")
        if strays:
            return undecided(f"what {strays[0].label} is for is not known", path=[node, strays[0]])
        return fail("no web ACL is associated with it")

    return each(graph.of_type(_BALANCER, _REST_STAGE), judge)


@one(
    "SLP-NET-023",
    "A web ACL stands before each distribution",
    "high",
    "private-network",
    frameworks=maps("CloudFront.6", nag="CFR2", checkov="68"),
    rationale="A distribution takes what the whole world sends; without an ACL all of it reaches the origin.",
    remediation="set web_acl_id to a web ACL of scope CLOUDFRONT",
    applies_to=(_DISTRIBUTION,),
    bad=(example(it=res("cloudfront/Distribution", enabled=True)),),
    good=(
        example(
            acl=res("wafv2/WebAcl", scope="CLOUDFRONT"),
            it=res("cloudfront/Distribution", enabled=True, webAclId="${acl.arn}"),
        ),
    ),
    presence=("webAclId",),
)
def distribution_shielded(distribution: Node, _settings: Settings) -> Verdict:
    """CloudFront takes the ACL itself."""
    return need(distribution.given("webAclId"), "has no webAclId")


_KNOWN_BAD: Final = "AWSManagedRulesKnownBadInputsRuleSet"
_RATE_RULE: Final = {
    "name": "rate",
    "statement": {"rateBasedStatement": {"limit": 2000, "aggregateKeyType": "IP"}},
}
_BAD_INPUTS: Final = {
    "name": "bad",
    "statement": {"managedRuleGroupStatement": {"vendorName": "AWS", "name": _KNOWN_BAD}},
}


@one(
    "SLP-NET-024",
    "Web ACLs limit rates and refuse inputs that are known to be bad",
    "medium",
    "private-network",
    frameworks=maps("WAF.10", checkov="175 192"),
    rationale="An ACL without rules lets everything through; these two stop floods and Log4j and its kin.",
    remediation="add a rate_based_statement and AWSManagedRulesKnownBadInputsRuleSet",
    applies_to=(_ACL,),
    bad=(
        example(it=res("wafv2/WebAcl", scope="REGIONAL", rules=[_RATE_RULE])),
        example(it=res("wafv2/WebAcl", scope="REGIONAL", rules=[_BAD_INPUTS])),
        example(it=res("wafv2/WebAcl", scope="REGIONAL", rules=[])),
    ),
    good=(example(it=res("wafv2/WebAcl", scope="REGIONAL", rules=[_RATE_RULE, _BAD_INPUTS])),),
)
def acl_rules(acl: Node, _settings: Settings) -> Verdict:
    """Rules written elsewhere (`ruleJson`) are not read."""
    if acl.given("ruleJson"):
        return undecided("its rules are a document of WAF's own, which is not read")
    statements = [each for rule in acl.blocks("rules") for each in rule.blocks("statement")]
    missing: list[str] = []
    if not any(each.given("rateBasedStatement") for each in statements):
        missing.append("rate limit")
    groups = [group for each in statements for group in each.blocks("managedRuleGroupStatement")]
    if not any(group.known("name") == _KNOWN_BAD for group in groups):
        missing.append("rule of known bad inputs")
    return need(not missing, f"has no {' and no '.join(missing)}")


def _origin(**origin: Any) -> Example:
    return example(
        it=res("cloudfront/Distribution", enabled=True, origins=[{"originId": "photos", **origin}])
    )


_BUCKET_DOMAIN: Final = "photos.s3.us-east-1.amazonaws.com"


@one(
    "SLP-NET-025",
    "Distributions sign their requests to buckets",
    "high",
    "private-network",
    frameworks=maps("CloudFront.13", nag="CFR7", checkov="2-46"),
    rationale="Without origin access control the bucket has to be public for the distribution to read it.",
    remediation="set origin_access_control_id, and let the bucket's policy name the distribution",
    applies_to=(_DISTRIBUTION,),
    bad=(
        _origin(domainName=_BUCKET_DOMAIN),
        _origin(domainName="photos.s3.amazonaws.com", s3OriginConfig={"originAccessIdentity": "old"}),
        example(
            photos=res("s3/Bucket", bucket="photos"),
            it=res(
                "cloudfront/Distribution",
                enabled=True,
                origins=[{"originId": "photos", "domainName": "${photos.bucketRegionalDomainName}"}],
            ),
        ),
    ),
    good=(
        _origin(domainName=_BUCKET_DOMAIN, originAccessControlId="control"),
        _origin(domainName="api.example.com", customOriginConfig={"originProtocolPolicy": "https-only"}),
    ),
    absent="pass",
    presence=("originAccessControlId", "customOriginConfig", "originId", "s3OriginConfig"),
)
def origin_access(distribution: Node, _settings: Settings) -> Verdict:
    """An origin without a configuration of its own is a bucket; so is one by its name."""
    return need(
        not any(_open_bucket(origin) for origin in distribution.blocks("origins")),
        "an origin that is a bucket has no originAccessControlId",
    )


def _open_bucket(origin: Values) -> bool:
    if origin.given("originAccessControlId") or origin.given("customOriginConfig"):
        return False
    name = origin.get("domainName")
    return name is UNKNOWN or ".s3" in str(name) or origin.given("s3OriginConfig")


_REST_API: Final = token("apigateway/RestApi")


@whole(
    "SLP-NET-026",
    "APIs with a domain of their own are reached by it alone",
    "medium",
    "private-network",
    rationale="AWS's own address of an API goes around the domain's TLS policy, web ACL and mutual TLS.",
    remediation="set disable_execute_api_endpoint",
    links=(
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-disable-default-endpoint.html",
    ),
    applies_to=(_REST_API, token("apigatewayv2/Api")),
    bad=(
        example(
            it=res("apigateway/RestApi", name="orders"),
            domain=res("apigateway/BasePathMapping", restApi="${it.id}", domainName="api.example.com"),
        ),
        example(
            it=res("apigatewayv2/Api", name="orders", disableExecuteApiEndpoint=False),
            domain=res("apigatewayv2/ApiMapping", apiId="${it.id}", domainName="api.example.com"),
        ),
    ),
    good=(
        example(
            it=res("apigateway/RestApi", name="orders", disableExecuteApiEndpoint=True),
            domain=res("apigateway/BasePathMapping", restApi="${it.id}", domainName="api.example.com"),
        ),
        example(
            it=res("apigatewayv2/Api", name="orders", disableExecuteApiEndpoint=True),
            domain=res("apigatewayv2/ApiMapping", apiId="${it.id}", domainName="api.example.com"),
        ),
        example(it=res("apigateway/RestApi", name="orders")),
    ),
    absent="pass",
)
def own_domain_only(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """An API without a domain has no other address."""

    def judge(api: Node) -> Verdict:
        rest = api.type == _REST_API
        kind, key = (
            ("apigateway/BasePathMapping", "restApi") if rest else ("apigatewayv2/ApiMapping", "apiId")
        )
        if true(api.known("disableExecuteApiEndpoint")):
            return PASS
        if graph.about(api, token(kind), key):
            return fail("disableExecuteApiEndpoint is not on")
        strays = graph.strays(token(kind), key)
        return undecided(f"which API {strays[0].label} is for is not known") if strays else PASS

    return each(graph.of_type(_REST_API, token("apigatewayv2/Api")), judge)


CONTROLS = (
    balancer_says_so,
    two_zones,
    shielded,
    distribution_shielded,
    acl_rules,
    origin_access,
    own_domain_only,
)
