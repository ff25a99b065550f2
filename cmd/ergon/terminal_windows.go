package main

import "os"

// mayDraw returns false: an old console shows escape sequences as they are.
func mayDraw(*os.File) bool { return false }
