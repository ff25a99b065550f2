// Package marks receives what a command says about itself while it is measured. The command sends datagrams to a private unix
// socket, which the environment variable ERGON_SOCKET names. A datagram has lines KEY=VALUE, as those of sd_notify(3) have:
//
//	ERGON_BEGIN=train            the region train begins
//	ERGON_END=train              it ends
//	ERGON_EVENT=checkpoint       something happened
//	ERGON_PROGRESS=3/10          how much is done; 0.3 and 30% mean the same
//	ERGON_METRIC=loss 0.31       a figure of the command's own
//
// Further lines tell more of all marks of the datagram. Each is optional:
//
//	ERGON_ID=7                   tells apart instances of a region that overlap in a thread
//	ERGON_TIME=123456789         when it was, in ns of CLOCK_MONOTONIC; without it, when the datagram came
//	ERGON_THREAD=42              the thread
//	ERGON_PID=41                 the process, if the sender speaks for another, as `ergon mark` does for its shell
//	ERGON_RANK=0                 the rank of the sender in a parallel job
//
// Other lines are ignored, so a program may send what it sends to systemd.
package marks

// Variable is the environment variable that has the path of the socket.
const Variable = "ERGON_SOCKET"
