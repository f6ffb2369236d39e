#include "base/mem.h"
#include "base/test.h"
#include "obs/obs.h"
#include "os/thread.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char seen[4096];
static int lines;

static void note(void *arg, struct str line)
{
    (void)arg;
    (void)snprintf(seen, sizeof seen, "%.*s", STR_ARG(line));
    lines++;
}

static bool says(const char *part)
{
    return strstr(seen, part) != NULL;
}

TEST(a_line_is_one_line)
{
    obs_set_sink(note, NULL);
    lines = 0;
    obs_info("net", "peer said %s port=%d", "x\ny\x1b[31m\t", 7);
    OK(lines == 1 && says("Z info  net      peer said x\\ny\\x1b[31m\\t port=7"));
    OK(seen[4] == '-' && seen[10] == 'T' && seen[23] == 'Z');
    obs_set_sink(NULL, NULL);
}

TEST(long_lines_are_cut)
{
    char big[8000];

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    obs_set_sink(note, NULL);
    obs_warn("net", "%s", big);
    OK(strlen(seen) > 1900 && strlen(seen) < 2200);
    obs_set_sink(NULL, NULL);
}

TEST(debug_by_subsystem)
{
    obs_set_sink(note, NULL);
    lines = 0;
    obs_debug("kafka", "no");
    OK(lines == 0);
    obs_set_debug("log,kafka");
    obs_debug("kafka", "yes");
    obs_debug("kaf", "no");
    obs_debug("s3", "no");
    OK(lines == 1 && says(" debug kafka    yes"));
    obs_set_debug("all");
    obs_debug("s3", "yes");
    OK(lines == 2);
    obs_set_debug("");
    obs_set_level(OBS_WARN);
    obs_info("s3", "no");
    OK(lines == 2);
    obs_set_level(OBS_INFO);
    obs_set_sink(NULL, NULL);
}

TEST(repeated_failures_are_counted)
{
    struct obs_repeat r = {0};

    obs_set_sink(note, NULL);
    lines = 0;
    for (int i = 0; i < 100; i++)
        obs_repeated(&r, OBS_WARN, "net", "failure %d", i);
    OK(lines == 1 && says("failure 0"));
    r.next_ms = 0; // the period is over
    obs_repeated(&r, OBS_WARN, "net", "failure again");
    OK(lines == 2 && says("failure again repeated=99"));
    obs_set_sink(NULL, NULL);
}

static void add_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++)
        obs_add(OBS_net_accepted_total, 1);
}

static void source(struct obs_out *out, void *arg)
{
    obs_family(out, "topic_lag", OBS_GAUGE, "Records.");
    obs_sample(out, 3, "topic", (char *)arg, "partition", "0", (char *)NULL);
    obs_sample(out, 0.5, "topic", "b", (char *)NULL);
}

TEST(counters_and_metrics)
{
    struct thread t[12];
    struct buf b = buf_make(1 << 20);
    char topic[] = "a\"\\\n";
    const char *text;

    for (int i = 0; i < 12; i++)
        thread_start(&t[i], "add", add_many, NULL);
    for (int i = 0; i < 12; i++)
        thread_join(&t[i]);
    OK(obs_get(OBS_net_accepted_total) == 120000);
    obs_add(OBS_net_connections, 5);
    obs_add(OBS_net_connections, -2);
    obs_source(source, topic);
    obs_metrics(&b);
    text = buf_z(&b);
    OK(strstr(text, "# HELP tarn_net_accepted_total Connections accepted.\n"
                    "# TYPE tarn_net_accepted_total counter\ntarn_net_accepted_total 120000\n") != NULL);
    OK(strstr(text, "# TYPE tarn_net_connections gauge\ntarn_net_connections 3\n") != NULL);
    OK(strstr(
           text,
           "tarn_topic_lag{topic=\"a\\\"\\\\\\n\",partition=\"0\"} 3\ntarn_topic_lag{topic=\"b\"} 0.5\n") !=
       NULL);
    obs_source_end(source, topic);
    buf_reset(&b);
    obs_metrics(&b);
    OK(strstr(buf_z(&b), "topic_lag") == NULL);
    buf_fini(&b);
}

TEST(every_counter_has_a_name_of_its_kind_and_a_sentence)
{
    static const struct {
        const char *name, *kind, *sentence;
    } rows[] = {
#define X(name, kind, sentence) {#name, #kind, sentence},
#include "obs/counters.def"
#undef X
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].name), s = strlen(rows[i].sentence);
        bool total = n > 6 && strcmp(rows[i].name + n - 6, "_total") == 0;
        OK(total == (strcmp(rows[i].kind, "COUNTER") == 0));
        OK(s > 10 && rows[i].sentence[s - 1] == '.');
    }
}

TEST(a_crash_tells_the_last_events)
{
    static char text[1 << 18];
    size_t n = 0;
    ssize_t got;
    int out[2], status;
    pid_t pid;

    OK(pipe(out) == 0);
    pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], 2);
        obs_catch_crashes();
        for (int i = 0; i < OBS_TRACE_MAX + 5; i++)
            obs_trace("log", "append", i, -i);
        (void)raise(SIGSEGV);
        _exit(0);
    }
    close(out[1]);
    while ((got = read(out[0], text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got;
    close(out[0]);
    text[n] = 0;
    OK(waitpid(pid, &status, 0) == pid);
    OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    OK(strstr(text, "fatal signal 11") != NULL);
    OK(strstr(text, " log append 4 -4\n") == NULL && strstr(text, " log append 5 -5\n") != NULL);
    OK(strstr(text, " log append 1028 -1028\n") != NULL);
    OK(strstr(strstr(text, "Backtrace:"), "obs_test") != NULL);
}

TEST_MAIN
