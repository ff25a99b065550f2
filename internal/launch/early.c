//go:build linux && cgo

// Runs before the Go runtime: see doc.go for why. Only async-signal-safe calls after fork.
#define _GNU_SOURCE
#include "early.h"

#include <errno.h>
#include <fcntl.h>
#include <features.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ergon_early ergon_early;

// The words after which no command is measured. A word that is missing here costs a needless fork, nothing else.
static const char *const other_words[] = {
	"sample", "sensors", "doctor", "report", "ls", "export", "recover", "help",
	"--help", "-h", "--version", "-v", "--replay", "--generate-bash-completion", NULL,
};

// The names under which a test binary is another program than ergon: its helpers would be counted as that program's.
static const char *const test_names[] = {"subject", "fakerapl", NULL};

// wanted says whether a command will be measured, as far as the first word tells.
static int wanted(int argc, char **argv) {
	if (argc < 2 || !argv[1][0]) return 0;
	for (int i = 0; other_words[i]; i++)
		if (!strcmp(argv[1], other_words[i])) return 0;
	if (!strncmp(argv[1], "-test.", 6)) return 0; // a test binary, not ergon
	const char *name = strrchr(argv[0], '/');
	name = name ? name + 1 : argv[0];
	for (int i = 0; test_names[i]; i++)
		if (!strcmp(name, test_names[i])) return 0;
	const char *off = getenv("ERGON_EARLY");
	return !off || strcmp(off, "off");
}

// above makes a pipe whose ends are not 0, 1 or 2, which may be closed and must stay so for the target.
static int above(int p[2]) {
	int raw[2];
	if (pipe2(raw, O_CLOEXEC)) return -1;
	for (int i = 0; i < 2; i++) {
		p[i] = raw[i] > 2 ? raw[i] : fcntl(raw[i], F_DUPFD_CLOEXEC, 3);
		if (p[i] != raw[i]) close(raw[i]);
	}
	return p[0] < 0 || p[1] < 0 ? -1 : 0;
}

// sampler_words makes the command line that ps shows that of `ergon sample`, in the memory of the one that was given.
static void sampler_words(int argc, char **argv) {
	char *begin = argv[1], *end = argv[argc - 1] + strlen(argv[argc - 1]);
	memset(begin, 0, (size_t)(end - begin));
	strncpy(begin, "sample", (size_t)(end - begin));
}

// start_sampler forks the process that goes on as `ergon sample`: in a session of its own so that no signal of the terminal
// reaches it, and, where the kernel can (Linux 5.9), with none of the caller's descriptors but stderr. Nothing is executed:
// this is the program already, loaded and not yet begun, and doing both again took a millisecond that the target waited for.
// It returns 0 in the child.
static pid_t start_sampler(int argc, char **argv, const int pipes[8]) {
	pid_t pid = fork();
	if (pid) return pid;
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	dup2(pipes[0], 0);
	dup2(pipes[3], 1);
	for (int i = 0; i < 8; i++) close(pipes[i]);
#ifdef SYS_close_range
	syscall(SYS_close_range, 3U, ~0U, 0U);
#endif
	sampler_words(argc, argv);
	return 0;
}

// whole reads or writes all n bytes; 0 on success.
static int whole(ssize_t (*f)(int, void *, size_t), int fd, void *buf, size_t n) {
	for (char *p = buf; n;) {
		ssize_t k = f(fd, p, n);
		if (k < 0 && errno == EINTR) continue;
		if (k <= 0) return -1;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static ssize_t put(int fd, void *buf, size_t n) { return write(fd, buf, n); }

// join_self moves this process, which has one thread, into a v1 cgroup. By "0" and the file tasks the kernel does it
// without waiting for the rest of the machine (cgroup_procs_write_start in kernel/cgroup/cgroup.c). 0 or an errno.
static int join_self(const char *tasks) {
	int fd = open(tasks, O_WRONLY | O_CLOEXEC);
	if (fd < 0) return errno;
	int failed = write(fd, "0", 1) == 1 ? 0 : errno;
	close(fd);
	return failed;
}

// be_born_in goes on as a new process in a v2 cgroup, a child of the runner like this one, which ends. That too saves the
// wait. It returns an errno in the old process if it cannot be done, 0 in the new one.
static int be_born_in(const char *group, int verdict) {
#if defined(SYS_clone3) && defined(CLONE_INTO_CGROUP)
	int fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) return errno;
	struct clone_args a;
	memset(&a, 0, sizeof a);
	a.flags = CLONE_INTO_CGROUP | CLONE_PARENT;
	a.cgroup = (unsigned long long)fd;
	long pid = syscall(SYS_clone3, &a, sizeof a);
	int failed = errno;
	close(fd);
	if (pid == 0) return 0;
	if (pid < 0) return failed;
	int answer = (int)-pid;
	whole(put, verdict, &answer, sizeof answer);
	_exit(0);
#else
	(void)group, (void)verdict;
	return ENOSYS;
#endif
}

// launcher is the child that becomes the target: nothing of it was touched, so it is as the caller made it. It obeys the
// orders on gate (struct ergon_order), until one lets it go or gate ends. The answer to each is an int on verdict: 0 or an
// errno, or the new process id made negative.
static void launcher(char **argv, int gate, int verdict) {
	struct ergon_order o;
	while (!whole(read, gate, &o, sizeof o)) {
		int failed = EINVAL;
		o.path[sizeof o.path - 1] = 0;
		switch (o.what) {
		case ERGON_EXECUTE:
			execvp(argv[o.index], argv + o.index);
			failed = errno;
			whole(put, verdict, &failed, sizeof failed);
			_exit(failed == ENOENT ? 127 : 126);
		case ERGON_JOIN:
			failed = join_self(o.path);
			break;
		case ERGON_BE_BORN:
			if (!(failed = be_born_in(o.path, verdict))) continue; // the old process has answered
			break;
		}
		if (whole(put, verdict, &failed, sizeof failed)) break;
	}
	_exit(0);
}

// calm lets the threads to come be woken late by their own timeouts, by up to SLACK ns: Go's monitor thread sleeps for 20 µs
// at a time while anything goes on, fifty times over, and each time takes the CPU from who works on it. That was a fifth of
// the time that measuring `true` takes, and of the sampler's. Timers of the beats (timerfd) are not meant by it, nor is the
// target, which is the launcher's: PR_SET_TIMERSLACK in prctl(2), per thread and inherited.
#define SLACK 1000000UL
static void calm(void) { prctl(PR_SET_TIMERSLACK, SLACK, 0UL, 0UL, 0UL); }

// LEAST_FILES is how many descriptors the runner and the sampler need each: 26 here. With 11 the Go runtime ends in a crash
// before main. What counts is the hard limit, up to which Go raises the soft one for itself.
#define LEAST_FILES 32
static void need_files(void) {
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_max >= LEAST_FILES) return;
	dprintf(2, "ergon: the limit of open files is %u: at least %u are needed (ulimit -n)\n", (unsigned)files.rlim_max, LEAST_FILES);
	_exit(125);
}

__attribute__((constructor)) static void early(int argc, char **argv) {
#ifdef __GLIBC__ // elsewhere a constructor is not given argc and argv
	for (int s = 1; s < 64; s++) {
		struct sigaction a;
		if (!sigaction(s, NULL, &a) && a.sa_handler == SIG_IGN) ergon_early.ignored |= 1UL << (s - 1);
	}
	need_files();
	if (argc == 2 && !strcmp(argv[1], "sample")) calm();
	if (!wanted(argc, argv)) return;
	int pipes[8], *in = pipes, *out = pipes + 2, *gate = pipes + 4, *verdict = pipes + 6;
	if (above(in) || above(out) || above(gate) || above(verdict)) return;
	// What Go reads it reads through its poller, at the price of no thread, when the end is not a blocking one.
	for (int i = 0; i < 3; i++) {
		int end = (int[]){in[0], out[0], verdict[0]}[i];
		fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK);
	}
	pid_t sampler = start_sampler(argc, argv, pipes);
	if (sampler == 0) {
		ergon_early.is_sampler = 1;
		calm();
		return;
	}
	close(in[0]);
	close(out[1]);
	pid_t child = fork();
	if (child == 0) {
		// The runner's ends must not live on here, or neither child would see the end of its pipe.
		close(in[1]);
		close(gate[1]);
		launcher(argv, gate[0], verdict[1]);
	}
	close(gate[0]);
	close(verdict[1]);
	if (child > 0) { // the Go runtime ignores these two until somebody asks for them: they are to wait for ergon_relay
		sigset_t late;
		sigemptyset(&late);
		sigaddset(&late, SIGUSR1);
		sigaddset(&late, SIGUSR2);
		sigprocmask(SIG_BLOCK, &late, NULL);
		calm();
	}
	ergon_early.forked = 1;
	ergon_early.sampler = sampler;
	ergon_early.launcher = child;
	ergon_early.sampler_in = in[1];
	ergon_early.sampler_out = out[0];
	ergon_early.gate = gate[1];
	ergon_early.verdict = verdict[0];
#endif
}

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
		a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART; // SA_ONSTACK: Go's goroutine stacks are too small
		sigfillset(&a.sa_mask);
		if (sigaction(signals[i], &a, NULL)) return errno;
		sigaddset(&set, signals[i]);
	}
	return pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
