"""What is known of IAM's actions, of secrets in literals, and of how many connections a database class allows."""

from __future__ import annotations

import pytest

from policies import secret_words
from policies.actions import ESCALATIONS, escalations, everything, needs_star
from policies.controls.concurrency import default_connections


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("ecr:GetAuthorizationToken", True),
        ("cloudwatch:PutMetricData", True),
        ("SQS:listqueues", True),
        ("sqs:SendMessage", False),
        ("s3:GetObject", False),
        ("nosuchservice:Do", None),
    ],
)
def test_which_actions_take_no_resource(action: str, expected: bool | None) -> None:
    """By AWS's own reference; a service that the table does not have is not guessed."""
    assert needs_star(action) is expected


def test_everything_is_a_bare_star_or_an_arn_of_nothing_but_stars() -> None:
    """A star after a name still bounds."""
    assert [each for each in ("*", "**", "arn:aws:s3:::*", "arn:aws:s3:::*/*") if not everything(each)] == []
    assert [
        each for each in ("arn:aws:s3:::a/*", "arn:aws:kms:r:1:key/*", "arn:aws") if everything(each)
    ] == []


@pytest.mark.parametrize("words", sorted(ESCALATIONS))
def test_every_way_is_found_whole_and_not_in_part(words: str) -> None:
    """All actions of a way open it, in any case of letters; with one missing this way is closed."""
    actions = ESCALATIONS[words]
    assert words in [way for way, _ in escalations(each.upper() for each in actions)]
    assert words not in [way for way, _ in escalations(actions[1:])]


def test_default_connections_stay_below_what_was_measured() -> None:
    """The rule of RDS with a generous reserve: 198, 413 and 856 were seen on classes of these sizes."""
    measured = {"db.t2.small": 198, "db.t2.medium": 413, "db.t2.large": 856}
    for size, seen in measured.items():
        expected = default_connections(size)
        assert expected is not None
        assert 0.9 * seen < expected <= seen
    assert default_connections("db.r6g.16xlarge") == 5000
    assert default_connections("db.z1d.large") is None
    assert default_connections("large") is None


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("DATABASE_PASSWORD", "x", True),
        ("apiKey", "x", True),
        ("A", "postgres://u:p@h/d", True),
        ("A", "-----BEGIN RSA PRIVATE KEY-----", True),
        ("DATABASE_PASSWORD", "", False),
        ("TOKEN_TTL_SECONDS", "60", False),
        ("PASSWORD_FILE", "/run/secret", False),
        ("AWS_ACCESS_KEY_ID", "x", True),
        ("URL", "https://host:443/path", False),
        ("MONKEY", "x", False),
    ],
)
def test_secrets_are_known_by_name_or_shape(name: str, value: str, found: bool) -> None:
    """What only points to a secret is none, and no message repeats a value."""
    assert (secret_words.variable(name, value) is not None) is found


def test_scripts_give_secrets_away_by_assignment() -> None:
    """A literal after the sign is one, what is taken from elsewhere is not."""
    assert secret_words.script("export DB_PASSWORD=abc") == "assigns a secret"
    assert secret_words.script('DB_PASSWORD="$(aws ssm get-parameter)"') is None
    assert secret_words.script("echo hello") is None
