// Package launch starts commands so that they are as the caller of ergon made them, waits for their end, and passes
// signals on to them.
//
// A launcher makes a Target from a Command. Direct uses os.StartProcess. Package prelaunch does better on Linux with
// cgo and glibc; its doc.go has the difference. With cgo, the relay of signals uses C, because os/signal does not
// report the si_code of a signal. The target has already received a SIGINT that was typed at the terminal. A SIGINT
// sent to ergon alone must be passed on. Only the si_code separates the two.
package launch
