package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

// serve answers GET /hello and GET /work?ms=N, which burns in the handler's goroutine.
func serve() {
	stepsPerMs := number(os.Getenv("BENCH_STEPS_PER_MS"))
	http.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "text/plain")
		io.WriteString(w, "hello")
	})
	http.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.ParseUint(r.URL.Query().Get("ms"), 10, 32)
		if err != nil {
			http.Error(w, "not a number of milliseconds", http.StatusBadRequest)
			return
		}
		w.Header().Set("content-type", "text/plain")
		io.WriteString(w, strconv.FormatUint(uint64(burn(uint32(ms), uint32(float64(ms)*stepsPerMs))), 10))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening http://%s\n", listener.Addr())
	http.Serve(listener, nil)
}
