/* A stand-in for libnvidia-ml.so.1: GPUs whose power follows a known trace and whose counter is its exact integral.
 *
 *   cc -O2 -fPIC -shared -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 nvml.c -lm
 *
 * Original code; signatures and units as in nvml.h (API 13). The real nvidia-ml-py loads it, so that what is tested is
 * all of the meter. Settings are environment variables, read at nvmlInit:
 *
 *   FAKE_NVML_GPUS        how many (8)
 *   FAKE_NVML_TRACE       "seconds:watts,seconds:watts,..."; the last one holds ("3600:350")
 *   FAKE_NVML_LOOP        1: the trace begins anew when it is over
 *   FAKE_NVML_SKEW        GPU i draws watts * (1 + SKEW * i) (0.01)
 *   FAKE_NVML_PERIOD_MS   how often sensors and counter publish; between, they hold what they said (100, as an H100)
 *   FAKE_NVML_CLOCK       file with a double: the time, s; without it the real clock
 *   FAKE_NVML_T0          unix time at which the trace begins (nvmlInit)
 *   FAKE_NVML_LATENCY_US  time that each call takes (0)
 *   FAKE_NVML_ENERGY0_MJ  the counter when the trace begins (123456789)
 *   FAKE_NVML_NODES       "h100-1:1,h100-2:1.5": by SLURMD_NODENAME, GPUs are that node's own and draw so many times as much
 *   FAKE_NVML_DEVICES     "/box/dev/nvidia": GPU i is there for processes that may open that file with i at its end, as
 *                         cgroups have it; that no driver is behind it does not matter
 *   FAKE_NVML_ON          in another process's environment, "0,1": that process is on these GPUs and fills 20 GB;
 *                         "job": on those that Slurm gave its job
 *
 * and faults, the times in seconds of the trace:
 *
 *   FAKE_NVML_FAIL        "gpu:what:from:code,..." what = energy | power | fields | all; code = nvmlReturn_t
 *   FAKE_NVML_RESET_AT    the counter begins at 0 again, as when the driver is reloaded
 *   FAKE_NVML_FREEZE_AT   the counter stands still
 *   FAKE_NVML_ZERO_AT     the power of the moment is 0
 *   FAKE_NVML_SCALE       the counter counts so much of the truth (1)
 *   FAKE_NVML_WRAP_BITS   the counter has so many bits (64)
 *   FAKE_NVML_LIMIT_AT    "from:watts": the power limit is changed
 *   FAKE_NVML_HOT_AT      heat holds the clocks down
 *   FAKE_NVML_MIG         1: every GPU is split into two instances
 *   FAKE_NVML_MODULE      1: power fields exist for the module alone, as on a GPU that shares it with a CPU
 *   FAKE_NVML_HIDE_PIDS   1: no process is shown, as in a container
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int nvmlReturn;
typedef unsigned long long u64;
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, GPU_IS_LOST = 15 };
enum { MOST_GPUS = 64, MOST_SEGMENTS = 4096 };
#define API __attribute__((visibility("default")))
#define LIMIT_W 700.0
#define CAPPED_W 690.0
#define FILLED_BYTES (20ULL << 30)

typedef struct {
    int index, parent; /* parent: -1 for a whole GPU, else the GPU that it is an instance of */
} Gpu;
typedef Gpu *Handle;

static Gpu gpus[MOST_GPUS], instances[2 * MOST_GPUS];
static int shown[MOST_GPUS]; /* places in gpus of those that are there */
static int initialized, gpu_count, loops, mig, module_only, hide_pids, segment_count, clock_file = -1;
static double seconds[MOST_SEGMENTS], watts[MOST_SEGMENTS], trace_s, trace_j;
static double began, skew, period, scale, energy0, reset_at, freeze_at, zero_at, limit_at, limit_then, hot_at;
static double share = 1; /* of the node's, where it is named */
static const char *node = "";
static long latency_us;
static int wrap_bits;

static double number(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text && *text ? atof(text) : otherwise;
}

/* --- time, and the trace over it --------------------------------------------------------------------------------- */

static double now(void) {
    double virtual_s;
    if (clock_file >= 0 && pread(clock_file, &virtual_s, sizeof virtual_s, 0) == sizeof virtual_s) return virtual_s;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* When sensors spoke last, in seconds of the trace. */
static double published(void) {
    double t = now() - began;
    return period > 0 ? floor(t / period + 1e-9) * period : t;
}

static double watts_at(double t) {
    if (loops && trace_s > 0) t = fmod(t, trace_s);
    for (int i = 0; i < segment_count; i++) {
        if (t < seconds[i]) return watts[i];
        t -= seconds[i];
    }
    return watts[segment_count - 1];
}

/* The integral from 0 to t of watts, or of the time in which they are above a limit. */
static double integral(double t, double above) {
    double whole = 0, sum = 0;
    if (t < 0) return above > 0 ? 0 : t * watts[0];
    for (int i = 0; i < segment_count; i++) whole += seconds[i] * (above > 0 ? watts[i] > above : watts[i]);
    if (loops && trace_s > 0) {
        sum = floor(t / trace_s) * whole;
        t = fmod(t, trace_s);
    }
    for (int i = 0; i < segment_count && t > 0; i++) {
        double held = i == segment_count - 1 && !loops ? t : fmin(t, seconds[i]);
        sum += held * (above > 0 ? watts[i] > above : watts[i]);
        t -= held;
    }
    return sum;
}

static double gain(Handle gpu) { return share * (1 + skew * gpu->index); }

static unsigned instant_mw(Handle gpu) {
    double t = published();
    return zero_at >= 0 && t >= zero_at ? 0 : (unsigned)llround(1e3 * gain(gpu) * watts_at(t));
}

static unsigned mean_mw(Handle gpu) {
    double t = published();
    return (unsigned)llround(1e3 * gain(gpu) * (integral(t, 0) - integral(t - 1, 0)));
}

static u64 energy_mj(Handle gpu) {
    double t = published(), from = 0, start = energy0;
    if (freeze_at >= 0) t = fmin(t, freeze_at);
    if (reset_at >= 0 && t >= reset_at) from = reset_at, start = 0;
    u64 count = (u64)(start + scale * 1e3 * gain(gpu) * (integral(t, 0) - integral(from, 0)));
    return wrap_bits < 64 ? count & ((1ULL << wrap_bits) - 1) : count;
}

static unsigned limit_mw(void) {
    return (unsigned)(1e3 * (limit_at >= 0 && published() >= limit_at ? limit_then : LIMIT_W));
}

/* --- settings and faults ------------------------------------------------------------------------------------------ */

static void read_trace(const char *text) {
    segment_count = 0, trace_s = trace_j = 0;
    while (*text && segment_count < MOST_SEGMENTS) {
        char *end;
        double length = strtod(text, &end), power = strtod(end + (*end == ':'), &end);
        seconds[segment_count] = length, watts[segment_count++] = power;
        trace_s += length, trace_j += length * power;
        text = *end == ',' ? end + 1 : end;
    }
}

static int may_open(int gpu) {
    char path[300];
    const char *start = getenv("FAKE_NVML_DEVICES");
    if (!start) return 1;
    snprintf(path, sizeof path, "%s%d", start, gpu);
    int file = open(path, O_RDWR);
    if (file >= 0) close(file);
    return file >= 0 || errno != EPERM;
}

static void settle_node(void) {
    const char *named = getenv("SLURMD_NODENAME"), *list = getenv("FAKE_NVML_NODES");
    node = "", share = 1;
    for (const char *at = named && list ? list : ""; *at; at += strcspn(at, ","), at += *at == ',') {
        size_t length = strcspn(at, ":");
        if (strlen(named) != length || strncmp(at, named, length)) continue;
        node = named, share = atof(at + length + 1);
    }
}

static void settle(void) {
    const char *path = getenv("FAKE_NVML_CLOCK"), *trace = getenv("FAKE_NVML_TRACE"), *limit = getenv("FAKE_NVML_LIMIT_AT");
    if (clock_file >= 0) close(clock_file);
    clock_file = path && *path ? open(path, O_RDONLY) : -1;
    read_trace(trace && *trace ? trace : "3600:350");
    gpu_count = (int)fmin(number("FAKE_NVML_GPUS", 8), MOST_GPUS);
    loops = (int)number("FAKE_NVML_LOOP", 0);
    skew = number("FAKE_NVML_SKEW", 0.01), period = number("FAKE_NVML_PERIOD_MS", 100) / 1e3;
    scale = number("FAKE_NVML_SCALE", 1), energy0 = number("FAKE_NVML_ENERGY0_MJ", 123456789);
    wrap_bits = (int)number("FAKE_NVML_WRAP_BITS", 64), latency_us = (long)number("FAKE_NVML_LATENCY_US", 0);
    reset_at = number("FAKE_NVML_RESET_AT", -1), freeze_at = number("FAKE_NVML_FREEZE_AT", -1);
    zero_at = number("FAKE_NVML_ZERO_AT", -1), hot_at = number("FAKE_NVML_HOT_AT", -1);
    limit_at = limit ? atof(limit) : -1, limit_then = limit && strchr(limit, ':') ? atof(strchr(limit, ':') + 1) : LIMIT_W;
    mig = (int)number("FAKE_NVML_MIG", 0), module_only = (int)number("FAKE_NVML_MODULE", 0);
    hide_pids = (int)number("FAKE_NVML_HIDE_PIDS", 0);
    settle_node();
    began = number("FAKE_NVML_T0", now());
    int all = gpu_count;
    gpu_count = 0;
    for (int i = 0; i < all; i++) {
        gpus[i] = (Gpu){i, -1};
        instances[2 * i] = (Gpu){2 * i, i}, instances[2 * i + 1] = (Gpu){2 * i + 1, i};
        if (may_open(i)) shown[gpu_count++] = i;
    }
}

static nvmlReturn fault(Handle gpu, const char *what) {
    if (!initialized) return UNINITIALIZED;
    if (latency_us) usleep((useconds_t)latency_us);
    const char *text = getenv("FAKE_NVML_FAIL");
    while (text && *text) {
        int index, code;
        char which[16];
        double from;
        if (sscanf(text, "%d:%15[^:]:%lf:%d", &index, which, &from, &code) == 4 && index == gpu->index &&
            now() - began >= from && (!strcmp(which, what) || !strcmp(which, "all")))
            return code;
        text = strchr(text, ',');
        if (text) text++;
    }
    return SUCCESS;
}

#define OR_FAIL(gpu)                              \
    do {                                          \
        nvmlReturn failed = fault(gpu, "other");  \
        if (failed) return failed;                \
    } while (0)

static nvmlReturn copied(char *to, unsigned room, const char *text) {
    if (strlen(text) + 1 > room) return TOO_SMALL;
    strcpy(to, text);
    return SUCCESS;
}

static void uuid_of(Handle gpu, char *to) {
    unsigned of_node = 0;
    for (const char *letter = node; *letter; letter++) of_node = of_node * 31 + (unsigned char)*letter;
    sprintf(to, "%s-%08x-0000-4000-8000-%012d", gpu->parent < 0 ? "GPU" : "MIG", of_node, gpu->index);
}

/* --- the library and its GPUs ------------------------------------------------------------------------------------- */

API nvmlReturn nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (!initialized++) settle();
    return SUCCESS;
}
API nvmlReturn nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API nvmlReturn nvmlShutdown(void) { return initialized ? (initialized--, SUCCESS) : UNINITIALIZED; }
API nvmlReturn nvmlSystemGetDriverVersion(char *to, unsigned room) { return copied(to, room, "580.95.05"); }
API nvmlReturn nvmlSystemGetNVMLVersion(char *to, unsigned room) { return copied(to, room, "13.580.95.05"); }
API nvmlReturn nvmlDeviceGetCount_v2(unsigned *n) { return initialized ? (*n = (unsigned)gpu_count, SUCCESS) : UNINITIALIZED; }
API nvmlReturn nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle *to) {
    if (index >= (unsigned)gpu_count) return INVALID;
    *to = &gpus[shown[index]];
    return SUCCESS;
}
API nvmlReturn nvmlDeviceGetHandleByUUID(const char *uuid, Handle *to) {
    char mine[64];
    for (int i = 0; i < gpu_count; i++) {
        uuid_of(&gpus[shown[i]], mine);
        if (!strcmp(mine, uuid)) return *to = &gpus[shown[i]], SUCCESS;
    }
    return NOT_FOUND;
}
API nvmlReturn nvmlDeviceGetIndex(Handle gpu, unsigned *to) {
    OR_FAIL(gpu);
    for (int i = 0; i < gpu_count; i++)
        if (shown[i] == gpu->index) *to = (unsigned)i;
    return SUCCESS;
}
API nvmlReturn nvmlDeviceGetName(Handle gpu, char *to, unsigned room) { OR_FAIL(gpu); return copied(to, room, "NVIDIA H100 80GB HBM3"); }
API nvmlReturn nvmlDeviceGetVbiosVersion(Handle gpu, char *to, unsigned room) { OR_FAIL(gpu); return copied(to, room, "96.00.74.00.01"); }
API nvmlReturn nvmlDeviceGetUUID(Handle gpu, char *to, unsigned room) {
    char mine[64];
    OR_FAIL(gpu);
    uuid_of(gpu, mine);
    return copied(to, room, mine);
}
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
API nvmlReturn nvmlDeviceGetPciInfo_v3(Handle gpu, Pci *to) {
    OR_FAIL(gpu);
    memset(to, 0, sizeof *to);
    to->bus = 16u * (unsigned)(gpu->index + 1);
    snprintf(to->bus_id, sizeof to->bus_id, "00000000:%02X:00.0", to->bus);
    return SUCCESS;
}
API nvmlReturn nvmlDeviceGetPersistenceMode(Handle gpu, unsigned *to) { OR_FAIL(gpu); return *to = 1, SUCCESS; }
API nvmlReturn nvmlDeviceGetMigMode(Handle gpu, unsigned *now_, unsigned *next) { OR_FAIL(gpu); return *now_ = *next = (unsigned)mig, SUCCESS; }
API nvmlReturn nvmlDeviceGetMaxMigDeviceCount(Handle gpu, unsigned *to) { OR_FAIL(gpu); return *to = mig ? 7 : 0, SUCCESS; }
API nvmlReturn nvmlDeviceGetMigDeviceHandleByIndex(Handle gpu, unsigned index, Handle *to) {
    OR_FAIL(gpu);
    if (!mig || index >= 2) return NOT_FOUND;
    return *to = &instances[2 * gpu->index + (int)index], SUCCESS;
}

/* --- who is on a GPU ---------------------------------------------------------------------------------------------- */

static const char *named_in(const char *text, size_t length, const char *start) {
    for (const char *entry = text; entry < text + length; entry += strlen(entry) + 1)
        if (!strncmp(entry, start, strlen(start))) return entry + strlen(start);
    return NULL;
}

static int is_on(const char *pid, int gpu) {
    char path[300], text[65536];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char here[300];
    snprintf(here, sizeof here, "SLURMD_NODENAME=%s", node);
    int elsewhere = *node != 0;
    for (char *entry = text; entry < text + length; entry += strlen(entry) + 1) elsewhere &= strcmp(entry, here) != 0;
    if (elsewhere) return 0;
    const char *on = named_in(text, length, "FAKE_NVML_ON=");
    if (on && !strcmp(on, "job")) on = named_in(text, length, "SLURM_JOB_GPUS=");
    if (on) {
        for (char *at = (char *)on, *end; *at; at = *end == ',' ? end + 1 : end) {
            long named = strtol(at, &end, 10);
            if (end == at) break;
            if (named == gpu) return 1;
        }
    }
    return 0;
}

typedef struct { unsigned pid; u64 used; unsigned instance, compute; } Process;

static unsigned processes_on(int gpu, Process *to, unsigned room) {
    unsigned found = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !is_on(entry->d_name, gpu)) continue;
        if (found < room) to[found] = (Process){(unsigned)atoi(entry->d_name), FILLED_BYTES, ~0u, ~0u};
        found++;
    }
    if (proc) closedir(proc);
    return found;
}

API nvmlReturn nvmlDeviceGetComputeRunningProcesses_v3(Handle gpu, unsigned *n, Process *to) {
    OR_FAIL(gpu);
    unsigned room = to ? *n : 0;
    *n = hide_pids ? 0 : processes_on(gpu->index, to, room);
    return *n > room ? TOO_SMALL : SUCCESS;
}
API nvmlReturn nvmlDeviceGetMemoryInfo(Handle gpu, u64 *to) { /* total, free, used */
    OR_FAIL(gpu);
    to[0] = 80ULL << 30, to[2] = (1ULL << 30) + (processes_on(gpu->index, NULL, 0) ? FILLED_BYTES : 0), to[1] = to[0] - to[2];
    return SUCCESS;
}

/* --- sensors ------------------------------------------------------------------------------------------------------ */

API nvmlReturn nvmlDeviceGetPowerUsage(Handle gpu, unsigned *to) {
    nvmlReturn failed = fault(gpu, "power");
    return failed ? failed : (*to = mean_mw(gpu), SUCCESS);
}
API nvmlReturn nvmlDeviceGetTotalEnergyConsumption(Handle gpu, u64 *to) {
    nvmlReturn failed = fault(gpu, "energy");
    return failed ? failed : (*to = energy_mj(gpu), SUCCESS);
}
API nvmlReturn nvmlDeviceGetEnforcedPowerLimit(Handle gpu, unsigned *to) { OR_FAIL(gpu); return *to = limit_mw(), SUCCESS; }
API nvmlReturn nvmlDeviceGetPowerManagementDefaultLimit(Handle gpu, unsigned *to) { OR_FAIL(gpu); return *to = 700000, SUCCESS; }
API nvmlReturn nvmlDeviceGetPowerManagementLimitConstraints(Handle gpu, unsigned *least, unsigned *most) {
    OR_FAIL(gpu);
    return *least = 200000, *most = 700000, SUCCESS;
}
API nvmlReturn nvmlDeviceGetTemperature(Handle gpu, int sensor, unsigned *to) {
    (void)sensor;
    OR_FAIL(gpu);
    return *to = 30 + (unsigned)(watts_at(published()) / 20), SUCCESS;
}
API nvmlReturn nvmlDeviceGetClockInfo(Handle gpu, int kind, unsigned *to) {
    OR_FAIL(gpu);
    return *to = kind == 2 ? 2619 : watts_at(published()) > CAPPED_W ? 1755 : 1980, SUCCESS;
}
API nvmlReturn nvmlDeviceGetMaxClockInfo(Handle gpu, int kind, unsigned *to) { OR_FAIL(gpu); return *to = kind == 2 ? 2619 : 1980, SUCCESS; }
API nvmlReturn nvmlDeviceGetApplicationsClock(Handle gpu, int kind, unsigned *to) { return nvmlDeviceGetMaxClockInfo(gpu, kind, to); }
API nvmlReturn nvmlDeviceGetCurrentClocksEventReasons(Handle gpu, u64 *to) {
    OR_FAIL(gpu);
    double t = published();
    *to = (watts_at(t) > CAPPED_W ? 0x4 : 0) | (hot_at >= 0 && t >= hot_at ? 0x20 : 0);
    return SUCCESS;
}

typedef union { double d; unsigned ui; unsigned long ul; u64 ull; } Value;
typedef struct { unsigned field, scope; long long timestamp, latency_us; int type, failed; Value value; } Field;
enum { UNSIGNED = 1, UNSIGNED_LONG_LONG = 3 };

static void fill(Handle gpu, Field *f) {
    double t = published();
    int power = f->field == 185 || f->field == 186;
    nvmlReturn failed = f->field == 83 ? fault(gpu, "energy") : power ? fault(gpu, "power") : SUCCESS;
    f->timestamp = (long long)(now() * 1e6), f->latency_us = latency_us, f->type = UNSIGNED, f->value.ull = 0;
    f->failed = failed ? failed : power && f->scope != (unsigned)module_only ? NOT_SUPPORTED : SUCCESS;
    if (f->failed) return;
    switch (f->field) {
    case 83: f->type = UNSIGNED_LONG_LONG, f->value.ull = energy_mj(gpu); break;
    case 185: f->value.ui = mean_mw(gpu); break;
    case 186: f->value.ui = instant_mw(gpu); break;
    case 190: f->value.ui = limit_mw(); break;
    case 82: f->value.ui = 40; break;
    case 74: f->type = UNSIGNED_LONG_LONG, f->value.ull = (u64)(1e9 * integral(t, CAPPED_W)); break;
    case 269: f->type = UNSIGNED_LONG_LONG, f->value.ull = (u64)(1e9 * (hot_at < 0 ? 0 : fmax(0, t - hot_at))); break;
    case 270: case 271: f->type = UNSIGNED_LONG_LONG; break;
    default: f->failed = NOT_SUPPORTED;
    }
}

API nvmlReturn nvmlDeviceGetFieldValues(Handle gpu, int n, Field *fields) {
    nvmlReturn failed = fault(gpu, "fields");
    for (int i = 0; !failed && i < n; i++) fill(gpu, &fields[i]);
    return failed;
}
