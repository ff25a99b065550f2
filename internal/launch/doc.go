// Package launch starts commands so that they are as the caller of ergon made them, waits for their end, and passes
// signals on to them.
//
// A launcher makes a Target from a Command. Direct uses os.StartProcess. Package prelaunch does better on Linux with cgo and
// glibc; its doc.go has the difference. With cgo, the relay of signals uses C, because os/signal does not report the si_code
// of a signal. Only the si_code separates a SIGINT typed at the terminal, which the target has received already, from a SIGINT
// sent to ergon alone, which must be passed on.
package launch
