"""The units of prices, ours and those of AWS's price list: a price in another unit is another price."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

# ours -> what AWS's files call it, in lower case; a thing's month is often the bare thing there
UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    "hour": ("hrs", "hours", "hour"),
    "hour and zone": ("hrs", "hours", "hour"),
    "instance-hour": ("hrs", "hours", "hour"),
    "node-hour": ("hrs", "hours", "hour"),
    "address-hour": ("hrs", "hours", "hour"),
    "vCPU-hour": ("vcpu-hours", "hours", "hrs", "vcpu-hour"),
    "GB-hour": ("gb-hours", "hours", "hrs", "gb-hour"),
    "LCU-hour": ("lcu-hrs", "lcu-hours"),
    "GB": ("gb",),
    "GB-month": ("gb-mo", "gb-month", "gb-months"),
    "GB-second": ("lambda-gb-second", "gb-second", "seconds", "second"),
    "IOPS-month": ("iops-mo", "iops-month"),
    "request": ("requests", "request", "api requests", "api calls"),
    "event": ("64k-chunks", "event", "events"),
    "read request unit": ("readrequestunits",),
    "write request unit": ("writerequestunits",),
    "ACL-month": ("month", "months", "webacl-month"),
    "rule-month": ("month", "months", "rule-month"),
    "alarm-month": ("alarms",),
    "check-month": ("healthchecks", "health check"),
    "dashboard-month": ("dashboards", "dashboard"),
    "key-month": ("keys", "months"),
    "metric-month": ("metrics",),
    "secret-month": ("secrets",),
    "zone-month": ("hostedzone", "hostedzones"),
}


def basic(unit: str) -> str:
    """`GB-month` of `GB-month, first 50 TB` and of `GB-month over the size of the database`."""
    return re.split(r",| over ", unit, maxsplit=1)[0].strip()


def same(ours: str, of_aws: str) -> bool:
    """Whether both name one unit."""
    return of_aws.strip().lower() in UNITS.get(basic(ours), ())
