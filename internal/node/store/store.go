// Package store keeps the settings of a node over restarts: numbered
// generations, each in a file of its own that is written once, and a copy of
// the settings file as it was last read.
//
// The highest generation that is whole is the current one. So a new generation
// takes effect with one rename, the one before it is always kept, and a damaged
// one falls back to it without a second mechanism.
//
// The files of a directory, each with a checksum over all that is in it:
//
//	generation-46   what ran before; the last Keep are there
//	generation-47   what runs: the highest number that is whole
//	file            the settings file as last read, and which generation ran then
//	*.new           of a write that was cut short; removed at the next start
//
// A Store is not safe for concurrent use, and one process uses a directory.
package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// Keep is how many generations stay readable, the current one included.
	Keep = 50
	// MaxText bounds the settings in bytes.
	MaxText = 4 << 20

	generationPrefix = "generation-"
	seenName         = "file"
	temporarySuffix  = ".new"
)

// Origin says by which way a generation came.
type Origin string

// The ways: read from the node's settings file, or ordered over the API.
const (
	FromFile Origin = "file"
	FromAPI  Origin = "api"
)

// Generation is one state of the settings.
type Generation struct {
	// Number grows by at least one with each state and is never used again.
	Number uint64
	Time   time.Time
	Origin Origin
	Text   []byte
}

// Seen is the settings file as it was last read.
type Seen struct {
	// Generation is the one that ran right after it was read; 0 when the file
	// was never read.
	Generation uint64
	Text       []byte
}

// Store is the open directory.
type Store struct {
	dir     string
	disk    disk
	now     func() time.Time
	current Generation
	seen    Seen
	numbers []uint64 // of all files there are, damaged ones too, ascending
	alarms  []string
}

// Open reads a directory and makes it if it is missing. Damage is no error as
// long as anything whole is left: see [Store.Alarms].
func Open(dir string) (*Store, error) { return open(dir, osDisk{}) }

func open(dir string, d disk) (*Store, error) {
	s := &Store{dir: dir, disk: d, now: time.Now}
	if err := d.makeDir(dir); err != nil {
		return nil, fmt.Errorf("open settings store: %v", err)
	}
	names, err := d.list(dir)
	if err != nil {
		return nil, fmt.Errorf("open settings store: %v", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, temporarySuffix) {
			_ = d.remove(s.path(name)) // of a write that was cut short
			continue
		}
		digits, found := strings.CutPrefix(name, generationPrefix)
		if n, err := strconv.ParseUint(digits, 10, 64); found && err == nil {
			s.numbers = append(s.numbers, n)
		}
	}
	slices.Sort(s.numbers)
	s.findCurrent()
	s.findSeen()
	return s, nil
}

// findCurrent takes the highest generation that is whole.
func (s *Store) findCurrent() {
	for _, n := range slices.Backward(s.numbers) {
		g, err := s.Load(n)
		if err == nil {
			s.current = g
			break
		}
		s.alarms = append(s.alarms, err.Error())
	}
	if len(s.alarms) == 0 {
		return
	}
	if s.current.Number == 0 {
		s.alarms = append(s.alarms, "no generation is readable: the settings file is taken as if it were new")
		return
	}
	s.alarms = append(s.alarms, fmt.Sprintf("generation %d runs instead", s.current.Number))
}

// findSeen takes what is newer: the copy of the file, or the newest generation
// that came from it. They differ when a crash came between the two writes, or
// when the copy is damaged.
func (s *Store) findSeen() {
	for _, n := range slices.Backward(s.numbers) {
		if g, err := s.Load(n); err == nil && g.Origin == FromFile {
			s.seen = Seen{Generation: g.Number, Text: g.Text}
			break
		}
	}
	r, err := s.read(seenName)
	if err == nil && r.Number >= s.seen.Generation {
		s.seen = Seen{Generation: r.Number, Text: r.Text}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.alarms = append(s.alarms, fmt.Sprintf("copy of the settings file: %v", err))
	}
}

// Current returns the generation that is to run; its Number is 0 when there is
// none yet.
func (s *Store) Current() Generation { return s.current }

// Seen returns the settings file as it was last read.
func (s *Store) Seen() Seen { return s.seen }

// Alarms returns what is damaged, in words for people, empty when all is well.
// A new generation ends them.
func (s *Store) Alarms() []string { return slices.Clone(s.alarms) }

// Load returns a generation of the past. The error matches [fs.ErrNotExist]
// when it is not kept any more.
func (s *Store) Load(number uint64) (Generation, error) {
	r, err := s.read(generationName(number))
	if err == nil && r.Number != number {
		err = errors.New("it holds another generation")
	}
	if err != nil {
		return Generation{}, fmt.Errorf("load generation %d: %w", number, err)
	}
	return r, nil
}

// Commit makes text the next generation and returns it once it would survive a
// power failure. On error the current generation stays what it was.
func (s *Store) Commit(text []byte, origin Origin) (Generation, error) {
	if len(text) > MaxText {
		return Generation{}, fmt.Errorf("store settings: %d bytes are more than %d", len(text), MaxText)
	}
	g := Generation{Number: s.next(), Time: s.now().UTC().Truncate(time.Second), Origin: origin, Text: bytes.Clone(text)}
	// Used up from here on: a failed write may have left the file behind.
	s.numbers = append(s.numbers, g.Number)
	if err := s.write(generationName(g.Number), g); err != nil {
		_ = s.disk.remove(s.path(generationName(g.Number)))
		return Generation{}, fmt.Errorf("store generation %d: %v", g.Number, err)
	}
	s.current, s.alarms = g, nil
	if origin == FromFile {
		// The generation itself is record enough, see findSeen: the copy may
		// fail without harm.
		s.seen = Seen{Generation: g.Number, Text: g.Text}
		_ = s.write(seenName, g)
	}
	s.prune()
	return g, nil
}

// NoteFile records that the settings file reads text and means what runs
// already, so that it is neither new nor behind.
func (s *Store) NoteFile(text []byte) error {
	g := Generation{Number: s.current.Number, Time: s.now().UTC().Truncate(time.Second), Origin: FromFile, Text: bytes.Clone(text)}
	if err := s.write(seenName, g); err != nil {
		return fmt.Errorf("store the copy of the settings file: %v", err)
	}
	s.seen = Seen{Generation: g.Number, Text: g.Text}
	return nil
}

// next skips the numbers of damaged generations: a number means one text.
func (s *Store) next() uint64 {
	if len(s.numbers) == 0 {
		return 1
	}
	return s.numbers[len(s.numbers)-1] + 1
}

// prune removes the oldest. What cannot be removed now goes at the next turn.
func (s *Store) prune() {
	for len(s.numbers) > Keep {
		if err := s.disk.remove(s.path(generationName(s.numbers[0]))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
		s.numbers = s.numbers[1:]
	}
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func generationName(n uint64) string { return generationPrefix + strconv.FormatUint(n, 10) }
