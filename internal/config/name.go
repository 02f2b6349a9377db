package config

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// nodeName is what a host can be called too.
var nodeName = text(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`, "a node's name (letters, digits and . _ -)", "gw-a")

// plainName leaves out brackets and commas, which commands use to name several
// at once: blue[1-4].
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// serviceName is the name of a service or backend: a word, or the address and
// port that it is called by without one. No word looks like an address, so that
// "drain 10.0.0.1" can mean one thing only.
var serviceName = leaf[string]{
	kind:    kindText,
	example: "blue1",
	parse: func(text string) (string, string, string) {
		if e, err := netip.ParseAddrPort(text); err == nil && e.String() == text {
			return text, "", ""
		}
		if _, err := netip.ParseAddr(text); err == nil || !plainName.MatchString(text) {
			return "", quote(text) + " is not a name", "use up to 63 letters, digits and . _ -, but no address"
		}
		return text, "", ""
	},
	format: func(v string) string { return v },
	limits: object{"pattern": `^([A-Za-z0-9][A-Za-z0-9._-]{0,62}|([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]+)$`},
}

// interfaceName is a name that the kernel takes.
var interfaceName = leaf[string]{
	kind:    kindText,
	example: "eth0",
	parse: func(text string) (string, string, string) {
		foreign := strings.ContainsFunc(text, func(r rune) bool {
			return r == '/' || r == ':' || unicode.IsSpace(r) || control(r)
		})
		if foreign || text == "" || text == "." || text == ".." || len(text) > maxInterfaceName {
			return "", quote(text) + " is not the name of a network interface",
				"write one of 1 to 15 bytes as ip link shows it"
		}
		return text, "", ""
	},
	format: func(v string) string { return v },
	limits: object{"pattern": `^[^\s/:]{1,15}$`},
}

// maxInterfaceName is IFNAMSIZ without the closing zero.
const maxInterfaceName = 15

// absolute is a path from the root of at most so many bytes, in its shortest
// form, so that equal places have equal text.
func absolute(most int) leaf[string] {
	return leaf[string]{
		kind:    kindText,
		example: "/var/lib/sluice",
		parse: func(text string) (string, string, string) {
			switch {
			case !filepath.IsAbs(text) || strings.ContainsFunc(text, control):
				return "", quote(text) + " is not an absolute path", "begin it with /"
			case filepath.Clean(text) != text:
				return "", quote(text) + " is not the shortest form of the path", "write " + strconv.Quote(filepath.Clean(text))
			case len(text) > most:
				return "", quote(text) + " is too long", "keep it within " + strconv.Itoa(most) + " bytes"
			}
			return text, "", ""
		},
		format: func(v string) string { return v },
		limits: object{"pattern": "^/", "maxLength": most},
	}
}
