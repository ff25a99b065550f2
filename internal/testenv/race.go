//go:build race

package testenv

// raceDetector tells whether the race detector is in this test binary.
const raceDetector = true
