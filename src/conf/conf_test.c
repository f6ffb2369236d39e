#include "base/test.h"
#include "conf/conf_int.h"
#include "os/os.h"
#include "os/tempdir.h"

static struct arena a;
static struct settings s;
static struct conf_env env;
static struct err e;

static bool parse(const char *text)
{
    arena_reset(&a);
    e = (struct err){0};
    conf_defaults(&s, &a);
    return conf_parse(&s, &a, "tarn.yaml", str_of(text), &env, &e);
}

/* The whole message, so that a change of it is seen. */
static bool fails(const char *text, const char *message)
{
    bool as_said = !parse(text) && strcmp(e.msg, message) == 0;

    if (!as_said)
        printf("# got: %s\n", e.msg);
    return as_said;
}

TEST(defaults)
{
    OK(parse(""));
    OK(s.kafka_port == 9092 && s.s3_port == 9000 && s.console_port == 8080);
    OK(strcmp(s.listen_host, "127.0.0.1") == 0 && strcmp(s.data, "data") == 0);
    OK(s.log_journal_bytes == 64 << 20 && s.memory_budget == 1 << 30);
    OK(s.buckets.n == 0);
    OK(conf_check(&s, &e));
    OK(parse("# nothing\n") && parse("---\n") && parse("~") && parse("kafka:\n") &&
       parse("kafka:\n  port:\n"));
    OK(s.kafka_port == 9092);
}

TEST(values_of_each_type)
{
    OK(parse("data: /var/lib/tarn\nbuckets: [raw, lakehouse]\naliases:\n- minio\nkafka: {port: 0, "
             "group_delay_ms: \"1000\"}\ns3:\n  "
             "port: off\n"
             "memory:\n  budget: 2 GiB\nlogging: {level: debug}\n"));
    OK(strcmp(s.data, "/var/lib/tarn") == 0 && s.kafka_port == 0 && s.s3_port == CONF_OFF);
    OK(s.buckets.n == 2 && strcmp(s.buckets.v[1], "lakehouse") == 0 && s.aliases.n == 1);
    OK(s.memory_budget == (int64_t)2 << 30 && strcmp(s.logging_level, "debug") == 0);
    OK(s.kafka_group_delay_ms == 1000);
}

TEST(faults_name_file_line_column_and_what_is_allowed)
{
    OK(fails(
        "kafka:\n  port: abc\n",
        "tarn.yaml:2:9: kafka.port is 'abc', expected a port from 0 to 65535 (0: any free one), or off"));
    OK(fails(
        "kafka:\n  port: 65536\n",
        "tarn.yaml:2:9: kafka.port is '65536', expected a port from 0 to 65535 (0: any free one), or off"));
    OK(fails("\nkafka:\n  prot: 1\n",
             "tarn.yaml:3:3: there is no setting kafka.prot, did you mean kafka.port"));
    OK(fails("kafak:\n  port: 1\n", "tarn.yaml:1:1: there is no setting kafak, did you mean kafka.port"));
    OK(fails("utterly_different_thing: 1\n", "tarn.yaml:1:1: there is no setting utterly_different_thing"));
    OK(fails("kafka:\n  port: 1\n  port: 2\n", "tarn.yaml:3:3: kafka.port is given twice, first on line 2"));
    OK(fails("kafka: {port: 1}\ns3: {port: 2}\nkafka: {}\n",
             "tarn.yaml:3:1: kafka is given twice, first on line 1"));
    OK(fails(
        "kafka: 9092\n",
        "tarn.yaml:1:8: kafka is a section: its settings stand indented below it, each as `name: value`"));
    OK(fails("data: [x]\n", "tarn.yaml:1:7: data is a list, expected text (folder)"));
    OK(fails("data: {x: 1}\n", "tarn.yaml:1:7: data is a section, expected text (folder)"));
    OK(fails("buckets: raw\n", "tarn.yaml:1:10: buckets is one value, expected a list of texts"));
    OK(fails("buckets: [[raw]]\n",
             "tarn.yaml:1:11: buckets is a list of something else, expected a list of texts"));
    OK(fails("kafka: {group_delay_ms: -5}\n",
             "tarn.yaml:1:25: kafka.group_delay_ms is '-5', expected a number from 0 to 600000 ms"));
    OK(fails("memory: {budget: 1 MiB}\n",
             "tarn.yaml:1:18: memory.budget is '1 MiB', expected a size from 128 MiB to 1024 GiB"));
    OK(fails("logging: {level: loud}\n",
             "tarn.yaml:1:18: logging.level is 'loud', expected one of error, warn, info, debug"));
    OK(fails("- kafka\n", "tarn.yaml:1:1: settings are names with values, as in `kafka:`"));
    OK(fails("data: a\n---\ndata: b\n", "tarn.yaml:2:1: settings are one document, here begins a second"));
    OK(fails("data: &x a\nbuckets: *x\n", "tarn.yaml:2:10: anchors and aliases are not used in settings"));
    OK(!parse("kafka: {port: 1\n") && e.kind == ERR_BAD_INPUT &&
       strncmp(e.msg, "tarn.yaml:2:1: not YAML: ", 25) == 0);
    OK(!parse("\xff\xfe\x01") && e.kind == ERR_BAD_INPUT);
}

TEST(variables)
{
    char dir[TEMPDIR_MAX], path[300];
    struct str out;

    OK(tempdir_make(dir));
    (void)snprintf(path, sizeof path, "%s/.env", dir);
    OK(conf_env_load(&env, os_real(), path, &e)); // absent
    OK(os_replace_file(os_real(), path,
                       STR("# comment\nTARN_T_PORT=7 # port\nexport TARN_T_A = 'x # "
                           "y'\nTARN_T_B=\"a\\\"\\nb\"\n\nTARN_T_E=\nHOME=no\n"),
                       &e));
    OK(conf_env_load(&env, os_real(), path, &e));
    OK(parse("kafka: {port: \"${TARN_T_PORT}\"}\ndata: /x/${TARN_T_A}/${TARN_T_NONE:-dflt}${TARN_T_E:-e}\n"));
    OK(s.kafka_port == 7 && strcmp(s.data, "/x/x # y/dflte") == 0);
    OK(conf_expand(&a, &env, STR("${TARN_T_B}${HOME}$x${"), &out, &e));
    OK(str_starts(out, STR("a\"\nb")) && str_ends(out, STR("$x${")));
    OK(strstr(out.p, "no$") == NULL); // the process's own wins
    OK(fails("data: ${TARN_T_NONE}\n", "tarn.yaml:1:7: the environment has no TARN_T_NONE (nor has .env)"));
    OK(fails("data: ${A B}\n", "tarn.yaml:1:7: ${A B} is not ${NAME} or ${NAME:-text}"));
    OK(os_replace_file(os_real(), path, STR("A=1\nno value\n"), &e));
    OK(!conf_env_load(&env, os_real(), path, &e) && strstr(e.msg, ".env:2: ") != NULL);
    conf_env_fini(&env);
    env = (struct conf_env){0};
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST(assignments)
{
    OK(parse("buckets: [a]\n"));
    OK(conf_assign(&s, &a, STR("kafka.port=0"), &e) && s.kafka_port == 0);
    OK(conf_assign(&s, &a, STR("buckets=x, y"), &e) && s.buckets.n == 2 && strcmp(s.buckets.v[1], "y") == 0);
    OK(!conf_assign(&s, &a, STR("kafka.port"), &e) && strcmp(e.msg, "'kafka.port' is not name=value") == 0);
    OK(!conf_assign(&s, &a, STR("kafka.pot=1"), &e) &&
       strcmp(e.msg, "there is no setting kafka.pot, did you mean kafka.port") == 0);
    OK(!conf_assign(&s, &a, STR("kafka.port=x"), &e));
}

TEST(secrets_are_not_shown)
{
    struct buf b = buf_make(100000);

    OK(parse("s3: {secret_key: hunter2}\n"));
    conf_json(&s, &b);
    OK(strstr(buf_z(&b), "hunter2") == NULL && strstr(buf_z(&b), "\"kafka.port\":9092") != NULL);
    buf_fini(&b);
}

TEST(nothing_open_listens_beyond_loopback)
{
    OK(parse("listen: {host: 0.0.0.0}\n"));
    OK(!conf_check(&s, &e) && strstr(e.msg, "the role console has no authentication") != NULL);
    OK(parse("listen: {host: 0.0.0.0}\nconsole: {port: off}\ningest: {port: off}\nkafka: {port: off}\n"
             "registry: {port: off}\nconnect: {port: off}\n"));
    OK(!conf_check(&s, &e) && strstr(e.msg, "s3.secret_key is the default") != NULL);
    OK(conf_assign(&s, &a, STR("s3.secret_key=my-own"), &e) && conf_check(&s, &e));
    OK(parse("listen: {host: \"::1\"}\n") && conf_check(&s, &e));
    OK(parse("listen: {host: localhost}\n") && !conf_check(&s, &e));
}

TEST(users)
{
    struct buf b = buf_make(100000);

    OK(parse(
        "users:\n  alice:\n    password: pencil\n    super: true\n  svc.orders: {scram_sha_512: \"x\"}\n"));
    OK(s.user_count == 2 && strcmp(s.users[0].name, "alice") == 0 &&
       strcmp(s.users[0].password, "pencil") == 0);
    OK(strcmp(s.users[0].super, "true") == 0 && strcmp(s.users[1].super, "false") == 0);
    OK(strcmp(s.users[1].name, "svc.orders") == 0 && strcmp(s.users[1].scram_sha_512, "x") == 0);
    OK(conf_check(&s, &e));
    OK(conf_assign(&s, &a, STR("users.bob.password=x"), &e) && s.user_count == 3);
    conf_json(&s, &b);
    OK(strstr(buf_z(&b), "\"users\":[\"alice\",\"svc.orders\",\"bob\"]") != NULL &&
       strstr(buf_z(&b), "pencil") == NULL);
    buf_fini(&b);
    OK(fails("users: {alice: {pasword: x}}\n",
             "tarn.yaml:1:17: there is no setting users.alice.pasword, did you mean users.NAME.password"));
    OK(fails("users: {alice: {super: maybe}}\n",
             "tarn.yaml:1:24: users.alice.super is 'maybe', expected one of true, false"));
    OK(fails("users: {alice: pencil}\n", "tarn.yaml:1:16: users.alice is a section: its settings stand "
                                         "indented below it, each as `name: value`"));
    OK(fails(
        "users: [alice]\n",
        "tarn.yaml:1:8: users is a section: its settings stand indented below it, each as `name: value`"));
    OK(fails("users: {alice: {password: x}, alice: {password: y}}\n",
             "tarn.yaml:1:31: users.alice is given twice, first on line 1"));
    OK(parse("users: {alice: {super: true}}\n") && !conf_check(&s, &e) &&
       strstr(e.msg, "users.alice has no password") != NULL);
    OK(parse("users:\n  alice:\n") && !conf_check(&s, &e) &&
       strstr(e.msg, "users.alice has no password") != NULL);
    OK(parse("users: {alice: {}}\n") && !conf_check(&s, &e) &&
       strstr(e.msg, "users.alice has no password") != NULL);
    OK(parse("users: {alice: {password: }}\n") && !conf_check(&s, &e) &&
       strstr(e.msg, "users.alice has no password") != NULL);
    OK(parse("users: {alice: {password: x, scram_sha_256: y}}\n") && !conf_check(&s, &e));
    OK(parse("kafka: {mechanisms: [GSSAPI]}\n") && !conf_check(&s, &e) &&
       strstr(e.msg, "has 'GSSAPI', expected SCRAM") != NULL);
}

TEST(kafka_beyond_loopback_needs_tls_and_users)
{
    OK(parse("kafka: {tls_port: 9093}\n") && !conf_check(&s, &e) &&
       strstr(e.msg, "set tls.cert and tls.key") != NULL);
    OK(parse("kafka: {tls_port: 9093}\ntls: {cert: c, key: k}\n") && conf_check(&s, &e));
    OK(parse("kafka: {tls_port: 9093, tls_host: 0.0.0.0}\ntls: {cert: c, key: k}\n"));
    OK(!conf_check(&s, &e) && strstr(e.msg, "beyond loopback, and there are no users") != NULL);
    OK(conf_assign(&s, &a, STR("users.alice.password=x"), &e) && conf_check(&s, &e));
    OK(parse("kafka: {tls_port: 9093, tls_host: all}\ntls: {cert: c, key: k}\n") && !conf_check(&s, &e));
    OK(parse("listen: {host: 0.0.0.0}\nconsole: {port: off}\ningest: {port: off}\nkafka: {tls_port: 9093}\n"
             "registry: {port: off}\nconnect: {port: off}\ns3: {secret_key: mine}\ntls: {cert: c, key: k}\n"
             "users: {alice: {password: x}}\n"));
    OK(!conf_check(&s, &e) && strstr(e.msg, "kafka.port speaks without TLS") != NULL);
    OK(conf_assign(&s, &a, STR("kafka.port=off"), &e) && conf_check(&s, &e));
}

TEST(every_setting_has_a_sentence)
{
    for (size_t i = 0; i < conf_row_count; i++) {
        size_t n = strlen(conf_rows[i].sentence);
        OK(n > 10 && conf_rows[i].sentence[n - 1] == '.');
        OK(conf_find(str_of(conf_rows[i].name)) == &conf_rows[i]); // no name twice
    }
}

TEST_MAIN
