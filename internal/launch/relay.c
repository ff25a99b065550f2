//go:build linux && cgo

#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int relay_fd = -1;

static void relay(int number, siginfo_t *info, void *context) {
	(void)context;
	int saved = errno;
	struct ergon_signal s = {number, info->si_code, info->si_code == SI_USER ? (int)info->si_pid : 0};
	ssize_t n = write(relay_fd, &s, sizeof s);
	(void)n; // a full pipe holds 5000 signals already
	errno = saved;
}

int ergon_relay(int fd, const int *signals, int n) {
	relay_fd = fd;
	sigset_t set;
	sigemptyset(&set);
	for (int i = 0; i < n; i++) {
		struct sigaction a;
		memset(&a, 0, sizeof a);
		a.sa_sigaction = relay;
		a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART; // SA_ONSTACK: the stacks of Go's goroutines are too small
		sigfillset(&a.sa_mask);
		if (sigaction(signals[i], &a, NULL)) return errno;
		sigaddset(&set, signals[i]);
	}
	return pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
