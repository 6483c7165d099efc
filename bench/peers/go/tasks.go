package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

// batches submits and joins tasks as ../pools/main.js describes them: a goroutine for each task.
type batches struct {
	width, steps, hotSteps uint32
	count                  uint64
	sum                    uint32
	results                []uint32
	single                 chan uint32
}

func (b *batches) runOne() {
	hot := ^uint32(0)
	if b.hotSteps > 0 {
		hot = uint32(b.count % uint64(b.width))
	}
	b.count++
	if b.width == 1 {
		go func() { b.single <- burn(1, b.steps) }()
		b.sum += <-b.single
		return
	}
	var group sync.WaitGroup
	group.Add(int(b.width))
	for i := uint32(0); i < b.width; i++ {
		steps := b.steps
		if i == hot {
			steps = b.hotSteps
		}
		go func(i, steps uint32) {
			b.results[i] = burn((i&15)+1, steps)
			group.Done()
		}(i, steps)
	}
	group.Wait()
	for _, result := range b.results {
		b.sum += result
	}
}

func (b *batches) runFor(seconds float64) (count uint64, ns int64, cpu int64) {
	chunk := 256 / int(b.width)
	if chunk < 1 {
		chunk = 1
	}
	before, cpuBefore, started := b.count, cpuNs(), time.Now()
	for time.Since(started).Seconds() < seconds {
		for i := 0; i < chunk; i++ {
			b.runOne()
		}
	}
	return b.count - before, time.Since(started).Nanoseconds(), cpuNs() - cpuBefore
}

// runTasks takes EXECUTORS WIDTH STEPS HOT_STEPS WARMUP_SECONDS SECONDS.
func runTasks(arguments []string) {
	var n [6]float64
	for i := range n {
		n[i] = number(arguments[i])
	}
	kernelNs := stepNs()
	runtime.GOMAXPROCS(int(n[0]))
	b := &batches{width: uint32(n[1]), steps: uint32(n[2]), hotSteps: uint32(n[3]), results: make([]uint32, int(n[1])), single: make(chan uint32)}
	b.runFor(n[4])
	count, ns, cpu := b.runFor(n[5])
	fmt.Printf("{\"batches\":%d,\"ns\":%d,\"cpuNs\":%d,\"totalBatches\":%d,\"sum\":%d,\"kernelNs\":%f}\n", count, ns, cpu, b.count, b.sum, kernelNs)
}
