package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

type netPlan struct {
	connections, steps, hot, cold, window int
	rotates                               bool
	hotWork, coldWork                     uint32
	dispatches                            int
}

type netStream struct {
	socket      net.Conn
	frame, back []byte
	count, sum  uint32
}

func (s *netStream) run(index int, p *netPlan, owners []chan uint32) {
	for step := 0; step < p.steps; step++ {
		hotIndex := 0
		if p.rotates {
			hotIndex = step % p.connections
		}
		left, work := p.cold, p.coldWork
		if hotIndex == index {
			left, work = p.hot, p.hotWork
		}
		for left > 0 {
			batch := p.window
			if left < batch {
				batch = left
			}
			for i := 0; i < batch; i++ {
				if _, err := s.socket.Write(s.frame); err != nil {
					panic(err)
				}
			}
			for i := 0; i < batch; i++ {
				if _, err := io.ReadFull(s.socket, s.back); err != nil {
					panic(err)
				}
				if s.back[0] != 0x5a || s.back[len(s.back)-1] != 0x5a {
					panic("the echo is not what was sent")
				}
				s.count++
				if work > 0 {
					s.sum += burn(s.count, work)
				}
				for d := 0; d < p.dispatches; d++ {
					owners[step%2] <- 1
				}
			}
			left -= batch
		}
	}
}

func framesOf(streams []*netStream) (count uint64) {
	for _, s := range streams {
		count += uint64(s.count)
	}
	return count
}

// openOwners starts two goroutines that add up what comes until their channel is closed; none where nothing is sent.
func openOwners(dispatches int, owning *sync.WaitGroup) (owners []chan uint32, dispatched *uint64) {
	dispatched = new(uint64)
	for i := 0; dispatches > 0 && i < 2; i++ {
		values := make(chan uint32, 1024)
		owners = append(owners, values)
		owning.Add(1)
		go func() {
			sum := uint64(0)
			for value := range values {
				sum += uint64(value)
			}
			atomic.AddUint64(dispatched, sum)
			owning.Done()
		}()
	}
	return owners, dispatched
}

func runNetFor(streams []*netStream, p *netPlan, seconds float64) (count uint64, sum uint32, ns int64, cpu int64) {
	for _, s := range streams {
		s.count, s.sum = 0, 0
	}
	cpuBefore, started := cpuNs(), time.Now()
	for {
		var group, owning sync.WaitGroup
		owners, dispatched := openOwners(p.dispatches, &owning)
		before := framesOf(streams)
		for index, s := range streams {
			group.Add(1)
			go func(index int, s *netStream) {
				s.run(index, p, owners)
				group.Done()
			}(index, s)
		}
		group.Wait()
		for _, owner := range owners {
			close(owner)
		}
		owning.Wait()
		if atomic.LoadUint64(dispatched) != (framesOf(streams)-before)*uint64(p.dispatches) {
			panic("the owners have not got what was sent")
		}
		if time.Since(started).Seconds() >= seconds {
			break
		}
	}
	for _, s := range streams {
		count += uint64(s.count)
		sum += s.sum
	}
	return count, sum, time.Since(started).Nanoseconds(), cpuNs() - cpuBefore
}

// runVisits makes and accepts connections: the server closes, then the client.
func runVisits(concurrency, total int, warmup, seconds float64) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			socket, err := listener.Accept()
			if err != nil {
				return
			}
			socket.Close()
		}
	}()
	visitFor := func(limit float64) (count uint64, ns int64, cpu int64) {
		cpuBefore, started := cpuNs(), time.Now()
		for {
			var group sync.WaitGroup
			left := int64(total)
			for i := 0; i < concurrency; i++ {
				group.Add(1)
				go func() {
					defer group.Done()
					for atomic.AddInt64(&left, -1) >= 0 {
						socket, err := net.Dial("tcp", listener.Addr().String())
						if err != nil {
							panic(err)
						}
						io.Copy(io.Discard, socket)
						socket.Close()
					}
				}()
			}
			group.Wait()
			count += uint64(total)
			if time.Since(started).Seconds() >= limit {
				return count, time.Since(started).Nanoseconds(), cpuNs() - cpuBefore
			}
		}
	}
	visitFor(warmup)
	count, ns, cpu := visitFor(seconds)
	fmt.Printf("{\"count\":%d,\"ns\":%d,\"cpuNs\":%d,\"sum\":0}\n", count, ns, cpu)
}

// runNet takes THREADS and then what ../net/shapes.js says. A goroutine for each connection.
func runNet(arguments []string) {
	var n [13]float64
	for i := range n {
		n[i] = number(arguments[i])
	}
	runtime.GOMAXPROCS(int(n[0]))
	if n[2] == 0 {
		runVisits(int(n[3]), int(n[5]), n[11], n[12])
		return
	}
	p := &netPlan{connections: int(n[3]), steps: int(n[4]), hot: int(n[5]), cold: int(n[6]), rotates: n[7] == 1, window: int(n[8]), hotWork: uint32(n[9]), coldWork: uint32(n[10])}
	if len(arguments) > 13 {
		p.dispatches = int(number(arguments[13]))
	}
	streams := make([]*netStream, p.connections)
	for i := range streams {
		socket, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", int(n[1])))
		if err != nil {
			panic(err)
		}
		s := &netStream{socket: socket, frame: make([]byte, int(n[2])), back: make([]byte, int(n[2]))}
		for at := range s.frame {
			s.frame[at] = 0x5a
		}
		streams[i] = s
	}
	runNetFor(streams, p, n[11])
	count, sum, ns, cpu := runNetFor(streams, p, n[12])
	fmt.Printf("{\"count\":%d,\"ns\":%d,\"cpuNs\":%d,\"sum\":%d}\n", count, ns, cpu, sum)
}
