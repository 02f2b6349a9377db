package config

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxFile is the largest settings file in bytes: room for all services and
// backends that may be, and what one NATS message can carry.
const MaxFile = 1 << 20

// Option changes how Load and Parse read.
type Option func(*options)

type options struct {
	hostname string
	self     *Node
	warn     func(*Fault)
}

// Hostname sets the node's name where the file has no node.name, instead of
// asking the kernel.
func Hostname(name string) Option { return func(o *options) { o.hostname = name } }

// Self makes n the node of the settings, whatever node says in the text: for
// text that came from another machine. Variables are those of n.
func Self(n Node) Option { return func(o *options) { o.self = &n } }

// Warn has f called for each thing in the file that is legal and yet hardly
// meant, in the order of the file, whether or not it also has faults.
func Warn(f func(*Fault)) Option { return func(o *options) { o.warn = f } }

// Load reads the settings file at path. What is wrong inside it comes back as
// *Faults, all of it at once; a file that cannot be read wraps the error of
// package os, so that errors.Is(err, fs.ErrNotExist) tells a missing one.
func Load(path string, opts ...Option) (*Settings, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w; name another file with -c", err)
	}
	defer f.Close()
	// One byte more than allowed tells Parse that there is more.
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return Parse(path, data, opts...)
}

// Parse reads settings from text; file is how faults name it. The error is
// *Faults with everything that is wrong. The text may come from anyone: time
// and memory stay in proportion to its size, which is at most MaxFile.
func Parse(file string, data []byte, opts ...Option) (*Settings, error) {
	o := options{warn: func(*Fault) {}}
	for _, option := range opts {
		option(&o)
	}
	s := settingsShape.defaults
	r := reader{places: map[path]position{}, variables: variables{settings: &s, self: o.self, used: map[string]bool{}, templated: map[string]bool{}}}
	if root := r.tree(data); root != nil {
		s.Node.Name = o.hostname
		if o.hostname == "" {
			s.Node.Name, _ = os.Hostname() // a node without a name is refused below
		}
		r.places[""] = root.at
		settingsShape.read(&r, root, "", &s)
		if root.kind == kindMapping {
			check(&r, &s)
		}
	}
	if o.self != nil {
		s.Node = *o.self
	}
	for _, list := range []*Faults{&r.warnings, &r.faults} {
		list.sort()
		for _, fault := range list.List {
			fault.File = file
		}
	}
	for _, warning := range r.warnings.List {
		o.warn(warning)
	}
	if len(r.faults.List) > 0 {
		return nil, &r.faults
	}
	return &s, nil
}

// tree returns the values of a file, nil where there are none to go on with.
func (r *reader) tree(data []byte) *node {
	text, fault := checkText(data)
	if fault != nil {
		r.faults.add(fault)
		return nil
	}
	root, fault := decode(text)
	switch {
	case fault != nil:
		// What is missing may only stand behind the fault, so look no further.
		r.faults.add(fault)
		return nil
	case root == nil:
		// Far more likely cut off by a full disk than meant.
		r.faults.add(&Fault{Problem: "has no settings", Remedy: "write {} for all defaults"})
		return nil
	}
	return r.convert(root, 1)
}

// checkText returns data as text without a byte order mark. What it lets
// through can be shown on a terminal and has one kind of line end.
func checkText(data []byte) (string, *Fault) {
	if len(data) > MaxFile {
		return "", &Fault{Problem: fmt.Sprintf("is larger than %d bytes", MaxFile), Remedy: "keep settings apart from other data"}
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	at := position{1, 1}
	for i, c := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case c == '\n':
			at = position{at.line + 1, 0}
		case c == utf8.RuneError && size == 1:
			return "", faultAt(at, "is not UTF-8", "save the file as UTF-8")
		case c == '\t', c == '\r' && strings.HasPrefix(text[i:], "\r\n"):
		case control(c), c == '\ufeff', c == '\u2028', c == '\u2029':
			// The last two end a line to the library and not to editors.
			return "", faultAt(at, fmt.Sprintf("has the control character %U", c), "remove it, or write it as an escape in double quotes")
		}
		at.column++
	}
	return text, nil
}

// control tells whether a character steers a terminal or a reader instead of
// being shown. Neither the file nor any value has one.
func control(c rune) bool { return unicode.IsControl(c) || c == '\ufffe' || c == '\uffff' }
