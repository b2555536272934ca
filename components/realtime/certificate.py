"""The certificate of the domain: issued and renewed by ACM in a zone of ours, or one that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

    from components.base import Component
    from components.realtime.config import DomainConfig

_VALIDATION_TTL = 300


def issue(owner: Component, domain: DomainConfig) -> pulumi.Output[str]:
    """The ARN of an issued certificate for one host name: never a wildcard, validated by DNS, renewed by ACM.

    Source: https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
    """
    name = owner.name
    certificate = aws.acm.Certificate(
        name,
        domain_name=domain.name,
        validation_method="DNS",
        key_algorithm="EC_prime256v1",
        tags=owner.tagged(domain.name),
        opts=owner.child(),
    )
    wanted = certificate.domain_validation_options.apply(_validation_record)
    record = aws.route53.Record(
        f"{name}-validation",
        zone_id=domain.zone,
        name=wanted.apply(lambda each: each["name"]),
        type=wanted.apply(lambda each: each["type"]),
        records=[wanted.apply(lambda each: each["value"])],
        ttl=_VALIDATION_TTL,
        # an earlier certificate of the same name in this account wants the same record
        allow_overwrite=True,
        opts=owner.child(),
    )
    validation = aws.acm.CertificateValidation(
        name,
        certificate_arn=certificate.arn,
        validation_record_fqdns=[record.fqdn],
        opts=owner.child(),
    )
    return validation.certificate_arn


def alias(owner: Component, domain: DomainConfig, balancer: aws.lb.LoadBalancer) -> aws.route53.Record:
    """The domain itself, as an alias of the load balancer: free, and it follows the balancer's addresses."""
    return aws.route53.Record(
        f"{owner.name}-alias",
        zone_id=domain.zone,
        name=domain.name,
        type="A",
        aliases=[{"name": balancer.dns_name, "zone_id": balancer.zone_id, "evaluate_target_health": True}],
        opts=owner.child(),
    )


def _validation_record(
    options: Sequence[aws.acm.outputs.CertificateDomainValidationOption],
) -> dict[str, str]:
    """ACM asks for one record per host name, and there is one."""
    if options:
        only = options[0]
        name, kind, value = only.resource_record_name, only.resource_record_type, only.resource_record_value
        if name and kind and value:
            return {"name": name, "type": kind, "value": value}
    raise ValueError("ACM named no validation record, so the certificate can't be issued")
