"""Which changed inputs replace a resource. The list is our own, for the types of the stacks: AWS's is longer."""

from __future__ import annotations

_EVERYWHERE = frozenset(
    (
        "name", "namePrefix", "bucket", "bucketPrefix", "region", "vpcId", "subnetId", "cidrBlock", "availabilityZone",
        "engine", "family", "functionName", "path", "identifier", "replicationGroupId", "storageEncrypted",
        "masterUsername", "username", "kmsKeyArn", "keyName", "loadBalancerType", "internal", "role", "policyArn",
    )
)  # fmt: skip
_BY_TYPE: dict[str, frozenset[str]] = {
    "aws:ec2/securityGroup:SecurityGroup": frozenset({"description"}),
    "aws:ec2/natGateway:NatGateway": frozenset({"allocationId", "connectivityType"}),
    "aws:ec2/route:Route": frozenset({"routeTableId", "destinationCidrBlock"}),
    "aws:ec2/networkAclRule:NetworkAclRule": frozenset({"networkAclId", "ruleNumber", "egress", "protocol"}),
    "aws:ec2/vpcEndpoint:VpcEndpoint": frozenset({"serviceName", "vpcEndpointType"}),
    "aws:ecr/repository:Repository": frozenset({"encryptionConfigurations"}),
    "aws:ecs/service:Service": frozenset({"cluster", "launchType", "schedulingStrategy"}),
    "aws:ecs/taskDefinition:TaskDefinition": frozenset(
        {
            "containerDefinitions", "cpu", "memory", "executionRoleArn", "taskRoleArn", "networkMode",
            "requiresCompatibilities", "runtimePlatform", "volumes",
        }
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": frozenset(
        {"atRestEncryptionEnabled", "kmsKeyId", "port", "subnetGroupName"}
    ),
    "aws:lambda/invocation:Invocation": frozenset({"input", "functionName", "triggers"}),
    "aws:lb/listener:Listener": frozenset({"loadBalancerArn"}),
    "aws:lb/targetGroup:TargetGroup": frozenset({"port", "protocol", "targetType"}),
    "aws:rds/instance:Instance": frozenset({"dbName", "dbSubnetGroupName", "kmsKeyId", "snapshotIdentifier"}),
    "aws:route53/record:Record": frozenset({"zoneId", "type"}),
    "aws:sns/topicSubscription:TopicSubscription": frozenset({"topic", "protocol", "endpoint"}),
    "docker-build:index:Image": frozenset(),
    "random:index/randomPassword:RandomPassword": frozenset({"length", "special", "keepers", "overrideSpecial"}),
}  # fmt: skip
# named like one of those, and yet changed in place
_IN_PLACE: dict[str, frozenset[str]] = {
    "aws:rds/instance:Instance": frozenset({"identifier", "availabilityZone"}),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": frozenset({"cidrBlock"}),
    "aws:lambda/function:Function": frozenset({"role"}),
    "aws:lb/targetGroup:TargetGroup": frozenset({"path"}),
}


def replaces(type_: str, key: str) -> bool:
    """Whether a change of the input makes a new resource."""
    if key in _IN_PLACE.get(type_, ()):
        return False
    return key in _EVERYWHERE or key in _BY_TYPE.get(type_, ())
