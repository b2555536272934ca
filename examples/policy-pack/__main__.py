"""A photo shop: plain pulumi-aws, written before anybody thought of policies."""

import pulumi
import pulumi_aws as aws

network = aws.ec2.Vpc("shop", cidr_block="10.20.0.0/16")
gateway = aws.ec2.InternetGateway("shop", vpc_id=network.id)
subnets = [
    aws.ec2.Subnet(
        f"shop-{zone}", vpc_id=network.id, cidr_block=f"10.20.{number}.0/24", availability_zone=zone
    )
    for number, zone in enumerate(("eu-west-1a", "eu-west-1b"))
]
# one table for all: the way out for web servers is a way in for the database
table = aws.ec2.RouteTable("shop", vpc_id=network.id)
aws.ec2.Route("out", route_table_id=table.id, destination_cidr_block="0.0.0.0/0", gateway_id=gateway.id)
for subnet, zone in zip(subnets, ("a", "b"), strict=True):
    aws.ec2.RouteTableAssociation(f"shop-{zone}", subnet_id=subnet.id, route_table_id=table.id)

database = aws.rds.Instance(
    "orders",
    engine="postgres",
    instance_class="db.t4g.small",
    allocated_storage=20,
    username="shop",
    password=pulumi.Output.secret("a-password-in-the-program"),
    db_subnet_group_name=aws.rds.SubnetGroup("orders", subnet_ids=[each.id for each in subnets]).name,
    publicly_accessible=True,
    storage_encrypted=True,
    kms_key_id=aws.kms.Key("orders", enable_key_rotation=True).arn,
)
aws.sqs.Queue("thumbnails", name="thumbnails")
aws.sqs.Queue("orders", name="orders")
aws.location.Map("shops", map_name="shops", configuration={"style": "VectorEsriStreets"})
