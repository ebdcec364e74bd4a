/* fake_nvml.c - a minimal stand-in for libnvidia-ml.so.1 (original code, no NVIDIA source).
 *
 *   cc -O2 -fPIC -shared -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 fake_nvml.c -lm
 *
 * It reports N GPUs whose power follows a piecewise-constant trace and whose energy counter is
 * the exact integral of that trace, so a harness's answer can be checked against closed form.
 *
 *   FAKE_NVML_GPUS      count (8)
 *   FAKE_NVML_NAME      "NVIDIA H100 80GB HBM3"
 *   FAKE_NVML_TRACE     "seconds:watts,seconds:watts,..."  last one holds ("5:100,10:600,5:100")
 *   FAKE_NVML_LOOP      1 = repeat the trace
 *   FAKE_NVML_T0        unix time (float) at which the trace starts (process start if unset)
 *   FAKE_NVML_SKEW      GPU i draws watts*(1+SKEW*i)  (0.01)
 *   FAKE_NVML_PERIOD_MS sensor/energy update period (100): readings are held between updates
 *   FAKE_NVML_LATENCY_US busy time added to each sensor call (0)
 *   FAKE_NVML_ENERGY0_MJ counter value at trace start (123456789)
 *   FAKE_NVML_RESET_AT  trace second at which the energy counter restarts from 0 (driver reload)
 *   FAKE_NVML_MIG       1 = MIG mode enabled on every GPU
 *   FAKE_NVML_FAIL      "gpu:what:after:code;..." what = power|energy|field|all, after = n calls,
 *                       code = nvmlReturn (3 NOT_SUPPORTED, 4 NO_PERMISSION, 15 GPU_IS_LOST)
 *   FAKE_NVML_NOSCOPE0  1 = GPU-scope POWER_* fields unsupported (C2C superchip), module scope works
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

typedef int R;
enum { OK = 0, UNINIT = 1, EINVAL_ = 2, NOTSUP = 3, NOPERM = 4, NOTFOUND = 6, TOOSMALL = 7, LOST = 15, ARGVER = 25 };
#define MAXG 64
#define MAXSEG 4096
#define API __attribute__((visibility("default")))

typedef struct { int idx; long calls; } Dev;
typedef Dev *H;
static Dev dev[MAXG];
static int inited, ngpu = 8, loop_, mig, noscope0;
static double t0, skew = 0.01, period = 0.1, reset_at = -1, energy0 = 123456789;
static long latency_us;
static int nseg; static double segd[MAXSEG], segw[MAXSEG], total_d, total_e;
static const char *gname = "NVIDIA H100 80GB HBM3";

static double now(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static double envd(const char *k, double d) { const char *s = getenv(k); return s && *s ? atof(s) : d; }

static void load(void) {
    ngpu = (int)envd("FAKE_NVML_GPUS", 8); if (ngpu > MAXG) ngpu = MAXG;
    skew = envd("FAKE_NVML_SKEW", 0.01); period = envd("FAKE_NVML_PERIOD_MS", 100) / 1e3;
    latency_us = (long)envd("FAKE_NVML_LATENCY_US", 0); energy0 = envd("FAKE_NVML_ENERGY0_MJ", 123456789);
    reset_at = envd("FAKE_NVML_RESET_AT", -1); mig = (int)envd("FAKE_NVML_MIG", 0);
    loop_ = (int)envd("FAKE_NVML_LOOP", 0); noscope0 = (int)envd("FAKE_NVML_NOSCOPE0", 0);
    t0 = envd("FAKE_NVML_T0", now());
    if (getenv("FAKE_NVML_NAME")) gname = getenv("FAKE_NVML_NAME");
    const char *s = getenv("FAKE_NVML_TRACE"); if (!s || !*s) s = "3600:350";
    nseg = 0; total_d = total_e = 0;
    while (*s && nseg < MAXSEG) {
        char *e; double d = strtod(s, &e); if (*e != ':') break; double w = strtod(e + 1, &e);
        segd[nseg] = d; segw[nseg++] = w; total_d += d; total_e += d * w; s = *e == ',' ? e + 1 : e;
    }
    for (int i = 0; i < ngpu; i++) { dev[i].idx = i; dev[i].calls = 0; }
}
/* trace in W at second t, and its integral in J from 0 to t (before per-GPU skew) */
static double watts(double t) {
    if (t < 0) t = 0;
    if (loop_ && total_d > 0) t = fmod(t, total_d);
    for (int i = 0; i < nseg; i++) { if (t < segd[i]) return segw[i]; t -= segd[i]; }
    return nseg ? segw[nseg - 1] : 0;
}
static double joules(double t) {
    double e = 0; if (t < 0) return nseg ? t * segw[0] : 0;   /* before T0 the first segment holds */
    if (loop_ && total_d > 0) { double n = floor(t / total_d); e = n * total_e; t -= n * total_d; }
    for (int i = 0; i < nseg; i++) { if (t < segd[i]) return e + t * segw[i]; e += segd[i] * segw[i]; t -= segd[i]; }
    return e + t * (nseg ? segw[nseg - 1] : 0);
}
static double gain(H h) { return 1 + skew * h->idx; }
static double tick(void) { double t = now() - t0; return period > 0 ? floor(t / period) * period : t; } /* held value */
static unsigned p_inst(H h) { return (unsigned)llround(1e3 * gain(h) * watts(tick())); }
static unsigned p_avg(H h) { double t = tick(); return (unsigned)llround(1e3 * gain(h) * (joules(t) - joules(t - 1))); }
static unsigned long long e_mj(H h) {
    double t = tick(), j = joules(t);
    if (reset_at >= 0 && t >= reset_at) return (unsigned long long)(1e3 * gain(h) * (j - joules(reset_at)));
    return (unsigned long long)(energy0 + 1e3 * gain(h) * j);
}
static R fault(H h, const char *what) {
    if (!inited) return UNINIT;
    if (h < dev || h >= dev + ngpu) return EINVAL_;
    long n = ++h->calls;
    if (latency_us) usleep(latency_us);
    const char *s = getenv("FAKE_NVML_FAIL");
    while (s && *s) {
        int g, code; char w[16]; long after;
        if (sscanf(s, "%d:%15[^:]:%ld:%d", &g, w, &after, &code) == 4 && g == h->idx && n > after && (!strcmp(w, what) || !strcmp(w, "all"))) return code;
        s = strchr(s, ';'); if (s) s++;
    }
    return OK;
}
static R cpy(char *o, unsigned n, const char *s) { if (!o) return EINVAL_; if (strlen(s) + 1 > n) return TOOSMALL; strcpy(o, s); return OK; }
static void uuid(int i, char *o) { sprintf(o, "GPU-00000000-0000-4000-8000-%012d", i); }
#define CHK(h) do { R r_ = fault(h, "other"); if (r_) return r_; } while (0)

API R nvmlInitWithFlags(unsigned f) { (void)f; if (!inited++) load(); return OK; }
API R nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API R nvmlInit(void) { return nvmlInitWithFlags(0); }
API R nvmlShutdown(void) { if (!inited) return UNINIT; inited--; return OK; }
API const char *nvmlErrorString(R r) { static char b[32]; snprintf(b, sizeof b, "fake nvml error %d", r); return b; }
API R nvmlSystemGetDriverVersion(char *o, unsigned n) { return cpy(o, n, "580.95.05"); }
API R nvmlSystemGetNVMLVersion(char *o, unsigned n) { return cpy(o, n, "13.580.95.05"); }
API R nvmlSystemGetCudaDriverVersion(int *v) { *v = 13000; return OK; }
API R nvmlSystemGetCudaDriverVersion_v2(int *v) { *v = 13000; return OK; }
API R nvmlDeviceGetCount_v2(unsigned *n) { if (!inited) return UNINIT; *n = ngpu; return OK; }
API R nvmlDeviceGetCount(unsigned *n) { return nvmlDeviceGetCount_v2(n); }
API R nvmlDeviceGetHandleByIndex_v2(unsigned i, H *h) { if (!inited) return UNINIT; if (i >= (unsigned)ngpu) return EINVAL_; *h = &dev[i]; return OK; }
API R nvmlDeviceGetHandleByUUID(const char *u, H *h) { char b[64]; for (int i = 0; i < ngpu; i++) { uuid(i, b); if (!strcmp(b, u)) { *h = &dev[i]; return OK; } } return NOTFOUND; }
API R nvmlDeviceGetHandleByPciBusId_v2(const char *p, H *h) { char b[32]; for (int i = 0; i < ngpu; i++) { sprintf(b, "00000000:%02X:00.0", 16 * (i + 1)); if (strcasestr(b, p) || strcasestr(p, b)) { *h = &dev[i]; return OK; } } return NOTFOUND; }
API R nvmlDeviceGetIndex(H h, unsigned *i) { CHK(h); *i = h->idx; return OK; }
API R nvmlDeviceGetMinorNumber(H h, unsigned *i) { CHK(h); *i = h->idx; return OK; }
API R nvmlDeviceGetModuleId(H h, unsigned *i) { CHK(h); *i = h->idx + 1; return OK; }
API R nvmlDeviceGetName(H h, char *o, unsigned n) { CHK(h); return cpy(o, n, gname); }
API R nvmlDeviceGetUUID(H h, char *o, unsigned n) { CHK(h); char b[64]; uuid(h->idx, b); return cpy(o, n, b); }
API R nvmlDeviceGetSerial(H h, char *o, unsigned n) { CHK(h); char b[32]; sprintf(b, "16500000%05d", h->idx); return cpy(o, n, b); }
typedef struct { char busIdLegacy[16]; unsigned domain, bus, device, pciDeviceId, pciSubSystemId; char busId[32]; } Pci;
API R nvmlDeviceGetPciInfo_v3(H h, Pci *p) { CHK(h); memset(p, 0, sizeof *p); p->bus = 16 * (h->idx + 1); p->pciDeviceId = 0x233010DE; snprintf(p->busIdLegacy, 16, "0000:%02X:00.0", p->bus); snprintf(p->busId, 32, "00000000:%02X:00.0", p->bus); return OK; }
API R nvmlDeviceGetArchitecture(H h, unsigned *a) { CHK(h); *a = strstr(gname, "B200") || strstr(gname, "B300") ? 10 : 9; return OK; } /* 9 Hopper, 10 Blackwell */
API R nvmlDeviceGetCudaComputeCapability(H h, int *a, int *b) { CHK(h); *a = strstr(gname, "B200") || strstr(gname, "B300") ? 10 : 9; *b = 0; return OK; }
API R nvmlDeviceGetMigMode(H h, unsigned *c, unsigned *p) { CHK(h); *c = *p = mig; return OK; }
API R nvmlDeviceIsMigDeviceHandle(H h, unsigned *v) { CHK(h); *v = 0; return OK; }
API R nvmlDeviceGetC2cModeInfoV(H h, void *i) { (void)i; CHK(h); return NOTSUP; }
API R nvmlDeviceGetFanSpeed(H h, unsigned *v) { (void)v; CHK(h); return NOTSUP; }
API R nvmlDeviceGetPersistenceMode(H h, unsigned *m) { CHK(h); *m = 1; return OK; }
API R nvmlDeviceGetPerformanceState(H h, int *p) { CHK(h); *p = 0; return OK; }
API R nvmlDeviceGetPowerManagementMode(H h, int *m) { CHK(h); *m = 1; return OK; }

API R nvmlDeviceGetPowerUsage(H h, unsigned *mw) { R r = fault(h, "power"); if (r) return r; *mw = p_avg(h); return OK; } /* 1 s average, as on Ampere+ */
API R nvmlDeviceGetTotalEnergyConsumption(H h, unsigned long long *mj) { R r = fault(h, "energy"); if (r) return r; *mj = e_mj(h); return OK; }
API R nvmlDeviceGetEnforcedPowerLimit(H h, unsigned *v) { CHK(h); *v = 700000; return OK; }
API R nvmlDeviceGetPowerManagementLimit(H h, unsigned *v) { CHK(h); *v = 700000; return OK; }
API R nvmlDeviceGetPowerManagementDefaultLimit(H h, unsigned *v) { CHK(h); *v = 700000; return OK; }
API R nvmlDeviceGetPowerManagementLimitConstraints(H h, unsigned *a, unsigned *b) { CHK(h); *a = 200000; *b = 700000; return OK; }
API R nvmlDeviceGetTemperature(H h, int s, unsigned *t) { (void)s; CHK(h); *t = 30 + (unsigned)(watts(tick()) / 20); return OK; }
typedef struct { unsigned version; int sensor; int temperature; } Temp1;
API R nvmlDeviceGetTemperatureV(H h, Temp1 *t) { CHK(h); t->temperature = 30 + (int)(watts(tick()) / 20); return OK; }
API R nvmlDeviceGetClockInfo(H h, int type, unsigned *c) { CHK(h); *c = type == 2 ? 2619 : (watts(tick()) > 690 ? 1755 : 1980); return OK; }
API R nvmlDeviceGetMaxClockInfo(H h, int type, unsigned *c) { CHK(h); *c = type == 2 ? 2619 : 1980; return OK; }
API R nvmlDeviceGetCurrentClocksEventReasons(H h, unsigned long long *r) { CHK(h); double w = watts(tick()); *r = w > 690 ? 4 : (w < 120 ? 1 : 0); return OK; } /* 4 SW power cap, 1 idle */
API R nvmlDeviceGetCurrentClocksThrottleReasons(H h, unsigned long long *r) { return nvmlDeviceGetCurrentClocksEventReasons(h, r); }
API R nvmlDeviceGetUtilizationRates(H h, unsigned *u) { CHK(h); u[0] = watts(tick()) > 150 ? 100 : 0; u[1] = u[0] / 2; return OK; }
API R nvmlDeviceGetMemoryInfo(H h, unsigned long long *m) { CHK(h); m[0] = 85520809984ULL; m[2] = 1ULL << 30; m[1] = m[0] - m[2]; return OK; }
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Mem2;
API R nvmlDeviceGetMemoryInfo_v2(H h, Mem2 *m) { CHK(h); m->total = 85520809984ULL; m->reserved = 0; m->used = 1ULL << 30; m->free = m->total - m->used; return OK; }
/* A process is on GPU i when the environment that it was started with holds FAKE_NVML_ON with i in it: "0,1". */
static int is_on(const char *pid, int gpu) {
    char path[64], text[65536]; snprintf(path, sizeof path, "/proc/%s/environ", pid);
    FILE *f = fopen(path, "r"); if (!f) return 0;
    size_t n = fread(text, 1, sizeof text - 1, f); fclose(f); text[n] = 0;
    for (char *s = text; s < text + n; s += strlen(s) + 1)
        if (!strncmp(s, "FAKE_NVML_ON=", 13)) {
            char *c = s + 13, *e;
            while (*c) { long g = strtol(c, &e, 10); if (e == c) break; if (g == gpu) return 1; c = *e == ',' ? e + 1 : e; }
        }
    return 0;
}
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } Proc;
API R nvmlDeviceGetComputeRunningProcesses_v3(H h, unsigned *n, Proc *p) {
    CHK(h); unsigned room = *n, k = 0; DIR *d = opendir("/proc"); struct dirent *e;
    while (d && (e = readdir(d))) {
        if (e->d_name[0] < '0' || e->d_name[0] > '9' || !is_on(e->d_name, h->idx)) continue;
        if (p && k < room) { p[k].pid = (unsigned)atoi(e->d_name); p[k].used = 1ULL << 30; p[k].gi = p[k].ci = 0xffffffff; }
        k++;
    }
    if (d) closedir(d);
    *n = k; return k > room || (k && !p) ? 7 : OK; /* INSUFFICIENT_SIZE */
}

typedef union { double d; int si; unsigned ui; unsigned long ul; unsigned long long ull; long long sll; unsigned short us; } Val;
typedef struct { unsigned fieldId, scopeId; long long timestamp, latencyUsec; int valueType, ret; Val v; } FV;
enum { VT_UINT = 1, VT_ULL = 3 };
API R nvmlDeviceGetFieldValues(H h, int n, FV *f) {
    R r = fault(h, "field"); if (r == LOST || r == UNINIT || r == EINVAL_) return r;
    for (int i = 0; i < n; i++) {
        f[i].timestamp = (long long)(now() * 1e6); f[i].latencyUsec = latency_us; f[i].ret = r; f[i].v.ull = 0; f[i].valueType = VT_UINT;
        if (r) continue;
        int gpuscope_missing = noscope0 && f[i].scopeId == 0;
        switch (f[i].fieldId) {
        case 83: case 191: f[i].valueType = VT_ULL; f[i].v.ull = e_mj(h); break;       /* energy mJ */
        case 185: if (gpuscope_missing) f[i].ret = NOTSUP; else f[i].v.ui = f[i].scopeId == 2 ? p_avg(h) / 6 : (f[i].scopeId == 1 ? p_avg(h) + 150000 : p_avg(h)); break;
        case 186: if (gpuscope_missing || f[i].scopeId == 2) f[i].ret = NOTSUP; else f[i].v.ui = f[i].scopeId == 1 ? p_inst(h) + 150000 : p_inst(h); break;
        case 187: f[i].v.ui = 200000; break;
        case 188: case 189: case 190: case 192: f[i].v.ui = 700000; break;
        case 82: f[i].v.ui = 40; break;                                                 /* HBM temp */
        case 74: f[i].valueType = VT_ULL; f[i].v.ull = (unsigned long long)(watts(tick()) > 690 ? 1e9 * (now() - t0) : 0); break; /* SW power cap ns */
        case 76: case 269: case 270: case 271: f[i].valueType = VT_ULL; f[i].v.ull = 0; break;
        default: f[i].ret = NOTSUP;
        }
    }
    return OK;
}
typedef struct { unsigned long long ts; Val v; } Sample;
API R nvmlDeviceGetSamples(H h, int type, unsigned long long since, int *vt, unsigned *n, Sample *s) {
    CHK(h); if (type != 0) return NOTSUP;
    double t = tick(); unsigned k = 0, cap = s ? *n : 120; *vt = VT_UINT;                /* ring of 120 power samples */
    for (int i = 119; i >= 0 && k < cap; i--) {
        double tt = t - i * (period > 0 ? period : 0.02); unsigned long long us = (unsigned long long)((t0 + tt) * 1e6);
        if (tt < 0 || us <= since) continue;
        if (s) { s[k].ts = us; s[k].v.ui = (unsigned)(1e3 * gain(h) * watts(tt)); }
        k++;
    }
    *n = k; return k ? OK : NOTFOUND;
}
