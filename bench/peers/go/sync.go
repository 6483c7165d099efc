package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	syncOperations = 100_000
	syncTasks      = 10_000
	syncMany       = 1_000
)

func syncSpawn() uint32 {
	var count uint32
	var all sync.WaitGroup
	all.Add(syncTasks)
	for n := 0; n < syncTasks; n++ {
		go func() {
			atomic.AddUint32(&count, 1)
			all.Done()
		}()
	}
	all.Wait()
	return count
}

func syncPingPong(pairs int) uint32 {
	limit := uint32(syncOperations / pairs)
	var sum uint32
	var all sync.WaitGroup
	play := func(from, to chan uint32) {
		defer all.Done()
		for value := range from {
			if value >= limit {
				atomic.AddUint32(&sum, value)
				close(to)
				return
			}
			to <- value + 1
		}
	}
	all.Add(2 * pairs)
	for n := 0; n < pairs; n++ {
		there, back := make(chan uint32, 1), make(chan uint32, 1)
		go play(there, back)
		go play(back, there)
		there <- 1
	}
	all.Wait()
	return sum
}

func syncPass(producers, consumers int) uint32 {
	values := make(chan uint32, 256)
	sums := make([]uint32, consumers)
	var producing, consuming sync.WaitGroup
	consuming.Add(consumers)
	for n := 0; n < consumers; n++ {
		go func(n int) {
			var own uint32
			for value := range values {
				own ^= value
			}
			sums[n] = own
			consuming.Done()
		}(n)
	}
	share := syncOperations / producers
	producing.Add(producers)
	for n := 0; n < producers; n++ {
		go func(n int) {
			for i := 1; i <= share; i++ {
				values <- uint32(n*share + i)
			}
			producing.Done()
		}(n)
	}
	producing.Wait()
	close(values)
	consuming.Wait()
	var sum uint32
	for _, own := range sums {
		sum ^= own
	}
	return sum
}

func syncChannel() uint32 {
	values := make(chan uint32, 1)
	var sum uint32
	for n := 0; n < syncOperations; n++ {
		values <- 1
		sum += <-values
	}
	return sum
}

func syncLock(tasks int) uint32 {
	var guarded sync.Mutex
	var sum uint32
	var all sync.WaitGroup
	all.Add(tasks)
	for n := 0; n < tasks; n++ {
		go func() {
			for i := 0; i < syncOperations/tasks; i++ {
				guarded.Lock()
				sum++
				guarded.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	return sum
}

func syncSelect() uint32 {
	ready, idle := make(chan uint32, 1), make(chan uint32, 1)
	var sum uint32
	for n := 0; n < syncOperations; n++ {
		ready <- 1
		select {
		case value := <-ready:
			sum += value
		case value := <-idle:
			sum -= value
		}
	}
	return sum
}

// syncHop gives way to the scheduler, which is what an await does.
func syncHop() uint32 {
	var sum uint32
	for n := 0; n < syncOperations; n++ {
		runtime.Gosched()
		sum++
	}
	return sum
}

var syncCases = map[string]func() uint32{
	"spawn":         syncSpawn,
	"ping-pong-1":   func() uint32 { return syncPingPong(1) },
	"ping-pong-100": func() uint32 { return syncPingPong(100) },
	"fan-in":        func() uint32 { return syncPass(syncMany, 1) },
	"fan-out":       func() uint32 { return syncPass(1, syncMany) },
	"channel-1":     syncChannel,
	"lock-1":        func() uint32 { return syncLock(1) },
	"lock-100":      func() uint32 { return syncLock(100) },
	"select-2":      syncSelect,
	"await-hop":     syncHop,
}

// runSync takes THREADS CASE WARMUP_SECONDS SECONDS, as ../sync/main.js describes them.
func runSync(arguments []string) {
	runtime.GOMAXPROCS(int(number(arguments[0])))
	runOnce, isKnown := syncCases[arguments[1]]
	if !isKnown {
		fmt.Fprintln(os.Stderr, "no such case:", arguments[1])
		os.Exit(2)
	}
	var total, sum uint32
	runFor := func(seconds float64) (iterations uint32, ns int64, cpu int64) {
		before, cpuBefore, started := total, cpuNs(), time.Now()
		for {
			sum += runOnce()
			total++
			if time.Since(started).Seconds() >= seconds {
				return total - before, time.Since(started).Nanoseconds(), cpuNs() - cpuBefore
			}
		}
	}
	runFor(number(arguments[2]))
	iterations, ns, cpu := runFor(number(arguments[3]))
	fmt.Printf("{\"iterations\":%d,\"ns\":%d,\"cpuNs\":%d,\"totalIterations\":%d,\"sum\":%d}\n", iterations, ns, cpu, total, sum)
}
