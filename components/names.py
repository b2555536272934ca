"""Physical names computed before anything exists, inside the length limits of AWS."""

from __future__ import annotations

import hashlib
import re
from typing import Final

# Limits of the services' API references, characters.
LIMITS: Final[dict[str, int]] = {
    "load_balancer": 32,  # ELBv2 CreateLoadBalancer
    "target_group": 32,  # ELBv2 CreateTargetGroup
    "replication_group": 40,  # ElastiCache CreateReplicationGroup
    "db_instance": 63,  # RDS CreateDBInstance
    "bucket": 63,  # S3 bucket naming rules
    "role": 64,  # IAM CreateRole
    "function": 64,  # Lambda CreateFunction
    "queue": 80,  # SQS CreateQueue
    "repository": 256,  # ECR CreateRepository
    "cluster": 255,  # ECS CreateCluster
    "service": 255,  # ECS CreateService
    "family": 255,  # ECS RegisterTaskDefinition
    "log_group": 512,  # CloudWatch Logs CreateLogGroup
    "alias": 250,  # KMS CreateAlias, after "alias/"
}
HASH_LENGTH: Final = 7
_DIGESTS: Final = re.compile(r"[^a-z0-9-]+")


def short_hash(text: str, length: int = HASH_LENGTH) -> str:
    """The first characters of the text's SHA-256: enough to tell cut names apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def slug(text: str) -> str:
    """Lower case, digits and single hyphens: the alphabet that every AWS name allows."""
    return re.sub(r"-{2,}", "-", _DIGESTS.sub("-", text.lower())).strip("-")


def safe_name(*parts: str, limit: int, suffix: str = "") -> str:
    """Parts joined by hyphens, cut to the limit with a hash of the whole so that two cut names differ.

    The suffix is kept whole; a limit that leaves no room for it and the hash is a mistake of the caller.
    """
    whole = slug("-".join(parts))
    if not whole:
        raise ValueError(f"no name is left of {parts!r}: use letters, digits and hyphens")
    tail = f"-{slug(suffix)}" if suffix else ""
    if len(whole) + len(tail) <= limit:
        return whole + tail
    keep = limit - len(tail) - HASH_LENGTH - 1
    if keep < 1:
        raise ValueError(f"limit {limit} leaves no room for a name before {tail!r}")
    return f"{whole[:keep].rstrip('-')}-{short_hash(whole)}{tail}"
