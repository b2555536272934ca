"""Function calls of a program that need no cloud to answer: who and where the stack is, and its zone's id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Account:
    """Where the stack lives, as its own provider says."""

    account_id: str = "000000000000"
    region: str = "us-east-1"


Answer = Callable[[Account, Mapping[str, Any]], dict[str, Any]]


def answer(token: str, account: Account, args: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer to a call, or None for one that only the cloud can answer."""
    known = _ANSWERS.get(token)
    return known(account, args) if known else None


def _caller(account: Account, _args: Mapping[str, Any]) -> dict[str, Any]:
    id_ = account.account_id
    return {"accountId": id_, "arn": f"arn:aws:iam::{id_}:root", "id": id_, "userId": id_}


def _region(account: Account, _args: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": account.region, "region": account.region, "id": account.region}


def _partition(_account: Account, _args: Mapping[str, Any]) -> dict[str, Any]:
    return {"partition": "aws", "id": "aws", "dnsSuffix": "amazonaws.com"}


def _zone(_account: Account, args: Mapping[str, Any]) -> dict[str, Any]:
    """The id of a hosted zone that exists already: the same made-up one each time for a name."""
    name = str(args.get("name", ""))
    id_ = "Z" + hashlib.sha256(name.encode()).hexdigest()[:20].upper()
    return {
        "id": id_,
        "zoneId": id_,
        "name": name,
        "arn": f"arn:aws:route53:::hostedzone/{id_}",
        "privateZone": bool(args.get("privateZone", False)),
        "nameServers": [f"ns-{number}.awsdns.example" for number in range(4)],
    }


_ANSWERS: Final[Mapping[str, Answer]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegion:getRegion": _region,
    "aws:route53/getZone:getZone": _zone,
}
