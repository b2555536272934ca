"""RDS for PostgreSQL: isolated, encrypted, TLS only, restorable to any second of its retention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from components.base import Component
from components.data.parameters import SecureParameter, generated_password
from components.links import Ingress, Link, Statement, kms_statement, trust_policy
from components.names import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.base import Context
    from components.data.alarms import AlarmTopic
    from components.data.config import DatabaseConfig
    from components.key import Key
    from components.network.component import Network

_MIB = 1024 * 1024
_CA_FILE = "/etc/slipway/rds-ca.pem"  # where the app image keeps the RDS global bundle
_LOG_EXPORTS = ("postgresql", "upgrade")


class Database(Component):
    """One PostgreSQL instance; in an `ha` stack a standby in a second zone takes over within about a minute.

    Services get in by `connect()` (the app's role, data only) or `administer()` (migrations: the master
    credentials, which RDS creates, rotates and keeps in Secrets Manager; nobody ever types them).

    Sources: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html,
    .../rds-secrets-manager.html, .../USER_PIT.html, .../Concepts.MultiAZSingleStandby.html
    """

    def __init__(
        self,
        name: str,
        config: DatabaseConfig,
        *,
        ctx: Context,
        network: Network,
        key: Key,
        alarms: AlarmTopic,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`network` gives the isolated subnets; `key` encrypts storage, secrets, insights and logs."""
        super().__init__("data:Database", name, ctx, tier="data", opts=opts)
        self.config = config
        self.key = key
        self.identifier = ctx.name(name, limit=LIMITS["db_instance"])
        # the family is part of the name: a new major version makes a new group beside the old one
        self._family = f"postgres{config.engine_version}"
        self._parameter_group_name = ctx.name(name, suffix=self._family)
        self.security_group = aws.ec2.SecurityGroup(
            name,
            vpc_id=network.vpc_id,
            description="PostgreSQL: let in by linked services only",
            tags=self.tagged(self.identifier),
            opts=self.child(),
        )
        self.subnet_group = aws.rds.SubnetGroup(
            name,
            name=self.identifier,
            description="Isolated subnets: no route to the internet",
            subnet_ids=network.isolated_subnet_ids,
            tags=self.tagged(self.identifier),
            opts=self.child(),
        )
        self.parameter_group = self._parameters()
        logs = [self._log_group(log) for log in _LOG_EXPORTS]
        self.instance = self._instance(logs)
        self._publish()
        self._alarms(alarms)
        self.restore_command = self._restore_command()
        self.register_outputs(
            {"identifier": self.identifier, "address": self.address, "restore_command": self.restore_command}
        )

    def connect(self) -> Link:
        """The app's own role: reads and writes rows, owns nothing."""
        return Link(
            name=f"{self.name}.connect",
            environment={
                **self._where(),
                "DATABASE_USERNAME": self.config.app_username,
                "DATABASE_POOL_SIZE": str(self.config.pool_size),
            },
            secrets={"DATABASE_HOST": self._host.arn, "DATABASE_PASSWORD": self._app_password.arn},
            ingress=(self._ingress(),),
            kms_aliases=(self.key.alias,),
            depends_on=(self.instance, self._host.resource, self._app_password.resource),
        )

    def administer(self) -> Link:
        """The master credentials, read at start by whoever migrates, so that rotation never breaks it."""
        ctx = self.ctx
        read = Statement(
            sid="ReadDatabaseAdminSecret",
            actions=("secretsmanager:GetSecretValue",),
            # RDS names the secret itself (rds!db-<uuid>) and tags it with the instance it belongs to
            resources=(ctx.arn("secretsmanager", "secret:rds!db-*"),),
            conditions={
                "StringEquals": {
                    "aws:ResourceTag/aws:rds:primaryDBInstanceArn": ctx.arn("rds", f"db:{self.identifier}")
                }
            },
        )
        decrypt = kms_statement(
            ctx,
            "DecryptDatabaseAdminSecret",
            alias=self.key.alias,
            actions=("kms:Decrypt",),
            via="secretsmanager",
        )
        return Link(
            name=f"{self.name}.administer",
            environment={
                **self._where(),
                "DATABASE_APP_USERNAME": self.config.app_username,
                "AWS_REGION": ctx.region,
            },
            secrets={
                "DATABASE_HOST": self._host.arn,
                "DATABASE_ADMIN_SECRET_ARN": self._admin_secret.arn,
                "DATABASE_APP_PASSWORD": self._app_password.arn,
            },
            statements=(read, decrypt),
            ingress=(self._ingress(),),
            kms_aliases=(self.key.alias,),
            depends_on=(
                self.instance,
                self._host.resource,
                self._admin_secret.resource,
                self._app_password.resource,
            ),
        )

    def _where(self) -> dict[str, str]:
        return {
            "DATABASE_PORT": str(self.config.port),
            "DATABASE_NAME": self.config.name,
            "DATABASE_CA_FILE": _CA_FILE,
        }

    def _ingress(self) -> Ingress:
        return Ingress(
            security_group_id=self.security_group.id, port=self.config.port, description="PostgreSQL"
        )

    def _parameters(self) -> aws.rds.ParameterGroup:
        """TLS is refused otherwise even from inside; slow statements, locks and logins are logged."""
        config = self.config
        values = {
            "rds.force_ssl": ("1", "pending-reboot"),
            "log_min_duration_statement": (str(config.slow_query_ms), "immediate"),
            "log_lock_waits": ("1", "immediate"),
            "log_connections": ("1", "immediate"),
            "log_disconnections": ("1", "immediate"),
        }
        if config.max_connections is not None:
            values["max_connections"] = (str(config.max_connections), "pending-reboot")
        return aws.rds.ParameterGroup(
            self.name,
            name=self._parameter_group_name,
            family=self._family,
            description="Forced TLS, slow statements logged",
            parameters=[
                {"name": key, "value": value, "apply_method": method}
                for key, (value, method) in values.items()
            ],
            tags=self.tagged(self._parameter_group_name),
            opts=self.child(),
        )

    def _log_group(self, log: str) -> aws.cloudwatch.LogGroup:
        """Made before RDS would make it itself, unencrypted and kept for ever."""
        group_name = f"/aws/rds/instance/{self.identifier}/{log}"
        return aws.cloudwatch.LogGroup(
            f"{self.name}-{log}",
            name=group_name,
            kms_key_id=self.key.arn,
            retention_in_days=90,
            tags=self.tagged(group_name),
            opts=self.child(),
        )

    def _monitoring_role(self) -> tuple[aws.iam.Role, aws.iam.RolePolicyAttachment]:
        role_name = self.ctx.name(self.name, "monitoring", limit=LIMITS["role"])
        role = aws.iam.Role(
            f"{self.name}-monitoring",
            name=role_name,
            description="RDS writes its operating system metrics",
            assume_role_policy=trust_policy(
                self.ctx, "monitoring.rds.amazonaws.com", self.ctx.arn("rds", f"db:{self.identifier}")
            ),
            tags=self.tagged(role_name),
            opts=self.child(),
        )
        attachment = aws.iam.RolePolicyAttachment(
            f"{self.name}-monitoring",
            role=role.name,
            policy_arn=self.ctx.arn(
                "iam", "policy/service-role/AmazonRDSEnhancedMonitoringRole", region="", account="aws"
            ),
            opts=self.child(),
        )
        return role, attachment

    def _instance(self, logs: list[aws.cloudwatch.LogGroup]) -> aws.rds.Instance:
        config, ctx, key = self.config, self.ctx, self.key
        monitoring, may_write = self._monitoring_role()
        insights = config.performance_insights
        return aws.rds.Instance(
            self.name,
            identifier=self.identifier,
            engine="postgres",
            engine_version=config.engine_version,
            auto_minor_version_upgrade=True,
            # a major version changes only when somebody writes another one into the stack's file
            allow_major_version_upgrade=True,
            instance_class=config.instance_class,
            multi_az=ctx.highly_available,
            db_name=config.name,
            port=config.port,
            # who may log in, and from where
            username=config.admin_username,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key.arn,
            iam_database_authentication_enabled=True,
            publicly_accessible=False,
            db_subnet_group_name=self.subnet_group.name,
            vpc_security_group_ids=[self.security_group.id],
            parameter_group_name=self.parameter_group.name,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            # storage
            storage_type="gp3",
            allocated_storage=config.storage_gb,
            max_allocated_storage=config.max_storage_gb,
            iops=config.iops,
            storage_throughput=config.throughput,
            storage_encrypted=True,
            kms_key_id=key.arn,
            # what survives
            backup_retention_period=config.backup_retention_days,
            backup_window=config.backup_window,
            maintenance_window=config.maintenance_window,
            copy_tags_to_snapshot=True,
            deletion_protection=ctx.retained,
            delete_automated_backups=not ctx.retained,
            skip_final_snapshot=not ctx.retained,
            final_snapshot_identifier=f"{self.identifier}-final" if ctx.retained else None,
            apply_immediately=not ctx.retained,
            # what one sees
            performance_insights_enabled=insights,
            performance_insights_kms_key_id=key.arn if insights else None,
            performance_insights_retention_period=config.performance_insights_days if insights else None,
            monitoring_interval=config.monitoring_seconds,
            monitoring_role_arn=monitoring.arn,
            enabled_cloudwatch_logs_exports=list(_LOG_EXPORTS),
            tags=self.tagged(self.identifier),
            opts=self.child(
                stateful=True,
                delete_before_replace=True,  # the identifier is fixed
                # RDS refuses a monitoring role that may not write yet
                depends_on=[*logs, may_write],
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="80m", delete="60m"),
            ),
        )

    def _publish(self) -> None:
        """What services read, under names known at preview."""
        name, key = self.name, self.key
        self.address: pulumi.Output[str] = self.instance.address
        self._host = SecureParameter(self, f"{name}-host", self.address, "Host of PostgreSQL", key=key)
        self._app_password = SecureParameter(
            self,
            f"{name}-app-password",
            generated_password(self, f"{name}-app", length=40),
            f"Password of the role {self.config.app_username}",
            key=key,
        )
        secret_arn = self.instance.master_user_secrets.apply(_secret_arn)
        self._admin_secret = SecureParameter(
            self, f"{name}-admin-secret-arn", secret_arn, "ARN of the managed master secret", key=key
        )

    def _alarms(self, alarms: AlarmTopic) -> None:
        name, config = self.name, self.config
        dimensions = {"DBInstanceIdentifier": self.identifier}
        alarms.alarm(
            self,
            f"{name}-cpu",
            "PostgreSQL uses most of its CPU: look at the slow statement log, or take a larger class",
            metric=("AWS/RDS", "CPUUtilization"),
            dimensions=dimensions,
            threshold=80,
        )
        alarms.alarm(
            self,
            f"{name}-storage",
            "Less than a tenth of the storage is free: autoscaling has not helped, raise max_storage_gb",
            metric=("AWS/RDS", "FreeStorageSpace"),
            dimensions=dimensions,
            threshold=config.storage_gb * 1024 * _MIB // 10,
            comparison="below",
            statistic="Minimum",
        )
        alarms.alarm(
            self,
            f"{name}-connections",
            "Connections near the limit: services are added faster than pools allow",
            metric=("AWS/RDS", "DatabaseConnections"),
            dimensions=dimensions,
            threshold=config.connections_alarm,
            statistic="Maximum",
        )

    def _restore_command(self) -> pulumi.Output[str]:
        """The whole command that restores the database beside the old one, to any second of the retention.

        A restored instance takes none of this from its source: group, TLS and access are named again.
        """
        words = [
            "aws rds restore-db-instance-to-point-in-time",
            f"--region {self.ctx.region}",
            f"--source-db-instance-identifier {self.identifier}",
            f"--target-db-instance-identifier {self.identifier}-restored",
            "--use-latest-restorable-time",
            f"--db-subnet-group-name {self.identifier}",
            f"--db-parameter-group-name {self._parameter_group_name}",
            f"--{'' if self.ctx.highly_available else 'no-'}multi-az",
            "--no-publicly-accessible --copy-tags-to-snapshot --enable-iam-database-authentication",
            f"--{'' if self.ctx.retained else 'no-'}deletion-protection",
            "--manage-master-user-password",
            f"--master-user-secret-kms-key-id {self.key.alias}",
        ]
        return pulumi.Output.concat(" ".join(words), " --vpc-security-group-ids ", self.security_group.id)


def _secret_arn(secrets: Sequence[aws.rds.outputs.InstanceMasterUserSecret]) -> str:
    arn = secrets[0].secret_arn if secrets else None
    if arn is None:
        raise ValueError("RDS named no managed master secret, so nobody could migrate the database")
    return arn
