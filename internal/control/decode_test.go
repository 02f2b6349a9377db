package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeJSON(t *testing.T) {
	var q DrainRequest
	body := `{"backends":["blue[1-2]"],"service":"sftp","deadline":"1h30m","idle_done":"15m","yes":true}`
	if err := decodeJSON(strings.NewReader(body), &q); err != nil {
		t.Fatal(err)
	}
	want := DrainRequest{
		Selection{Backends: []string{"blue[1-2]"}, Service: "sftp"},
		DrainOptions{Deadline: Duration(90 * time.Minute), IdleDone: Duration(15 * time.Minute), Yes: true},
	}
	if diff := cmp.Diff(want, q); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeJSONRefuses(t *testing.T) {
	for body, want := range map[string]string{
		``:                             "empty body",
		`{`:                            "cut off",
		`{"backends":["a"]} {}`:        "after the JSON object",
		`{"backends":["a"]} x`:         "after the JSON object",
		`{"backend":["a"]}`:            `unknown field "backend"`,
		`{"backends":"a"}`:             `field "backends": a string does not fit`,
		`{"yes":"true"}`:               "a string does not fit",
		`["a"]`:                        "got: array",
		`{"deadline":"-1s"}`:           "must not be negative",
		`{"deadline":"10"}`:            "want a number with a unit",
		`{"deadline":10}`:              "a number does not fit",
		"{\"backends\":[\"a\x01\"]}":   "byte ",
		`{"backends":["a"],"yes":tru}`: "byte ",
	} {
		var q DrainRequest
		err := decodeJSON(strings.NewReader(body), &q)
		if !IsCode(err, CodeInvalid) {
			t.Errorf("%s: error %v, want one of code invalid", body, err)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %q, want %q in it", body, err, want)
		}
		if strings.Contains(err.Error(), "Go ") || strings.Contains(err.Error(), "control.") {
			t.Errorf("%s: error %q names a type of Go", body, err)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, body := range []string{
		`{"backends":["blue[1-2]"],"deadline":"1h"}`, `{"all":true}`, `null`, `{"backends":null,"x":1}`, `[{}]`, `{"deadline":"1e9h"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var q DrainRequest
		if err := decodeJSON(bytes.NewReader(body), &q); err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Message == "" {
				t.Fatalf("refused with %#v, want an Error", err)
			}
			return
		}
		// What was understood is said again in the same words.
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		var again DrainRequest
		if err := decodeJSON(bytes.NewReader(text), &again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		repeated, err := json.Marshal(again)
		if err != nil || !bytes.Equal(text, repeated) {
			t.Fatalf("%s became %s (%v)", text, repeated, err)
		}
	})
}
