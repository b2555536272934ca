"""Encryption in transit that one resource decides for itself: listeners, caches, proxies, distributions."""

from __future__ import annotations

from typing import Any, Final, cast

from policies.control import PASS, Verdict, need, one
from policies.example import SECRET, Example, example, res
from policies.frameworks import maps
from policies.graph import Node, Values
from policies.reader import UNKNOWN, UndecidedError, token, tokens, true
from policies.settings import Settings

CERTIFICATE: Final = "arn:aws:acm:us-east-1:111111111111:certificate/1234"


def _cache(**given: Any) -> Example:
    """A cache that asks who is there."""
    inputs = {
        "transitEncryptionEnabled": True,
        "transitEncryptionMode": "required",
        "authToken": {"fn::secret": "correct-horse-battery"},
        **given,
    }
    return example(it=res("elasticache/ReplicationGroup", **inputs))


def _mounted(transit: str) -> Example:
    """A task with a file system."""
    volume = {
        "name": "data",
        "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryption": transit},
    }
    return example(it=res("ecs/TaskDefinition", family="api", volumes=[volume]))


@one(
    "SLP-ENC-006",
    "Caches speak TLS only, and ask who is there",
    "critical",
    "encryption",
    frameworks=maps("ElastiCache.5 ElastiCache.6", nag="AEC3", checkov="30"),
    rationale="Redis without TLS shows every message and its password to whoever is on the path.",
    remediation="set transit_encryption_enabled, transit_encryption_mode='required', and auth_token or users",
    applies_to=("aws:elasticache/replicationGroup:ReplicationGroup",),
    bad=(
        _cache(transitEncryptionEnabled=False),
        _cache(transitEncryptionMode="preferred"),
        _cache(authToken=""),
    ),
    good=(_cache(), _cache(authToken="", userGroupIds=["users"])),
    presence=("authToken", "userGroupIds"),
)
def cache_tls(cache: Node, _settings: Settings) -> Verdict:
    """`preferred` still lets plain connections in."""
    wrong: list[str] = []
    if not true(cache.known("transitEncryptionEnabled")):
        wrong.append("transitEncryptionEnabled is not on")
    # the default of a new group with TLS on is `required`
    if cache.known("transitEncryptionMode", "required") != "required":
        wrong.append("transitEncryptionMode lets plain connections in")
    if not cache.given("authToken") and not cache.given("userGroupIds"):
        wrong.append("there is neither authToken nor userGroupIds")
    return need(not wrong, "; ".join(wrong))


@one(
    "SLP-ENC-007",
    "Load balancers listen on HTTPS, or redirect to it",
    "high",
    "encryption",
    frameworks=maps("ELB.1", checkov="2 2-20"),
    rationale="Tokens and positions sent over plain HTTP can be read and changed on the way.",
    remediation="listen on HTTPS; let the HTTP listener's default action redirect to HTTPS",
    applies_to=("aws:lb/listener:Listener",),
    bad=(
        example(it=res("lb/Listener", port=80, protocol="HTTP", defaultActions=[{"type": "forward"}])),
        example(
            it=res(
                "lb/Listener",
                port=80,
                protocol="HTTP",
                defaultActions=[{"type": "redirect", "redirect": {"protocol": "HTTP"}}],
            )
        ),
        example(it=res("lb/Listener", port=5432, protocol="TCP")),
    ),
    good=(
        example(
            it=res(
                "lb/Listener",
                port=80,
                protocol="HTTP",
                defaultActions=[{"type": "redirect", "redirect": {"protocol": "HTTPS"}}],
            )
        ),
        example(it=res("lb/Listener", port=443, protocol="HTTPS")),
        example(it=res("lb/Listener", port=443, protocol="TLS")),
    ),
)
def https_listeners(listener: Node, _settings: Settings) -> Verdict:
    """Network load balancers say TLS."""
    protocol = listener.known("protocol", "HTTP")
    if protocol in ("HTTPS", "TLS"):
        return PASS
    if protocol == "HTTP":
        actions = listener.blocks("defaultActions")
        targets = [
            action.known("redirect.protocol") for action in actions if action.known("type") == "redirect"
        ]
        return need(bool(targets) and set(targets) == {"HTTPS"}, "HTTP without a redirect to HTTPS")
    return need(condition=False, message="its protocol is not encrypted")


@one(
    "SLP-ENC-008",
    "Listeners offer TLS 1.2 and 1.3 only",
    "high",
    "encryption",
    frameworks=maps("ELB.17", checkov="103 2-74"),
    rationale="TLS 1.0 and 1.1 are broken; AWS's default policy of a listener still offers them.",
    remediation="set ssl_policy to ELBSecurityPolicy-TLS13-1-2-2021-06 or a later TLS13 policy",
    applies_to=("aws:lb/listener:Listener",),
    bad=(
        example(it=res("lb/Listener", protocol="HTTPS", sslPolicy="ELBSecurityPolicy-2016-08")),
        example(it=res("lb/Listener", protocol="TLS", sslPolicy="ELBSecurityPolicy-TLS13-1-1-2021-06")),
        example(it=res("lb/Listener", protocol="HTTPS")),
    ),
    good=(
        example(it=res("lb/Listener", protocol="HTTPS", sslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")),
        example(it=res("lb/Listener", protocol="TLS", sslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06")),
    ),
    absent="silent",
)
def tls_policy(listener: Node, _settings: Settings) -> Verdict | None:
    """The TLS13 family has members that keep TLS 1.0 or 1.1 for old clients: not these."""
    if listener.known("protocol", "HTTP") not in ("HTTPS", "TLS"):
        return None
    policy = str(listener.known("sslPolicy", "AWS's default"))
    modern = policy.startswith(("ELBSecurityPolicy-TLS13-1-2", "ELBSecurityPolicy-TLS13-1-3"))
    named = policy if policy.startswith("ELBSecurityPolicy-") else "none of AWS's TLS 1.2 policies"
    return need(modern, f"sslPolicy is {named}")


@one(
    "SLP-ENC-011",
    "File systems of tasks are mounted with TLS",
    "medium",
    "encryption",
    frameworks=maps(checkov="97"),
    rationale="NFS without TLS carries every byte in the clear.",
    remediation="set efs_volume_configuration.transit_encryption to ENABLED",
    applies_to=("aws:ecs/taskDefinition:TaskDefinition",),
    bad=(_mounted("DISABLED"),),
    good=(_mounted("ENABLED"),),
    absent="pass",
    links=("https://docs.aws.amazon.com/AmazonECS/latest/developerguide/efs-volumes.html",),
)
def efs_in_transit(task: Node, _settings: Settings) -> Verdict:
    """Tasks without EFS pass."""
    mounts = [mount for volume in task.blocks("volumes") for mount in volume.blocks("efsVolumeConfiguration")]
    encrypted = all(mount.known("transitEncryption") == "ENABLED" for mount in mounts)
    return need(encrypted, "a volume of EFS has transitEncryption off")


@one(
    "SLP-ENC-012",
    "Database proxies insist on TLS",
    "high",
    "encryption",
    frameworks=maps("RDS.43"),
    rationale="A proxy that takes plain connections makes the database's own TLS worth nothing.",
    remediation="set require_tls",
    applies_to=("aws:rds/proxy:Proxy",),
    bad=(example(it=res("rds/Proxy", engineFamily="POSTGRESQL", requireTls=False)),),
    good=(example(it=res("rds/Proxy", engineFamily="POSTGRESQL", requireTls=True)),),
)
def proxy_tls(proxy: Node, _settings: Settings) -> Verdict:
    """Off unless said."""
    return need(true(proxy.known("requireTls")), "requireTls is not on")


_DISTRIBUTION: Final = token("cloudfront/Distribution")


def _distribution(**given: Any) -> Example:
    return example(it=res("cloudfront/Distribution", enabled=True, **given))


@one(
    "SLP-ENC-014",
    "Distributions talk to viewers by HTTPS",
    "high",
    "encryption",
    frameworks=maps("CloudFront.3", nag="CFR4", checkov="34"),
    rationale="Cookies and tokens sent over plain HTTP can be read and changed on the way.",
    remediation="set viewer_protocol_policy to redirect-to-https or https-only on every cache behavior",
    applies_to=(_DISTRIBUTION,),
    bad=(
        _distribution(defaultCacheBehavior={"viewerProtocolPolicy": "allow-all"}),
        _distribution(
            defaultCacheBehavior={"viewerProtocolPolicy": "https-only"},
            orderedCacheBehaviors=[{"pathPattern": "/old/*", "viewerProtocolPolicy": "allow-all"}],
        ),
    ),
    good=(
        _distribution(
            defaultCacheBehavior={"viewerProtocolPolicy": "redirect-to-https"},
            orderedCacheBehaviors=[{"pathPattern": "/api/*", "viewerProtocolPolicy": "https-only"}],
        ),
    ),
)
def viewers_https(distribution: Node, _settings: Settings) -> Verdict:
    """The default behavior and each that comes before it."""
    behaviors = [*distribution.blocks("defaultCacheBehavior"), *distribution.blocks("orderedCacheBehaviors")]
    secure = ("redirect-to-https", "https-only")
    plain = [each for each in behaviors if each.known("viewerProtocolPolicy") not in secure]
    return need(bool(behaviors) and not plain, "a cache behavior lets plain HTTP in")


@one(
    "SLP-ENC-015",
    "Distributions take TLS 1.2 and 1.3 only, under a certificate of their own",
    "high",
    "encryption",
    frameworks=maps("CloudFront.7 CloudFront.8 CloudFront.15", nag="CFR4", checkov="174"),
    rationale="With CloudFront's own certificate viewers may use TLS 1.0, and the address is not yours.",
    remediation="set acm_certificate_arn, ssl_support_method='sni-only' and a TLS 1.2 minimum version",
    applies_to=(_DISTRIBUTION,),
    bad=(
        _distribution(viewerCertificate={"cloudfrontDefaultCertificate": True}),
        _distribution(
            viewerCertificate={
                "acmCertificateArn": CERTIFICATE,
                "sslSupportMethod": "sni-only",
                "minimumProtocolVersion": "TLSv1.1_2016",
            }
        ),
        _distribution(
            viewerCertificate={
                "acmCertificateArn": CERTIFICATE,
                "sslSupportMethod": "vip",
                "minimumProtocolVersion": "TLSv1.2_2021",
            }
        ),
    ),
    good=(
        _distribution(
            viewerCertificate={
                "acmCertificateArn": CERTIFICATE,
                "sslSupportMethod": "sni-only",
                "minimumProtocolVersion": "TLSv1.2_2021",
            }
        ),
    ),
    presence=("viewerCertificate.acmCertificateArn",),
)
def viewers_tls(distribution: Node, _settings: Settings) -> Verdict:
    """A dedicated address (`vip`) is for clients from before 2010, at 600 dollars a month."""
    certificates = distribution.blocks("viewerCertificate")
    if not certificates or true(certificates[0].known("cloudfrontDefaultCertificate")):
        return need(condition=False, message="uses CloudFront's own certificate")
    certificate = certificates[0]
    modern = str(certificate.known("minimumProtocolVersion")).startswith(("TLSv1.2", "TLSv1.3"))
    if not modern:
        return need(condition=False, message="minimumProtocolVersion lets versions before TLS 1.2 in")
    return need(certificate.known("sslSupportMethod") == "sni-only", "sslSupportMethod is not sni-only")


def _origin(policy: str, *versions: str) -> Example:
    config = {"originProtocolPolicy": policy, "originSslProtocols": list(versions)}
    return _distribution(
        origins=[{"originId": "api", "domainName": "api.example.com", "customOriginConfig": config}]
    )


@one(
    "SLP-ENC-016",
    "Distributions talk to their origins by HTTPS with TLS 1.2",
    "high",
    "encryption",
    frameworks=maps("CloudFront.9 CloudFront.10", nag="CFR5", checkov="2-72"),
    rationale="HTTPS to the viewer is a promise; plain HTTP behind the distribution breaks it unseen.",
    remediation="set origin_protocol_policy to https-only and origin_ssl_protocols to ['TLSv1.2']",
    applies_to=(_DISTRIBUTION,),
    bad=(
        _origin("match-viewer", "TLSv1.2"),
        _origin("https-only", "TLSv1", "TLSv1.2"),
        _origin("https-only"),
    ),
    good=(
        _origin("https-only", "TLSv1.2"),
        _distribution(origins=[{"originId": "photos", "originAccessControlId": "control"}]),
    ),
    absent="pass",
)
def origins_https(distribution: Node, _settings: Settings) -> Verdict:
    """Buckets are asked by HTTPS anyway."""
    configs = [
        config for origin in distribution.blocks("origins") for config in origin.blocks("customOriginConfig")
    ]
    if any(config.known("originProtocolPolicy") != "https-only" for config in configs):
        return need(condition=False, message="an origin may be asked by plain HTTP")
    old = [config for config in configs if _versions(config) != {"TLSv1.2"}]
    return need(not old, "an origin may be asked by a version before TLS 1.2")


def _versions(config: Values) -> set[str]:
    values = cast("list[Any]", config.known("originSslProtocols", []))
    if UNKNOWN in values:
        raise UndecidedError(f"{config.prefix}originSslProtocols")
    return {str(value) for value in values}


@one(
    "SLP-ENC-017",
    "Domains of APIs take TLS 1.2 and 1.3 only",
    "medium",
    "encryption",
    frameworks=maps(checkov="206"),
    rationale="TLS 1.0 is API Gateway's default for a domain of a REST API.",
    remediation="set security_policy to TLS_1_2",
    links=(
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-custom-domain-tls-version.html",
    ),
    applies_to=tokens("apigateway/DomainName", "apigatewayv2/DomainName"),
    bad=(
        example(it=res("apigateway/DomainName", domainName="api.example.com", securityPolicy="TLS_1_0")),
        example(it=res("apigatewayv2/DomainName", domainNameConfiguration={"securityPolicy": "TLS_1_0"})),
        example(it=res("apigateway/DomainName", domainName="api.example.com")),
    ),
    good=(
        example(it=res("apigateway/DomainName", domainName="api.example.com", securityPolicy="TLS_1_2")),
        example(it=res("apigatewayv2/DomainName", domainNameConfiguration={"securityPolicy": "TLS_1_2"})),
    ),
)
def api_tls(domain: Node, _settings: Settings) -> Verdict:
    """The two generations of the service write it in different places."""
    second = domain.type == token("apigatewayv2/DomainName")
    key = "domainNameConfiguration.securityPolicy" if second else "securityPolicy"
    policy = str(domain.known(key, "TLS_1_0"))
    modern = policy == "TLS_1_2" or policy.startswith(("SecurityPolicy_TLS12", "SecurityPolicy_TLS13"))
    return need(modern, f"{key} lets TLS 1.0 in")


@one(
    "SLP-ENC-018",
    "Certificates are validated by DNS and are for names, not for all of a domain",
    "medium",
    "encryption",
    frameworks=maps("ACM.2", checkov="2-71"),
    rationale="Only DNS validation renews itself; the key of a wildcard speaks for every service under it.",
    remediation="set validation_method to DNS, name the host, and take a key of RSA_2048 or EC_prime256v1",
    applies_to=tokens("acm/Certificate"),
    bad=(
        example(it=res("acm/Certificate", domainName="api.example.com", validationMethod="EMAIL")),
        example(it=res("acm/Certificate", domainName="*.example.com", validationMethod="DNS")),
        example(
            it=res(
                "acm/Certificate",
                domainName="api.example.com",
                validationMethod="DNS",
                subjectAlternativeNames=["*.example.com"],
            )
        ),
        example(
            it=res(
                "acm/Certificate",
                domainName="api.example.com",
                validationMethod="DNS",
                keyAlgorithm="RSA_1024",
            )
        ),
    ),
    good=(
        example(it=res("acm/Certificate", domainName="api.example.com", validationMethod="DNS")),
        example(
            it=res(
                "acm/Certificate",
                domainName="api.example.com",
                validationMethod="DNS",
                subjectAlternativeNames=["maps.example.com"],
                keyAlgorithm="EC_prime256v1",
            )
        ),
        example(it=res("acm/Certificate", privateKey={SECRET: "…"}, certificateBody="…")),
    ),
)
def certificates(certificate: Node, _settings: Settings) -> Verdict:
    """One that is imported was validated elsewhere."""
    if certificate.given("certificateBody"):
        return PASS
    if certificate.known("validationMethod") != "DNS":
        return need(condition=False, message="validationMethod is not DNS")
    if certificate.known("keyAlgorithm", "RSA_2048") == "RSA_1024":
        return need(condition=False, message="keyAlgorithm is RSA_1024")
    others = cast("list[Any]", certificate.known("subjectAlternativeNames", []))
    if UNKNOWN in others:
        raise UndecidedError("subjectAlternativeNames")
    names = [certificate.known("domainName", ""), *others]
    return need(not any(str(name).startswith("*") for name in names), "is for every name of a domain")


CONTROLS = (
    cache_tls,
    https_listeners,
    tls_policy,
    efs_in_transit,
    proxy_tls,
    viewers_https,
    viewers_tls,
    origins_https,
    api_tls,
    certificates,
)
