package keepalived

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// include hands the words of a file and of all that it includes to do.
func (s *source) include(at position, name string, depth int, do func([]word)) {
	data, problem := s.load(name)
	if problem != "" {
		s.fault(at, problem, "check the path")
		return
	}
	var words []word
	for _, line := range s.lines(name, data) {
		if mine, kept := s.forNode(line); kept {
			words = append(words, s.line(mine, depth)...)
		}
	}
	do(words)
}

// load returns the text of a file that is one.
func (s *source) load(name string) (text, problem string) {
	if s.files++; s.files > maxFiles {
		return "", fmt.Sprintf("more than %d files are included", maxFiles)
	}
	// What is no file might never answer.
	info, err := fs.Stat(s.node.FS, name)
	if err == nil && !info.Mode().IsRegular() {
		return "", quote(name) + " is not a file"
	}
	f, err := s.node.FS.Open(name)
	if err != nil {
		return "", quote(name) + " cannot be read: " + reason(err)
	}
	defer func() { _ = f.Close() }() // read only
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return "", quote(name) + " cannot be read: " + reason(err)
	}
	if s.bytes += len(data); s.bytes > maxBytes {
		return "", fmt.Sprintf("the files have more than %d bytes together", maxBytes)
	}
	return string(data), ""
}

// reason is an error without the path that the message has already.
func reason(err error) string {
	if of := (*fs.PathError)(nil); errors.As(err, &of) {
		return of.Err.Error()
	}
	return err.Error()
}

// matches are the files that a pattern names, all of them below the directory of
// the node's file.
func (s *source) matches(w word) []string {
	pattern := filepath.ToSlash(w.text)
	if path.IsAbs(pattern) {
		below, ok := strings.CutPrefix(pattern, strings.TrimSuffix(s.node.Dir, "/")+"/")
		if !ok || s.node.Dir == "" {
			s.fault(w.at, quote(w.text)+" is not below the directory of "+quote(s.node.File), "copy all files into one directory")
			return nil
		}
		pattern = below
	} else {
		pattern = path.Join(path.Dir(w.at.file), pattern)
	}
	names, err := fs.Glob(s.node.FS, path.Clean(pattern))
	if err != nil || strings.HasPrefix(path.Clean(pattern), "..") {
		s.fault(w.at, quote(w.text)+" is no path or pattern below the directory of "+quote(s.node.File), "write the path of a file there")
		return nil
	}
	if len(names) == 0 {
		s.note(w.at, "%s is included, but there is no such file", quote(w.text))
	}
	return names
}
