"""Line items: what one resource is billed for in a month, as pure functions of its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOURS: Final = 730  # AWS's own month
_FARGATE_FREE_STORAGE_GB: Final = 20
_GP3_FREE_IOPS: Final = 3000
_GP3_LARGE_FREE_IOPS: Final = 12000
_GP3_LARGE_GB: Final = 400
_PROXY_MINIMUM_VCPU: Final = 2


@dataclass(frozen=True)
class Line:
    """One price times a quantity; `ceiling` is the quantity with every autoscaling at its maximum.

    A quantity of None depends on use: it is taken from the declared usage, or listed as undeclared.
    """

    price: str
    quantity: float | None
    what: str
    ceiling: float | None = None

    @property
    def highest(self) -> float | None:
        """The quantity at the ceiling."""
        return self.quantity if self.ceiling is None else self.ceiling


def usage(price: str, what: str) -> Line:
    """A line that depends on use."""
    return Line(price, None, what)


def fargate(
    *, cpu_units: float, memory_mb: float, tasks: int, ceiling: int, arm: bool, storage_gb: float = 20
) -> list[Line]:
    """Fargate bills vCPU and memory of the task, and disk above 20 GB, while it runs."""
    chip = "arm" if arm else "x86"
    vcpu, memory = cpu_units / 1024, memory_mb / 1024
    extra = max(0.0, storage_gb - _FARGATE_FREE_STORAGE_GB)

    def line(price: str, size: float, what: str) -> Line:
        return Line(price, size * tasks * HOURS, what, size * ceiling * HOURS)

    lines = [
        line(f"fargate.{chip}.vcpu_hour", vcpu, f"{tasks} x {vcpu:g} vCPU"),
        line(f"fargate.{chip}.gb_hour", memory, f"{tasks} x {memory:g} GB"),
    ]
    if extra:
        lines.append(line("fargate.storage.gb_hour", extra, f"{tasks} x {extra:g} GB of disk over 20"))
    return lines


def postgres(
    *,
    instance_class: str,
    multi_az: bool,
    storage_gb: float,
    ceiling_gb: float,
    iops: float,
    backups: bool = True,
) -> list[Line]:
    """RDS bills the class by the hour (Multi-AZ has its own price), gp3 storage, IOPS above the free ones."""
    zones = "multi" if multi_az else "single"
    free = _GP3_LARGE_FREE_IOPS if storage_gb >= _GP3_LARGE_GB else _GP3_FREE_IOPS
    lines = [
        Line(
            f"rds.postgres.{instance_class}.{zones}",
            HOURS,
            f"{instance_class}, {'Multi-AZ' if multi_az else 'one zone'}",
        ),
        Line(f"rds.gp3.gb.{zones}", storage_gb, f"{storage_gb:g} GB gp3", max(storage_gb, ceiling_gb)),
    ]
    if backups:
        lines.append(usage("rds.backup.gb", "backup storage above the size of the database"))
    if iops > free:
        lines.append(Line(f"rds.gp3.iops.{zones}", iops - free, f"{iops - free:g} IOPS above {free}"))
    return lines


def proxy(*, database_vcpu: float) -> list[Line]:
    """RDS Proxy bills the database's vCPUs, at least two."""
    vcpu = max(_PROXY_MINIMUM_VCPU, database_vcpu)
    return [Line("rds.proxy.vcpu_hour", vcpu * HOURS, f"{vcpu:g} vCPU of proxy")]


def cache(*, engine: str, node_type: str, nodes: int) -> list[Line]:
    """ElastiCache bills each node, replicas included; Valkey and Redis have prices of their own."""
    return [Line(f"cache.{engine}.{node_type}", nodes * HOURS, f"{nodes} x {node_type} ({engine})")]


def nat_gateway() -> list[Line]:
    """A NAT gateway bills its hours and each GB through it; its address is billed as an address."""
    return [Line("nat.hour", HOURS, "NAT gateway"), usage("nat.gb", "data through the NAT gateway")]


def public_address(*, count: int = 1) -> list[Line]:
    """Each public IPv4 address is billed by the hour, in use or not."""
    return [Line("ipv4.hour", count * HOURS, f"{count} public IPv4 address{'es' if count > 1 else ''}")]


def load_balancer(*, zones: int, public: bool) -> list[Line]:
    """An ALB bills its hours, capacity units, and one public address per zone."""
    lines = [
        Line("alb.hour", HOURS, "load balancer"),
        usage("alb.lcu_hour", "capacity units of the load balancer"),
    ]
    if not public:
        return lines
    out = usage("transfer.out.gb", "data to the internet")
    return [*lines, out, *(public_address(count=zones) if zones else [])]


def interface_endpoint(*, zones: int) -> list[Line]:
    """An interface endpoint bills each zone it is in, and each GB."""
    return [
        Line("endpoint.hour", zones * HOURS, f"interface endpoint in {zones} zones"),
        usage("endpoint.gb", "data through the endpoint"),
    ]


def web_acl(*, rules: int) -> list[Line]:
    """WAF bills the ACL, each rule and each request."""
    return [
        Line("waf.acl", 1, "web ACL"),
        *([Line("waf.rule", rules, f"{rules} rules")] if rules else []),
        usage("waf.request", "requests inspected"),
    ]


def function(*, arm: bool) -> list[Line]:
    """Lambda bills requests and GB-seconds."""
    return [
        usage("lambda.request", "invocations"),
        usage(f"lambda.{'arm' if arm else 'x86'}.gb_second", "run time"),
    ]


def provisioned_concurrency(*, memory_mb: float, instances: int, arm: bool) -> list[Line]:
    """Lambda kept warm bills the memory of each instance by the second, called or not."""
    gb = memory_mb / 1024
    return [
        Line(
            f"lambda.{'arm' if arm else 'x86'}.provisioned.gb_second",
            gb * instances * HOURS * 3600,
            f"{instances} x {gb:g} GB kept warm",
        )
    ]


def custom_metrics(count: int) -> list[Line]:
    """CloudWatch bills each custom metric that got a value in the month; the free ten are ignored."""
    return [Line("metric.custom", count, f"{count} custom metrics")] if count else []
