"""A PostgreSQL that is not tarn's: postgres.url names it; migrations, capture, the seeder and verify work on it as on the private
one, and what is wrong with it is told with the setting that mends it."""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import psycopg2
import pytest
import yaml

from conftest import free_port, merged, request, wait_for
from test_full_disk import disk  # noqa: F401
from test_spine import check_report, seed, traffic, changes, verified

BIN = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))


class Server:
    """A PostgreSQL of the test's own, with Debian's programs; as the user postgres when the test runs as root."""

    def __init__(self, wal_level="logical"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-pg-"))
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.port, self.process = free_port(), None
        password = self.folder / "pw"
        password.write_text("it's s3cret")
        password.chmod(0o644)
        subprocess.run([BIN / "initdb", "-D", self.folder / "data", "-U", "owner", "--pwfile", password, "--auth=scram-sha-256",
                        "--locale=C.UTF-8"], check=True, capture_output=True, user=self.user, cwd="/")
        self.command = [BIN / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", "", "-c", "fsync=off",
                        "-c", "listen_addresses=127.0.0.1", "-c", f"wal_level={wal_level}"]

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self.user, cwd="/")
        wait_for(self.answers, "the server to answer")
        return self

    def answers(self):
        try:
            self.run("SELECT 1", database="postgres")
            return True
        except psycopg2.OperationalError:
            return False

    def run(self, sql, database="shop"):
        with contextlib.closing(psycopg2.connect(host="127.0.0.1", port=self.port, user="owner", password="it's s3cret",
                                                 dbname=database)) as db:
            db.autocommit = True
            with db.cursor() as c:
                c.execute(sql)
                return c.fetchall() if c.description else None

    def url(self, user="owner", password="it%27s%20s3cret", database="shop"):
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGINT)  # as SIGTERM, but it does not wait for who is connected
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def server(**settings):
    made = Server(**settings)
    try:
        made.start().run("CREATE DATABASE shop", database="postgres")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def postgres():
    with server() as made:
        yield made


@pytest.fixture(scope="module")
def replica_level():
    with server(wal_level="replica") as made:
        yield made


def shop(project, url, port="off"):
    """The storefront on another server: only postgres.url and the database's name are other ones."""
    one = project(settings={"postgres": {"url": url, "port": port}})
    source = one.folder / "connectors/postgres-source-storefront.json"
    source.write_text(source.read_text().replace('"database.dbname": "storefront"', '"database.dbname": "shop"'))
    return one


def refused(one):
    """What `tarn up` says when it does not start."""
    done = one.run("up", one.folder, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr


def source_fails(tarn):
    """The sentence of the source's failed task."""
    def trace():
        tasks = request("GET", tarn.url("connect", "/connectors/postgres-source-storefront/status"))[1]["tasks"]
        return tasks and tasks[0]["state"] == "FAILED" and tasks[0]["trace"]
    return wait_for(trace, "the source to fail")


@pytest.mark.parametrize("port", ["off", free_port()])
def test_a_server_by_url_does_all_the_private_one_does(project, port):
    with server() as postgres:
        tarn = shop(project, postgres.url(), port).start()
        role = next(r for r in tarn.status()["roles"] if r["name"] == "postgres")
        assert (role["state"], role["host"], role["port"]) == ("external", "127.0.0.1", postgres.port)
        assert postgres.run("SELECT count(*) FROM flyway_schema_history WHERE success") == [(2,)]
        made = seed(tarn, 200)
        check_report(verified(tarn), made)
        traffic(tarn, 50)
        wait_for(lambda: changes(tarn) > 50, "live traffic")
        check_report(verified(tarn))
        tarn.kill()
        tarn.start()
        check_report(verified(tarn))
        assert not (tarn.folder / "data/postgres").exists() and not (tarn.folder / "data/postgres.path").exists()
        tarn.stop()
        assert postgres.answers(), "tarn stops its own server only"


def test_a_full_disk_is_waited_out(project, disk):  # noqa: F811
    """Everything tarn keeps is on the full disk; the source goes on elsewhere. Then there is room, and nothing is missing."""
    with server() as postgres:
        tarn = shop(project, postgres.url())
        settings = tarn.folder / "tarn.yaml"
        small = {"data": str(disk / "data"), "log": {"journal_bytes": "1 MiB", "segment_bytes": "4 MiB"}}
        settings.write_text(yaml.safe_dump(merged(yaml.safe_load(settings.read_text()), small)))
        tarn.start()
        try:
            seed(tarn, 200)
            verified(tarn)
            filler = disk / "filler"
            filler.write_bytes(b"x" * max(0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 3_000_000))
            for n in range(20):  # a transaction of 300 kB each
                postgres.run(f"UPDATE customers SET address = repeat('{n} is what differs', 100)")
            wait_for(lambda: "task postgres-source-storefront-0" in tarn.log_end(400) and "trying again" in tarn.log_end(400),
                     "the source to find the disk full")
            assert "no space left" in tarn.log_end(400).lower()
            postgres.run("DELETE FROM payments WHERE id % 3 = 0")
            filler.unlink()
            check_report(verified(tarn))
        finally:
            tarn.stop()


def test_no_server_there(project):
    port = free_port()
    said = refused(shop(project, f"postgresql://owner:x@127.0.0.1:{port}/shop"))
    assert "postgres.url" in said and f"port {port}" in said and "refused" in said


def test_no_such_host(project):
    said = refused(shop(project, "postgresql://owner:x@nowhere.invalid:5432/shop"))
    assert "postgres.url" in said and "nowhere.invalid" in said


def test_a_url_that_is_none(project):
    said = refused(shop(project, "postgresql://owner:x@127.0.0.1:port/shop"))
    assert "postgres.url" in said and "port" in said


def test_a_wrong_password(project, postgres):
    said = refused(shop(project, postgres.url(password="wrong")))
    assert "postgres.url" in said and 'password authentication failed for user "owner"' in said
    assert "wrong" not in said, "the password is told to nobody"


def test_a_database_that_is_not_there(project, postgres):
    said = refused(shop(project, postgres.url(database="nothing")))
    assert "postgres.url" in said and 'database "nothing" does not exist' in said


def test_a_server_without_logical_decoding(project, replica_level):
    """Migrations and the seeder can do without; only the connector cannot."""
    said = source_fails(shop(project, replica_level.url()).start())
    assert "has wal_level = replica" in said and "ALTER SYSTEM SET wal_level = logical" in said


def test_a_connector_with_a_wrong_password(project, postgres):
    one = shop(project, postgres.url())
    source = one.folder / "connectors/postgres-source-storefront.json"
    source.write_text(source.read_text().replace("${DEBEZIUM_PASSWORD}", "wrong"))
    said = source_fails(one.start())
    assert "database.password" in said and 'password authentication failed for user "debezium_user"' in said


def test_a_role_that_may_not_follow_the_log(project, postgres):
    """The connector's own role: made by hand, and without REPLICATION."""
    postgres.run("CREATE DATABASE bare", database="postgres")
    postgres.run("CREATE ROLE follower LOGIN PASSWORD 'debezium'")
    one = shop(project, postgres.url(database="bare"))
    variables = one.folder / ".env"
    variables.write_text(variables.read_text().replace("DEBEZIUM_USER=", "DEBEZIUM_USER=another_"))  # roles are the server's
    source = one.folder / "connectors/postgres-source-storefront.json"
    source.write_text(source.read_text().replace('"shop"', '"bare"').replace("${DEBEZIUM_USER}", "follower"))
    said = source_fails(one.start())
    assert "database.user" in said and "follower" in said and "REPLICATION" in said
