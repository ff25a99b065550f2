//go:build linux && cgo

// Runs before the Go runtime: see doc.go for why. After fork there are only calls that are safe in a signal handler, and
// no allocation: a library that was preloaded may have started threads before this constructor.
#define _GNU_SOURCE
#include "prelaunch.h"
#include "secure.h"

#include <errno.h>
#include <fcntl.h>
#include <features.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct prelaunch prelaunch;

// above moves a descriptor away from 0, 1 and 2. If the caller has closed these, they must stay closed for the target.
static int above(int fd) {
	if (fd < 0 || fd > 2) return fd;
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return moved;
}

// get reads exactly n bytes; 0 on success, -1 at the end of the file.
static int get(int fd, void *buf, size_t n) {
	for (char *p = buf; n;) {
		ssize_t k = read(fd, p, n);
		if (k < 0 && errno == EINTR) continue;
		if (k <= 0) return -1;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

// receive reads an order and the descriptor that comes with it, -1 for none; 0 on success, -1 at the end.
static int receive(int orders, struct prelaunch_order *order, int *child) {
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = {order, sizeof *order};
	struct msghdr m;
	memset(&m, 0, sizeof m);
	m.msg_iov = &data;
	m.msg_iovlen = 1;
	m.msg_control = &control;
	m.msg_controllen = sizeof control;
	ssize_t n;
	while ((n = recvmsg(orders, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof *order) return -1;
	order->group[sizeof order->group - 1] = 0;
	*child = -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) memcpy(child, CMSG_DATA(c), sizeof *child);
	*child = above(*child);
	return 0;
}

// born_in makes a child of the runner that is born in a v2 cgroup, because moving it later takes time. It returns -1 if the
// kernel cannot or may not.
static pid_t born_in(const char *group) {
#if defined(SYS_clone3) && defined(CLONE_INTO_CGROUP)
	int fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) return -1;
	struct clone_args a;
	memset(&a, 0, sizeof a);
	a.flags = CLONE_INTO_CGROUP | CLONE_PARENT;
	a.cgroup = (unsigned long long)fd;
	pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof a);
	close(fd);
	return pid;
#else
	(void)group;
	return -1;
#endif
}

// born makes a child of the runner.
static pid_t born(void) {
	unsigned long flags = CLONE_PARENT | SIGCHLD;
#ifdef __s390x__
	return (pid_t)syscall(SYS_clone, 0UL, flags, 0UL, 0UL, 0UL);
#else
	return (pid_t)syscall(SYS_clone, flags, 0UL, 0UL, 0UL, 0UL);
#endif
}

// join moves this process, which has one thread, into a cgroup. With "0" and the file tasks of v1 the kernel does that
// without waiting for the rest of the machine (cgroup_procs_write_start in kernel/cgroup/cgroup.c). It returns an errno.
static int join(const char *file) {
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0) return errno;
	int failed = write(fd, "0", 1) == 1 ? 0 : errno;
	close(fd);
	return failed;
}

// tell sends a verdict; 0 on success.
static int tell(int fd, int failed, int group) {
	struct prelaunch_verdict v = {failed, group};
	return send(fd, &v, sizeof v, MSG_NOSIGNAL) == (ssize_t)sizeof v ? 0 : -1;
}

// replaces says whether the variable a has the name of b.
static int replaces(const char *a, const char *b) {
	size_t n = strcspn(b, "=");
	return !strncmp(a, b, n) && a[n] == '=';
}

// set_mask sets which signals are blocked and notes in old which were. The function of libc leaves out the signals that
// libc uses itself, and the target must get exactly what the caller had.
static void set_mask(const sigset_t *set, sigset_t *old) { syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, old, (size_t)_NSIG / 8); }

// merge writes the environment with the changes to out.
static void merge(char **out, char **changes) {
	for (char **old = environ; old && *old; old++) {
		int kept = 1;
		for (char **c = changes; kept && *c; c++) kept = !replaces(*old, *c);
		if (kept) *out++ = *old;
	}
	for (; *changes; changes++) {
		if (strchr(*changes, '=')) *out++ = *changes;
	}
	*out = NULL;
}

// The calls for numbers of 32 bits, where the first ones had 16.
#ifdef SYS_setresuid32
#define SETGROUPS SYS_setgroups32
#define SETRESGID SYS_setresgid32
#define SETRESUID SYS_setresuid32
#else
#define SETGROUPS SYS_setgroups
#define SETRESGID SYS_setresgid
#define SETRESUID SYS_setresuid
#endif

// drop becomes another user for good; it returns an errno. No capability is left, whatever the securebits say, unless the
// user is root. The functions of libc would want to change threads that this process does not have.
static int drop(const struct prelaunch_command *c, const uint32_t *groups) {
	if (syscall(SETGROUPS, (size_t)c->groups, groups) || syscall(SETRESGID, c->gid, c->gid, c->gid) ||
	    syscall(SETRESUID, c->uid, c->uid, c->uid))
		return errno;
	if (!c->uid) return 0;
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
	memset(none, 0, sizeof none);
	return syscall(SYS_capset, &head, none) ? errno : 0; // the ambient ones go with the permitted ones
}

// slice finds n strings in text and returns where the next one begins. list ends with NULL.
static char *slice(char *text, const char *end, uint32_t n, char **list) {
	for (uint32_t i = 0; i < n && text < end; i++) {
		*list++ = text;
		text += strlen(text) + 1;
	}
	*list = NULL;
	return text;
}

// become is the child: the process as the caller made it. It joins the cgroups, waits, and becomes the command. group is
// the v2 cgroup that it was not born in and must join itself; empty for none.
static void become(int fd, struct prelaunch_order *order) {
	if (order->group[0]) {
		size_t n = strlen(order->group);
		const char file[] = "/cgroup.procs";
		int failed = n + sizeof file > sizeof order->group ? ENAMETOOLONG : 0;
		if (!failed) {
			memcpy(order->group + n, file, sizeof file);
			failed = join(order->group);
		}
		if (failed) {
			tell(fd, failed, 0);
			_exit(126);
		}
	}
	struct prelaunch_command c;
	if (get(fd, &c, sizeof c)) _exit(0);
	size_t variables = 0;
	while (environ && environ[variables]) variables++;
	// Each of the four lists ends with NULL.
	size_t pointers = (size_t)c.files + c.words + c.changes + (variables + c.changes) + 4;
	size_t numbers = c.groups * sizeof(uint32_t);
	char **lists = mmap(NULL, pointers * sizeof *lists + numbers + c.size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lists == MAP_FAILED) {
		tell(fd, errno, PRELAUNCH_NO_GROUP);
		_exit(126);
	}
	uint32_t *groups = (uint32_t *)(lists + pointers);
	char *text = (char *)(groups + c.groups), *end = text + c.size; // the zero byte behind it ends whatever came
	if (get(fd, groups, numbers) || get(fd, text, c.size)) _exit(0);
	char **files = lists, **words = files + c.files + 1, **changes = words + c.words + 1, **variable = changes + c.changes + 1;
	text = slice(text, end, c.files, files);
	text = slice(text, end, c.words, words);
	slice(text, end, c.changes, changes);
	for (int i = 0; files[i]; i++) {
		int failed = join(files[i]);
		if (failed) {
			tell(fd, failed, i + 1);
			_exit(126);
		}
	}
	int failed = c.other ? drop(&c, groups) : 0;
	if (failed) {
		tell(fd, failed, PRELAUNCH_USER);
		_exit(126);
	}
	if (c.changes) {
		merge(variable, changes);
		environ = variable;
	}
	char go;
	if (tell(fd, words[0] ? 0 : EINVAL, PRELAUNCH_NO_GROUP) || get(fd, &go, 1)) _exit(0);
	execvp(words[0], words);
	tell(fd, errno, PRELAUNCH_NO_GROUP);
	_exit(126);
}

// serve is the fork server. It makes one child for each order until the runner's end of the socket closes. All signals
// stay blocked here, so that none that is meant for the commands ends it. mask is what the caller had blocked.
static void serve(int orders, const sigset_t *mask) {
	secure_as_given();
	struct prelaunch_order order;
	int child;
	while (!receive(orders, &order, &child)) {
		pid_t pid = -1;
		if (child >= 0) {
			if (order.group[0] && !(pid = born_in(order.group))) order.group[0] = 0;
			if (pid < 0) pid = born();
			if (!pid) {
				close(orders); // or the runner would not see that the server has ended
				set_mask(mask, NULL);
				become(child, &order);
			}
		} else {
			errno = EMFILE; // the kernel had no place for the descriptor
		}
		int32_t answer = pid < 0 ? -errno : pid;
		close(child);
		if (send(orders, &answer, sizeof answer, MSG_NOSIGNAL) < 0) break;
	}
	_exit(0);
}

// wanted says whether a command may be measured. Only the sampler knows for sure that none is. For the other subcommands
// the server is forked without need. ERGON_EARLY names the only program that forks one: "off" means none. The tests, one binary
// under many names, say "ergon"; and without a name no test binary forks.
static int wanted(int argc, char **argv) {
	if (argc < 2) return 0;
	const char *only = getenv("ERGON_EARLY");
	if (!only || !*only) return strncmp(argv[1], "-test.", 6) != 0;
	const char *name = strrchr(argv[0], '/');
	return !strcmp(name ? name + 1 : argv[0], only);
}

// calm lets the kernel wake the threads of this process up to SLACK ns late from their own timeouts. Else Go's monitor
// thread wakes every 20 µs while there is work, and takes the CPU from the thread that works. That was a fifth of the
// time that it takes to measure `true`. The timers of the beats (timerfd) are not affected. The target is not either: the
// slack is per thread and inherited (PR_SET_TIMERSLACK in prctl(2)), and its server is forked before.
#define SLACK 1000000UL
static void calm(void) { prctl(PR_SET_TIMERSLACK, SLACK, 0UL, 0UL, 0UL); }

// LEAST_FILES is how many descriptors the runner and the sampler need each: 38 here, while the sampler is started. With 11
// the Go runtime crashes before main. The hard limit counts, because Go raises the soft one.
#define LEAST_FILES 48
static void need_files(void) {
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_max >= LEAST_FILES) return;
	dprintf(2, "ergon: the limit of open files is %u: at least %u are needed (ulimit -n)\n", (unsigned)files.rlim_max, LEAST_FILES);
	_exit(125);
}

// keep_descriptors marks every descriptor that was inherited as one of this process alone (Linux 5.11). The target gets
// them from the server. Other children, the sampler for one, must not hold them open.
static void keep_descriptors(void) {
#if defined(SYS_close_range)
	const unsigned cloexec = 1U << 2; // CLOSE_RANGE_CLOEXEC, which older headers lack
	syscall(SYS_close_range, 3U, ~0U, cloexec);
#endif
}

// start forks the server.
static void start(void) {
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) return;
	if ((ends[0] = above(ends[0])) < 0 || (ends[1] = above(ends[1])) < 0) return;
	sigset_t all, mask;
	memset(&all, 0xff, sizeof all);
	set_mask(&all, &mask);
	pid_t pid = fork();
	if (!pid) {
		close(ends[0]);
		serve(ends[1], &mask);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
	} else {
		prelaunch.launcher = pid;
		prelaunch.orders = ends[0];
		fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK); // Go then waits through its poller, without a thread
		sigaddset(&mask, SIGUSR1); // the Go runtime ignores these two until somebody asks for them: they wait for the relay
		sigaddset(&mask, SIGUSR2);
		keep_descriptors();
		calm();
	}
	set_mask(&mask, NULL);
}

__attribute__((constructor)) static void early(int argc, char **argv) {
#ifndef __GLIBC__ // a constructor does not get argc and argv
	secure_begin(0, NULL);
#else
	secure_begin(argc, argv);
	for (int s = 1; s < 64; s++) {
		struct sigaction a;
		if (!sigaction(s, NULL, &a) && a.sa_handler == SIG_IGN) prelaunch.ignored |= 1UL << (s - 1);
	}
	need_files();
	if (argc > 1 && !strcmp(argv[1], "sample"))
		calm();
	else if (wanted(argc, argv))
		start();
#endif
}
