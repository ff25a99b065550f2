/*
 * A stand-in for NVIDIA's libnvidia-ml.so.1 on machines without a GPU, so that the way a program loads and calls the
 * library is tested as it is. Build it with
 *
 *     cc -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 stub.c
 *
 * and -DNO_nvmlDeviceGetTemperature and the like for each function that the library shall lack. The environment says
 * what the GPUs are like. It is looked at in each call, so that a test can change it while it runs:
 *
 *     STUB_NVML_GPUS=2              number of GPUs (1), UUIDs GPU-00000000-0000-0000-0000-000000000000, -1111…, …
 *     STUB_NVML_MODELS=A,B          their names, the last one for all the rest (Stub GPU)
 *     STUB_NVML_ENERGY=123          mJ in the energy counter; without it, 1 kJ + POWER * time since the library was loaded
 *     STUB_NVML_POWER=100000        mW drawn by GPU 0; GPU i draws i W more
 *     STUB_NVML_UTILIZATION=75      per cent
 *     STUB_NVML_UNSUPPORTED=a,b     what is NOT_SUPPORTED: names of functions, or field-83, field-186
 *     STUB_NVML_UNKNOWN_FIELDS=1    fields are an INVALID_ARGUMENT each, as with drivers that do not know them
 *     STUB_NVML_FAIL=a,b            calls of these functions fail (999)
 *     STUB_NVML_LOST=1              this GPU has fallen off the bus; "all": all of them
 *     STUB_NVML_INIT=9              what nvmlInit returns (0); 9 is DRIVER_NOT_LOADED
 *     STUB_NVML_HANG=a,b            calls of these functions do not return
 *     STUB_NVML_MIG=MIG-x           UUID of an instance on GPU 0
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       GPU_IS_LOST = 15, UNKNOWN = 999 };
enum { MOST = 16 };

/* A handle is an address; those of instances come after those of GPUs. */
static char gpus[2 * MOST];
static int started;
static struct timespec loaded;

__attribute__((constructor)) static void load(void) { clock_gettime(CLOCK_MONOTONIC, &loaded); }

static long setting(const char *name, long otherwise)
{
	const char *s = getenv(name);
	return s && *s ? atol(s) : otherwise;
}

/* Whether a word is in a list divided by commas. */
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

/* What a function returns before it does anything; a device of NULL is a function of the library as a whole. */
static int ready(const char *function, void *device)
{
	while (listed("STUB_NVML_HANG", function))
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

static unsigned long long power(void *device)
{
	return (unsigned long long)setting("STUB_NVML_POWER", 100000) + 1000ull * at(device);
}

static unsigned long long energy(void *device)
{
	struct timespec now;
	long fixed = setting("STUB_NVML_ENERGY", -1);
	if (fixed >= 0)
		return (unsigned long long)fixed;
	clock_gettime(CLOCK_MONOTONIC, &now);
	double s = (double)(now.tv_sec - loaded.tv_sec) + (double)(now.tv_nsec - loaded.tv_nsec) / 1e9;
	return 1000000 + (unsigned long long)((double)power(device) * s);
}

#ifndef NO_nvmlInit_v2
int nvmlInit_v2(void)
{
	while (listed("STUB_NVML_HANG", __func__))
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

/* A field's value as the interface has it: 40 bytes. */
struct field {
	unsigned id, scope;
	long long time, latency;
	unsigned type, result;
	union { double d; unsigned u; unsigned long long ull; } value;
};

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
		} else if (f->id == 186) { /* POWER_INSTANT, unsigned int mW */
			f->type = 1;
			f->value.ull = ~0ull; /* the upper half is not the value's. */
			f->value.u = (unsigned)power(device);
		} else
			f->result = NOT_SUPPORTED;
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
	*mw = (unsigned)power(device);
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
