// What the Go clients share; what they say is told in checks.py.
package main

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

var sizes = []int{0, 1, 100, 1400, 1461, 16384, 65536, 300000, 1 << 20}

var failed int

// One check, told as one line: what it panics with is why it failed.
func check(name string, work func()) {
	defer func() {
		if why := recover(); why != nil {
			failed++
			fmt.Printf("not ok %s: %v\n", name, why)
		} else {
			fmt.Printf("ok %s\n", name)
		}
	}()
	work()
}

func end() {
	if failed > 0 {
		os.Exit(1)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// The error that a call must give.
func fails(err, wanted error) {
	if err != wanted {
		panic(fmt.Sprintf("error %v instead of %v", err, wanted))
	}
}

func same(is, should interface{}) {
	a, b := fmt.Sprintf("%v", is), fmt.Sprintf("%v", should)
	if a != b {
		panic(fmt.Sprintf("%.200s instead of %.200s", a, b))
	}
}

func sameBytes(is, should []byte) {
	if !bytes.Equal(is, should) {
		panic(fmt.Sprintf("%d bytes %.60q instead of %d bytes %.60q", len(is), is, len(should), should))
	}
}

// Bytes of every value, among them CR LF and zero, other ones for another seed.
func body(size, seed int) []byte {
	unit := make([]byte, 4096, 4120)
	for i := range unit {
		unit[i] = byte(i*7 + seed*13 + i/251)
	}
	unit = append(unit, "\r\nEND\r\n\x00$-1\r\n"...)
	return bytes.Repeat(unit, size/len(unit)+1)[:size]
}

// work(0), work(1), ... at the same time; the first that panics fails the check.
func together(count int, work func(int)) {
	var all sync.WaitGroup
	wrong := make(chan interface{}, count)
	for i := 0; i < count; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			defer func() {
				if why := recover(); why != nil {
					wrong <- why
				}
			}()
			work(i)
		}(i)
	}
	all.Wait()
	select {
	case why := <-wrong:
		panic(why)
	default:
	}
}
