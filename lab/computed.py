"""What AWS computes for a resource (ids, ARNs, addresses), as templates: the answers of the resolved mode."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, cast

from lab.calls import Account
from lab.model import Resource
from lab.monitor import Created, Monitor

# per type: the id, then outputs; {x} is an input, {_name} the physical name, {_hash} 17 hex digits of the URN
_TEMPLATES: Final[Mapping[str, Mapping[str, Any]]] = {
    "aws:acm/certificate:Certificate": {
        "id": "arn:aws:acm:{_region}:{_account}:certificate/{_hash}",
        "arn": "{id}",
        "domainValidationOptions": [
            {
                "domainName": "{domainName}",
                "resourceRecordName": "_{_hash}.{domainName}.",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": "_{_hash}.acm-validations.aws.",
            }
        ],
    },
    "aws:acm/certificateValidation:CertificateValidation": {"id": "{certificateArn}"},
    "aws:appautoscaling/target:Target": {"id": "{resourceId}"},
    "aws:appautoscaling/policy:Policy": {
        "arn": "arn:aws:autoscaling:{_region}:{_account}:scalingPolicy:{_hash}"
    },
    "aws:cloudwatch/logGroup:LogGroup": {
        "id": "{_name}",
        "arn": "arn:aws:logs:{_region}:{_account}:log-group:{_name}",
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "id": "{_name}",
        "arn": "arn:aws:cloudwatch:{_region}:{_account}:alarm:{_name}",
    },
    "aws:dynamodb/table:Table": {
        "id": "{_name}",
        "arn": "arn:aws:dynamodb:{_region}:{_account}:table/{_name}",
    },
    "aws:ec2/eip:Eip": {
        "id": "eipalloc-{_hash}",
        "allocationId": "eipalloc-{_hash}",
        "publicIp": "203.0.113.10",
    },
    "aws:ec2/internetGateway:InternetGateway": {"id": "igw-{_hash}"},
    "aws:ec2/natGateway:NatGateway": {"id": "nat-{_hash}"},
    "aws:ec2/networkAcl:NetworkAcl": {"id": "acl-{_hash}"},
    "aws:ec2/routeTable:RouteTable": {"id": "rtb-{_hash}"},
    "aws:ec2/routeTableAssociation:RouteTableAssociation": {"id": "rtbassoc-{_hash}"},
    "aws:ec2/securityGroup:SecurityGroup": {
        "id": "sg-{_hash}",
        "arn": "arn:aws:ec2:{_region}:{_account}:security-group/sg-{_hash}",
    },
    "aws:ec2/subnet:Subnet": {
        "id": "subnet-{_hash}",
        "arn": "arn:aws:ec2:{_region}:{_account}:subnet/subnet-{_hash}",
    },
    "aws:ec2/vpc:Vpc": {
        "id": "vpc-{_hash}",
        "arn": "arn:aws:ec2:{_region}:{_account}:vpc/vpc-{_hash}",
        "defaultSecurityGroupId": "sg-default{_hash}",
        "defaultRouteTableId": "rtb-default{_hash}",
        "defaultNetworkAclId": "acl-default{_hash}",
        "mainRouteTableId": "rtb-default{_hash}",
    },
    "aws:ec2/vpcEndpoint:VpcEndpoint": {"id": "vpce-{_hash}", "prefixListId": "pl-{_hash}"},
    "aws:ecr/repository:Repository": {
        "id": "{_name}",
        "arn": "arn:aws:ecr:{_region}:{_account}:repository/{_name}",
        "registryId": "{_account}",
        "repositoryUrl": "{_account}.dkr.ecr.{_region}.amazonaws.com/{_name}",
    },
    "aws:ecs/cluster:Cluster": {
        "id": "arn:aws:ecs:{_region}:{_account}:cluster/{_name}",
        "arn": "{id}",
    },
    "aws:ecs/service:Service": {
        "id": "arn:aws:ecs:{_region}:{_account}:service/{_name}",
        "arn": "{id}",
    },
    "aws:ecs/taskDefinition:TaskDefinition": {
        "id": "{family}",
        "arn": "arn:aws:ecs:{_region}:{_account}:task-definition/{family}:1",
        "arnWithoutRevision": "arn:aws:ecs:{_region}:{_account}:task-definition/{family}",
        "revision": 1,
    },
    "aws:elasticache/replicationGroup:ReplicationGroup": {
        "id": "{replicationGroupId}",
        "arn": "arn:aws:elasticache:{_region}:{_account}:replicationgroup:{replicationGroupId}",
        "primaryEndpointAddress": "master.{replicationGroupId}.{_hash}.cache.amazonaws.com",
        "readerEndpointAddress": "replica.{replicationGroupId}.{_hash}.cache.amazonaws.com",
    },
    "aws:elasticache/subnetGroup:SubnetGroup": {"id": "{_name}"},
    "aws:elasticache/parameterGroup:ParameterGroup": {"id": "{_name}"},
    "aws:iam/policy:Policy": {"id": "arn:aws:iam::{_account}:policy/{_name}", "arn": "{id}"},
    "aws:iam/role:Role": {
        "id": "{_name}",
        "arn": "arn:aws:iam::{_account}:role/{_name}",
        "uniqueId": "AROA{_hash}",
    },
    "aws:iam/rolePolicy:RolePolicy": {"id": "{role}:{_name}"},
    "aws:kms/key:Key": {
        "id": "{_uuid}",
        "keyId": "{_uuid}",
        "arn": "arn:aws:kms:{_region}:{_account}:key/{_uuid}",
    },
    "aws:kms/alias:Alias": {"id": "{_name}", "arn": "arn:aws:kms:{_region}:{_account}:{_name}"},
    "aws:lambda/function:Function": {
        "id": "{_name}",
        "arn": "arn:aws:lambda:{_region}:{_account}:function:{_name}",
        "invokeArn": "arn:aws:apigateway:{_region}:lambda:path/2015-03-31/functions/arn:aws:lambda:{_region}:"
        "{_account}:function:{_name}/invocations",
        "version": "1",
    },
    "aws:lambda/invocation:Invocation": {"result": "{{}}"},
    "aws:lb/listener:Listener": {
        "id": "arn:aws:elasticloadbalancing:{_region}:{_account}:listener/app/{_name}/{_hash}",
        "arn": "{id}",
    },
    "aws:lb/loadBalancer:LoadBalancer": {
        "id": "arn:aws:elasticloadbalancing:{_region}:{_account}:loadbalancer/app/{_name}/{_hash}",
        "arn": "{id}",
        "arnSuffix": "app/{_name}/{_hash}",
        "dnsName": "{_name}-{_hash}.{_region}.elb.amazonaws.com",
        "zoneId": "Z35SXDOTRQ7X7K",
    },
    "aws:lb/targetGroup:TargetGroup": {
        "id": "arn:aws:elasticloadbalancing:{_region}:{_account}:targetgroup/{_name}/{_hash}",
        "arn": "{id}",
        "arnSuffix": "targetgroup/{_name}/{_hash}",
    },
    "aws:rds/instance:Instance": {
        "id": "{identifier}",
        "arn": "arn:aws:rds:{_region}:{_account}:db:{identifier}",
        "address": "{identifier}.{_hash}.{_region}.rds.amazonaws.com",
        "endpoint": "{identifier}.{_hash}.{_region}.rds.amazonaws.com:5432",
        "port": 5432,
        "resourceId": "db-{_hash}",
        "masterUserSecrets": [
            {
                "secretArn": "arn:aws:secretsmanager:{_region}:{_account}:secret:rds!db-{_uuid}-AbCdEf",
                "secretStatus": "active",
                "kmsKeyId": "arn:aws:kms:{_region}:{_account}:key/{_uuid}",
            }
        ],
    },
    "aws:rds/parameterGroup:ParameterGroup": {
        "id": "{_name}",
        "arn": "arn:aws:rds:{_region}:{_account}:pg:{_name}",
    },
    "aws:rds/subnetGroup:SubnetGroup": {
        "id": "{_name}",
        "arn": "arn:aws:rds:{_region}:{_account}:subgrp:{_name}",
    },
    "aws:route53/record:Record": {"fqdn": "{_name}"},
    "aws:s3/bucket:Bucket": {
        "id": "{bucket}",
        "arn": "arn:aws:s3:::{bucket}",
        "bucketDomainName": "{bucket}.s3.amazonaws.com",
        "bucketRegionalDomainName": "{bucket}.s3.{_region}.amazonaws.com",
        "region": "{_region}",
    },
    "aws:secretsmanager/secret:Secret": {
        "id": "arn:aws:secretsmanager:{_region}:{_account}:secret:{_name}-AbCdEf",
        "arn": "{id}",
    },
    "aws:sns/topic:Topic": {"id": "arn:aws:sns:{_region}:{_account}:{_name}", "arn": "{id}"},
    "aws:sqs/queue:Queue": {
        "id": "https://sqs.{_region}.amazonaws.com/{_account}/{_name}",
        "url": "{id}",
        "arn": "arn:aws:sqs:{_region}:{_account}:{_name}",
    },
    "aws:ssm/parameter:Parameter": {
        "id": "{_name}",
        "arn": "arn:aws:ssm:{_region}:{_account}:parameter{_name}",
        "version": 1,
    },
    "docker-build:index:Image": {"ref": "{_ref}@sha256:{_digest}", "digest": "sha256:{_digest}"},
    "random:index/randomPassword:RandomPassword": {"id": "none", "result": "{_digest}"},
}
_NAMES: Final = ("name", "bucket", "identifier", "replicationGroupId", "family", "functionName")
# resources that AWS gives an ARN to, and which have no template of their own, get one of this form
_GENERIC_ARN: Final = "arn:aws:{_service}:{_region}:{_account}:{_kind}/{_name}"


class ResolvedCreator:
    """Answers as AWS would in form, not in fact: the same stack gets the same ids and ARNs every time."""

    instant = True  # needs no worker thread

    def __init__(self) -> None:
        self.monitor: Monitor | None = None

    def create(self, resource: Resource) -> Created:
        """The id and outputs of `resource` from its type's template."""
        facts = self._facts(resource)
        template = _TEMPLATES.get(resource.type)
        if template is None:
            return Created(f"{resource.name}-{facts['_hash'][:7]}", self._generic(resource, facts))
        filled: dict[str, Any] = {}
        for key, pattern in template.items():
            filled[key] = _fill(pattern, _Lenient({**resource.inputs, **facts, **filled}))
        id_ = str(filled.pop("id", f"{resource.name}-{facts['_hash'][:7]}"))
        # what the program gave stands, but for outputs that AWS owns alone
        return Created(
            id_, {**filled, **{key: resource.inputs[key] for key in filled if key in resource.inputs}}
        )

    def _facts(self, resource: Resource) -> dict[str, str]:
        digest = hashlib.sha256(resource.urn.encode()).hexdigest()
        physical = next((resource.inputs[key] for key in _NAMES if resource.inputs.get(key)), resource.name)
        tags: Any = resource.inputs.get("tags")
        package, module, kind = (*resource.type.replace("/", ":").split(":"), "", "", "")[:3]
        account = self.monitor.account if self.monitor else Account()
        return {
            "_name": str(physical),
            "_hash": digest[:17],
            "_digest": digest,
            "_uuid": "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32])),
            "_ref": str(cast("list[str]", tags)[0]) if isinstance(tags, list) and tags else "",
            "_account": account.account_id,
            "_region": account.region,
            "_service": module if package == "aws" else package,
            "_kind": kind,
        }

    def _generic(self, resource: Resource, facts: Mapping[str, str]) -> dict[str, Any]:
        if not resource.type.startswith("aws:"):
            return {}
        return {"arn": _GENERIC_ARN.format_map(facts)} if "arn" not in resource.inputs else {}


class _Lenient(dict[str, Any]):
    """A missing input fills in as nothing: AWS would have defaulted it."""

    def __missing__(self, key: str) -> str:
        return ""


def _fill(pattern: Any, facts: Mapping[str, Any]) -> Any:
    if isinstance(pattern, str):
        return pattern.format_map(facts)
    if isinstance(pattern, list):
        return [_fill(each, facts) for each in cast("list[Any]", pattern)]
    if isinstance(pattern, Mapping):
        return {key: _fill(each, facts) for key, each in cast("Mapping[str, Any]", pattern).items()}
    return pattern
