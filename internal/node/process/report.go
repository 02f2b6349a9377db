package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What a child says to its parent: one line each, the word and for some a text.
const (
	reportReady    = "ready"
	reportAlive    = "alive"
	reportReloaded = "reloaded" // text: the error, empty for success
	reportFailed   = "failed"   // text: why the process ends
	reportFailover = "failover" // text: failoverOn or failoverOff
)

const (
	failoverOn  = "on"
	failoverOff = "off"
)

const (
	// maxReport bounds a line, so that a child cannot make its parent grow. All
	// faults of a long settings file fit.
	maxReport = 16 << 10
	// reportPatience bounds a write to a parent that is stopped or stuck.
	reportPatience = time.Second
)

// Reporter is a child's end of the pipe to its parent. The zero value reports
// to nobody. A parent that is gone is not an error: the child goes on alone.
type Reporter struct {
	mu   sync.Mutex
	pipe *os.File
}

// NewReporter takes over the descriptor that [Boot] or [VIPBoot] names as
// Report; 0 is none.
func NewReporter(descriptor int) *Reporter {
	if descriptor == 0 {
		return &Reporter{}
	}
	unix.CloseOnExec(descriptor)           // what the process starts has no business with its parent
	_ = unix.SetNonblock(descriptor, true) // gives writes a deadline
	return &Reporter{pipe: os.NewFile(uintptr(descriptor), "report")}
}

// Ready says that everything the process is there for runs.
func (r *Reporter) Ready() { r.send(reportReady, "") }

// Alive says that the process still lives.
func (r *Reporter) Alive() { r.send(reportAlive, "") }

// Failover says whether the settings that run have virtual clusters, and with
// them a vip process. A node says so before Ready and with each change; until
// it does, what the parent read in the settings file holds.
func (r *Reporter) Failover(on bool) {
	if on {
		r.send(reportFailover, failoverOn)
		return
	}
	r.send(reportFailover, failoverOff)
}

// Reloaded ends what SIGHUP began; err is why the old settings stay.
func (r *Reporter) Reloaded(err error) {
	if err != nil {
		r.send(reportReloaded, err.Error())
		return
	}
	r.send(reportReloaded, "")
}

// Failed says why the process is about to end, so that the parent prints it once.
// It returns whether anybody was told.
func (r *Reporter) Failed(err error) bool { return r.send(reportFailed, err.Error()) }

func (r *Reporter) send(word, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pipe == nil {
		return false
	}
	line := word
	if text != "" {
		line += " " + strings.ReplaceAll(text, "\n", "\x1f")
	}
	if len(line) >= maxReport {
		line = line[:maxReport-1]
	}
	_ = r.pipe.SetWriteDeadline(time.Now().Add(reportPatience))
	if _, err := io.WriteString(r.pipe, line+"\n"); err != nil {
		_ = r.pipe.Close()
		r.pipe = nil
		return false
	}
	return true
}

// report is one line as the parent reads it.
type report struct {
	word, text string
}

// readReports sends what a child says until its end of the pipe closes. An
// overlong line ends the reading: nothing after it can be trusted.
func readReports(pipe io.Reader, to chan<- report) {
	defer close(to)
	lines := bufio.NewScanner(pipe)
	lines.Buffer(make([]byte, 0, 256), maxReport)
	for lines.Scan() {
		to <- parseReport(lines.Text())
	}
}

func parseReport(line string) report {
	word, text, _ := strings.Cut(line, " ")
	return report{word: word, text: strings.ReplaceAll(text, "\x1f", "\n")}
}

// err is the text as an error, nil without one.
func (r report) err() error {
	if r.text == "" {
		return nil
	}
	return fmt.Errorf("%s", r.text)
}
