// What the constructor in early.c leaves behind for Go. See doc.go.
#ifndef ERGON_EARLY_H
#define ERGON_EARLY_H

#include <sys/types.h>

struct ergon_early {
	int is_sampler;          // 1 in the sampler, where nothing else is set
	int forked;              // 1 when the two children below exist
	pid_t sampler, launcher; // their process ids
	int sampler_in;          // write end of the sampler's stdin
	int sampler_out;         // read end of its stdout
	int gate;                // write end: orders to the launcher; end of file ends it
	int verdict;             // read end: its answers; end of file after execve
	unsigned long ignored;   // bit n-1 is set when signal n was ignored on entry
};

extern struct ergon_early ergon_early;

// An order to the launcher.
struct ergon_order {
	int what;
	int index;       // of argv, to EXECUTE
	char path[4088]; // to JOIN: the file tasks of a v1 cgroup; to BE_BORN: the folder of a v2 one
};
enum { ERGON_EXECUTE = 1, ERGON_JOIN, ERGON_BE_BORN };

// ergon_relay installs one handler for each of the n signals, which writes signal, si_code and sender to fd, and unblocks
// them on the calling thread: it is the target that has them blocked. It returns 0 or an errno.
int ergon_relay(int fd, const int *signals, int n);

struct ergon_signal {
	int number, code, sender;
};

#endif
