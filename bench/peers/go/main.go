// The Go subjects of the suites: `go-peer tasks …`, `go-peer net …`, `go-peer files …`, `go-peer sync …`, `go-peer serve`, `go-peer timers …`.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "tasks" {
		runTasks(os.Args[2:])
	} else if len(os.Args) > 1 && os.Args[1] == "net" {
		runNet(os.Args[2:])
	} else if len(os.Args) > 1 && os.Args[1] == "files" {
		runFiles(os.Args[2:])
	} else if len(os.Args) > 1 && os.Args[1] == "sync" {
		runSync(os.Args[2:])
	} else if len(os.Args) > 1 && os.Args[1] == "serve" {
		serve()
	} else if len(os.Args) > 1 && os.Args[1] == "timers" {
		runTimers(os.Args[2:])
	} else {
		fmt.Fprintln(os.Stderr, "usage: go-peer tasks … | go-peer net … | go-peer files … | go-peer sync … | go-peer serve | go-peer timers …")
		os.Exit(2)
	}
}

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "not a number:", text)
		os.Exit(2)
	}
	return value
}
