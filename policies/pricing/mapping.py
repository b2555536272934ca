"""From a resource of the graph to its line items, and the list of what AWS does not bill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from policies.graph import Graph, Node
from policies.pricing import items, metrics
from policies.pricing.items import Line
from policies.reader import UndecidedError

SUBNET: Final = "aws:ec2/subnet:Subnet"
RDS: Final = "aws:rds/instance:Instance"
FUNCTION: Final = "aws:lambda/function:Function"
Priced = Callable[[Graph, Node], "list[Line] | None"]


def lines(graph: Graph, node: Node) -> list[Line] | None:
    """What the resource is billed for: [] for nothing, None when this table does not know its kind."""
    mapped = _PRICED.get(node.type)
    if mapped is not None:
        return mapped(graph, node)
    if not node.type.startswith("aws:") or node.type in _FREE or node.type.startswith(_FREE_PREFIXES):
        return []
    return None


def _number(node: Node, path: str, default: float) -> float:
    value = node.known(path, default)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UndecidedError(path) from error


def _service(graph: Graph, service: Node) -> list[Line] | None:
    """Fargate only: on EC2 the instances are billed, not the tasks."""
    spot = [str(each.known("capacityProvider")) for each in service.blocks("capacityProviderStrategies")]
    if service.known("launchType", "FARGATE") != "FARGATE" or (spot and "FARGATE" not in spot[0]):
        return []
    task = graph.referred(service, "taskDefinition", "aws:ecs/taskDefinition:TaskDefinition")
    if task is None:
        raise UndecidedError("taskDefinition")
    count = int(_number(service, "desiredCount", 1))
    return items.fargate(
        cpu_units=_number(task, "cpu", 256),
        memory_mb=_number(task, "memory", 512),
        tasks=count,
        ceiling=max(count, _ceiling(graph, service)),
        arm=task.known("runtimePlatform.cpuArchitecture", "X86_64") == "ARM64",
        storage_gb=_number(task, "ephemeralStorage.sizeInGib", 20),
    )


def _ceiling(graph: Graph, service: Node) -> int:
    """The most tasks that autoscaling may start."""
    name = service.get("name")
    highest = 0
    for target in graph.of_type("aws:appautoscaling/target:Target"):
        scaled = target.get("resourceId")
        by_name = isinstance(scaled, str) and isinstance(name, str) and scaled.endswith(f"/{name}")
        if by_name or service in target.deps.get("resourceId", ()):
            highest = max(highest, int(_number(target, "maxCapacity", 0)))
    return highest


def _database(graph: Graph, database: Node) -> list[Line] | None:
    """A replica has engine and storage of what it replicates."""
    source = database
    if database.given("replicateSourceDb"):
        found = graph.referred(database, "replicateSourceDb", RDS)
        if found is None:
            raise UndecidedError("replicateSourceDb")
        source = found
    if not str(source.known("engine", "")).startswith("postgres"):
        return None
    storage = _number(database, "allocatedStorage", _number(source, "allocatedStorage", 20))
    lines_ = items.postgres(
        instance_class=str(database.known("instanceClass")),
        multi_az=database.known("multiAz", default=False) is True,
        storage_gb=storage,
        ceiling_gb=_number(database, "maxAllocatedStorage", storage),
        iops=_number(database, "iops", 0),
        backups=source is database,
    )
    if database.known("manageMasterUserPassword", default=False) is True:
        lines_.append(Line("secret.month", 1, "the secret of the master user"))
    return lines_


def _proxy(graph: Graph, proxy: Node) -> list[Line]:
    """Billed by the vCPUs of the database behind it."""
    target = next(iter(graph.about(proxy, "aws:rds/proxyTarget:ProxyTarget", "dbProxyName")), None)
    database = graph.referred(target, "dbInstanceIdentifier", RDS) if target else None
    if database is None:
        raise UndecidedError("target")
    size = str(database.known("instanceClass")).rpartition(".")[2]
    # db.r6g.large and all below it have two; an xlarge has four, and an Nxlarge N times as many
    times = size.removesuffix("xlarge") if size.endswith("xlarge") else "0.5"
    return items.proxy(database_vcpu=4 * float(times or 1))


def _cache(_graph: Graph, group: Node) -> list[Line]:
    shards = int(_number(group, "numNodeGroups", 1))
    replicas = int(_number(group, "replicasPerNodeGroup", 0))
    nodes = int(_number(group, "numCacheClusters", shards * (1 + replicas)))
    engine = str(group.known("engine", "redis"))
    return items.cache(engine=engine, node_type=str(group.known("nodeType")), nodes=nodes)


def _subnets(node: Node, key: str) -> int:
    """How many subnets it is in, known by what the property was made from when not by its value."""
    traced = len(node.made_from(key, SUBNET))
    value = node.get(key)
    return max(traced, len(cast("list[Any]", value)) if isinstance(value, list) else 0)


def _balancer(_graph: Graph, balancer: Node) -> list[Line] | None:
    if balancer.known("loadBalancerType", "application") != "application":
        return None
    public = balancer.known("internal", default=False) is not True
    return items.load_balancer(zones=_subnets(balancer, "subnets"), public=public)


def _endpoint(_graph: Graph, endpoint: Node) -> list[Line]:
    if endpoint.known("vpcEndpointType", "Gateway") == "Gateway":
        return []
    return items.interface_endpoint(zones=max(1, _subnets(endpoint, "subnetIds")))


def _acl(_graph: Graph, acl: Node) -> list[Line]:
    return items.web_acl(rules=len(acl.blocks("rules")))


def _log_group(_graph: Graph, _node: Node) -> list[Line]:
    return [items.usage("logs.ingest.gb", "logs taken in"), items.usage("logs.stored.gb", "logs kept")]


def _queue(_graph: Graph, queue: Node) -> list[Line]:
    fifo = queue.known("fifoQueue", default=False) is True
    return [items.usage("sqs.fifo.request" if fifo else "sqs.request", "requests")]


def _is_arm(function: Node) -> bool:
    return "arm64" in cast("list[Any]", function.known("architectures", []))


def _function(_graph: Graph, function: Node) -> list[Line]:
    return items.function(arm=_is_arm(function))


def _kept_warm(graph: Graph, config: Node) -> list[Line]:
    function = graph.referred(config, "functionName", FUNCTION)
    if function is None:
        raise UndecidedError("functionName")
    return items.provisioned_concurrency(
        memory_mb=_number(function, "memorySize", 128),
        instances=int(_number(config, "provisionedConcurrentExecutions", 0)),
        arm=_is_arm(function),
    )


def _table(_graph: Graph, table: Node) -> list[Line] | None:
    if table.known("billingMode", "PROVISIONED") != "PAY_PER_REQUEST":
        return None
    return [
        items.usage("dynamodb.write", "writes"),
        items.usage("dynamodb.read", "reads"),
        items.usage("dynamodb.gb", "data kept"),
    ]


def _watching(price: str | None, what: str) -> Priced:
    """A dashboard or an alarm, if it costs anything itself, and the custom metrics that it names first."""

    def found(graph: Graph, node: Node) -> list[Line]:
        own = [] if price is None else [Line(price, 1, what)]
        return [*own, *items.custom_metrics(len(metrics.first_named_by(graph, node)))]

    return found


def _one(price: str, what: str) -> Priced:
    return lambda _graph, _node: [Line(price, 1, what)]


def _by_use(price: str, what: str) -> Priced:
    return lambda _graph, _node: [items.usage(price, what)]


_PRICED: Final[Mapping[str, Priced]] = {
    metrics.DASHBOARD: _watching("dashboard.month", "dashboard"),
    metrics.ALARM: _watching("alarm.month", "alarm"),
    metrics.SCALING: _watching(None, "scaling policy"),
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:dynamodb/table:Table": _table,
    "aws:ec2/eip:Eip": lambda _graph, _node: items.public_address(),
    "aws:ec2/natGateway:NatGateway": lambda _graph, _node: items.nat_gateway(),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:ecr/repository:Repository": _by_use("ecr.gb", "images kept"),
    "aws:ecs/service:Service": _service,
    "aws:elasticache/replicationGroup:ReplicationGroup": _cache,
    "aws:kms/key:Key": _one("kms.key", "key"),
    "aws:lambda/function:Function": _function,
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": _kept_warm,
    "aws:lb/loadBalancer:LoadBalancer": _balancer,
    "aws:cloudwatch/eventBus:EventBus": _by_use("events.custom", "events put on the bus"),
    "aws:rds/instance:Instance": _database,
    "aws:rds/proxy:Proxy": _proxy,
    "aws:route53/healthCheck:HealthCheck": _one("health_check.month", "health check"),
    "aws:route53/zone:Zone": _one("zone.month", "hosted zone"),
    "aws:s3/bucket:Bucket": _by_use("s3.standard.gb", "objects kept"),
    "aws:secretsmanager/secret:Secret": _one("secret.month", "secret"),
    "aws:sns/topic:Topic": _by_use("sns.request", "publications"),
    "aws:sqs/queue:Queue": _queue,
    "aws:wafv2/webAcl:WebAcl": _acl,
}
# AWS bills nothing for these themselves: they configure, name or connect what is billed elsewhere
_FREE_PREFIXES: Final = (
    "aws:costexplorer/",
    "aws:iam/",
    "aws:vpc/securityGroup",
    "aws:s3/bucket",
    "aws:appautoscaling/",
    "aws:ssm/parameter",
)
_FREE: Final = frozenset(
    (
        "aws:acm/certificate:Certificate",
        "aws:acm/certificateValidation:CertificateValidation",
        "aws:budgets/budget:Budget",
        "aws:cloudwatch/eventRule:EventRule",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
        "aws:cloudwatch/logMetricFilter:LogMetricFilter",
        "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl",
        "aws:ec2/defaultRouteTable:DefaultRouteTable",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/flowLog:FlowLog",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/launchTemplate:LaunchTemplate",
        "aws:ec2/networkAcl:NetworkAcl",
        "aws:ec2/networkAclAssociation:NetworkAclAssociation",
        "aws:ec2/networkAclRule:NetworkAclRule",
        "aws:ec2/route:Route",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ec2/vpcEndpointRouteTableAssociation:VpcEndpointRouteTableAssociation",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        "aws:ecs/cluster:Cluster",
        "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders",
        "aws:ecs/taskDefinition:TaskDefinition",
        "aws:elasticache/parameterGroup:ParameterGroup",
        "aws:elasticache/subnetGroup:SubnetGroup",
        "aws:kms/alias:Alias",
        "aws:lambda/invocation:Invocation",
        "aws:lambda/permission:Permission",
        "aws:lb/listener:Listener",
        "aws:lb/listenerRule:ListenerRule",
        "aws:lb/targetGroup:TargetGroup",
        "aws:lambda/alias:Alias",
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup",
        "aws:rds/proxyTarget:ProxyTarget",
        "aws:rds/parameterGroup:ParameterGroup",
        "aws:rds/subnetGroup:SubnetGroup",
        "aws:route53/record:Record",
        "aws:secretsmanager/secretPolicy:SecretPolicy",
        "aws:secretsmanager/secretVersion:SecretVersion",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:sqs/queuePolicy:QueuePolicy",
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        "aws:wafv2/webAclAssociation:WebAclAssociation",
        "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
    )
)
