// What the constructor in prelaunch.c leaves behind for Go, and the messages of the fork server. See doc.go.
#ifndef ERGON_PRELAUNCH_H
#define ERGON_PRELAUNCH_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

struct prelaunch {
	pid_t launcher;        // process id of the fork server; 0 if there is none
	int orders;            // the runner's end of the socket to it
	unsigned long ignored; // bit n-1 is set if signal n was ignored on entry
};

extern struct prelaunch prelaunch;

// prelaunch_order asks the fork server for one child. The child's end of a socket comes with it. The answer is an int32:
// the child's process id, or an errno as a negative number.
struct prelaunch_order {
	char group[PATH_MAX]; // folder of the v2 cgroup in which the child is born; empty for none
};

// prelaunch_command tells the child what it becomes. The numbers of the groups follow, as int32, and then size bytes of
// text: strings that end in a zero byte, first files, then words, then changes. The child answers with a prelaunch_verdict. Then it waits for one byte and executes
// the words. If that fails, it sends another prelaunch_verdict; if not, the socket ends.
struct prelaunch_command {
	uint32_t files;   // "0" is written to each: the file tasks of a v1 cgroup
	uint32_t words;   // the command and its arguments
	uint32_t changes; // NAME=VALUE, added to the environment or replacing a variable; NAME alone is removed
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
};

#endif
