/* A clock of its own for each node: CLOCK_MONOTONIC of processes whose SLURMD_NODENAME is named is so many seconds ahead.
 *
 *   cc -O2 -fPIC -shared -o clock.so clock.c -ldl
 *   LD_PRELOAD=clock.so FAKE_CLOCK_AHEAD="h100-2:5000" ...
 *
 * Machines count from their own boot; nodes that share a machine don't.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long ahead_s;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void settle(void) {
    const char *node = getenv("SLURMD_NODENAME"), *list = getenv("FAKE_CLOCK_AHEAD");
    size_t length = list ? strcspn(list, ":") : 0;
    if (node && list && strlen(node) == length && !strncmp(node, list, length)) ahead_s = atol(list + length + 1);
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t clock, struct timespec *to) {
    if (!real) settle();
    int failed = real(clock, to);
    if (!failed && clock == CLOCK_MONOTONIC) to->tv_sec += ahead_s;
    return failed;
}
