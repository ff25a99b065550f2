// Package launch starts commands so that they are as the caller of ergon made them, waits for their end, and passes
// signals on to them.
//
// A launcher makes a Target from a Command: Direct does so by os.StartProcess; package prelaunch does better where it can,
// and says what the difference is. The relay of signals uses C where there is cgo: os/signal does not tell the si_code of
// a signal, and only that separates a SIGINT typed at the terminal, which the target has received already, from one that
// was sent to ergon alone and must be passed on.
package launch
