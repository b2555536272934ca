"""Every resource of each stack by its URN: a rename replaces what it names, so it has to be seen in review.

`python -m tests.lab.test_urns` (`make urns`) writes the snapshots anew.
"""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_aws as aws
import pytest

from lab import urns
from lab.synth import compose, synth

ROOT = Path(__file__).parents[2]
SNAPSHOTS = Path(__file__).parent / "urns"
STACKS = ("dev", "prod", "local")


@pytest.mark.parametrize("stack", STACKS)
def test_the_resources_of_the_stack_are_those_of_the_snapshot(stack: str) -> None:
    """A resource that came, went, was renamed or lost its guard is a line of the pull request."""
    expected = (SNAPSHOTS / f"{stack}.txt").read_text(encoding="utf-8").splitlines()
    found = urns.lines(synth(ROOT, stack))
    gone, new = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    assert (gone, new) == ([], []), "if it is meant: make urns, and commit the snapshots"
    assert found == expected


def test_a_line_tells_a_rename_and_a_lost_guard() -> None:
    """Another name, another parent, `protect` off: each is another line."""

    def bucket(name: str, *, protect: bool = True) -> list[str]:
        options = pulumi.ResourceOptions(protect=protect, retain_on_delete=True)
        return urns.lines(compose(lambda: aws.s3.Bucket(name, bucket="b", opts=options)))

    assert bucket("a") == ["aws:s3/bucket:Bucket::a  [protected, retained]"]
    assert bucket("b") != bucket("a")
    assert bucket("a", protect=False) == ["aws:s3/bucket:Bucket::a  [retained]"]


def test_what_holds_data_is_guarded_in_prod_and_free_in_dev() -> None:
    """The database, Redis and the key of prod are protected in the snapshot; those of dev are disposable."""
    prod = (SNAPSHOTS / "prod.txt").read_text(encoding="utf-8").splitlines()
    dev = (SNAPSHOTS / "dev.txt").read_text(encoding="utf-8")
    for type_ in ("aws:rds/instance:Instance", "aws:elasticache/replicationGroup:ReplicationGroup"):
        held = [line for line in prod if f"{type_}::" in line]
        assert held
        assert all("protected" in line for line in held)
    assert "protected" not in dev


def main() -> None:
    """Write the snapshots."""
    SNAPSHOTS.mkdir(exist_ok=True)
    for stack in STACKS:
        text = "".join(f"{line}\n" for line in urns.lines(synth(ROOT, stack)))
        (SNAPSHOTS / f"{stack}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
