"""Chooses the limits: Keystone's, else those of the options, else none (imports-and-stores 7)."""

from __future__ import annotations

from collections.abc import Callable

from glimpse.db.base import Database
from glimpse.db.records import UsageFigures
from glimpse.quota.base import Admission, ProjectLimits, ProjectUsage
from glimpse.settings.model import Quotas


def build_limits(quotas: Quotas, figures_of: Callable[[str | None], UsageFigures]) -> ProjectLimits | None:
    """Build Keystone's limits if ``use_keystone_limits`` is set; ``figures_of`` is ``usage`` of the database.

    :raises SettingsError: oslo.limit is not installed, or one of its options is invalid.
    """
    if not quotas.use_keystone_limits:
        return None
    from glimpse.quota.keystone_limits import KeystoneLimits  # noqa: PLC0415 - for those alone who use it

    def usage_of(project_id: str | None) -> ProjectUsage:
        found = figures_of(project_id)
        return ProjectUsage(
            size_total=found.size_total,
            stage_total=found.stage_total,
            count_total=found.count_total,
            count_uploading=found.count_uploading,
        )

    return KeystoneLimits(quotas.oslo_limit, usage_of)


def build_admission(quotas: Quotas, database: Database, limits: ProjectLimits | None) -> Admission | None:
    """Build the quota checks; the options are ignored if there are ``limits`` of Keystone."""
    if limits is not None:
        from glimpse.quota.admissions import UnifiedLimits  # noqa: PLC0415 - for those alone who use it

        return UnifiedLimits(database, limits)
    if quotas.user_storage_quota > 0 or quotas.max_images_per_project > 0:
        from glimpse.quota.admissions import ConfiguredQuota  # noqa: PLC0415 - for those alone who use it

        return ConfiguredQuota(database, storage=quotas.user_storage_quota, images=quotas.max_images_per_project)
    return None
