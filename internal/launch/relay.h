// ergon_relay installs one handler for each of the n signals. It writes a struct ergon_signal to fd and unblocks the
// signals on the calling thread: the target, not the handler, has them blocked. It returns 0 or an errno.
#ifndef ERGON_RELAY_H
#define ERGON_RELAY_H

int ergon_relay(int fd, const int *signals, int n);

struct ergon_signal {
	int number, code, sender; // the signal, its si_code, and the process id of the sender or 0
};

#endif
