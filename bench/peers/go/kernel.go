package main

import (
	"syscall"
	"time"
)

// burn is the busy kernel (see ../kernel.js).
func burn(seed, steps uint32) uint32 {
	x := seed
	for i := uint32(0); i < steps; i++ {
		x = x*1664525 + (1013904223 ^ i)
		x ^= x >> 15
	}
	return x
}

var sink uint32

// stepNs is the nanoseconds of one step on one thread: the best of several.
func stepNs() float64 {
	const steps = 100_000
	best := time.Duration(1 << 62)
	for i := uint32(0); i < 20; i++ {
		started := time.Now()
		sink = burn(i, steps)
		if took := time.Since(started); took < best {
			best = took
		}
	}
	return float64(best.Nanoseconds()) / steps
}

// cpuNs is the CPU time of this process, all threads.
func cpuNs() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
