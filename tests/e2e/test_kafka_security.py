"""Users, TLS and what they may do: every client that tarn names logs in with every mechanism, and fails as it should."""
import json
import shutil
import subprocess

import kafka
import kafka.admin
import kafka.errors
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import ROOT, TARN, free_port
from kafka_help import SETTINGS, read
from test_kafka_abuse import memory

MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
DOORS = ["SASL_PLAINTEXT", "SASL_SSL"]


def certificate(folder):
    """A certificate for 127.0.0.1 and localhost, signed by itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tarn",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)


def secured(project, **more):
    one = project("storefront", {**SETTINGS, "tls": {"cert": "cert.pem", "key": "key.pem"},
                                 "users": {"admin": {"password": "${ADMIN_PASSWORD}", "super": True}, "alice": {"password": "päss,w=rd"},
                                           "bob": {"password": "bob's"}},
                                 "kafka": {**SETTINGS["kafka"], "port": free_port(), "tls_port": free_port(), **more}})
    (one.folder / ".env").write_text("ADMIN_PASSWORD=admin-secret\n")
    for folder in ("connectors", "migrations"):
        shutil.rmtree(one.folder / folder, ignore_errors=True)
    certificate(one.folder)
    return one


PASSWORDS = {"admin": "admin-secret", "alice": "päss,w=rd", "bob": "bob's"}


@pytest.fixture
def safe(project):
    return secured(project).start()


def setting(one, name):
    import yaml
    return yaml.safe_load((one.folder / "tarn.yaml").read_text())["kafka"][name]


def login(one, user, mechanism="SCRAM-SHA-256", door="SASL_SSL", password=None, **more):
    """Settings of librdkafka to log in with."""
    port = setting(one, "tls_port" if door == "SASL_SSL" else "port")
    out = {"bootstrap.servers": f"127.0.0.1:{port}", "security.protocol": door, "sasl.mechanism": mechanism, "sasl.username": user,
           "sasl.password": PASSWORDS[user] if password is None else password, **more}
    if door == "SASL_SSL":
        out["ssl.ca.location"] = str(one.folder / "cert.pem")
    return out


def produce(config, topic, *values):
    """Sends and waits; raises what the broker answered."""
    errors = []
    p = Producer({**config, "message.timeout.ms": 20000})
    for v in values:
        p.produce(topic, v, on_delivery=lambda e, m: errors.append(e) if e else None)
    assert p.flush(30) == 0
    if errors:
        raise KafkaException(errors[0])


def consume(config, group, topic, count, seconds=20):
    c = Consumer({**config, "group.id": group, "auto.offset.reset": "earliest", "session.timeout.ms": 6000})
    c.subscribe([topic])
    try:
        got = read(c, count, seconds)
        if got:
            c.commit(asynchronous=False)
        return [m.value() for m in got]
    finally:
        c.close()


def make(one, topic, partitions=1):
    admin = AdminClient(login(one, "admin"))
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(20)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_confluent_and_kcat_log_in(safe, mechanism, door):
    make(safe, "t")
    config = login(safe, "admin", mechanism, door)
    produce(config, "t", b"a", b"b")
    assert consume(config, "g", "t", 2) == [b"a", b"b"]
    options = [x for k, v in config.items() if k != "bootstrap.servers" for x in ("-X", f"{k}={v}")]
    done = subprocess.run(["kcat", "-b", config["bootstrap.servers"], *options, "-C", "-t", "t", "-e", "-q"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0 and done.stdout == "a\nb\n", done.stderr
    listed = json.loads(subprocess.run(["kcat", "-b", config["bootstrap.servers"], *options, "-L", "-J"], capture_output=True, text=True,
                                       timeout=60, check=True).stdout)
    assert [b["name"] for b in listed["brokers"]] == [config["bootstrap.servers"]]  # each door tells its own address


def refusal(config):
    """The error a librdkafka client with this login is told."""
    told = []
    p = Producer({**config, "error_cb": told.append})
    for _ in range(100):
        p.poll(0.1)
        if any(e.code() == KafkaError._AUTHENTICATION for e in told):
            return next(e for e in told if e.code() == KafkaError._AUTHENTICATION)
    pytest.fail(f"no refusal, only {told}")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_wrong_passwords_and_names(safe, mechanism):
    assert mechanism in refusal(login(safe, "alice", mechanism, password="wrong")).str()
    config = login(safe, "alice", mechanism)
    assert mechanism in refusal({**config, "sasl.username": "nobody"}).str()
    assert "wrong" not in safe.log.read_text() and "admin-secret" not in safe.log.read_text()


def test_no_login_no_answer(safe):
    for config in ({"bootstrap.servers": f"127.0.0.1:{setting(safe, 'port')}"},
                   {"bootstrap.servers": f"127.0.0.1:{setting(safe, 'tls_port')}", "security.protocol": "SSL",
                    "ssl.ca.location": str(safe.folder / "cert.pem")}):
        with pytest.raises(KafkaException):
            AdminClient(config).list_topics(timeout=2)
    assert "METADATA came before a login, which the section users asks for" in safe.log.read_text()


def test_secrets_are_nowhere_to_be_read(safe):
    import conftest
    status, settings = conftest.request("GET", safe.url("console", "/api/settings"))
    assert status == 200 and settings["users"] == ["admin", "alice", "bob"]
    assert not any(p in json.dumps(settings, ensure_ascii=False) for p in PASSWORDS.values())


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kafka_python(safe, mechanism):
    make(safe, "t")
    for door in DOORS:
        config = login(safe, "admin", mechanism, door)
        more = {"ssl_cafile": config["ssl.ca.location"]} if door == "SASL_SSL" else {}
        p = kafka.KafkaProducer(bootstrap_servers=config["bootstrap.servers"], security_protocol=door, sasl_mechanism=mechanism,
                                sasl_plain_username="admin", sasl_plain_password=PASSWORDS["admin"], **more)
        assert p.send("t", b"x").get(20).offset == DOORS.index(door)
        p.close()


def test_kafkajs_scram_over_tls(safe):
    make(safe, "t")
    config = login(safe, "admin")
    for mechanism in ("scram-sha-256", "scram-sha-512", "plain"):
        done = subprocess.run(["node", ROOT / "tests/e2e/js/kafka_login.js", config["bootstrap.servers"], safe.folder / "cert.pem", mechanism,
                               "admin", PASSWORDS["admin"]], capture_output=True, text=True, timeout=120, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        assert said["sent"] == 1 and said["read"] == [mechanism] and said["wrong"] == "KafkaJSSASLAuthenticationError", said


def test_only_chosen_mechanisms(project):
    one = secured(project, mechanisms=["SCRAM-SHA-512"]).start()
    assert AdminClient(login(one, "admin", "SCRAM-SHA-512")).list_topics(timeout=10).brokers
    with pytest.raises(KafkaException):
        AdminClient(login(one, "admin", "PLAIN")).list_topics(timeout=2)


def test_a_stored_credential_instead_of_a_password(project):
    """What PostgreSQL's pg_authid has for the password 'pencil'."""
    one = secured(project)
    text = (one.folder / "tarn.yaml").read_text()
    text = text.replace("password: bob's", "scram_sha_256: SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT"
                        "4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
    (one.folder / "tarn.yaml").write_text(text)
    one.start()
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        assert AdminClient(login(one, "bob", mechanism, password="pencil")).list_topics(timeout=10).brokers
    refusal(login(one, "bob", "SCRAM-SHA-512", password="pencil"))


def refused_start(one):
    done = subprocess.run([TARN, "up", one.folder], capture_output=True, text=True, timeout=60, env=one.environment())
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_start_is_refused(project):
    """Nothing listens beyond loopback without users and TLS, and a wrong file or credential is named."""
    one = secured(project, tls_host="0.0.0.0")
    text = (one.folder / "tarn.yaml").read_text()
    one_without = text[:text.index("users:")]
    (one.folder / "tarn.yaml").write_text(one_without)
    if "tls_port" in one_without:
        assert "beyond loopback, and there are no users" in refused_start(one)
    (one.folder / "tarn.yaml").write_text(text.replace("cert: cert.pem", "cert: nowhere.pem"))
    assert "nowhere.pem" in refused_start(one)
    (one.folder / "tarn.yaml").write_text(text.replace("password: bob's", "scram_sha_512: secret"))
    said = refused_start(one)
    assert "users.bob.scram_sha_512: expected a credential such as" in said and "secret" not in said
    (one.folder / "tarn.yaml").write_text(text)
    assert "kafka listens on 0.0.0.0, which no client can connect to" in refused_start(one)


def test_beyond_loopback_with_users_and_tls(project):
    one = secured(project, tls_host="0.0.0.0", tls_advertised_host="localhost").start()
    config = {**login(one, "admin"), "bootstrap.servers": f"localhost:{setting(one, 'tls_port')}", "broker.address.family": "v4"}
    assert [b.host for b in AdminClient(config).list_topics(timeout=10).brokers.values()] == ["localhost"]


# ---- what users may do ----

def acl_admin(one, user="admin"):
    """kafka-python's admin client, which knows ACLs."""
    config = login(one, user)
    return kafka.admin.KafkaAdminClient(bootstrap_servers=config["bootstrap.servers"], security_protocol="SASL_SSL",
                                        sasl_mechanism="SCRAM-SHA-512", sasl_plain_username=user, sasl_plain_password=PASSWORDS[user],
                                        ssl_cafile=config["ssl.ca.location"])


def acl(user, operation, kind, name, pattern="LITERAL", permission="ALLOW"):
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType
    return ACL(principal=f"User:{user}", host="*", operation=ACLOperation[operation], permission_type=ACLPermissionType[permission],
               resource_pattern=ResourcePattern(ResourceType[kind], name, ACLResourcePatternType[pattern]))


def every_acl():
    from kafka.admin import ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePatternFilter, ResourceType
    return ACLFilter(principal=None, host=None, operation=ACLOperation.ANY, permission_type=ACLPermissionType.ANY,
                     resource_pattern=ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY))


def code_of(call, *args):
    with pytest.raises(KafkaException) as e:
        call(*args)
    return e.value.args[0].code()


def test_denied_until_granted(safe):
    """Alice writes, bob reads in a group: each right one by one, and over a restart."""
    make(safe, "orders")
    make(safe, "orders-dlq")
    alice, bob = login(safe, "alice"), login(safe, "bob", "PLAIN")
    assert code_of(produce, alice, "orders", b"no") == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert AdminClient(alice).list_topics(timeout=10).topics == {}
    admin = acl_admin(safe)
    made = admin.create_acls([acl("alice", "WRITE", "TOPIC", "orders", "PREFIXED"), acl("bob", "READ", "TOPIC", "orders")])
    assert len(made["succeeded"]) == 2 and not made["failed"]
    produce(alice, "orders", b"1", b"2")
    produce({**alice, "enable.idempotence": True}, "orders-dlq", b"3")
    assert set(AdminClient(alice).list_topics(timeout=10).topics) == {"orders", "orders-dlq"}
    assert set(AdminClient(bob).list_topics(timeout=10).topics) == {"orders"}
    assert code_of(produce, bob, "orders", b"no") == KafkaError.TOPIC_AUTHORIZATION_FAILED

    c = Consumer({**bob, "group.id": "readers", "auto.offset.reset": "earliest", "session.timeout.ms": 6000})
    c.subscribe(["orders"])
    m = c.poll(20)
    assert m.error().code() == KafkaError.GROUP_AUTHORIZATION_FAILED
    c.close()
    admin.create_acls([acl("bob", "READ", "GROUP", "readers")])
    safe.restart()
    assert consume(bob, "readers", "orders", 2) == [b"1", b"2"]
    admin = acl_admin(safe)
    admin.create_acls([acl("*", "READ", "TOPIC", "orders", permission="DENY")])  # wins over what bob has
    c = Consumer({**bob, "group.id": "readers", "auto.offset.reset": "earliest"})
    c.subscribe(["orders"])
    assert c.poll(20).error().code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    c.close()


def test_acls_need_a_right_themselves(safe):
    alice = acl_admin(safe, "alice")
    made = alice.create_acls([acl("alice", "ALL", "TOPIC", "*")])
    assert not made["succeeded"] and "Cluster" in str(made["failed"])
    acls, error = None, None
    try:
        acls, error = alice.describe_acls(every_acl())
    except kafka.errors.KafkaError as e:
        error = e
    assert not acls and "Cluster" in repr(error)
    admin = acl_admin(safe)
    admin.create_acls([acl("alice", "ALTER", "CLUSTER", "kafka-cluster"), acl("alice", "DESCRIBE", "CLUSTER", "kafka-cluster")])
    assert len(alice.create_acls([acl("alice", "ALL", "TOPIC", "*")])["succeeded"]) == 1
    acls, _ = alice.describe_acls(every_acl())
    assert len(acls) == 3
    gone = alice.delete_acls([every_acl()])
    assert sum(len(matches) for _, matches, _ in gone) == 3
    assert admin.describe_acls(every_acl())[0] == []


def test_kafkajs_and_acls(safe):
    config = login(safe, "admin")
    done = subprocess.run(["node", ROOT / "tests/e2e/js/kafka_acls.js", config["bootstrap.servers"], safe.folder / "cert.pem"],
                          capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == {"before": "TOPIC_AUTHORIZATION_FAILED", "created": True, "sent": 1, "listed": ["User:alice WRITE on app-"], "deleted": 1,
                    "after": "TOPIC_AUTHORIZATION_FAILED"}, said


def test_transactions_need_their_id(safe):
    make(safe, "t")
    acl_admin(safe).create_acls([acl("alice", "WRITE", "TOPIC", "t")])

    def transact(value):
        p = Producer({**login(safe, "alice"), "transactional.id": "tx-1"})
        p.init_transactions(20)
        p.begin_transaction()
        p.produce("t", value)
        p.commit_transaction(20)

    assert code_of(transact, b"no") == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    acl_admin(safe).create_acls([acl("alice", "WRITE", "TRANSACTIONAL_ID", "tx-", "PREFIXED")])
    transact(b"yes")
    assert consume(login(safe, "admin"), "g", "t", 1) == [b"yes"]


def test_without_users_there_is_no_security(project):
    one = project("storefront", SETTINGS)
    shutil.rmtree(one.folder / "connectors", ignore_errors=True)
    shutil.rmtree(one.folder / "migrations", ignore_errors=True)
    one.start()
    made = kafka.admin.KafkaAdminClient(bootstrap_servers=one.address("kafka")).create_acls([acl("alice", "WRITE", "TOPIC", "t")])
    assert not made["succeeded"] and "SecurityDisabled" in str(made["failed"])


def test_many_acls_are_told_and_deleted_in_bounded_memory(safe):
    """Each of a resource of its own; and a request may have many filters that find them all."""
    admin = acl_admin(safe)
    made = admin.create_acls([acl("bob", "READ", "TOPIC", f"t{n}") for n in range(6000)])
    assert len(made["succeeded"]) == 6000
    before = memory(safe)
    assert len(admin.describe_acls(every_acl())[0]) == 6000
    told = admin.delete_acls([every_acl()] * 1000)
    assert told[0][2].errno == 0 and len(told[0][1]) == 6000
    assert {error.errno for _, _, error in told[1:]} == {44}  # POLICY_VIOLATION
    assert memory(safe) - before < 100_000_000
    assert admin.describe_acls(every_acl())[0] == []
    admin.close()


def tarn_topic(config, *words, text=""):
    options = [x for k, v in config.items() if k != "bootstrap.servers" for x in ("-X", f"{k}={v}")]
    return subprocess.run([TARN, "topic", *words, "--bootstrap", config["bootstrap.servers"], *options], input=text, capture_output=True, text=True,
                          timeout=60)


def test_tarn_topic_logs_in(safe):
    make(safe, "t")
    done = tarn_topic(login(safe, "admin"), "list", "--json")
    assert done.returncode == 0 and '"t"' in done.stdout, done.stdout + done.stderr


def test_tarn_topic_reads_properties_from_a_file(safe, tmp_path):
    make(safe, "t")
    config = login(safe, "admin")
    file = tmp_path / "client.properties"
    file.write_text("# who we are\n\n" + "".join(f"{k} = {v}\n" for k, v in config.items()))
    run = lambda: subprocess.run([TARN, "topic", "list", "--json", "-F", file, "--bootstrap", config["bootstrap.servers"]], capture_output=True,
                                 text=True, timeout=60)
    assert '"t"' in run().stdout
    file.write_text("sasl.username\n")
    assert f"{file} wants NAME=VALUE, not sasl.username" in run().stderr
    file.unlink()
    assert "No such file" in run().stderr


def test_tarn_topic_tells_why_it_gets_no_answer(safe):
    said = lambda config: tarn_topic(config, "list").stderr
    assert "Authentication failed due to invalid credentials" in said(login(safe, "alice", password="wrong"))
    unknown = login(safe, "alice")
    del unknown["ssl.ca.location"]
    assert "certificate verify failed" in said(unknown)
    for door in DOORS:
        assert "may want a login or TLS" in said({"bootstrap.servers": login(safe, "alice", door=door)["bootstrap.servers"]})


def test_tarn_topic_as_a_user_with_few_rights(safe):
    make(safe, "t")
    make(safe, "hidden")
    alice = login(safe, "alice")
    assert "there is no topic t that this user may see" in tarn_topic(alice, "consume", "t").stderr
    said = tarn_topic(alice, "produce", "t", text="x\n").stderr
    assert "authorization failed" in said, said
    acl_admin(safe).create_acls([acl("alice", "READ", "TOPIC", "t"), acl("alice", "WRITE", "TOPIC", "t")])
    assert tarn_topic(alice, "produce", "t", text="x\n").stdout == "1 record\n"
    done = tarn_topic(alice, "consume", "t", "--values")  # no right to any group
    assert done.stdout == "x\n" and done.returncode == 0, done.stderr
