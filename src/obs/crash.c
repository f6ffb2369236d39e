/*
 * The ring of last events and what is done with it on a crash. The handler calls only what signal-safety(7) allows; the
 * first backtrace() loads a library, so one is made when the handler is installed.
 */
#include "base/mem.h"
#include "obs/obs.h"
#include "os/os.h"

#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>

enum { FRAMES_MAX = 64, ALT_STACK = 64 * 1024 };

static struct event {
    _Atomic int64_t when_us; // wall clock; 0: never written
    const char *subsystem, *what;
    int64_t a, b;
} ring[OBS_TRACE_MAX];
static _Atomic unsigned next_event;

void obs_trace(const char *subsystem, const char *what, int64_t a, int64_t b)
{
    struct event *ev = &ring[atomic_fetch_add_explicit(&next_event, 1, memory_order_relaxed) % OBS_TRACE_MAX];

    ev->subsystem = subsystem;
    ev->what = what;
    ev->a = a;
    ev->b = b;
    atomic_store_explicit(&ev->when_us, os_real()->wall_us(os_real()), memory_order_release);
}

static void say(const char *text)
{
    os_say(str_of(text));
}

static void say_number(int64_t v)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do
        digits[--at] = (char)('0' + u % 10);
    while ((u /= 10) > 0);
    if (v < 0)
        digits[--at] = '-';
    os_say(str_from(digits + at, sizeof digits - at));
}

static void say_events(void)
{
    unsigned end = atomic_load(&next_event), from = end > OBS_TRACE_MAX ? end - OBS_TRACE_MAX : 0;

    for (unsigned i = from; i < end; i++) {
        const struct event *ev = &ring[i % OBS_TRACE_MAX];
        int64_t when_us = atomic_load_explicit(&ev->when_us, memory_order_acquire);
        if (when_us == 0)
            continue;
        say("  ");
        say_number(when_us);
        say(" ");
        say(ev->subsystem);
        say(" ");
        say(ev->what);
        say(" ");
        say_number(ev->a);
        say(" ");
        say_number(ev->b);
        say("\n");
    }
}

static void on_crash(int sig)
{
    void *frames[FRAMES_MAX];
    int n;

    say("\ntarn: fatal signal ");
    say_number(sig);
    say(". Last events (microseconds since 1970, subsystem, what, two numbers):\n");
    say_events();
    say("Backtrace:\n");
    n = backtrace(frames, FRAMES_MAX);
    backtrace_symbols_fd(frames, n, 2);
    (void)raise(sig); // SA_RESETHAND has put the default action back
}

void obs_catch_crashes(void)
{
    static char
        alt_stack[ALT_STACK]; // of the main thread; a loop or job that overruns its stack dies without a word
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    stack_t stack = {.ss_sp = alt_stack, .ss_size = sizeof alt_stack};
    struct sigaction sa = {.sa_handler = on_crash, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK)};
    void *frame[1];

    (void)backtrace(frame, 1);
    (void)sigaltstack(&stack, NULL);
    (void)sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        (void)sigaction(fatal[i], &sa, NULL);
}
