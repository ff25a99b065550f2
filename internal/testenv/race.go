//go:build race

package testenv

// RaceDetector tells whether the race detector is in this test binary.
const RaceDetector = true
