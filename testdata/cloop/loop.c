/*
 * The least that a sampler can do: it preads the given files at a rate and parses nothing. The benchmark of package
 * backend compares its own loop with this one.
 *
 *	loop RATE TICKS FILE...
 *
 * RATE is in Hz; 0 means as fast as possible. It prints the CPU time of the loop, user and system, in ns.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

static long long now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	long rate = atol(argv[1]), ticks = atol(argv[2]);
	int n = argc - 3, *fd = calloc(n, sizeof *fd);
	for (int i = 0; i < n; i++)
		if ((fd[i] = open(argv[3 + i], O_RDONLY | O_CLOEXEC)) < 0) {
			perror(argv[3 + i]);
			return 1;
		}
	long long start = now(CLOCK_PROCESS_CPUTIME_ID), beat = now(CLOCK_MONOTONIC);
	for (long t = 0; t < ticks; t++) {
		for (int i = 0; i < n; i++)
			if (pread(fd[i], buffer, sizeof buffer, 0) < 0) {
				perror(argv[3 + i]);
				return 1;
			}
		if (rate > 0) {
			beat += 1000000000LL / rate;
			struct timespec at = {beat / 1000000000LL, beat % 1000000000LL};
			while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
				;
		}
	}
	printf("%lld\n", now(CLOCK_PROCESS_CPUTIME_ID) - start);
	return 0;
}
