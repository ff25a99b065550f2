//go:build linux && cgo

// Runs before the Go runtime: see doc.go for why. After fork there are only calls that are safe in a signal handler, and
// no allocation: a library that was preloaded may have started threads before this constructor.
#define _GNU_SOURCE
#include "prelaunch.h"
#include "secure.h"
#include "words.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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
	if (n < (ssize_t)offsetof(struct prelaunch_order, text)) return -1;
	order->text[n < (ssize_t)sizeof *order ? n - (ssize_t)offsetof(struct prelaunch_order, text) : (ssize_t)sizeof order->text - 1] = 0;
	*child = -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) memcpy(child, CMSG_DATA(c), sizeof *child);
	*child = above(*child);
	return 0;
}

// born_in makes a child that is born in a v2 cgroup, because moving it later takes time. It returns -1 if the kernel
// cannot or may not.
static pid_t born_in(const char *group) {
#if defined(SYS_clone3) && defined(CLONE_INTO_CGROUP)
	int fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) return -1;
	struct clone_args a;
	memset(&a, 0, sizeof a);
	a.flags = CLONE_INTO_CGROUP;
	a.exit_signal = SIGCHLD;
	a.cgroup = (unsigned long long)fd;
	pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof a);
	close(fd);
	return pid;
#else
	(void)group;
	return -1;
#endif
}

// born makes a child. fork of libc would also call what preloaded libraries have registered.
static pid_t born(void) {
	unsigned long flags = SIGCHLD;
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

// place changes into the folder at[0] and opens the files at[1] to at[3] as descriptors 0 to 2, unless they are empty. It
// returns an errno, and which of them failed.
static int place(char **at, int *which) {
	for (*which = 0; *which < 4; ++*which) {
		const char *path = at[*which];
		int to = *which - 1;
		if (!path[0]) continue;
		if (to < 0) {
			if (chdir(path)) return errno;
			continue;
		}
		int fd = open(path, to ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0666);
		if (fd < 0) return errno;
		if (fd != to) {
			if (dup2(fd, to) < 0) return errno;
			close(fd);
		}
	}
	return 0;
}

// Whose decision it is what becomes of ergon at a signal that ends processes.
enum { NOBODYS, RUNNERS, LAUNCHERS };

// shared is memory that the launcher, the runner and the held children share.
static struct {
	volatile pid_t started; // the process that is executing or has executed the command; 0 is none
	int decides;            // NOBODYS until the runner watches or the first such signal comes, then whoever was first
} *shared;

// decides says whether it is who's decision. The first one who asks gets it for good.
static int decides(int who) {
	int now = NOBODYS;
	return __atomic_compare_exchange_n(&shared->decides, &now, who, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) || now == who;
}

int prelaunch_watches(void) { return decides(RUNNERS); }

// become is the child: the process as the caller made it. It joins the cgroups, waits, and becomes the command. group is
// the v2 cgroup that it was not born in and must join itself; empty for none.
static void become(int fd, struct prelaunch_order *order) {
	if (order->text[0]) {
		size_t n = strlen(order->text);
		const char file[] = "/cgroup.procs";
		int failed = n + sizeof file > sizeof order->text ? ENAMETOOLONG : 0;
		if (!failed) {
			memcpy(order->text + n, file, sizeof file);
			failed = join(order->text);
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
	// Each of the five lists ends with NULL.
	size_t pointers = (size_t)c.files + c.words + c.changes + c.places + (variables + c.changes) + 5;
	size_t numbers = c.groups * sizeof(uint32_t);
	char **lists = mmap(NULL, pointers * sizeof *lists + numbers + c.size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lists == MAP_FAILED) {
		tell(fd, errno, PRELAUNCH_NO_GROUP);
		_exit(126);
	}
	uint32_t *groups = (uint32_t *)(lists + pointers);
	char *text = (char *)(groups + c.groups), *end = text + c.size; // the zero byte behind it ends whatever came
	if (get(fd, groups, numbers) || get(fd, text, c.size)) _exit(0);
	char **files = lists, **words = files + c.files + 1, **changes = words + c.words + 1, **places = changes + c.changes + 1,
	     **variable = places + c.places + 1;
	text = slice(text, end, c.files, files);
	text = slice(text, end, c.words, words);
	text = slice(text, end, c.changes, changes);
	slice(text, end, c.places, places);
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
	int which = 0;
	if (places[0] && (failed = place(places, &which))) {
		tell(fd, failed, PRELAUNCH_PLACE - which);
		_exit(126);
	}
	if (c.changes) {
		merge(variable, changes);
		environ = variable;
	}
	char go;
	if (tell(fd, words[0] ? 0 : EINVAL, PRELAUNCH_NO_GROUP) || get(fd, &go, 1)) _exit(0);
	shared->started = getpid();
	execvp(words[0], words);
	shared->started = 0;
	tell(fd, errno, PRELAUNCH_NO_GROUP);
	_exit(126);
}

// HELD is how many commands may be held or run at a time.
#define HELD 16

// The launcher's state. It is one process with one thread, and it allocates nothing.
static struct {
	pid_t runner;
	int argc;
	char **argv;
	char **words;     // the command; NULL if none is measured
	int other_user;   // the command must not run as the user of this process
	int exclusive;    // the command must not run without the lock
	int kept;         // the descriptor of the lock; 0 if there is none
	sigset_t mask;    // what the caller had blocked, once masked
	int masked;
	struct rlimit files; // what the caller allowed, once raised
	int raised;
	sigset_t relayed; // the signals that the runner is told of
	int orders, events, errors;
	int full;    // events has no place for the end of a child
	int unheard; // the runner's end of events: what the runner had not read when it ended
	int watched;            // the runner has asked for signals
	int asked;              // the last signal that asks ergon to end, if no runner decides what becomes of it
	pid_t held[HELD];       // the children that the runner has not reaped; 0 is a free place
	int told[HELD];         // the end of this child was told
	pid_t target;           // the child that has executed the command, once it was reaped
	int verdict;            // how it ended, as wait4 says
	int64_t user, system;   // CPU time of orphans, in ns
	int64_t peak;           // the largest resident memory of an orphan, in KiB
	struct prelaunch_order end; // FINISH, FOLLOW or UNMEASURED
	int finished;               // end was received
} l;

static int ignored(int number) { return prelaunch.ignored >> (number - 1) & 1; }

// as_given gives this process what the caller had set.
static void as_given(void) {
	if (ignored(SIGCHLD)) signal(SIGCHLD, SIG_IGN);
	if (l.raised) setrlimit(RLIMIT_NOFILE, &l.files);
	if (l.masked) set_mask(&l.mask, NULL);
}

// die ends this process by a signal, without a core file, so that a shell sees what it would see without ergon.
static void die(int number) {
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL); // with a limit of 0 the kernel still starts a core handler (core(5))
	signal(number, SIG_DFL);
	sigset_t others; // one that came in the meantime must not be the one that ends this process
	memset(&others, 0xff, sizeof others);
	sigdelset(&others, number);
	set_mask(&others, NULL);
	kill(getpid(), number);
	_exit(128 + number); // the first process of a container does not die of a signal
}

// end_as ends this process as a child has ended.
static void end_as(int status) {
	if (WIFSIGNALED(status)) die(WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}

// execute becomes the command, with what the caller has given.
static void execute(char **words) {
	secure_as_given();
	execvp(words[0], words);
	int failed = errno;
	dprintf(2, "ergon: %s: %s\n", words[0], strerror(failed));
	_exit(failed == ENOENT ? 127 : 126);
}

// limits adds to text which limits are set that may be the reason.
static void limits(char *text, size_t size) {
	const struct {
		int which;
		const char *flag;
		unsigned unit;
	} list[] = {{RLIMIT_AS, "-v", 1024}, {RLIMIT_DATA, "-d", 1024}, {RLIMIT_CPU, "-t", 1}, {RLIMIT_FSIZE, "-f", 1024}};
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		struct rlimit r;
		if (getrlimit(list[i].which, &r) || r.rlim_max == RLIM_INFINITY) continue;
		size_t n = strlen(text);
		snprintf(text + n, size - n, " (ulimit %s %llu)", list[i].flag, (unsigned long long)r.rlim_max / list[i].unit);
	}
}

// unmeasured becomes the command without measuring it, and says why in one line. Without a command it is an error of ergon.
static void unmeasured(char **words, const char *why) {
	char set[256] = "";
	limits(set, sizeof set);
	if (!words || l.other_user) {
		dprintf(2, "ergon: %s: %s%s\n", words ? "the command cannot be run as another user" : "it cannot run here", why, set);
		_exit(125);
	}
	if (l.exclusive && !l.kept) {
		dprintf(2, "ergon: the command cannot be run exclusively: %s%s\n", why, set);
		_exit(125);
	}
	if (l.kept) fcntl(l.kept, F_SETFD, 0); // this process is about to be the command, and the lock must not end with ergon
	dprintf(2, "ergon: the command is not measured: %s%s\n", why, set);
	as_given();
	execute(words);
}

// tell_end sends the end of a child to the runner, with what it used. The child stays a zombie.
static int tell_end(pid_t pid) {
	struct prelaunch_event e;
	siginfo_t info;
	memset(&e, 0, sizeof e);
	memset(&info, 0, sizeof info);
	// waitid of libc gives no usage
	if (syscall(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, &e.usage) || info.si_pid != pid) return 0;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	e.at = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
	e.pid = pid;
	e.status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status; // without the bit for a core file
	if (send(l.events, &e, sizeof e, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EAGAIN) {
		l.full = 1;
		return 0;
	}
	return 1;
}

static int64_t ns(struct timeval t) { return t.tv_sec * INT64_C(1000000000) + t.tv_usec * INT64_C(1000); }

// collect tells the runner which of its children have ended, and reaps all others.
static void collect(void) {
	l.full = 0;
	for (int i = 0; i < HELD; i++) {
		if (l.held[i] && !l.told[i]) l.told[i] = tell_end(l.held[i]);
	}
	for (;;) {
		siginfo_t info;
		memset(&info, 0, sizeof info);
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) || !info.si_pid || info.si_pid == l.runner) return;
		for (int i = 0; i < HELD; i++) {
			if (l.held[i] == info.si_pid) return; // it stands before the others until the runner has read its files
		}
		int status;
		struct rusage usage;
		if (wait4(info.si_pid, &status, WNOHANG, &usage) != info.si_pid) return;
		l.user += ns(usage.ru_utime);
		l.system += ns(usage.ru_stime);
		if (usage.ru_maxrss > l.peak) l.peak = usage.ru_maxrss;
	}
}

// hold makes a child of this process, which becomes the command. It returns the process id or a negative errno.
static int hold(struct prelaunch_order *order, int child) {
	int place = 0;
	while (place < HELD && l.held[place]) place++;
	if (child < 0) return -EMFILE; // the kernel had no place for the descriptor
	if (place == HELD) return -EAGAIN;
	pid_t pid = -1;
	if (order->text[0] && !(pid = born_in(order->text))) order->text[0] = 0;
	if (pid < 0) pid = born();
	if (pid < 0) return -errno;
	if (!pid) {
		close(l.orders); // or the runner would not see that the launcher has ended
		close(l.events);
		close(l.unheard);
		as_given();
		become(child, order);
	}
	l.held[place] = pid;
	l.told[place] = 0;
	return pid;
}

// reap reaps a child. Only a child that has ended, or was told to, is reaped, so this does not wait for long.
static int reap(pid_t pid) {
	for (int i = 0; i < HELD; i++) {
		if (l.held[i] != pid) continue;
		int status;
		pid_t got;
		while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
			;
		l.held[i] = 0;
		if (got < 0) return -errno;
		if (shared->started == pid) {
			l.target = pid;
			l.verdict = status;
		}
		return 0;
	}
	return -ECHILD;
}

// obey carries out an order; 0 if there will be no more.
static int obey(void) {
	struct prelaunch_order order;
	int child;
	if (receive(l.orders, &order, &child)) return 0;
	struct prelaunch_answer a;
	memset(&a, 0, sizeof a);
	switch (order.what) {
	case PRELAUNCH_HOLD:
		a.number = hold(&order, child);
		if (child >= 0) close(child);
		break;
	case PRELAUNCH_REAP:
		a.number = reap(order.number);
		if (order.signal) return 1;
		break;
	case PRELAUNCH_ORPHANS:
		collect();
		a.user = l.user;
		a.system = l.system;
		a.peak = l.peak;
		l.user = l.system = l.peak = 0;
		break;
	case PRELAUNCH_ADOPT:
		a.number = prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL) ? -errno : 0;
		break;
	case PRELAUNCH_KEEP:
		if (child >= 0) l.kept = child;
		return 1;
	case PRELAUNCH_WATCH:
		l.watched = 1;
		// words.c may not know a new option
		if (!l.words && order.number > 0 && order.number < l.argc) l.words = l.argv + l.argc - order.number;
		return 1;
	default:
		if (!l.finished) l.end = order;
		l.finished = 1;
		return 1;
	}
	return send(l.orders, &a, sizeof a, MSG_NOSIGNAL) == (ssize_t)sizeof a;
}

// crash says whether a signal is one that a program sends itself when it fails.
static int crash(int number) {
	return number == SIGABRT || number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE || number == SIGSYS ||
	       number == SIGTRAP;
}

// deadly says whether a signal asks a process to end.
static int deadly(int number) { return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT; }

// pass gives a signal to the commands after the runner has gone. A command that is still held ends by it.
static void pass(int number, int typed) {
	if (deadly(number)) l.asked = number;
	for (int i = 0; i < HELD && !typed; i++) {
		if (l.held[i]) kill(l.held[i], number);
	}
}

// forward passes a signal on. The terminal sends its own to the whole process group, but a hang-up to the session's leader
// alone. Before the runner watches, a signal that ends processes ends ergon: then there is neither a command nor a folder.
// It returns 1 if it has looked at orders.
static int forward(const struct signalfd_siginfo *s) {
	int number = (int)s->ssi_signo;
	int typed = s->ssi_code == SI_KERNEL && (number != SIGHUP || getsid(0) != getpid());
	if (l.orders >= 0 && deadly(number) && decides(LAUNCHERS)) {
		if (l.words) {
			kill(l.runner, SIGKILL);
			die(number);
		}
		l.asked = number;
		if (!typed) kill(l.runner, number);
		return 0;
	}
	int looked = deadly(number) && !l.watched && l.orders >= 0;
	while (looked && !l.watched && obey()) // the runner has decided to watch, and is about to say so
		;
	if (l.orders < 0) {
		pass(number, typed);
	} else if (!l.words) {
		if (!typed) kill(l.runner, number);
	} else {
		struct prelaunch_event e;
		memset(&e, 0, sizeof e);
		e.signal = number;
		e.code = typed ? SI_KERNEL : SI_USER;
		e.pid = s->ssi_code == SI_USER ? (int32_t)s->ssi_pid : 0;
		send(l.events, &e, sizeof e, MSG_NOSIGNAL | MSG_DONTWAIT); // a full socket holds a hundred signals already
	}
	return looked;
}

// bury reaps the runner, and passes on the signals that it was told of and has not read. It returns how the runner ended.
static int bury(void) {
	int status = 0;
	close(l.orders);
	l.orders = -1;
	while (waitpid(l.runner, &status, 0) < 0 && errno == EINTR)
		;
	struct prelaunch_event e;
	while (recv(l.unheard, &e, sizeof e, MSG_DONTWAIT) == (ssize_t)sizeof e) {
		if (e.signal) pass(e.signal, e.code == SI_KERNEL);
	}
	close(l.unheard);
	close(l.events);
	l.events = -1;
	l.full = 0;
	return status;
}

// said reads what the runner and its children have written to their stderr: all of it if whole, else the first line.
static void said(char *line, size_t size, int whole) {
	size_t n = 0;
	char buf[4096];
	ssize_t k;
	while ((k = read(l.errors, buf, sizeof buf)) > 0 || (k < 0 && errno == EINTR)) {
		for (ssize_t i = 0, out; whole && i < k; i += out) {
			if ((out = write(2, buf + i, (size_t)(k - i))) <= 0) break;
		}
		for (ssize_t i = 0; i < k && n < size - 1; i++) {
			if (buf[i] == '\n' && n) size = n + 1; // the line is complete
			else if (buf[i] >= ' ') line[n++] = buf[i];
		}
	}
	line[n] = 0;
}

// conclude ends the launcher after the runner. The command's own end counts, whatever became of the runner.
static void conclude(int status) {
	char line[512], why[640];
	const char *trace = getenv("ERGON_TRACE");
	int whole = trace && *trace;
	said(line, sizeof line, whole);
	if (l.finished && l.end.what == PRELAUNCH_FINISH) {
		if (l.end.signal) die(l.end.signal);
		_exit(l.end.number);
	}
	if (l.finished && l.end.what == PRELAUNCH_FOLLOW) end_as(l.verdict);
	if (l.finished) {
		snprintf(why, sizeof why, "%.500s", l.end.text);
	} else if (line[0] && !whole) {
		snprintf(why, sizeof why, "ergon failed: %s", line);
	} else if (WIFSIGNALED(status)) {
		snprintf(why, sizeof why, "ergon was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	} else {
		snprintf(why, sizeof why, "ergon failed: exit code %d", WEXITSTATUS(status));
	}
	if (!shared->started && l.asked) die(l.asked); // also without a command: at SIGQUIT, Go exits with 2
	if (!l.words && !WIFSIGNALED(status) && WEXITSTATUS(status) != 2) _exit(WEXITSTATUS(status)); // 2 is a crash of Go
	if (!l.words && WIFSIGNALED(status) && !crash(WTERMSIG(status))) die(WTERMSIG(status));
	if (l.words && shared->started) {
		char set[256] = "";
		limits(set, sizeof set);
		dprintf(2, "ergon: the measurement is incomplete: %s%s; the exit code is the command's\n", why, set);
		end_as(l.verdict);
	}
	unmeasured(l.words, why);
}

// all_ended reaps the children of a runner that has gone; 0 if one still lives. A held child ends at once.
static int all_ended(void) {
	for (int i = 0; i < HELD; i++) {
		siginfo_t info;
		memset(&info, 0, sizeof info);
		if (!l.held[i]) continue;
		if (!waitid(P_PID, (id_t)l.held[i], &info, WEXITED | WNOHANG | WNOWAIT) && !info.si_pid) return 0;
		reap(l.held[i]);
	}
	return 1;
}

// serve is the launcher after it has made the runner. It makes the commands' processes, reaps them and their orphans, and
// passes signals on, until the runner has ended. Then it ends as the command has ended.
static void serve(int signals) {
	int status = 0; // the runner's
	for (;;) {
		// a negative descriptor is left out
		struct pollfd p[3] = {{signals, POLLIN, 0}, {l.orders, POLLIN, 0}, {l.full ? l.events : -1, POLLOUT, 0}};
		if (poll(p, 3, -1) < 0) continue;
		if (p[2].revents) collect();
		struct signalfd_siginfo s;
		if (p[0].revents && read(signals, &s, sizeof s) == (ssize_t)sizeof s) {
			if (s.ssi_signo == SIGCHLD)
				collect();
			else if (forward(&s))
				continue; // the order that poll has seen may be carried out already
		}
		if (p[1].revents && !obey()) status = bury();
		if (l.orders >= 0) continue;
		if (!(l.finished && l.end.what == PRELAUNCH_FINISH) && !all_ended()) continue;
		conclude(status);
	}
}

// wanted says whether a command may be measured. Only the sampler knows for sure that none is. ERGON_EARLY names the only
// program that has a launcher: "off" means none. The tests, one binary under many names, say "ergon"; and without a name no
// test binary has one.
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
// slack is per thread and inherited (PR_SET_TIMERSLACK in prctl(2)), and the launcher keeps what the caller set.
#define SLACK 1000000UL
static void calm(void) { prctl(PR_SET_TIMERSLACK, SLACK, 0UL, 0UL, 0UL); }

// LEAST_FILES is how many descriptors the runner and the sampler need each: 38 here, while the sampler is started. With 11
// the Go runtime crashes before main; with 25 the sampler has no timers. The hard limit counts, because Go raises the soft one.
#define LEAST_FILES 48
static int too_few_files(char *why, size_t size) {
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_max >= LEAST_FILES) return 0;
	snprintf(why, size, "at most %u files may be open, and ergon needs %u (ulimit -n)", (unsigned)files.rlim_max, LEAST_FILES);
	return 1;
}

// keep_descriptors marks every descriptor that was inherited as one of this process alone (Linux 5.11). The target gets
// them from the launcher. Other children, the sampler for one, must not hold them open.
static void keep_descriptors(void) {
#if defined(SYS_close_range)
	const unsigned cloexec = 1U << 2; // CLOSE_RANGE_CLOEXEC, which older headers lack
	syscall(SYS_close_range, 3U, ~0U, cloexec);
#endif
}

// raise_limits uses all that the caller allows, in the runner alone. A crash of ergon leaves no core file.
static void raise_limits(void) {
	const int list[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NPROC};
	struct rlimit r;
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		if (getrlimit(list[i], &r) || r.rlim_cur == r.rlim_max) continue;
		r.rlim_cur = r.rlim_max;
		setrlimit(list[i], &r);
	}
	r.rlim_cur = r.rlim_max = 0;
	setrlimit(RLIMIT_CORE, &r);
}

// set_aside takes the variables out of the runner's environment that are meant for commands written in Go. The Go runtime
// reads them from the memory behind argv, and what the kernel says behind them, so the list keeps its length. The launcher has
// its own copy, which the command gets.
static void set_aside(char **variables) {
	static const char *const names[] = {"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK"};
	static char none[] = "";
	for (int n = 0; *variables && n < PRELAUNCH_ASIDE; variables++) {
		for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
			if (!replaces(*variables, names[i])) continue;
			prelaunch.aside[n++] = *variables;
			*variables = none;
			break;
		}
	}
}

// run is the runner: it returns, and the Go runtime starts.
static void run(pid_t launcher, char **variables, int orders, int events, int errors) {
	prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
	if (getppid() != launcher) _exit(0);
	prelaunch.launcher = launcher;
	prelaunch.orders = orders;
	prelaunch.events = events;
	prelaunch.errors = fcntl(2, F_DUPFD_CLOEXEC, 3);
	dup2(errors, 2); // a crash writes pages there; the launcher makes one line of them
	raise_limits();
	set_aside(variables);
	// The launcher is told of signals. Here they only wait, or those of a terminal would end the runner before the command.
	// The Go runtime unblocks those that end a process; it leaves these two ignored.
	sigset_t mask = l.mask;
	for (int s = 1; l.words && s < 32; s++) {
		if (sigismember(&l.relayed, s)) sigaddset(&mask, s);
		if (s == SIGINT || s == SIGHUP) signal(s, SIG_IGN);
	}
	keep_descriptors();
	const int ours[] = {orders, events};
	for (int i = 0; i < 2; i++) fcntl(ours[i], F_SETFL, fcntl(ours[i], F_GETFL) | O_NONBLOCK); // Go waits through its poller
	calm();
	set_mask(&mask, NULL);
}

// launch makes the runner. This process becomes the launcher, and does not return.
static void launch(char **words, int argc, char **argv) {
	int orders[2], events[2], errors[2];
	if (!getrlimit(RLIMIT_NOFILE, &l.files) && l.files.rlim_cur < LEAST_FILES) {
		struct rlimit enough = {LEAST_FILES, l.files.rlim_max};
		l.raised = !setrlimit(RLIMIT_NOFILE, &enough);
	}
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, orders) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, events) || pipe2(errors, O_CLOEXEC | O_NONBLOCK))
		unmeasured(words, strerror(errno));
	int *const ends[] = {&orders[0], &orders[1], &events[0], &events[1], &errors[0], &errors[1]};
	for (int i = 0; i < 6; i++) {
		if ((*ends[i] = above(*ends[i])) < 0) unmeasured(words, strerror(errno));
	}
	const int relayed[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};
	sigemptyset(&l.relayed);
	for (size_t i = 0; i < sizeof relayed / sizeof *relayed; i++) {
		if (!ignored(relayed[i])) sigaddset(&l.relayed, relayed[i]);
	}
	// Other signals wait here for good, but those that stop a process, as they stop the command.
	sigset_t all;
	memset(&all, 0xff, sizeof all);
	sigdelset(&all, SIGTSTP);
	sigdelset(&all, SIGTTIN);
	sigdelset(&all, SIGTTOU);
	set_mask(&all, &l.mask);
	l.masked = 1;
	l.words = words;
	l.argc = argc;
	l.argv = argv;
	pid_t launcher = getpid();
	l.runner = fork();
	if (!l.runner) {
		close(orders[1]);
		close(events[1]);
		close(errors[0]);
		run(launcher, argv + argc + 1, orders[0], events[0], errors[1]);
		close(errors[1]);
		return;
	}
	int failed = errno;
	close(orders[0]);
	close(errors[1]);
	sigset_t heard = l.relayed;
	sigaddset(&heard, SIGCHLD);
	int signals = l.runner < 0 ? -1 : signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l.runner > 0 && signals < 0) {
		failed = errno;
		kill(l.runner, SIGKILL);
		waitpid(l.runner, NULL, 0);
	}
	if (l.runner < 0 && failed == EAGAIN) unmeasured(words, "no more processes may be started (ulimit -u, or pids.max of the cgroup)");
	if (signals < 0 || (signals = above(signals)) < 0) unmeasured(words, strerror(failed));
	secure_as_given();
	signal(SIGCHLD, SIG_DFL); // a caller may ignore it, and then no child could be waited for
	l.orders = orders[1];
	l.events = events[1];
	l.unheard = events[0];
	l.errors = errors[0];
	serve(signals);
}

__attribute__((constructor)) static void early(int argc, char **argv) {
	secure_begin(argc, argv);
	for (int s = 1; s < 64; s++) {
		struct sigaction a;
		if (!sigaction(s, NULL, &a) && a.sa_handler == SIG_IGN) prelaunch.ignored |= 1UL << (s - 1);
	}
	if (argc > 1 && !strcmp(argv[1], "sample")) {
		calm();
		return;
	}
	if (!wanted(argc, argv)) {
		const char *only = getenv("ERGON_EARLY");
		if (only && !strcmp(only, "off")) set_aside(argv + argc + 1);
		return;
	}
	struct prelaunch_switches on;
	char **words = prelaunch_words(argc, argv, &on);
	if (getuid() != geteuid() || getgid() != getegid()) words = NULL; // a setuid ergon starts nothing
	const char *word = getenv("ERGON");
	if (words && !on.user && (on.off || (word && !strcmp(word, "off")))) execute(words);
	l.other_user = on.user;
	l.exclusive = on.exclusive;
	char why[128];
	if (too_few_files(why, sizeof why)) unmeasured(words, why);
	launch(words, argc, argv);
}
