"""Which controls of other catalogues a control answers: their ids, by catalogue."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

_HUB_PAGE: Final = "https://docs.aws.amazon.com/securityhub/latest/userguide/{service}-controls.html#{id}"


@dataclass(frozen=True)
class Frameworks:
    """Ids by catalogue; a catalogue that knows nothing of the kind has none."""

    security_hub: tuple[str, ...] = ()  # AWS Foundational Security Best Practices and the rest of its list
    cis: tuple[str, ...] = ()  # CIS AWS Foundations Benchmark 3.0
    cdk_nag: tuple[str, ...] = ()
    checkov: tuple[str, ...] = ()

    def by_name(self) -> dict[str, list[str]]:
        """Those that have ids."""
        return {
            field.name: list(getattr(self, field.name)) for field in fields(self) if getattr(self, field.name)
        }

    def labels(self) -> list[str]:
        """All of them, each with its catalogue."""
        titles = {"security_hub": "Security Hub ", "cis": "CIS AWS ", "cdk_nag": "", "checkov": ""}
        return [f"{titles[name]}{each}" for name, ids in self.by_name().items() for each in ids]

    def pages(self) -> list[str]:
        """What AWS writes about its own controls."""
        words = [(each, *each.lower().split(".")) for each in self.security_hub]
        return [_HUB_PAGE.format(service=service, id=f"{service}-{number}") for _, service, number in words]


NONE: Final = Frameworks()


def maps(hub: str = "", *, cis: str = "", nag: str = "", checkov: str = "") -> Frameworks:
    """Ids, with spaces between them: `maps("RDS.3", nag="RDS2", checkov="16 2-69")`."""
    return Frameworks(
        security_hub=tuple(hub.split()),
        cis=tuple(cis.split()),
        cdk_nag=tuple(f"AwsSolutions-{each}" for each in nag.split()),
        checkov=tuple(
            f"CKV2_AWS_{each.removeprefix('2-')}" if each.startswith("2-") else f"CKV_AWS_{each}"
            for each in checkov.split()
        ),
    )
