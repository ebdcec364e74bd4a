/* The part of libamd_smi.so that a power meter needs: sockets on a known power trace, and faults on demand.
 *
 * Layouts come from layout.h, which build.py writes from the ctypes definitions of the installed binding, so that the
 * fake follows its version. Whatever is not implemented here returns NOT_SUPPORTED. Settings are read when they are
 * asked for, so a test may change them while the library is open:
 *
 *   FAKE_AMD_NOW       seconds since the trace began; unset: real time since amdsmi_init
 *   FAKE_AMD_TRACE     "seconds:watts,...", the last one holds (3600:700)
 *   FAKE_AMD_SKEW      socket i draws (1 + SKEW * i) times as much (0.01)
 *   FAKE_AMD_PUBLISH   seconds between two publications of counter and power (0.1)
 *   FAKE_AMD_SOCKETS, FAKE_AMD_PARTS    GPUs (8), and handles of each: 1 is SPX, 8 is CPX (1)
 *   FAKE_AMD_HIP       HIP's number of each socket in PCI order ("3,2,1,0"); "none": too old to tell
 *   FAKE_AMD_GEN       300: power of the moment; 200: only an average, as before MI300 (300)
 *   FAKE_AMD_SLOWDOWN  the counter runs so many times too slowly (1); "inf" stands still
 *   FAKE_AMD_WRAP32    the counter has 32 bits
 *   FAKE_AMD_BACK      seconds after which the counter has lost all but 1000 J of what it had at first
 *   FAKE_AMD_ZERO      seconds after which power reads 0
 *   FAKE_AMD_NA        comma list of fields that read all ones: energy, power, temperature, clock, residency
 *   FAKE_AMD_FAIL      "socket:seconds:status": from then on every call for it gives a status
 *   FAKE_AMD_CAP       "seconds:watts,...": the power cap over time (3600:1400)
 *   FAKE_AMD_DELIVERED the power cap as delivered, watts (1400)
 *   FAKE_AMD_CAP_UNIT  a watt of the cap in what is returned (1e6)
 *   FAKE_AMD_SLEEP     milliseconds that every read takes
 *   FAKE_AMD_PIDS      comma list of processes that use each GPU
 *   FAKE_AMD_ON        in another process's environment, "0,1": that process is on these sockets
 *   FAKE_AMD_INIT      status of amdsmi_init (34 is DRIVER_NOT_LOADED)
 *   FAKE_AMD_VERSION   major version of the library (26)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "layout.h"

#define API __attribute__((visibility("default")))
#define PUT(base, type, offset, value) \
    do { type put_ = (type)(value); memcpy((char *)(base) + (offset), &put_, sizeof put_); } while (0)
#define FOR(handle) Part *part; int failed = find(handle, &part); if (failed) return failed

enum { OK = 0, INVALID = 1, NOT_SUPPORTED = 2, NOT_INITIALISED = 32 };
enum { MOST_SOCKETS = 16, MOST_PARTS = 8 };
#define TICKS_PER_J 65536.0
#define CAPPED_W 1390.0

typedef struct { int socket, part; } Part;

static Part parts[MOST_SOCKETS][MOST_PARTS];
static int initialised;
static double began;

static const char *setting(const char *name, const char *otherwise) {
    const char *given = getenv(name);
    return given && *given ? given : otherwise;
}
static double number(const char *name, double otherwise) {
    const char *given = getenv(name);
    return given && *given ? atof(given) : otherwise;
}
static int sockets(void) { return (int)number("FAKE_AMD_SOCKETS", 8); }
static int parts_of_each(void) { return (int)number("FAKE_AMD_PARTS", 1); }
static int lacks(const char *field) { return strstr(setting("FAKE_AMD_NA", ""), field) != NULL; }

static double wall(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}
static double now(void) { return number("FAKE_AMD_NOW", wall() - began); }
static double published(void) {
    double period = number("FAKE_AMD_PUBLISH", 0.1);
    return floor(now() / period + 1e-9) * period;
}

/* Value and integral of a step function "seconds:value,..." at a time. */
static void along(const char *steps, double t, double *value, double *integral) {
    double sum = 0, length = 0, level = 0;
    for (const char *at = steps; *at;) {
        char *end;
        length = strtod(at, &end);
        level = strtod(end + 1, &end);
        at = *end == ',' ? end + 1 : end;
        if (t < length || !*at) break;
        sum += length * level;
        t -= length;
    }
    *value = level;
    *integral = sum + t * level;
}
static double share(const Part *part) { return 1 + number("FAKE_AMD_SKEW", 0.01) * part->socket; }
static double joules(const Part *part, double t) {
    double value, integral;
    along(setting("FAKE_AMD_TRACE", "3600:700"), t, &value, &integral);
    return share(part) * integral;
}
static unsigned watts(const Part *part) {
    double value, integral;
    if (now() >= number("FAKE_AMD_ZERO", INFINITY)) return 0;
    along(setting("FAKE_AMD_TRACE", "3600:700"), published(), &value, &integral);
    return (unsigned)llround(share(part) * value);
}
static uint64_t counter(const Part *part) {
    double t = published(), energy = joules(part, t) / number("FAKE_AMD_SLOWDOWN", 1);
    if (now() >= number("FAKE_AMD_BACK", INFINITY)) energy -= 1000;
    uint64_t ticks = 5000000000ULL + (int64_t)(energy * TICKS_PER_J);
    return number("FAKE_AMD_WRAP32", 0) ? (uint32_t)ticks : ticks;
}
static uint64_t as_cap(double watts) { return (uint64_t)(watts * number("FAKE_AMD_CAP_UNIT", 1e6)); }
static uint64_t cap(void) {
    double value, integral;
    along(setting("FAKE_AMD_CAP", "3600:1400"), now(), &value, &integral);
    return as_cap(value);
}
static int hip_number(int socket) {
    const char *list = setting("FAKE_AMD_HIP", "");
    for (int place = 0; *list && place < socket; place++) {
        list = strchr(list, ',');
        if (!list) return socket;
        list++;
    }
    return *list ? atoi(list) : socket;
}
static int hip_is_told(void) { return strcmp(setting("FAKE_AMD_HIP", ""), "none") != 0; }

static int find(void *handle, Part **found) {
    if (!initialised) return NOT_INITIALISED;
    for (int s = 0; s < sockets(); s++)
        for (int p = 0; p < parts_of_each(); p++)
            if (handle == &parts[s][p]) {
                int socket, status;
                double from;
                *found = handle;
                if (sscanf(setting("FAKE_AMD_FAIL", ""), "%d:%lf:%d", &socket, &from, &status) == 3)
                    if (socket == s && now() >= from) return status;
                return OK;
            }
    return INVALID;
}
static void take_time(void) {
    double ms = number("FAKE_AMD_SLEEP", 0);
    struct timespec length = {(time_t)(ms / 1000), (long)(fmod(ms, 1000) * 1e6)};
    if (ms > 0) nanosleep(&length, NULL);
}

API int amdsmi_init(uint64_t flags) {
    (void)flags;
    int status = (int)number("FAKE_AMD_INIT", OK);
    for (int s = 0; s < MOST_SOCKETS; s++)
        for (int p = 0; p < MOST_PARTS; p++) parts[s][p] = (Part){s, p};
    began = wall();
    initialised = status == OK;
    return status;
}
API int amdsmi_shut_down(void) { initialised = 0; return OK; }

API int amdsmi_get_socket_handles(uint32_t *count, void **handles) {
    if (!initialised) return NOT_INITIALISED;
    *count = (uint32_t)sockets();
    for (int s = 0; handles && s < sockets(); s++) handles[s] = &parts[s][0];
    return OK;
}
API int amdsmi_get_processor_handles(void *socket, uint32_t *count, void **handles) {
    if (!initialised) return NOT_INITIALISED;
    *count = (uint32_t)parts_of_each();
    for (int p = 0; handles && p < parts_of_each(); p++) handles[p] = &parts[((Part *)socket)->socket][p];
    return OK;
}
API int amdsmi_get_lib_version(void *version) {
    static char build[] = "fake";
    PUT(version, uint32_t, OFF_version_major, number("FAKE_AMD_VERSION", 26));
    PUT(version, uint32_t, OFF_version_minor, 0);
    PUT(version, uint32_t, OFF_version_release, 2);
    PUT(version, char *, OFF_version_build, build);
    return OK;
}
API int amdsmi_get_gpu_device_bdf(void *handle, uint64_t *bdf) {
    FOR(handle);
    *bdf = ((uint64_t)(0x0c + 0x0d * part->socket) << 8) | (uint64_t)(part->part & 7);
    return OK;
}
API int amdsmi_get_gpu_device_uuid(void *handle, uint32_t *length, char *uuid) {
    FOR(handle);
    snprintf(uuid, *length, "%02xff75a3-0000-1000-80%02x-%012x", part->socket, part->part, part->socket);
    return OK;
}
API int amdsmi_get_gpu_enumeration_info(void *handle, void *info) {
    FOR(handle);
    if (!hip_is_told()) return NOT_SUPPORTED;
    int place = hip_number(part->socket) * parts_of_each() + part->part;
    PUT(info, uint32_t, OFF_enumeration_hip_id, place);
    snprintf((char *)info + OFF_enumeration_hip_uuid, 64, "GPU-%08x%08x", 0xa0 + part->socket, part->part);
    return OK;
}
API int amdsmi_get_gpu_kfd_info(void *handle, void *info) {
    FOR(handle);
    /* The kernel's own order here is the reverse of PCI's. */
    PUT(info, uint32_t, OFF_kfd_node_id, 2 + (sockets() - 1 - part->socket) * parts_of_each() + part->part);
    PUT(info, uint32_t, OFF_kfd_current_partition_id, part->part);
    return OK;
}
API int amdsmi_get_gpu_asic_info(void *handle, void *info) {
    FOR(handle);
    memset(info, 0, SIZE_asic);
    strcpy((char *)info + OFF_asic_market_name, setting("FAKE_AMD_NAME", "AMD Instinct MI355X"));
    strcpy((char *)info + OFF_asic_asic_serial, "0");
    PUT(info, uint32_t, OFF_asic_oam_id, (part->socket + 2) % sockets());
    return OK;
}
API int amdsmi_get_gpu_vbios_info(void *handle, void *info) {
    FOR(handle);
    memset(info, 0, SIZE_vbios);
    strcpy((char *)info + OFF_vbios_version, "022.040.003.043.000001");
    return OK;
}
API int amdsmi_get_gpu_driver_info(void *handle, void *info) {
    FOR(handle);
    memset(info, 0, SIZE_driver);
    strcpy((char *)info + OFF_driver_driver_version, "6.14.14");
    strcpy((char *)info + OFF_driver_driver_name, "amdgpu");
    return OK;
}
API int amdsmi_get_gpu_compute_partition(void *handle, char *mode, uint32_t length) {
    FOR(handle);
    snprintf(mode, length, parts_of_each() == 1 ? "SPX" : "CPX");
    return OK;
}
API int amdsmi_get_gpu_memory_partition(void *handle, char *mode, uint32_t length) {
    FOR(handle);
    snprintf(mode, length, "NPS1");
    return OK;
}
API int amdsmi_get_gpu_memory_total(void *handle, uint32_t kind, uint64_t *bytes) {
    (void)kind;
    FOR(handle);
    *bytes = 309220868096ULL;
    return OK;
}
API int amdsmi_get_gpu_memory_usage(void *handle, uint32_t kind, uint64_t *bytes) {
    (void)kind;
    FOR(handle);
    *bytes = 297000000ULL;
    return OK;
}
/* Whether a comma list of numbers names one. */
static int names(const char *list, int wanted) {
    for (char *end; *list; list = *end == ',' ? end + 1 : end) {
        long number = strtol(list, &end, 10);
        if (end == list) return 0;
        if (number == wanted) return 1;
    }
    return 0;
}
static int is_on(const char *pid, int socket) {
    char path[300], text[65536];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    for (char *entry = text; entry < text + length; entry += strlen(entry) + 1)
        if (!strncmp(entry, "FAKE_AMD_ON=", 12) && names(entry + 12, socket)) return 1;
    return 0;
}
static void add(void *list, uint32_t place, long pid) {
    memset((char *)list + place * SIZE_process, 0, SIZE_process);
    PUT((char *)list + place * SIZE_process, uint32_t, OFF_process_pid, pid);
}
API int amdsmi_get_gpu_process_list(void *handle, uint32_t *most, void *list) {
    FOR(handle);
    uint32_t found = 0;
    char *end;
    for (const char *at = setting("FAKE_AMD_PIDS", ""); *at && found < *most; at = *end == ',' ? end + 1 : end)
        add(list, found++, strtol(at, &end, 10));
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && found < *most && (entry = readdir(proc));)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_on(entry->d_name, part->socket))
            add(list, found++, atol(entry->d_name));
    if (proc) closedir(proc);
    *most = found;
    return OK;
}
API int amdsmi_get_power_cap_info(void *handle, uint32_t sensor, void *info) {
    (void)sensor;
    FOR(handle);
    memset(info, 0, SIZE_cap);
    PUT(info, uint64_t, OFF_cap_power_cap, cap());
    PUT(info, uint64_t, OFF_cap_default_power_cap, as_cap(number("FAKE_AMD_DELIVERED", 1400)));
    PUT(info, uint64_t, OFF_cap_max_power_cap, as_cap(number("FAKE_AMD_DELIVERED", 1400)));
    return OK;
}
API int amdsmi_get_gpu_metrics_info(void *handle, void *metrics) {
    FOR(handle);
    take_time();
    memset(metrics, 0xFF, SIZE_metrics); /* all ones: not there */
    unsigned power = watts(part);
    double t = published();
    if (!lacks("power")) {
        int moment = number("FAKE_AMD_GEN", 300) >= 300;
        PUT(metrics, uint16_t, moment ? OFF_metrics_current_socket_power : OFF_metrics_average_socket_power, power);
    }
    if (!lacks("energy")) PUT(metrics, uint64_t, OFF_metrics_energy_accumulator, counter(part));
    if (!lacks("temperature")) {
        PUT(metrics, uint16_t, OFF_metrics_temperature_hotspot, 40 + power / 40);
        PUT(metrics, uint16_t, OFF_metrics_temperature_mem, 45);
    }
    if (!lacks("clock")) {
        PUT(metrics, uint16_t, OFF_metrics_current_gfxclk, 2400);
        PUT(metrics, uint16_t, OFF_metrics_current_uclk, 2000);
    }
    if (!lacks("residency")) {
        /* 1 kHz; the cap holds clocks down for half of the time in which it is reached. */
        PUT(metrics, uint64_t, OFF_metrics_accumulation_counter, t * 1000);
        PUT(metrics, uint64_t, OFF_metrics_ppt_residency_acc, power >= CAPPED_W ? t * 500 : 0);
        PUT(metrics, uint64_t, OFF_metrics_socket_thm_residency_acc, 0);
        PUT(metrics, uint64_t, OFF_metrics_prochot_residency_acc, 0);
        PUT(metrics, uint64_t, OFF_metrics_vr_thm_residency_acc, 0);
        PUT(metrics, uint64_t, OFF_metrics_hbm_thm_residency_acc, 0);
    }
    return OK;
}
