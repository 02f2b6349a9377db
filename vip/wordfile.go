package vip

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// wordFile are the owner words of a gateway that has no dataplane to hold them. No
// packet meets them: they say until when this gateway may take itself for active,
// for a process that follows one that ended, as the dataplane's do.
//
// What makes that safe is the deadline alone. It is written after the adverts that it
// counts from were sent, and who hears no more of them waits for longer. It is on
// CLOCK_MONOTONIC, so words of another boot count for nothing, nor do words that were
// written by half. That the VIPs still lie here is the other condition, which the
// caller looks at, but no proof: their leases end later than the deadline.
//
// It lies in the runtime directory, which is memory: a disk that is slow must not keep
// adverts from being sent. A file that cannot be written is no fault of the gateway:
// the next process then begins as backup.
type wordFile struct {
	now  func() time.Duration
	log  *slog.Logger
	boot bootID

	mu     sync.Mutex
	open   map[netip.Addr]time.Duration // until when, 0 for without end
	file   *os.File                     // nil for none
	size   int
	failed bool
}

// wordFileName is that of the file in the runtime directory.
const wordFileName = "vip.words"

// bootID tells one run of the machine's kernel from another.
type bootID [16]byte

// openWordFile returns the words that a predecessor left in a directory, "" for none.
func openWordFile(dir string, now func() time.Duration, log *slog.Logger) *wordFile {
	w := &wordFile{now: now, log: log, open: map[netip.Addr]time.Duration{}}
	if dir == "" {
		return w
	}
	var err error
	if w.boot, err = readBootID(); err == nil {
		w.file, err = os.OpenFile(filepath.Join(dir, wordFileName), os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		w.complain(err)
		return w
	}
	text, err := io.ReadAll(io.LimitReader(w.file, maxWordFile+1))
	if err == nil && len(text) > 0 {
		var left map[netip.Addr]time.Duration
		if left, err = parseWords(text, w.boot); err == nil {
			w.open = left
		}
	}
	if err != nil {
		log.Warn("what an earlier process held is not known", "error", err)
	}
	w.size = len(text)
	return w
}

// Set implements [Owners].
func (w *wordFile) Set(vips []netip.Addr, active bool, until time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range vips {
		if active {
			w.open[a] = until
		} else {
			delete(w.open, a)
		}
	}
	if w.file == nil {
		return nil
	}
	text := appendWords(nil, w.open, w.boot)
	_, err := w.file.WriteAt(text, 0)
	if err == nil && len(text) != w.size {
		err = w.file.Truncate(int64(len(text)))
	}
	w.size = len(text)
	w.complain(err)
	return nil
}

// Open implements [Owners].
func (w *wordFile) Open(vips []netip.Addr) (until time.Duration, open bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	open = len(vips) > 0
	for _, a := range vips {
		end, active := w.open[a]
		open = open && active && (end == 0 || end > w.now())
		if end != 0 && (until == 0 || end < until) {
			until = end
		}
	}
	return until, open, nil
}

func (w *wordFile) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}

// complain logs the first of failures in a row.
func (w *wordFile) complain(err error) {
	if err != nil && !w.failed {
		w.log.Warn("what this gateway holds is not kept for the next process, which will not go on with it", "error", err)
	}
	w.failed = err != nil
}

func readBootID() (b bootID, err error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return b, fmt.Errorf("read boot id: %v", err)
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
	if err != nil || len(raw) != len(b) {
		return b, fmt.Errorf("read boot id: %q is none", text)
	}
	return bootID(raw), nil
}

// The file: magic, boot id, number of open words, for each its address as IPv6 and
// its deadline, and a CRC-32C of all before it. Numbers are little-endian.
const (
	wordMagic   = "SLVIPW01"
	wordHead    = len(wordMagic) + 16 + 4
	wordSize    = 16 + 8
	maxWords    = 4096
	maxWordFile = int64(wordHead + maxWords*wordSize + 4)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendWords(b []byte, open map[netip.Addr]time.Duration, boot bootID) []byte {
	b = append(append(b, wordMagic...), boot[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(open)))
	for _, a := range slices.SortedFunc(maps.Keys(open), netip.Addr.Compare) {
		as16 := a.As16()
		b = binary.LittleEndian.AppendUint64(append(b, as16[:]...), uint64(open[a]))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseWords returns none of a file of another boot; an error says that it is no whole
// file.
func parseWords(b []byte, boot bootID) (map[netip.Addr]time.Duration, error) {
	if len(b) < wordHead+4 || string(b[:len(wordMagic)]) != wordMagic {
		return nil, errors.New("read owner words: it is no such file")
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	n := binary.LittleEndian.Uint32(b[wordHead-4:])
	if n > maxWords || len(body) != wordHead+int(n)*wordSize || binary.LittleEndian.Uint32(sum) != crc32.Checksum(body, castagnoli) {
		return nil, errors.New("read owner words: the file is not whole")
	}
	open := map[netip.Addr]time.Duration{}
	if bootID(b[len(wordMagic):wordHead-4]) != boot {
		return open, nil
	}
	for one := range slices.Chunk(body[wordHead:], wordSize) {
		until := time.Duration(binary.LittleEndian.Uint64(one[16:]))
		if until < 0 {
			return nil, errors.New("read owner words: a deadline is out of range")
		}
		open[netip.AddrFrom16([16]byte(one[:16])).Unmap()] = until
	}
	return open, nil
}
