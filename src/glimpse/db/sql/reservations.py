"""Reserve space for uploads and stages in the rows of their jobs; see :class:`glimpse.db.base.UsageDatabase`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.jobs import CLAIMED, claimed
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.usage import reserve
from glimpse.domain.allowance import Allowance
from glimpse.domain.job import LEASE_LOST, Job
from glimpse.errors import LeaseLost

_SET = (
    sa.update(jobs)
    .where(CLAIMED)
    .values(
        project_id=sa.bindparam("of_project", type_=jobs.c.project_id.type),
        reserved_bytes=sa.bindparam("granted", type_=jobs.c.reserved_bytes.type),
    )
)


def extend_reservation(connection: Connection, job: Job, allowance: Allowance, needed: int, wished: int) -> int:
    """See :meth:`glimpse.db.base.UsageDatabase.extend_reservation`."""
    granted = reserve(connection, allowance, needed, wished, image_id=job.image_id or "", job_id=job.id)
    given = {"of_project": allowance.project_id, "granted": granted}
    if connection.execute(_SET, {**claimed(job), **given}).rowcount != 1:
        raise LeaseLost(LEASE_LOST)
    return granted
