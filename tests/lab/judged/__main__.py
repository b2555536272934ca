"""A stack with one of everything that a report shows: failures, an unknown, a waiver, a secret, a new type."""

import pulumi
import pulumi_aws as aws

SECRET = "correct-horse-battery-staple"


class Jobs(pulumi.ComponentResource):
    """A tier."""

    def __init__(self) -> None:
        super().__init__("judged:jobs:Jobs", "jobs")
        opts = pulumi.ResourceOptions(parent=self)
        aws.sqs.Queue("mail", name="mail", opts=opts)
        aws.sqs.Queue("audio", name="audio", opts=opts)
        aws.ssm.Parameter("token", name="/t", type="String", value=pulumi.Output.secret(SECRET), opts=opts)
        self.register_outputs({})


Jobs()
role = aws.iam.Role("writer", assume_role_policy="{}")
if pulumi.Config().get_bool("half"):
    raise ValueError(f"the password is {SECRET}")
aws.kms.Key("key", enable_key_rotation=role.arn, tags={"tier": "data"})
aws.location.Map("map", map_name="m", configuration={"style": "VectorEsriStreets"})
aws.budgets.Budget("monthly", budget_type="COST", time_unit="MONTHLY", limit_amount="10", limit_unit="USD")
