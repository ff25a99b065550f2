/*
 * The reference for the wall time of a round: posix_spawnp and wait4, and nothing else. It runs a command N times and prints
 * each wall time in ns. The benchmark of package bench compares what ergon and its peers report.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc < 3) return 2;
	int n = atoi(argv[1]);
	long long *wall = calloc((size_t)n, sizeof *wall);
	if (!wall) return 2;
	for (int i = 0; i < n; i++) {
		pid_t pid;
		int status;
		struct rusage usage;
		long long began = now();
		if (posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ)) return 2;
		if (wait4(pid, &status, 0, &usage) != pid || status) return 2;
		wall[i] = now() - began;
	}
	for (int i = 0; i < n; i++) printf("%lld\n", wall[i]);
	return 0;
}
