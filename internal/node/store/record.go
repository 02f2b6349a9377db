package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A record is three parts: a line with the format's name and the checksum of
// all that follows, a line of JSON, and the text to the end of the file.

const format = "sluice-settings-1 "

// errDamaged is what a record's checksum or shape does not bear.
var errDamaged = errors.New("it is damaged")

type header struct {
	Generation uint64    `json:"generation"`
	Time       time.Time `json:"time"`
	Origin     Origin    `json:"origin"`
}

func encode(g Generation) ([]byte, error) {
	head, err := json.Marshal(header{Generation: g.Number, Time: g.Time, Origin: g.Origin})
	if err != nil {
		return nil, err
	}
	body := append(append(head, '\n'), g.Text...)
	sum := sha256.Sum256(body)
	return fmt.Appendf(nil, "%s%s\n%s", format, hex.EncodeToString(sum[:]), body), nil
}

func decode(record []byte) (Generation, error) {
	rest, found := bytes.CutPrefix(record, []byte(format))
	line, body, whole := bytes.Cut(rest, []byte("\n"))
	if !found || !whole {
		return Generation{}, errDamaged
	}
	sum := sha256.Sum256(body)
	if string(line) != hex.EncodeToString(sum[:]) {
		return Generation{}, errDamaged
	}
	head, text, _ := bytes.Cut(body, []byte("\n"))
	var h header
	if err := json.Unmarshal(head, &h); err != nil || h.Generation == 0 {
		return Generation{}, errDamaged
	}
	return Generation{Number: h.Generation, Time: h.Time, Origin: h.Origin, Text: text}, nil
}

func (s *Store) read(name string) (Generation, error) {
	record, err := s.disk.read(s.path(name))
	if err != nil {
		return Generation{}, err
	}
	return decode(record)
}

// write makes a file appear under its name whole or not at all: written beside,
// synced, renamed, and the directory synced, without which a power failure may
// take the rename back.
func (s *Store) write(name string, g Generation) error {
	record, err := encode(g)
	if err != nil {
		return err
	}
	temporary := s.path(name + temporarySuffix)
	err = s.disk.write(temporary, record)
	if err == nil {
		err = s.disk.rename(temporary, s.path(name))
	}
	if err != nil {
		_ = s.disk.remove(temporary)
		return err
	}
	return s.disk.syncDir(s.dir)
}
