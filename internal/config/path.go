package config

import (
	"fmt"
	"regexp"
)

// path names a setting as messages do: services[1].health_check.interval.
type path string

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// key is the path of a key below p. A key that is not a plain word comes from
// a broken or hostile file and is quoted.
func (p path) key(name string) path {
	if !plainKey.MatchString(name) {
		name = quote(name)
	}
	if p == "" {
		return path(name)
	}
	return p + "." + path(name)
}

// item is the path of an item of the list p, by index or by name.
func (p path) item(which any) path { return path(fmt.Sprintf("%s[%v]", p, which)) }
