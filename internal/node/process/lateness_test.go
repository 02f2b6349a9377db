package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tick  = 10 * time.Millisecond
	ticks = 300
)

// playTick waits for ticks and shows how late the worst and the hundredth part
// of them came, in microseconds.
func playTick() error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	late := make([]time.Duration, 0, ticks)
	last := time.Now()
	garbage := make([][]byte, 0, 64)
	for range ticks {
		<-ticker.C
		now := time.Now()
		late = append(late, now.Sub(last)-tick)
		last = now
		// A little of what a daemon does between two: allocate and forget.
		if garbage = append(garbage, make([]byte, 64<<10)); len(garbage) == cap(garbage) {
			garbage = garbage[:0]
		}
	}
	slices.Sort(late)
	fmt.Println(late[ticks-1].Microseconds(), late[ticks-1-ticks/100].Microseconds())
	return nil
}

// playBurn takes all the time of one CPU until its input ends.
func playBurn() error {
	fmt.Println("started")
	done := make(chan struct{})
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		close(done)
	}()
	for i := 0; ; i++ {
		if i%(1<<20) == 0 {
			select {
			case <-done:
				return nil
			default:
			}
		}
	}
}

// BenchmarkLateness measures how late a ticker of 10 ms comes in a process of
// each kind while others want four times the CPUs there are: what a rank is
// worth, and GOMAXPROCS and GOGC beside it, which are worth nothing here.
//
//	go test -run - -bench Lateness -benchtime 1x ./internal/node/process
func BenchmarkLateness(b *testing.B) {
	for _, kind := range []struct {
		name string
		rank rank
		nice bool
		env  []string
	}{
		{"ordinary", rankOrdinary, false, nil},
		{"nice", rankOrdinary, true, nil},
		{"realtime", rankUrgent, false, nil},
		{"realtime, GOMAXPROCS=1", rankUrgent, false, []string{"GOMAXPROCS=1"}},
		{"realtime, GOGC=off", rankUrgent, false, []string{"GOGC=off"}},
		{"realtime, GOGC=400", rankUrgent, false, []string{"GOGC=400"}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			for range 4 * runtime.NumCPU() {
				cmd := exec.Command("/proc/self/exe", "burn")
				in, err := cmd.StdinPipe()
				if err != nil {
					b.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() {
					_ = in.Close()
					_ = cmd.Wait()
				})
			}
			b.ResetTimer()
			worst, hundredth := 0.0, 0.0
			for range b.N {
				w, h := lateness(b, kind.rank, kind.nice, kind.env)
				worst, hundredth = max(worst, w), max(hundredth, h)
			}
			b.ReportMetric(worst, "ms-worst")
			b.ReportMetric(hundredth, "ms-p99")
		})
	}
}

// lateness runs playTick once and returns what it measured, in milliseconds.
func lateness(b *testing.B, r rank, nice bool, env []string) (worst, hundredth float64) {
	b.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer read.Close()
	c := confinement{caps: VIPCaps, rank: r}
	argv, path := []string{"sluice", "tick"}, "/proc/self/exe"
	if nice {
		self, err := os.Executable()
		if err != nil {
			b.Fatal(err)
		}
		argv, path = []string{"nice", "-n", strconv.Itoa(urgentNice), self, "tick"}, "/usr/bin/nice"
		c.caps |= capSet(unix.CAP_SYS_NICE) // for nice alone
	}
	process, err := c.start(path, argv, append(os.Environ(), env...), []*os.File{nil, write, os.Stderr})
	_ = write.Close()
	if err != nil {
		b.Fatal(err)
	}
	var micro [2]float64
	if _, err := fmt.Fscan(read, &micro[0], &micro[1]); err != nil {
		b.Fatal(err)
	}
	if state, err := process.Wait(); err != nil || !state.Success() {
		b.Fatalf("%v, %v", state, err)
	}
	return micro[0] / 1000, micro[1] / 1000
}
