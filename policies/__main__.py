"""What the engine starts: `pulumi preview --policy-pack policies --policy-pack-config …/config.dev.json`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# the engine runs this file from inside its folder; the package itself is found from the folder above
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from policies import evidence, pack, waivers
from policies.waivers import Ledger

if __name__ == "__main__":
    from pulumi_policy import EnforcementLevel, Policy, PolicyPack

    built = pack.build(Ledger(*waivers.read(waivers.chosen())))
    policies: list[Policy] = [*built.policies]
    if path := os.environ.get(evidence.VARIABLE):
        policies.append(evidence.policy(built.ledger, Path(path)))
    # this constructor serves the engine until it is told to stop
    PolicyPack(
        name=pack.NAME,
        policies=policies,
        enforcement_level=EnforcementLevel.MANDATORY,
        description=pack.DESCRIPTION,
    )
