"""Ways in that one resource opens or closes itself: metadata, users, function URLs, routes, passwords."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, cast

from policies import secret_words
from policies.control import PASS, Verdict, fail, need, one
from policies.example import Example, example, res
from policies.frameworks import maps
from policies.graph import Node
from policies.reader import UNKNOWN, UndecidedError
from policies.settings import ResourceSettings, Settings

TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
INSTANCE: Final = "aws:ec2/instance:Instance"
FUNCTION: Final = "aws:lambda/function:Function"
DATABASE: Final = "aws:rds/instance:Instance"
CLUSTER: Final = "aws:rds/cluster:Cluster"
_HOPS: Final = 2  # a container behind a bridge is one hop further


def _template(**metadata: Any) -> Example:
    return example(it=res("ec2/LaunchTemplate", metadataOptions=metadata))


@one(
    "SLP-IAM-301",
    "Instances hand out credentials by IMDSv2 only",
    "high",
    "identity",
    frameworks=maps("EC2.8 EC2.170", cis="5.6", checkov="79 341"),
    rationale="With IMDSv1 a request that an app is tricked into returns the instance's credentials.",
    remediation="set metadataOptions: httpTokens required, httpPutResponseHopLimit 1, or 2 for a bridge",
    applies_to=(TEMPLATE, INSTANCE),
    bad=(
        _template(httpTokens="optional"),
        _template(httpTokens="required", httpPutResponseHopLimit=5),
        example(it=res("ec2/Instance", ami="ami-1", metadataOptions={"httpTokens": "optional"})),
    ),
    good=(
        _template(httpTokens="required", httpPutResponseHopLimit=2),
        _template(httpTokens="required"),
        _template(httpEndpoint="disabled"),
    ),
)
def imds(node: Node, _settings: Settings) -> Verdict:
    """Or the endpoint is off altogether."""
    if node.known("metadataOptions.httpEndpoint", "enabled") == "disabled":
        return PASS
    if node.known("metadataOptions.httpTokens", "optional") != "required":
        return fail("httpTokens is not required")
    hops = float(node.known("metadataOptions.httpPutResponseHopLimit", 1))
    return need(hops <= _HOPS, "httpPutResponseHopLimit lets credentials travel further than a container")


def _function(**variables: Any) -> Example:
    return example(it=res("lambda/Function", environment={"variables": variables}))


@one(
    "SLP-IAM-302",
    "Secrets do not stand in start scripts and functions",
    "critical",
    "identity",
    frameworks=maps(checkov="45 46"),
    rationale="User data and a function's variables are read by everybody who may describe them.",
    remediation="read it at start from Secrets Manager or a SecureString parameter",
    links=("https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html",),
    applies_to=(TEMPLATE, INSTANCE, FUNCTION),
    bad=(
        _function(API_TOKEN="correct-horse"),  # noqa: S106  an example of what is bad
        _function(DATABASE_URL="postgres://app:correct-horse@db/app"),
        example(
            it=res(
                "ec2/LaunchTemplate",
                userData=base64.b64encode(b"#!/bin/sh\nexport DB_PASSWORD=correct-horse\n").decode(),
            )
        ),
        example(it=res("ec2/Instance", userData="#!/bin/sh\nexport KEY=AKIAABCDEFGHIJKLMNOP\n")),
    ),
    good=(
        _function(PARAMETER="/slipway/dev/token"),
        example(
            it=res(
                "ec2/LaunchTemplate",
                userData=base64.b64encode(
                    b"#!/bin/sh\necho ECS_CLUSTER=video >> /etc/ecs/ecs.config\n"
                ).decode(),
            )
        ),
        example(it=res("ec2/Instance", userData="#!/bin/sh\nexport DB_PASSWORD=$(aws ssm get-parameter)\n")),
    ),
    absent="pass",
)
def no_secrets(node: Node, _settings: Settings) -> Verdict:
    """By names and shapes; values are never repeated."""
    if node.type == FUNCTION:
        given = node.known("environment.variables", {})
        values: Mapping[str, Any] = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}
        said = secret_words.variables((key, str(each)) for key, each in values.items() if each is not UNKNOWN)
        if said is None and UNKNOWN in values.values():
            raise UndecidedError("environment.variables")
        return fail(said) if said else PASS
    script = str(node.known("userData", ""))
    said = secret_words.script(script) or secret_words.script(
        _decoded(script + str(node.known("userDataBase64", "")))
    )
    return fail(f"its user data {said}") if said else PASS


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


@one(
    "SLP-IAM-303",
    "There are no human users and no access keys",
    "high",
    "identity",
    frameworks=maps("IAM.2", cis="1.15", checkov="273"),
    rationale="A key that never expires is found years later, in a notebook or a build log.",
    remediation="people sign in through the identity provider, machines take roles (OIDC from a build)",
    applies_to=(
        *("aws:iam/user:User", "aws:iam/accessKey:AccessKey"),
        *("aws:iam/userLoginProfile:UserLoginProfile", "aws:iam/sshKey:SshKey"),
    ),
    bad=(
        example(it=res("iam/User", name="alice")),
        example(it=res("iam/AccessKey", user="mailer")),
        example(it=res("iam/UserLoginProfile", user="alice")),
    ),
    good=(example(it=res("iam/AccessKey", user="mailer", status="Inactive")),),
)
def no_users(node: Node, settings: Settings) -> Verdict:
    """A user that a service cannot do without is named in the settings; a key that is off does nothing."""
    if node.type.endswith(":AccessKey") and node.known("status", "Active") == "Inactive":
        return PASS
    allowed = settings.service_users if isinstance(settings, ResourceSettings) else ()
    if node.type.endswith(":User") and node.known("name", "") in allowed:
        return PASS
    return fail(f"is a {'user' if node.type.endswith(':User') else 'credential'} that lasts for ever")


@one(
    "SLP-IAM-304",
    "Function URLs ask who is there",
    "critical",
    "identity",
    frameworks=maps(checkov="258"),
    rationale="A function URL without authorisation is open to the internet, past every balancer and WAF.",
    remediation="set authorization_type to AWS_IAM",
    links=("https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",),
    applies_to=("aws:lambda/functionUrl:FunctionUrl",),
    bad=(example(it=res("lambda/FunctionUrl", authorizationType="NONE")),),
    good=(example(it=res("lambda/FunctionUrl", authorizationType="AWS_IAM")),),
)
def function_url(url: Node, _settings: Settings) -> Verdict:
    """AWS_IAM is the only kind of authorisation that they have."""
    return need(url.known("authorizationType", "NONE") == "AWS_IAM", "anybody may call it")


@one(
    "SLP-IAM-305",
    "Routes of an API ask who is there",
    "high",
    "identity",
    frameworks=maps("APIGateway.8", nag="APIG4", checkov="59 309"),
    rationale="A route without an authoriser is public, whatever the function behind it assumes.",
    remediation="give the route an authoriser (JWT, IAM or a function's)",
    applies_to=("aws:apigateway/method:Method", "aws:apigatewayv2/route:Route"),
    bad=(
        example(it=res("apigatewayv2/Route", routeKey="GET /", authorizationType="NONE")),
        example(it=res("apigateway/Method", httpMethod="GET", authorization="NONE")),
    ),
    good=(
        example(it=res("apigatewayv2/Route", routeKey="GET /", authorizationType="JWT")),
        example(it=res("apigateway/Method", httpMethod="GET", authorization="AWS_IAM")),
        example(it=res("apigateway/Method", httpMethod="OPTIONS", authorization="NONE")),
        example(it=res("apigateway/Method", httpMethod="GET", authorization="NONE", apiKeyRequired=True)),
    ),
)
def routes(route: Node, _settings: Settings) -> Verdict:
    """A browser's preflight cannot carry a token."""
    if route.type.endswith(":Route"):
        return need(route.known("authorizationType", "NONE") != "NONE", "has no authoriser")
    if route.known("httpMethod", "") == "OPTIONS" or route.known("apiKeyRequired", default=False) is True:
        return PASS
    return need(route.known("authorization", "NONE") != "NONE", "has no authoriser")


@one(
    "SLP-IAM-306",
    "Databases take IAM's identities",
    "medium",
    "identity",
    frameworks=maps("RDS.10", checkov="161"),
    rationale="With IAM authentication an operator's access ends, and no password is shared.",
    remediation="set iam_database_authentication_enabled",
    applies_to=(DATABASE, CLUSTER),
    bad=(example(it=res("rds/Instance", engine="postgres", iamDatabaseAuthenticationEnabled=False)),),
    good=(
        example(it=res("rds/Instance", engine="postgres", iamDatabaseAuthenticationEnabled=True)),
        example(it=res("rds/Cluster", engine="aurora-postgresql", iamDatabaseAuthenticationEnabled=True)),
    ),
)
def iam_authentication(database: Node, _settings: Settings) -> Verdict:
    """For replicas too: they have it of their own."""
    return need(
        database.known("iamDatabaseAuthenticationEnabled", default=False) is True,
        "iamDatabaseAuthenticationEnabled is not on",
    )


@one(
    "SLP-IAM-307",
    "RDS keeps and rotates the master password, of a user that is not guessed",
    "high",
    "identity",
    frameworks=maps("RDS.25 RDS.24"),
    rationale="A password in the program stands in the state file; `postgres` and `admin` are tried first.",
    remediation="set manage_master_user_password, give no password, and a username of your own",
    applies_to=(DATABASE, CLUSTER),
    bad=(
        example(it=res("rds/Instance", username="owner", password={"fn::secret": "correct-horse"})),
        example(it=res("rds/Instance", username="postgres", manageMasterUserPassword=True)),
        example(it=res("rds/Cluster", masterUsername="admin", manageMasterUserPassword=True)),
    ),
    good=(
        example(it=res("rds/Instance", username="slipway_admin", manageMasterUserPassword=True)),
        example(it=res("rds/Cluster", masterUsername="slipway_admin", manageMasterUserPassword=True)),
        example(it=res("rds/Instance", replicateSourceDb="primary")),
    ),
    presence=("replicateSourceDb",),
)
def master_password(database: Node, _settings: Settings) -> Verdict:
    """A replica has its source's users."""
    if database.given("replicateSourceDb") or database.given("replicationSourceIdentifier"):
        return PASS
    if database.known("manageMasterUserPassword", default=False) is not True:
        return fail("manageMasterUserPassword is not on")
    user = str(database.known("masterUsername" if database.type == CLUSTER else "username", "admin"))
    return need(
        user.lower() not in ("admin", "postgres", "root", "awsuser"), "its master user has a common name"
    )


@one(
    "SLP-IAM-308",
    "Caches ask who is there",
    "high",
    "identity",
    frameworks=maps("ElastiCache.6", nag="AEC6", checkov="31"),
    rationale="Without a token every process that reaches the port reads and empties the cache.",
    remediation="give auth_token (a secret), or user_group_ids",
    applies_to=("aws:elasticache/replicationGroup:ReplicationGroup",),
    bad=(example(it=res("elasticache/ReplicationGroup", description="cache")),),
    good=(
        example(it=res("elasticache/ReplicationGroup", authToken={"fn::secret": "correct-horse-battery"})),
        example(it=res("elasticache/ReplicationGroup", userGroupIds=["apps"])),
    ),
    presence=("authToken", "userGroupIds"),
)
def cache_users(cache: Node, _settings: Settings) -> Verdict:
    """That either is given is known even while its value is not."""
    return need(cache.given("authToken") or cache.given("userGroupIds"), "has neither a token nor users")


CONTROLS = (
    imds,
    no_secrets,
    no_users,
    function_url,
    routes,
    iam_authentication,
    master_password,
    cache_users,
)
