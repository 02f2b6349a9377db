package health

import (
	"bufio"
	"strings"
	"testing"
	"unicode"
)

func TestReadIdentification(t *testing.T) {
	long := "SSH-2.0-" + strings.Repeat("x", maxIdentification-len("SSH-2.0-")-2)
	tests := []struct {
		name, sent string
		want, said string
		fails      string // part of the error
	}{
		{"OpenSSH", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10", "", ""},
		{"more follows", "SSH-2.0-x\r\n\x00\x00\x04\x0c", "SSH-2.0-x", "", ""},
		{"line feed alone", "SSH-2.0-x\n", "SSH-2.0-x", "", ""},
		{"both versions", "SSH-1.99-Cisco-1.25\n", "SSH-1.99-Cisco-1.25", "", ""},
		{"lines before", "Authorized use only.\r\n\r\nSSH-2.0-x\r\n", "SSH-2.0-x", "Authorized use only.", ""},
		{"longest", long + "\r\n", long, "", ""},
		{"one longer", long + "x\r\n", "", "", "more than 255 bytes"},
		{"much longer", "SSH-2.0-" + strings.Repeat("x", 9000) + "\r\n", "", "", "more than 255 bytes"},
		{"long line before", strings.Repeat("-", 9000) + "\r\nSSH-2.0-x\r\n", "SSH-2.0-x", strings.Repeat("-", 255), ""},
		{"old version", "SSH-1.5-1.2.27\n", "", "", `another SSH than 2.0: "SSH-1.5-1.2.27"`},
		{"next version", "SSH-3.0-x\n", "", "", "another SSH"},
		{"no software", "SSH-2.0-\r\n", "", "", "broken SSH identification"},
		{"NUL", "SSH-2.0-a\x00b\r\n", "", "", `broken SSH identification: "SSH-2.0-a\x00b"`},
		{"CR in the middle", "SSH-2.0-a\rb\r\n", "", "", "broken SSH identification"},
		{"escape sequence", "SSH-2.0-\x1b[2J\r\n", "", "", `"SSH-2.0-\x1b[2J"`},
		{"not SSH", "220 mail ESMTP\r\n", "", "220 mail ESMTP", "without an SSH identification"},
		{"prefix in lower case", "ssh-2.0-x\r\n", "", "ssh-2.0-x", "without an SSH identification"},
		{"nothing", "", "", "", "closed the connection without"},
		{"half a line", "SSH-2.0-Open", "", "SSH-2.0-Open", "in the middle of a line"},
		{"a megabyte without end", strings.Repeat("A", 1<<20), "", strings.Repeat("A", 255), "first 65536 bytes"},
		{"a thousand lines and more", strings.Repeat("no\r\n", 2000) + "SSH-2.0-x\r\n", "", "no", "1024 lines"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, said, err := readIdentification(bufio.NewReader(strings.NewReader(test.sent)))
			if said != test.said {
				t.Errorf("said = %q, want %q", said, test.said)
			}
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("= %q, %v; want an error with %q", got, err, test.fails)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("= %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":                       `""`,
		"plain":                  `"plain"`,
		"\x1b]0;pwned\a":         `"\x1b]0;pwned\a"`,
		"ü\n":                    `"\u00fc\n"`,
		strings.Repeat("a", 200): `"` + strings.Repeat("a", 60) + `"…`,
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
	if got := printable(`SSH-2.0-x "ü" \`); got != `SSH-2.0-x "\u00fc" \\` {
		t.Errorf("printable = %s", got)
	}
}

// Whatever a server sends: bounded reading, and nothing in a message or status
// that could move a terminal's cursor.
func FuzzReadIdentification(f *testing.F) {
	for _, seed := range []string{
		"SSH-2.0-OpenSSH_9.2p1\r\n", "hello\r\nSSH-1.99-x\n", "SSH-2.0-\x1b[2J\n", "", "\n\n\n", "SSH-", "SSH-2.0-" + strings.Repeat("x", 300) + "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		got, said, err := readIdentification(bufio.NewReader(strings.NewReader(sent)))
		if len(said) > maxIdentification {
			t.Errorf("kept %d bytes of what was said before", len(said))
		}
		texts := []string{printable(got)}
		if err != nil {
			texts = append(texts, explainRead(err, said, Target{}).Error())
		} else {
			if !strings.HasPrefix(got, "SSH-2.0-") && !strings.HasPrefix(got, "SSH-1.99-") || len(got) > maxIdentification {
				t.Errorf("accepted %q", got)
			}
			if !strings.Contains(sent, got) {
				t.Errorf("%q is not in what was sent", got)
			}
		}
		for _, text := range texts {
			if strings.ContainsFunc(text, func(r rune) bool { return r != '…' && (r > unicode.MaxASCII || unicode.IsControl(r)) }) {
				t.Errorf("%q is not fit to be shown", text)
			}
		}
	})
}
