"""Rows as Marie writes them, and what it makes of them while it runs."""

import json
import uuid
from dataclasses import dataclass

from tests.database.server import Server


@dataclass(frozen=True)
class Tables:
    """Marie's tables of one database."""

    server: Server
    database: str

    def sql(self, statements: str) -> str:
        return self.server.sql(statements, self.database)

    def dag(self, *tasks: str, state: str = "created", dag_id: str = "") -> str:
        """A DAG with tasks in these states; returns its id."""
        dag_id = dag_id or str(uuid.uuid4())
        self.sql(f"INSERT INTO marie_scheduler.dag (id, name, state) VALUES ('{dag_id}', '{dag_id}_dag', '{state}')")
        for index, task in enumerate(tasks):
            data = json.dumps({"metadata": {"name": f"{index}: TASK"}})
            started = "now()" if task == "active" else "NULL"
            self.sql(
                "INSERT INTO marie_scheduler.job (id, name, data, state, started_on, dag_id, job_level) VALUES "
                f"('{self.task(dag_id, index)}', 'extract', '{data}', '{task}', {started}, '{dag_id}', "
                f"{len(tasks) - index})"
            )
        return dag_id

    @staticmethod
    def task(dag_id: str, index: int) -> str:
        """The id of a task: Marie counts up."""
        return str(uuid.UUID(int=uuid.UUID(dag_id).int + index))

    def keep(self, dag_id: str, index: int, **value: str) -> None:
        """What an executor tells of a task."""
        self.sql(
            "INSERT INTO marie_scheduler.kv_store_worker (namespace, key, value) VALUES "
            f"('job', 'marie_internal/job_info_{self.task(dag_id, index)}', $json${json.dumps(value)}$json$)"
        )

    def work_ends(self, dag_id: str, index: int) -> None:
        """An executor has ended a task that was cancelled meanwhile."""
        task = self.task(dag_id, index)
        self.sql(
            'UPDATE marie_scheduler.kv_store_worker SET value = value || \'{"status": "SUCCEEDED"}\' '
            f"WHERE key = 'marie_internal/job_info_{task}';"
            f"SELECT marie_scheduler.resolve_dag_state('{dag_id}')"
        )

    def states(self, dag_id: str) -> tuple[str, list[str]]:
        """The states of a DAG and of its tasks."""
        dag = self.sql(f"SELECT state FROM marie_scheduler.dag WHERE id = '{dag_id}'")
        tasks = self.sql(f"SELECT state FROM marie_scheduler.job WHERE dag_id = '{dag_id}' ORDER BY job_level DESC, id")
        return dag, tasks.split()

    def history(self, dag_id: str) -> list[str]:
        """The states that a DAG was put into."""
        return self.sql(
            f"SELECT state FROM marie_scheduler.dag_history WHERE id = '{dag_id}' ORDER BY at, ctid"
        ).split()
