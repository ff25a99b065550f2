package main

import "os"

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func width(*os.File) int { return 80 }

// mayDraw is false: an old console shows escape sequences as they are.
func mayDraw(*os.File) bool { return false }
