"""A small stack with one of everything that runs here: queue, bucket, parameter, database, cache, task, service."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws
import pulumi_random as random

config = pulumi.Config()
account, region = config.require("account_id"), config.require("region")
provider = aws.Provider("aws", region=region, allowed_account_ids=[account])


def own(*after: pulumi.Resource) -> pulumi.ResourceOptions:
    """With the explicit provider, after what is named."""
    return pulumi.ResourceOptions(provider=provider, depends_on=list(after))


def parameter(name: str, value: pulumi.Input[str]) -> aws.ssm.Parameter:
    """A SecureString, as components write outputs."""
    return aws.ssm.Parameter(name, name=f"/small/{name}", type="SecureString", value=value, opts=own())


def secret(name: str) -> dict[str, str]:
    """A variable of a container, from a parameter whose ARN is computed."""
    arn = f"arn:aws:ssm:{region}:{account}:parameter/small/{name}"
    return {"name": name.upper().replace("-", "_"), "valueFrom": arn}


dead = aws.sqs.Queue("dead", name="small-dead", message_retention_seconds=1209600, opts=own())
queue = aws.sqs.Queue(
    "jobs",
    name="small-jobs",
    visibility_timeout_seconds=45,
    redrive_policy=dead.arn.apply(lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})),
    opts=own(),
)
bucket = aws.s3.Bucket("files", bucket="small-files-123456789012", opts=own())
versions = aws.s3.BucketVersioning(
    "files", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=own()
)
key = aws.kms.Key("key", description="of the small stack", opts=own())
alias = aws.kms.Alias("key", name="alias/small", target_key_id=key.key_id, opts=own())
table = aws.dynamodb.Table(
    "seen",
    name="small-seen",
    hash_key="id",
    billing_mode="PAY_PER_REQUEST",
    attributes=[{"name": "id", "type": "S"}],
    opts=own(),
)
topic = aws.sns.Topic("alarms", name="small-alarms", opts=own())
password = random.RandomPassword("cache", length=40, special=False)
database = aws.rds.Instance(
    "database",
    identifier="small",
    engine="postgres",
    instance_class="db.t4g.micro",
    db_name="smalldb",
    username="small_admin",
    manage_master_user_password=True,
    opts=own(),
)
cache = aws.elasticache.ReplicationGroup(
    "cache", replication_group_id="small", description="small", auth_token=password.result, opts=own()
)
group = aws.ec2.SecurityGroup("group", name="small", opts=own())
mystery = aws.glacier.Vault("mystery", name="small", opts=own())
parameters = [
    parameter("database-host", database.address),
    parameter("database-admin-secret-arn", database.master_user_secrets[0].secret_arn),
    parameter("redis-host", cache.primary_endpoint_address),
    parameter("redis-password", password.result),
    parameter("queue-url", queue.url),
]


def role(name: str, *statements: dict[str, object]) -> aws.iam.Role:
    """A task's role, with exactly what its program calls."""
    made = aws.iam.Role(name, name=f"small-{name}", assume_role_policy="{}", opts=own())
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    aws.iam.RolePolicy(name, name="own", role=made.name, policy=document, opts=own())
    return made


def allow(action: str, resource: str, **more: object) -> dict[str, object]:
    """One action on one ARN."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


owner = {"aws:ResourceTag/aws:rds:primaryDBInstanceArn": f"arn:aws:rds:{region}:{account}:db:small"}
read_secret = allow(
    "secretsmanager:GetSecretValue",
    f"arn:aws:secretsmanager:{region}:{account}:secret:rds!db-*",
    Condition={"StringEquals": owner},
)
send = allow("sqs:SendMessage", f"arn:aws:sqs:{region}:{account}:small-jobs")
put = allow("s3:PutObject", "arn:aws:s3:::small-files-123456789012/*")
roles = {
    "migrate": role("migrate", read_secret),
    "web": role("web", read_secret, send, put),
    "other": role("other", read_secret, send, put),
}


def task(name: str, command: list[str], *, listens: bool) -> aws.ecs.TaskDefinition:
    """A task definition with literals and secrets, as the components make it."""
    literal = {
        "SERVICE": name,
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": "smalldb",
        "DATABASE_CA_FILE": "/etc/slipway/rds-ca.pem",
        "REDIS_PORT": "6379",
        "BUCKET": "small-files-123456789012",
        "AUTH_ISSUER": "https://issuer.example.com",
        "AUTH_AUDIENCE": "small",
    }
    if listens:
        literal |= {"BIND_HOST": "0.0.0.0", "PORT": "8000"}
    container = {
        "name": name,
        "image": "example",
        "command": command,
        "environment": [{"name": each, "value": value} for each, value in literal.items()],
        "secrets": [
            secret(each)
            for each in (
                "database-host",
                "database-admin-secret-arn",
                "redis-host",
                "redis-password",
                "queue-url",
            )
        ],
        "portMappings": [{"containerPort": 8000}] if listens else [],
        "stopTimeout": 5,
    }
    return aws.ecs.TaskDefinition(
        name,
        family=f"small-{name}",
        container_definitions=json.dumps([container]),
        task_role_arn=roles[name].arn,
        opts=own(),
    )


cluster = aws.ecs.Cluster("cluster", name="small", opts=own())
runner = aws.lambda_.Function(
    "runner",
    name="small-run-task",
    role="arn:aws:iam::123456789012:role/x",
    handler="handler.run",
    opts=own(),
)
migrate = task("migrate", ["python", "service.py", "migrate"], listens=False)
migrated = aws.lambda_.Invocation(
    "migrate",
    function_name=runner.name,
    input=migrate.arn.apply(lambda arn: json.dumps({"cluster": "small", "taskDefinition": arn})),
    opts=own(*parameters),
)
balancer = aws.lb.LoadBalancer("lb", name="small", idle_timeout=90, opts=own())
groups = {
    name: aws.lb.TargetGroup(
        name,
        name=f"small-{name}",
        port=8000,
        stickiness={"enabled": name == "web", "type": "lb_cookie", "cookie_duration": 60},
        opts=own(),
    )
    for name in ("web", "other")
}
plain = aws.lb.Listener(
    "plain",
    load_balancer_arn=balancer.arn,
    port=80,
    protocol="HTTP",
    default_actions=[
        {"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443", "status_code": "HTTP_301"}}
    ],
    opts=own(),
)
https = aws.lb.Listener(
    "https",
    load_balancer_arn=balancer.arn,
    port=443,
    protocol="HTTPS",
    default_actions=[{"type": "forward", "target_group_arn": groups["web"].arn}],
    opts=own(),
)
rule = aws.lb.ListenerRule(
    "other",
    listener_arn=https.arn,
    priority=10,
    conditions=[{"path_pattern": {"values": ["/other*"]}}],
    actions=[{"type": "forward", "target_group_arn": groups["other"].arn}],
    opts=own(),
)
for name in ("web", "other"):
    aws.ecs.Service(
        name,
        name=f"small-{name}",
        cluster=cluster.arn,
        desired_count=2,
        task_definition=task(name, ["python", "service.py", "serve"], listens=True).arn,
        load_balancers=[
            {"target_group_arn": groups[name].arn, "container_name": name, "container_port": 8000}
        ],
        opts=own(migrated),
    )
pulumi.export("queue", queue.url)
