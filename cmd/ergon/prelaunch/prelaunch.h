// What the constructor in prelaunch.c leaves behind for Go, and the messages between the launcher and the runner. See doc.go.
#ifndef ERGON_PRELAUNCH_H
#define ERGON_PRELAUNCH_H

#include <limits.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define PRELAUNCH_ASIDE 16

struct prelaunch {
	pid_t launcher;        // process id of the launcher, our parent; 0 if there is none
	int orders;            // the runner's end of the socket for orders
	int events;            // the runner's end of the socket for events
	int errors;            // the caller's stderr; -1 if it was closed
	unsigned long ignored; // bit n-1 is set if signal n was ignored on entry
	// NAME=VALUE of the variables that the caller has set for commands, and not for ergon. The list ends with NULL.
	const char *aside[PRELAUNCH_ASIDE + 1];
};

extern struct prelaunch prelaunch;

// prelaunch_watches says that the runner is about to send PRELAUNCH_WATCH. It returns 0 if a signal that ends processes was
// first: then the launcher ends this process.
int prelaunch_watches(void);

// What the runner asks of the launcher.
enum {
	PRELAUNCH_HOLD,       // make a child, born in the v2 cgroup whose folder is text; the child's end of a socket comes with it
	PRELAUNCH_REAP,       // reap the child number, which has ended or will at once; there is no answer if signal is not 0
	PRELAUNCH_ADOPT,      // become the parent of the commands' orphans, and reap them as soon as they end
	PRELAUNCH_ORPHANS,    // say what the orphans have used that were reaped since the last time
	PRELAUNCH_KEEP,       // keep the descriptor that comes with it until this process ends: the lock of --exclusive
	PRELAUNCH_WATCH,      // prelaunch_watches has said that signals which end processes are events; the last number arguments are the command
	PRELAUNCH_FINISH,     // end as soon as the runner has: with the exit code number, or by the signal
	PRELAUNCH_FOLLOW,     // end as the started command ends
	PRELAUNCH_UNMEASURED, // as soon as the runner has ended, become the command; text says why it is not measured
};

// prelaunch_order is sent without what is behind the end of text. HOLD, REAP, ADOPT and ORPHANS have an answer.
struct prelaunch_order {
	int32_t what, number, signal;
	char text[PATH_MAX];
};

// prelaunch_answer is the child's process id or 0 in number, or an errno as a negative number. The CPU
// times are in ns.
struct prelaunch_answer {
	int32_t number;
	int64_t user, system;
	int64_t peak; // the largest ru_maxrss of the orphans, in KiB
};

// prelaunch_event is a signal, or the end of a child that HOLD made. The child is a zombie until REAP.
struct prelaunch_event {
	int32_t signal;       // 0 for the end of a child
	int32_t code;         // si_code of the signal
	int32_t pid;          // who sent the signal, 0 if that is unknown; or the child
	int32_t status;       // the child's, as wait4 gives it
	struct rusage usage;  // the child's, with the children it has waited for
	int64_t at;           // when the launcher saw the child's end, in ns of CLOCK_MONOTONIC
};

// prelaunch_command tells the child what it becomes. The numbers of the groups follow, as int32, and then size bytes of
// text: strings that end in a zero byte, first files, then words, then changes, then places. The child answers with a prelaunch_verdict. Then it waits for one byte and executes
// the words. If that fails, it sends another prelaunch_verdict; if not, the socket ends.
struct prelaunch_command {
	uint32_t files;   // "0" is written to each: the file tasks of a v1 cgroup
	uint32_t words;   // the command and its arguments
	uint32_t changes; // NAME=VALUE, added to the environment or replacing a variable; NAME alone is removed
	uint32_t places;  // 0, or 4: the folder that the command works in, and the files of descriptors 0, 1 and 2; empty is as given
	uint32_t size;
	uint32_t other;   // 1 if the command runs as another user, who is the following
	uint32_t uid, gid;
	uint32_t groups; // the number of supplementary groups
};

struct prelaunch_verdict {
	int32_t failed; // an errno; 0 for success
	int32_t group;  // which cgroup could not be joined: 0 is the order's, 1 is the first of the files; or one of the following
};

enum {
	PRELAUNCH_NO_GROUP = -1, // it is not about a cgroup
	PRELAUNCH_USER = -2,     // the child could not become the user
	PRELAUNCH_PLACE = -3,    // the child could not use the first of the places; -4 is the second, and so on
};

#endif
