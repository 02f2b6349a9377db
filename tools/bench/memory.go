package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Memory for touching, and how much of it is touched.
const (
	touchedPages = 16_384
	touches      = 4_096
	idlePages    = time.Second
)

// touchIdle measures how long it takes to touch a page of memory that was idle
// for a second, and the same page again. On a virtual machine they may differ by
// far more than caches explain: a host that looks for idle memory has the next
// access come to it.
func touchIdle(ctx context.Context) (idle, warm time.Duration, err error) {
	size := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, touchedPages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return 0, 0, fmt.Errorf("get memory to touch: %v", err)
	}
	defer func() { _ = unix.Munmap(memory) }() // it is what Mmap gave
	for at := 0; at < len(memory); at += size {
		memory[at] = 1
	}
	if err := pause(ctx, idlePages); err != nil {
		return 0, 0, err
	}
	order := rand.Perm(touchedPages)[:touches]
	touch := func() time.Duration {
		begin := time.Now()
		for _, page := range order {
			memory[page*size]++
		}
		return time.Since(begin) / touches
	}
	return touch(), touch(), nil
}
