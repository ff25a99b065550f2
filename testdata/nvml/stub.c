/*
 * A replacement for NVIDIA's libnvidia-ml.so.1 on machines without a GPU. With it, a test loads and calls the library as on
 * a machine with GPUs. Build it with
 *
 *     cc -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 stub.c -lm
 *
 * and with -DNO_nvmlDeviceGetTemperature, for example, for each function that the library must lack. The environment
 * describes the GPUs. Each call reads it, so a test can change it at any time:
 *
 *     STUB_NVML_GPUS=2              number of GPUs (1), UUIDs GPU-00000000-0000-0000-0000-000000000000, -1111…, …
 *     STUB_NVML_MODELS=A,B          their names; the last one is for all remaining GPUs (Stub GPU)
 *     STUB_NVML_ENERGY=123          mJ in the energy counter (1 MJ + POWER * time since the library was loaded)
 *     STUB_NVML_POWER=100000        power of GPU 0 in mW; GPU i draws i W more
 *     STUB_NVML_CURVE=ramp:50:200:2 power in W from ORIGIN on, instead of POWER: constant:W, ramp:FROM:TO:SECONDS (then TO),
 *                                   square:FIRST:SECOND:PERIOD (half of the period each). Before ORIGIN, the first power
 *     STUB_NVML_ORIGIN=12.5         second of CLOCK_MONOTONIC at which curves begin (when the library was loaded)
 *     STUB_NVML_UPDATE=100          ms between two new values of counter and power (0: always new)
 *     STUB_NVML_WINDOW=25           ms before a new value over which POWER_INSTANT is the mean (0: momentary)
 *     STUB_NVML_INSTANT=0           mW that POWER_INSTANT answers, whatever the power is
 *     STUB_NVML_AVERAGE=1000        ms over which nvmlDeviceGetPowerUsage and POWER_AVERAGE are the mean. Without it, the
 *                                   first equals POWER_INSTANT, and the second is NOT_SUPPORTED
 *     STUB_NVML_RESET=1.5           s after ORIGIN at which the counter restarts from 0
 *     STUB_NVML_MODULE=300          W that the rest of the module draws; the scope MODULE shows its sum with the GPU's
 *     STUB_NVML_COUNTS_MODULE=1     the counter counts the whole module, as on a GH200
 *     STUB_NVML_MEMORY=40           W in the scope MEMORY
 *     STUB_NVML_SCOPES=0            scopes are ignored, as by older drivers
 *     STUB_NVML_LOG=FILE            a line for each reading of a counter: GPU, seconds since ORIGIN, mJ
 *     STUB_NVML_PROCESSES=FILE      a line for each program on the GPUs: GPU PID MIB SM% [graphics]. A program that has
 *                                   ended is in no list and uses nothing
 *     STUB_NVML_SAMPLES=200         ms between two samples of their use of SMs
 *     STUB_NVML_GROWS=1             each call has one sample more than there was room for
 *     STUB_NVML_CAPABILITY=80       compute capability times ten (90)
 *     STUB_NVML_UTILIZATION=75      utilization in per cent
 *     STUB_NVML_UNSUPPORTED=a,b     functions or fields that are NOT_SUPPORTED: nvmlDeviceGetTemperature, field-83
 *     STUB_NVML_UNKNOWN_FIELDS=1    every field is an INVALID_ARGUMENT, as with drivers that do not know it
 *     STUB_NVML_FAIL=a,b            functions whose calls fail (999)
 *     STUB_NVML_LOST=1              the GPU that has fallen off the bus; "all" means all GPUs
 *     STUB_NVML_INIT=9              the result of nvmlInit (0); 9 is DRIVER_NOT_LOADED
 *     STUB_NVML_HANG=a,b            functions whose calls do not return
 *     STUB_NVML_HANG_FROM=1.5       s after ORIGIN from which on they do not return (always)
 *     STUB_NVML_MIG=MIG-x           UUID of an instance on GPU 0, which is then in MIG mode
 *
 * Defaults are in parentheses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       GPU_IS_LOST = 15, UNKNOWN = 999 };
enum { MOST = 16 };

/* A handle is an address. The handles of instances come after those of the GPUs. */
static char gpus[2 * MOST];
static int started;
static struct timespec loaded;

__attribute__((constructor)) static void load(void) { clock_gettime(CLOCK_MONOTONIC, &loaded); }

static long setting(const char *name, long otherwise)
{
	const char *s = getenv(name);
	return s && *s ? atol(s) : otherwise;
}

/* Whether a word is in a list that is separated by commas. */
static int listed(const char *name, const char *word)
{
	const char *s = getenv(name);
	size_t n = strlen(word);
	for (; s && *s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
		if (!strncmp(s, word, n) && (s[n] == ',' || !s[n]))
			return 1;
	return 0;
}

static int count(void)
{
	long n = setting("STUB_NVML_GPUS", 1);
	return n < 0 ? 0 : n > MOST ? MOST : (int)n;
}

static double now(void);

static int hangs(const char *function)
{
	const char *from = getenv("STUB_NVML_HANG_FROM");
	return listed("STUB_NVML_HANG", function) && (!from || !*from || now() >= atof(from));
}

/* The error that a function must return at once, or SUCCESS. A device of NULL means that the function has no device. */
static int ready(const char *function, void *device)
{
	while (hangs(function))
		pause();
	if (!started)
		return UNINITIALIZED;
	if (listed("STUB_NVML_UNSUPPORTED", function))
		return NOT_SUPPORTED;
	if (listed("STUB_NVML_FAIL", function))
		return UNKNOWN;
	if (device) {
		long at = (char *)device - gpus;
		const char *lost = getenv("STUB_NVML_LOST");
		if (at < 0 || at >= 2 * MOST)
			return INVALID_ARGUMENT;
		if (lost && *lost && (!strcmp(lost, "all") || atol(lost) == at))
			return GPU_IS_LOST;
	}
	return SUCCESS;
}
#define READY(device) do { int r = ready(__func__, device); if (r) return r; } while (0)

static int at(void *device) { return (int)((char *)device - gpus) % MOST; }

/* A setting in thousandths of its unit, as seconds or watts. */
static double thousandths(const char *name, double otherwise)
{
	const char *s = getenv(name);
	return s && *s ? atof(s) / 1e3 : otherwise;
}

/* Seconds since ORIGIN. */
static double now(void)
{
	struct timespec t;
	const char *origin = getenv("STUB_NVML_ORIGIN");
	clock_gettime(CLOCK_MONOTONIC, &t);
	if (origin && *origin)
		return (double)t.tv_sec + (double)t.tv_nsec / 1e9 - atof(origin);
	return (double)(t.tv_sec - loaded.tv_sec) + (double)(t.tv_nsec - loaded.tv_nsec) / 1e9;
}

/* The energy of the curve from 0 to t, in J. It is negative if t is. */
static double curve(double t)
{
	const char *s = getenv("STUB_NVML_CURVE");
	double a = thousandths("STUB_NVML_POWER", 100), b, n;
	if (!s || !*s)
		return a * t;
	if (sscanf(s, "ramp:%lf:%lf:%lf", &a, &b, &n) == 3)
		return t < 0 ? a * t : t < n ? a * t + (b - a) * t * t / (2 * n) : (a + b) / 2 * n + b * (t - n);
	if (sscanf(s, "square:%lf:%lf:%lf", &a, &b, &n) == 3) {
		if (t < 0)
			return a * t;
		double whole = floor(t / n), part = t - whole * n;
		return whole * n * (a + b) / 2 + (part < n / 2 ? a * part : a * n / 2 + b * (part - n / 2));
	}
	if (sscanf(s, "constant:%lf", &a) == 1)
		return a * t;
	abort();
}

/* The time of the last new value of counter and power. */
static double updated(void)
{
	double t = now(), step = thousandths("STUB_NVML_UPDATE", 0);
	return step > 0 ? floor(t / step) * step : t;
}

/* The mean power over the window before the last new value, in mW. */
static unsigned power(void *device, double window)
{
	double t = updated();
	if (window <= 0)
		window = 1e-6;
	return (unsigned)lround(1e3 * ((curve(t) - curve(t - window)) / window + at(device)));
}

static unsigned instant(void *device) { return power(device, thousandths("STUB_NVML_WINDOW", 0)); }

static unsigned usual(void *device)
{
	double window = thousandths("STUB_NVML_AVERAGE", 0);
	return window > 0 ? power(device, window) : instant(device);
}

static unsigned long long energy(void *device)
{
	long fixed = setting("STUB_NVML_ENERGY", -1);
	if (fixed >= 0)
		return (unsigned long long)fixed;
	double t = updated(), extra = at(device), reset = thousandths("STUB_NVML_RESET", -1) * 1e3;
	if (setting("STUB_NVML_COUNTS_MODULE", 0))
		extra += (double)setting("STUB_NVML_MODULE", 0);
	double j = curve(t) + extra * t;
	if (reset > 0 && t >= reset)
		j -= curve(reset) + extra * reset;
	else
		j += 1e6; /* the count before ORIGIN, large enough that j is never negative */
	unsigned long long mj = (unsigned long long)floor(1e3 * j);
	const char *log = getenv("STUB_NVML_LOG");
	FILE *f = log && *log ? fopen(log, "a") : NULL;
	if (f) {
		fprintf(f, "%d %.9f %llu\n", at(device), now(), mj);
		fclose(f);
	}
	return mj;
}

#ifndef NO_nvmlInit_v2
int nvmlInit_v2(void)
{
	while (hangs(__func__))
		pause();
	int r = (int)setting("STUB_NVML_INIT", SUCCESS);
	if (!r)
		started++;
	return r;
}
#endif

int nvmlShutdown(void)
{
	READY(NULL);
	started--;
	return SUCCESS;
}

#ifndef NO_nvmlErrorString
const char *nvmlErrorString(int r) { return r ? "an error of the stub" : "success"; }
#endif

int nvmlDeviceGetCount_v2(unsigned *n)
{
	READY(NULL);
	*n = (unsigned)count();
	return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device)
{
	if (i >= (unsigned)count())
		return INVALID_ARGUMENT;
	READY(&gpus[i]);
	*device = &gpus[i];
	return SUCCESS;
}

static void uuid(int i, char *text, size_t size)
{
	char c = "0123456789abcdef"[i];
	const char *form = "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t k = 0;
	for (; form[k] && k + 1 < size; k++)
		text[k] = form[k] == 'x' ? c : form[k];
	text[k] = 0;
}

int nvmlDeviceGetUUID(void *device, char *text, unsigned size)
{
	READY(device);
	if (size < 41)
		return INSUFFICIENT_SIZE;
	uuid(at(device), text, size);
	return SUCCESS;
}

#ifndef NO_nvmlDeviceGetHandleByUUID
int nvmlDeviceGetHandleByUUID(const char *text, void **device)
{
	READY(NULL);
	const char *mig = getenv("STUB_NVML_MIG");
	if (mig && !strcmp(mig, text)) {
		*device = &gpus[MOST];
		return SUCCESS;
	}
	for (int i = 0; i < count(); i++) {
		char own[64];
		uuid(i, own, sizeof own);
		if (!strcmp(own, text)) {
			*device = &gpus[i];
			return SUCCESS;
		}
	}
	return NOT_FOUND;
}
#endif

#ifndef NO_nvmlDeviceGetDeviceHandleFromMigDeviceHandle
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *instance, void **device)
{
	READY(instance);
	if ((char *)instance < gpus + MOST)
		return INVALID_ARGUMENT;
	*device = (char *)instance - MOST;
	return SUCCESS;
}
#endif

#ifndef NO_nvmlDeviceGetName
int nvmlDeviceGetName(void *device, char *text, unsigned size)
{
	READY(device);
	const char *s = getenv("STUB_NVML_MODELS");
	if (!s || !*s)
		s = "Stub GPU";
	for (int i = at(device); i > 0 && strchr(s, ','); i--)
		s = strchr(s, ',') + 1;
	snprintf(text, size, "%.*s", (int)strcspn(s, ","), s);
	return SUCCESS;
}
#endif

struct rates { unsigned gpu, memory; };
struct memory { unsigned long long total, free, used; };
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };

/* A field's value, as in NVML's interface: 40 bytes. */
struct field {
	unsigned id, scope;
	long long time, latency;
	unsigned type, result;
	union { double d; unsigned u; unsigned long long ull; } value;
};

/* POWER_AVERAGE and POWER_INSTANT, as unsigned int in mW, in the scopes GPU, MODULE and MEMORY. */
static int power_field(void *device, struct field *f)
{
	unsigned scope = setting("STUB_NVML_SCOPES", 1) ? f->scope : 0;
	if (f->id == 185 && !getenv("STUB_NVML_AVERAGE") && scope != 2)
		return NOT_SUPPORTED;
	if (f->id != 185 && (f->id != 186 || scope == 2)) /* memory has only the mean, as on an H100 */
		return NOT_SUPPORTED;
	f->type = 1;
	f->value.ull = ~0ull; /* the upper half is not part of the value */
	f->value.u = f->id == 185 ? usual(device) : instant(device);
	if (f->id == 186 && getenv("STUB_NVML_INSTANT"))
		f->value.u = (unsigned)setting("STUB_NVML_INSTANT", 0);
	switch (scope) {
	case 0:
		return SUCCESS;
	case 1:
		f->value.u += 1000 * (unsigned)setting("STUB_NVML_MODULE", 0);
		return getenv("STUB_NVML_MODULE") ? SUCCESS : NOT_SUPPORTED;
	case 2:
		f->value.u = 1000 * (unsigned)setting("STUB_NVML_MEMORY", 0);
		return getenv("STUB_NVML_MEMORY") ? SUCCESS : NOT_SUPPORTED;
	}
	return INVALID_ARGUMENT;
}

#ifndef NO_nvmlDeviceGetFieldValues
int nvmlDeviceGetFieldValues(void *device, int n, struct field *fields)
{
	READY(device);
	for (int i = 0; i < n; i++) {
		struct field *f = &fields[i];
		char name[32];
		snprintf(name, sizeof name, "field-%u", f->id);
		f->result = SUCCESS;
		if (setting("STUB_NVML_UNKNOWN_FIELDS", 0))
			f->result = INVALID_ARGUMENT;
		else if (listed("STUB_NVML_UNSUPPORTED", name))
			f->result = NOT_SUPPORTED;
		else if (f->id == 83) { /* TOTAL_ENERGY_CONSUMPTION, unsigned long long mJ */
			f->type = 3;
			f->value.ull = energy(device);
		} else
			f->result = power_field(device, f);
	}
	return SUCCESS;
}
#endif

#ifndef NO_nvmlDeviceGetTotalEnergyConsumption
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj)
{
	READY(device);
	*mj = energy(device);
	return SUCCESS;
}
#endif

#ifndef NO_nvmlDeviceGetPowerUsage
int nvmlDeviceGetPowerUsage(void *device, unsigned *mw)
{
	READY(device);
	*mw = usual(device);
	return SUCCESS;
}
#endif

#ifndef NO_nvmlDeviceGetUtilizationRates
int nvmlDeviceGetUtilizationRates(void *device, struct rates *u)
{
	READY(device);
	u->gpu = (unsigned)setting("STUB_NVML_UTILIZATION", 75);
	u->memory = 30;
	return SUCCESS;
}
#endif

#ifndef NO_nvmlDeviceGetMemoryInfo
int nvmlDeviceGetMemoryInfo(void *device, struct memory *m)
{
	READY(device);
	m->total = 80ull << 30;
	m->used = 3ull << 30;
	m->free = m->total - m->used;
	return SUCCESS;
}
#endif

#ifndef NO_nvmlDeviceGetMemoryInfo_v2
int nvmlDeviceGetMemoryInfo_v2(void *device, struct memory_v2 *m)
{
	READY(device);
	if (m->version != (sizeof *m | 2u << 24))
		return INVALID_ARGUMENT;
	m->total = 80ull << 30;
	m->reserved = 1ull << 30;
	m->used = 2ull << 30;
	m->free = m->total - m->used - m->reserved;
	return SUCCESS;
}
#endif

#ifndef NO_nvmlDeviceGetTemperature
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees)
{
	READY(device);
	if (sensor != 0)
		return INVALID_ARGUMENT;
	*degrees = 41;
	return SUCCESS;
}
#endif

#ifndef NO_nvmlDeviceGetClockInfo
int nvmlDeviceGetClockInfo(void *device, int kind, unsigned *mhz)
{
	READY(device);
	switch (kind) {
	case 1: *mhz = 1410; return SUCCESS; /* SM */
	case 2: *mhz = 1593; return SUCCESS; /* memory */
	}
	return INVALID_ARGUMENT;
}
#endif

#ifndef NO_nvmlDeviceGetMigMode
int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending)
{
	const char *mig = getenv("STUB_NVML_MIG");
	READY(device);
	*current = *pending = mig && *mig && at(device) == 0;
	return SUCCESS;
}
#endif

#ifndef NO_nvmlDeviceGetCudaComputeCapability
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
	READY(device);
	int n = (int)setting("STUB_NVML_CAPABILITY", 90);
	*major = n / 10;
	*minor = n % 10;
	return SUCCESS;
}
#endif

struct program { unsigned pid; unsigned long long memory; unsigned sm; int graphics; };

/* The programs on a GPU that have not ended. */
static unsigned programs(void *device, struct program *list, unsigned most)
{
	const char *path = getenv("STUB_NVML_PROCESSES");
	FILE *f = path && *path ? fopen(path, "r") : NULL;
	char line[128];
	unsigned n = 0;
	while (f && n < most && fgets(line, sizeof line, f)) {
		struct program p = { 0, 0, 0, strstr(line, "graphics") != NULL };
		int gpu;
		if (sscanf(line, "%d %u %llu %u", &gpu, &p.pid, &p.memory, &p.sm) == 4 && gpu == at(device) &&
		    (!kill((pid_t)p.pid, 0) || errno != ESRCH))
			list[n++] = p;
	}
	if (f)
		fclose(f);
	return n;
}

struct process { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; };

static int running(void *device, unsigned *n, struct process *list, int graphics)
{
	struct program all[64];
	unsigned found = 0, room = *n, some = programs(device, all, 64);
	for (unsigned i = 0; i < some; i++)
		if (all[i].graphics == graphics) {
			if (found < room)
				list[found] = (struct process){ all[i].pid, all[i].memory << 20, ~0u, ~0u };
			found++;
		}
	*n = found;
	return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

#ifndef NO_nvmlDeviceGetComputeRunningProcesses_v3
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *n, struct process *list)
{
	READY(device);
	return running(device, n, list, 0);
}
#endif

#ifndef NO_nvmlDeviceGetGraphicsRunningProcesses_v3
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *n, struct process *list)
{
	READY(device);
	return running(device, n, list, 1);
}
#endif

struct sample { unsigned pid; unsigned long long time; unsigned sm, memory, encoder, decoder; };

#ifndef NO_nvmlDeviceGetProcessUtilization
int nvmlDeviceGetProcessUtilization(void *device, struct sample *list, unsigned *n, unsigned long long last)
{
	READY(device);
	if (at(device) == 0 && getenv("STUB_NVML_MIG") && *getenv("STUB_NVML_MIG"))
		return NOT_SUPPORTED;
	struct program all[64];
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	unsigned long long us = (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000;
	unsigned long long step = 1000 * (unsigned long long)setting("STUB_NVML_SAMPLES", 200);
	unsigned found = 0, some = programs(device, all, 64);
	us -= us % step;
	for (unsigned i = 0; us > last && i < some; i++)
		if (all[i].sm > 0) {
			if (list && found < *n)
				list[found] = (struct sample){ all[i].pid, us, all[i].sm, 10, 0, 0 };
			found++;
		}
	if (!found) {
		*n = 0;
		return NOT_FOUND;
	}
	if (list && setting("STUB_NVML_GROWS", 0))
		found = *n + 1;
	unsigned room = list ? *n : 0;
	*n = found;
	return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}
#endif
