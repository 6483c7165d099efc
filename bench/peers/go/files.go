package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const (
	block         = 4_096
	blocks        = 4_096
	sequenceReads = 256
	batchWidth    = 32
	fill          = 0xa5
)

func check(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "error:", what)
		os.Exit(1)
	}
}

func readBlock(file *os.File, buffer []byte, index int) {
	count, err := file.ReadAt(buffer, int64(index)*block)
	check(err == nil && count == block, "a read was short")
}

// readBlocks reads so many blocks from first on: one in this goroutine, several in one goroutine each.
func readBlocks(file *os.File, buffers [][]byte, first int) {
	if len(buffers) == 1 {
		readBlock(file, buffers[0], first)
		return
	}
	var all sync.WaitGroup
	all.Add(len(buffers))
	for index := range buffers {
		go func(index int) {
			readBlock(file, buffers[index], first+index)
			all.Done()
		}(index)
	}
	all.Wait()
}

func readFor(file *os.File, isBatched bool, seconds float64) string {
	width, reads := 1, sequenceReads
	if isBatched {
		width, reads = batchWidth, blocks
	}
	buffers := make([][]byte, width)
	for index := range buffers {
		buffers[index] = make([]byte, block)
	}
	count, ns := int64(0), int64(0)
	cpuBefore := cpuNs()
	begin := time.Now()
	for time.Since(begin).Seconds() < seconds {
		for _, buffer := range buffers {
			for index := range buffer {
				buffer[index] = 0
			}
		}
		started := time.Now()
		for first := 0; first < reads; first += width {
			readBlocks(file, buffers, first)
		}
		ns += time.Since(started).Nanoseconds()
		count += int64(reads)
		for _, buffer := range buffers {
			for _, value := range buffer {
				check(value == fill, "a buffer was not filled")
			}
		}
	}
	wall := time.Since(begin).Nanoseconds()
	return fmt.Sprintf("{\"count\":%d,\"ns\":%d,\"cpuNs\":%d,\"wallNs\":%d}", count, ns, cpuNs()-cpuBefore, wall)
}

// runFiles is `files WORKERS CASE WARMUP_SECONDS SECONDS PATH`, as ../files/main.js describes the cases.
func runFiles(arguments []string) {
	workers, err := strconv.Atoi(arguments[0])
	check(err == nil, "not a number of workers")
	runtime.GOMAXPROCS(workers)
	file, err := os.Open(arguments[4])
	check(err == nil, "the file cannot be opened")
	isBatched := arguments[1] == "fs_read_throughput_4k_qd32"
	readFor(file, isBatched, number(arguments[2]))
	fmt.Println(readFor(file, isBatched, number(arguments[3])))
}
