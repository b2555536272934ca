"""What is known of IAM's actions: which take no resource but `*`, and which sets give more than they say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

_TABLE: Final = Path(__file__).parent / "data" / "star_actions.json"

# Ways from a few permissions to all of them. Source: cloudsplaining 0.9.1 (PRIVILEGE_ESCALATION_METHODS),
# after Rhino Security Labs' "AWS IAM privilege escalation methods" and https://pathfinding.cloud; a set with
# a subset here is left out, since the subset finds it too. Added here: iam:DeleteRolePermissionsBoundary and
# ssm:SendCommand.
ESCALATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "makes access keys": ("iam:CreateAccessKey",),
    "makes console passwords": ("iam:CreateLoginProfile",),
    "changes console passwords": ("iam:UpdateLoginProfile",),
    "joins groups": ("iam:AddUserToGroup",),
    "rewrites a policy": ("iam:CreatePolicyVersion",),
    "goes back to an older policy": ("iam:SetDefaultPolicyVersion",),
    "attaches policies to users": ("iam:AttachUserPolicy",),
    "attaches policies to groups": ("iam:AttachGroupPolicy",),
    "attaches policies to roles": ("iam:AttachRolePolicy",),
    "writes policies of users": ("iam:PutUserPolicy",),
    "writes policies of groups": ("iam:PutGroupPolicy",),
    "writes policies of roles": ("iam:PutRolePolicy",),
    "decides who takes a role": ("iam:UpdateAssumeRolePolicy",),
    "takes off a boundary": ("iam:DeleteRolePermissionsBoundary",),
    "puts its code into a function": ("lambda:UpdateFunctionCode",),
    "puts its key into a Glue endpoint": ("glue:UpdateDevEndpoint",),
    "opens a notebook": ("sagemaker:CreatePresignedNotebookInstanceUrl",),
    "opens a shell in a task": ("ecs:ExecuteCommand", "ecs:DescribeTasks"),
    "opens a shell on an instance": ("ec2-instance-connect:SendSSHPublicKey", "ec2:DescribeInstances"),
    "runs a command on an instance": ("ssm:SendCommand",),
    "changes a launch template": ("ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate"),
    "changes an instance's start": ("ec2:ModifyInstanceAttribute", "ec2:StopInstances", "ec2:StartInstances"),
    "changes a stack": ("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet"),
    "passes a role to an instance": ("iam:PassRole", "ec2:RunInstances"),
    "passes a role to a spot instance": ("iam:PassRole", "ec2:RequestSpotInstances"),
    "passes a role to a function and calls it": (
        *("iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"),
    ),
    "passes a role to a function and feeds it": (
        *("iam:PassRole", "lambda:CreateFunction", "lambda:CreateEventSourceMapping"),
    ),
    "passes a role to a function and opens it": (
        *("iam:PassRole", "lambda:CreateFunction", "lambda:AddPermission"),
    ),
    "passes a role to a task of its own": ("iam:PassRole", "ecs:RegisterTaskDefinition", "ecs:RunTask"),
    "passes a role to a started task": ("iam:PassRole", "ecs:RegisterTaskDefinition", "ecs:StartTask"),
    "passes a role to a service": ("iam:PassRole", "ecs:RegisterTaskDefinition", "ecs:CreateService"),
    "passes a role to a stack": ("iam:PassRole", "cloudformation:CreateStack"),
    "passes a role to a stack set": ("iam:PassRole", "cloudformation:UpdateStackSet"),
    "passes a role to a pipeline": ("iam:PassRole", "datapipeline:CreatePipeline"),
    "passes a role to a Glue endpoint": ("iam:PassRole", "glue:CreateDevEndpoint"),
    "passes a role to a Glue job": ("iam:PassRole", "glue:CreateJob", "glue:StartJobRun"),
    "passes a role to a changed Glue job": ("iam:PassRole", "glue:UpdateJob", "glue:StartJobRun"),
    "passes a role to a build": ("iam:PassRole", "codebuild:CreateProject", "codebuild:StartBuild"),
    "passes a role to App Runner": ("iam:PassRole", "apprunner:CreateService"),
    "passes a role to a notebook": ("iam:PassRole", "sagemaker:CreateNotebookInstance"),
    "passes a role to a training job": ("iam:PassRole", "sagemaker:CreateTrainingJob"),
    "passes a role to a processing job": ("iam:PassRole", "sagemaker:CreateProcessingJob"),
}

# Reads that carry data away when no resource bounds them. Source: cloudsplaining 0.9.1
# (READ_ONLY_DATA_EXFILTRATION_ACTIONS and its glossary's snapshots).
EXFILTRATIONS: Final = (
    "s3:GetObject",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:GetParametersByPath",
    "secretsmanager:GetSecretValue",
    "secretsmanager:BatchGetSecretValue",
    "dynamodb:ExportTableToPointInTime",
    "rds:CopyDBSnapshot",
    "rds:ModifyDBSnapshotAttribute",
    "ec2:ModifySnapshotAttribute",
)


@cache
def _services() -> Mapping[str, frozenset[str]]:
    document: Any = json.loads(_TABLE.read_text(encoding="utf-8"))
    return {
        service: frozenset(name.lower() for name in str(names).split())
        for service, names in document["services"].items()
    }


def needs_star(action: str) -> bool | None:
    """Whether the action takes no resource but `*`; None for a service that the table does not know."""
    service, _, name = action.lower().partition(":")
    names = _services().get(service)
    return None if names is None else name in names


def everything(resource: str) -> bool:
    """Whether a resource is all there is of a service: `*`, or an ARN that ends in nothing but `*`."""
    if not resource.strip("*"):
        return True
    parts = resource.split(":", 5)
    return len(parts) == 6 and not parts[5].strip("*/")


def escalations(held: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The ways that these actions open, by the words for each."""
    lower = {action.lower() for action in held}
    return [
        (words, actions)
        for words, actions in ESCALATIONS.items()
        if all(action.lower() in lower for action in actions)
    ]


def dangerous() -> frozenset[str]:
    """Every action that is part of some way."""
    return frozenset(action for actions in ESCALATIONS.values() for action in actions)
