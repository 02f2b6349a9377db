package config

import (
	"fmt"
	"strings"
	"testing"
)

// describe writes tokens with all that is known of them: the kind as a letter
// or mark, the text of scalars, the place, and whether it leads its line.
func describe(tokens []token) string {
	marks := [...]string{"", "-", ":", ",", "[", "]", "{", "}", "---", "..."}
	parts := make([]string, len(tokens))
	for i, t := range tokens {
		text := marks[t.kind]
		if t.kind == tokenScalar {
			text = t.text
		}
		if t.quoted {
			text = "'" + text + "'"
		}
		if t.broken {
			text = "!" + text
		}
		if t.leads {
			text = "^" + text
		}
		parts[i] = fmt.Sprintf("%s@%d:%d", text, t.at.line, t.at.column)
	}
	return strings.Join(parts, " ")
}

func TestScan(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		faults           int
		fatal            bool
	}{
		{"nothing", " \n\t\n# a", "", 0, false},
		{"pair", "a: b", "^a@1:1 :@1:2 b@1:4", 0, false},
		{"text ends before blanks", "a b \t\r\nc", "^a b@1:1 ^c@2:1", 0, false},
		{"colon needs a gap", "a:b: c:", "^a:b@1:1 :@1:4 c@1:6 :@1:7", 0, false},
		{"colon in brackets", "{a:,b:}", "^{@1:1 a@1:2 :@1:3 ,@1:4 b@1:5 :@1:6 }@1:7", 0, false},
		{"colon behind quotes", `{"a":b}`, "^{@1:1 'a'@1:2 :@1:5 b@1:6 }@1:7", 0, false},
		{"colon behind quotes and a gap", `{"a" :b}`, "^{@1:1 'a'@1:2 :b@1:6 }@1:8", 0, false},
		{"dash needs a gap", "- -a\n-\n", "^-@1:1 -a@1:3 ^-@2:1", 0, false},
		{"brackets are text outside", "a]b}, c", "^a]b}, c@1:1", 0, false},
		{"brackets end text inside", "[a]b", "^[@1:1 a@1:2 ]@1:3 b@1:4", 0, false},
		{"depth is counted", "[[a], b]c,", "^[@1:1 [@1:2 a@1:3 ]@1:4 ,@1:5 b@1:7 ]@1:8 c,@1:9", 0, false},
		{"comment needs a gap", "a#b #c", "^a#b@1:1", 0, false},
		{"columns are characters", "é: ü # ö\n  'ä': ß", "^é@1:1 :@1:2 ü@1:4 ^'ä'@2:3 :@2:6 ß@2:8", 0, false},
		{"documents", "---\na\n... # b\n--- c", "^---@1:1 ^a@2:1 ^...@3:1 ^---@4:1 c@4:5", 0, false},
		{"documents begin the line", " --- a\n----", "^--- a@1:2 ^----@2:1", 0, false},
		{"single quotes", "'a''b' ''", "^'a'b'@1:1 ''@1:8", 0, false},
		{"double quotes", `"a\"\\" ""`, `^'a"\'@1:1 ''@1:9`, 0, false},
		{"bad escape goes on", `["\q", b]`, "^[@1:1 !''@1:2 ,@1:6 b@1:8 ]@1:9", 1, false},
		{"bad beginning goes on", "[&a, *b, c]", "^[@1:1 !&a@1:2 ,@1:4 !*b@1:6 ,@1:8 c@1:10 ]@1:11", 2, false},
		{"text block stops", "a: |\n b: &c", "^a@1:1 :@1:2", 1, true},
		{"open quote stops", "a: 'b\nc: &d", "^a@1:1 :@1:2", 1, true},
		{"tab stops", "a:\n\tb: &c", "^a@1:1 :@1:2", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tokens, faults, ok := scan(tt.text)
			got := strings.TrimRight(describe(tokens), " ")
			if tt.fatal {
				// The token at the fault may be there, nobody looks at it.
				got = got[:min(len(got), len(tt.want))]
			}
			if got != tt.want || len(faults) != tt.faults || ok == tt.fatal {
				t.Errorf("got  %s with %d faults, %v\nwant %s with %d, %v", got, len(faults), ok, tt.want, tt.faults, !tt.fatal)
			}
		})
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		``:               "",
		`a b`:            "a b",
		`\x00\x7f\xff`:   "\x00\x7fÿ",
		`\u0000\uffff`:   "\x00\uffff",
		`\U0010ffff`:     "\U0010ffff",
		`a\ud83d\ude00b`: "a😀b",
		`\\n\n`:          "\\n\n",
		`\/`:             "/",
		`\ud83d`:         `"\\u" is not an escape`,
		`\ude00\ud83d`:   `"\\u" is not an escape`,
		`\ud83dA`:        `"\\u" is not an escape`,
		`\u12`:           `"\\u" is not an escape`,
		`\u00g0`:         `"\\u" is not an escape`,
		`\U00110000`:     `"\\U" is not an escape`,
		`\x`:             `"\\x" is not an escape`,
		`\é`:             `"\\é" is not an escape`,
		`\x+1`:           `"\\x" is not an escape`,
		`ok \1`:          `"\\1" is not an escape`,
	} {
		plain, problem := unescape(text)
		if got := plain + problem; got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
