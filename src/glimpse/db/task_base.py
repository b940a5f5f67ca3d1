"""The part of the database that is about tasks: jobs that the API shows as tasks, and rows that Glance wrote."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from glimpse.db.operations import reads, writes
from glimpse.domain.task import Task, TaskQuery


class TaskDatabase(Protocol):
    """Tasks; a part of :class:`glimpse.db.base.Database`.

    A task is a job of a kind with ``is_task``, or a live row of Glance's ``tasks`` that no job has the id of. The task
    of a job expires ``keep_hours`` after the job has ended.
    """

    @reads(may_lag=True)
    def list_tasks(self, query: TaskQuery, keep_hours: int) -> list[Task]:
        """Read one page of tasks that have not expired, without ``input``, ``result`` and ``message``.

        NULL sorts as the smallest value in every database.

        :raises MarkerUnknown: the marker names no task of ``query.owner``.
        """
        ...

    @reads(may_lag=True)
    def get_task(self, task_id: str, keep_hours: int) -> Task:
        """Read one task, also one that has expired and is not removed yet.

        :raises NotFound: there is no such task.
        """
        ...

    @reads(may_lag=True)
    def list_image_tasks(self, image_id: str, owner: str | None, keep_hours: int, *, limit: int) -> list[Task]:
        """Read complete tasks of an image that have not expired, the newest first; ``owner`` None: of all projects."""
        ...

    # the number is for a log line
    @writes(idempotent=True)
    def expire_tasks(self, moment: datetime) -> int:
        """Mark rows of ``tasks`` that expired before ``moment`` (naive UTC) as deleted; return their number.

        A purge removes them later. Glance marks those of a project when somebody of it lists tasks (database 7.6).
        """
        ...
