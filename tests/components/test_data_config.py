"""The data tier's config: what AWS would refuse at deploy is refused here, with the way out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.data.config import BucketConfig, CacheConfig, DatabaseConfig, DataConfig
from components.data.windows import overlap

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def message(**database: object) -> str:
    """What the database's config says to these values."""
    with pytest.raises(ValidationError) as caught:
        DatabaseConfig.model_validate(database)
    return str(caught.value)


def test_defaults_are_the_promised_ones() -> None:
    """Seven days of backups, gp3 with a ceiling, Graviton, nothing that must be typed."""
    config = DataConfig()
    assert config.database.backup_retention_days == 7
    assert config.database.max_storage_gb > config.database.storage_gb
    assert config.database.instance_class.startswith("db.t4g.")
    assert config.buckets == {}


@given(storage=st.integers(20, 65_536), ceiling=st.integers(22, 65_536))
def test_storage_ceiling_leaves_room(storage: int, ceiling: int) -> None:
    """Exactly the ceilings that RDS takes (10 % above the allocation) are taken, and the hint is one of them."""
    values = {"storage_gb": storage, "max_storage_gb": ceiling}
    if ceiling >= storage * 1.1:
        assert DatabaseConfig.model_validate(values).max_storage_gb == ceiling
        return
    hint = int(message(**values).split("hint: max_storage_gb: ")[1].split()[0])
    if hint <= 65_536:
        assert DatabaseConfig(storage_gb=storage, max_storage_gb=hint).max_storage_gb == hint


@given(
    storage=st.integers(20, 2000),
    iops=st.none() | st.integers(12_000, 64_000),
    throughput=st.none() | st.integers(500, 4_000),
)
def test_gp3_rules(storage: int, iops: int | None, throughput: int | None) -> None:
    """Provisioned IOPS and throughput need 400 GiB and a quarter MiB/s per IOPS; nothing else is refused."""
    values = {"storage_gb": storage, "max_storage_gb": 4000, "iops": iops, "throughput": throughput}
    allowed = (storage >= 400 or (iops is None and throughput is None)) and (
        throughput is None or throughput * 4 <= (iops or 12_000)
    )
    if allowed and (iops is None or iops <= 500 * storage):
        assert DatabaseConfig.model_validate(values).iops == iops
    else:
        with pytest.raises(ValidationError):
            DatabaseConfig.model_validate(values)


def test_small_storage_names_both_keys_and_the_way_out() -> None:
    """The message says which keys can't be set, why, and what to do."""
    said = message(iops=12_000, throughput=500)
    assert "iops and throughput can't be set at storage_gb 20" in said
    assert "hint: leave out iops and throughput, or storage_gb: 400" in said


@given(days=st.integers(-10, 800))
def test_insights_retention(days: int) -> None:
    """Exactly 7, 731 and the multiples of 31 up to 713 are kept."""
    if days in {7, 731, *range(31, 714, 31)}:
        assert DatabaseConfig(performance_insights_days=days).performance_insights_days == days
    else:
        assert "n x 31" in message(performance_insights_days=days)


@pytest.mark.parametrize("name", ["postgres", "admin", "rdsadmin", "rds_superuser", "pg_monitor"])
def test_reserved_user_names(name: str) -> None:
    """Names that RDS reserves, and the ones attackers try first, are refused for both users."""
    assert "hint: use e.g. slipway_admin" in message(admin_username=name)
    assert "hint: use e.g. slipway_admin" in message(app_username=name)


def test_no_backups_is_no_option() -> None:
    """Retention 0 would switch point-in-time restore off."""
    assert "greater than or equal to 1" in message(backup_retention_days=0)


def minutes(day: int, minute: int) -> str:
    """`mon:02:30`."""
    return f"{DAYS[day]}:{minute // 60:02}:{minute % 60:02}"


@given(
    start=st.integers(0, 1439),
    length=st.integers(30, 240),
    day=st.integers(0, 6),
    week_start=st.integers(0, 1439),
    week_length=st.integers(30, 1440),
)
def test_overlap_is_what_a_minute_by_minute_count_says(
    start: int, length: int, day: int, week_start: int, week_length: int
) -> None:
    """Windows that run past midnight or past Sunday are compared like all others."""
    daily = f"{start // 60:02}:{start % 60:02}-{(start + length) % 1440 // 60:02}:{(start + length) % 60:02}"
    begin = day * 1440 + week_start
    end = (begin + week_length) % (7 * 1440)
    weekly = f"{minutes(day, week_start)}-{minutes(end // 1440, end % 1440)}"
    taken = {(begin + minute) % (7 * 1440) for minute in range(week_length)}
    backups = {(each * 1440 + start + minute) % (7 * 1440) for each in range(7) for minute in range(length)}
    assert overlap(daily, weekly) == bool(taken & backups)


def test_overlapping_windows_are_refused() -> None:
    """RDS and ElastiCache refuse a backup inside the maintenance window."""
    assert "overlaps" in message(backup_window="03:00-04:00")
    with pytest.raises(ValidationError, match="ElastiCache refuses that"):
        CacheConfig(snapshot_window="04:00-05:00")


@pytest.mark.parametrize("window", ["3:00-4:00", "24:00-25:00", "03:00", "03:60-04:00"])
def test_malformed_windows(window: str) -> None:
    """Windows have AWS's own notation."""
    assert "backup_window" in message(backup_window=window)


def test_expiry_before_the_move_to_infrequent_access() -> None:
    """An object that expires first would never move: that can't be meant."""
    with pytest.raises(ValidationError, match="would then never happen"):
        BucketConfig(lifecycle="ia_after_30_days", expire_days=30)
    assert BucketConfig(lifecycle="intelligent_tiering", expire_days=30).expire_days == 30


def test_names_of_buckets_and_secrets() -> None:
    """A name that AWS would refuse, the tier's own one, or one listed twice is refused."""
    for name in ("Images", "a", "-images", "images_", "x" * 25):
        with pytest.raises(ValidationError):
            DataConfig.model_validate({"buckets": {name: {}}})
    with pytest.raises(ValidationError, match="the tier's own log bucket"):
        DataConfig.model_validate({"buckets": {"logs": {}}})
    with pytest.raises(ValidationError, match="mail-key is listed twice"):
        DataConfig(secrets=("mail-key", "mail-key"))


def test_pubsub_buffer_is_above_the_default_of_valkey() -> None:
    """32 MiB, the default that cuts a lagging gateway, is the least one may set."""
    with pytest.raises(ValidationError):
        CacheConfig(pubsub_buffer_mib=31)
    assert CacheConfig().pubsub_buffer_mib > 32
