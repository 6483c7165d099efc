package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	timerFirst  = 10_000 * time.Millisecond
	timerSpread = 600_000
	sleepTime   = 10 * time.Millisecond
)

func delayOf(index int) time.Duration {
	return timerFirst + time.Duration((index*7919)%timerSpread)*time.Millisecond
}

// repeatFor runs round until the time is over, once at least; counts says whether it is measured.
func repeatFor(warmup, seconds float64, round func(counts bool)) {
	for phase, length := range []float64{warmup, seconds} {
		started := time.Now()
		for {
			round(phase == 1)
			if time.Since(started).Seconds() >= length {
				break
			}
		}
	}
}

func measurePending(count int, warmup, seconds float64) {
	var timers, insertNs, cancelNs int64
	crowd := make([]*time.Timer, count)
	expired := func() { fmt.Fprintln(os.Stderr, "no timer of a crowd expires"); os.Exit(1) }
	repeatFor(warmup, seconds, func(counts bool) {
		started := time.Now()
		for index := range crowd {
			crowd[index] = time.AfterFunc(delayOf(index), expired)
		}
		inserted := time.Now()
		for index := range crowd {
			crowd[index].Stop()
		}
		cancelled := time.Now()
		if counts {
			timers += int64(count)
			insertNs += inserted.Sub(started).Nanoseconds()
			cancelNs += cancelled.Sub(inserted).Nanoseconds()
		}
	})
	for index := range crowd {
		crowd[index] = nil
	}
	before := heapBytes()
	for index := range crowd {
		crowd[index] = time.AfterFunc(delayOf(index), expired)
	}
	bytes := float64(heapBytes()-before) / float64(count)
	fmt.Printf("{\"count\":%d,\"insertNs\":%d,\"cancelNs\":%d,\"bytes\":%f}\n", timers, insertNs, cancelNs, bytes)
	runtime.KeepAlive(crowd)
}

func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func measureTasks(count int, sleep time.Duration, warmup, seconds float64) {
	var rounds, ns int64
	repeatFor(warmup, seconds, func(counts bool) {
		var group sync.WaitGroup
		group.Add(count)
		started := time.Now()
		for i := 0; i < count; i++ {
			go func() {
				if sleep > 0 {
					time.Sleep(sleep)
				}
				group.Done()
			}()
		}
		group.Wait()
		if counts {
			rounds++
			ns += time.Since(started).Nanoseconds()
		}
	})
	fmt.Printf("{\"count\":%d,\"ns\":%d}\n", rounds, ns)
}

func measureHops(count int, warmup, seconds float64) {
	var hops, ns int64
	repeatFor(warmup, seconds, func(counts bool) {
		started := time.Now()
		for i := 0; i < count; i++ {
			runtime.Gosched()
		}
		if counts {
			hops += int64(count)
			ns += time.Since(started).Nanoseconds()
		}
	})
	fmt.Printf("{\"count\":%d,\"ns\":%d}\n", hops, ns)
}

// runTimers takes CASE COUNT WARMUP_SECONDS SECONDS, as ../timers/main.js describes them.
func runTimers(arguments []string) {
	runtime.GOMAXPROCS(1)
	count, warmup, seconds := int(number(arguments[1])), number(arguments[2]), number(arguments[3])
	switch arguments[0] {
	case "pending":
		measurePending(count, warmup, seconds)
	case "sleep":
		measureTasks(count, sleepTime, warmup, seconds)
	case "spawn":
		measureTasks(count, 0, warmup, seconds)
	case "hop":
		measureHops(count, warmup, seconds)
	}
}
