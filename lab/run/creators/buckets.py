"""S3 buckets in the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.model import Resource
from lab.run.creators.calls import attempt
from lab.run.world import World

Outputs = Mapping[str, Any]


def bucket(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Created, or found with what is in it."""
    s3 = world.client("s3")
    name = str(resource.inputs.get("bucket") or resource.name)
    where: dict[str, Any] = {}
    if world.region != "us-east-1":
        where["CreateBucketConfiguration"] = {"LocationConstraint": world.region}
    there = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
    attempt(lambda: s3.create_bucket(Bucket=name, **where), *there)
    return {"id": name, "bucket": name, "arn": f"arn:aws:s3:::{name}"}


def versioning(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Apps may read an older version: the emulator keeps them."""
    given = resource.inputs
    status = str(given["versioningConfiguration"].get("status", "Enabled"))
    if status in {"Enabled", "Suspended"}:
        world.client("s3").put_bucket_versioning(
            Bucket=str(given["bucket"]), VersioningConfiguration={"Status": status}
        )
    return {"id": str(given["bucket"])}


MAKERS = {
    "aws:s3/bucket:Bucket": bucket,
    "aws:s3/bucketVersioning:BucketVersioning": versioning,
}
