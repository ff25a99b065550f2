/* Tell ergon which part of a program's work runs, so that each part has its own cost.
 *
 * Copy this file next to your program. Without ergon around the program it does nothing.
 *
 *     ergon_begin("solve");
 *     solve();
 *     ergon_end("solve");
 *
 * It never waits for ergon: if ergon does not take marks as fast, a mark is lost. It may be used from any thread and after a
 * fork. It is for Linux, in C99 and C++. */
#ifndef ERGON_MARKS_H
#define ERGON_MARKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static inline void ergon_send(const char *key, const char *value) {
	static int fd = -1; /* two threads may both open one; that costs a descriptor and does no harm */
	const char *path = getenv("ERGON_SOCKET");
	if (!path) return;
	struct sockaddr_un to;
	memset(&to, 0, sizeof to);
	to.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof to.sun_path) return;
	strcpy(to.sun_path, path);
	if (fd < 0) fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) return;
	char text[1024];
	int n = snprintf(text, sizeof text, "%s=%s\nERGON_THREAD=%ld", key, value, (long)syscall(SYS_gettid));
	if (n > 0 && n < (int)sizeof text)
		(void)!sendto(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to);
}

/* A region begins or ends. Regions of a thread may contain others. */
static inline void ergon_begin(const char *name) { ergon_send("ERGON_BEGIN", name); }
static inline void ergon_end(const char *name) { ergon_send("ERGON_END", name); }

/* Something happened, such as a checkpoint. */
static inline void ergon_event(const char *name) { ergon_send("ERGON_EVENT", name); }

/* done of whole is done. */
static inline void ergon_progress(double done, double whole) {
	char text[64];
	snprintf(text, sizeof text, "%.17g/%.17g", done, whole);
	ergon_send("ERGON_PROGRESS", text);
}

/* A figure of the program's own, such as a residual. */
static inline void ergon_metric(const char *name, double value) {
	char text[512];
	snprintf(text, sizeof text, "%s %.17g", name, value);
	ergon_send("ERGON_METRIC", text);
}

#endif
