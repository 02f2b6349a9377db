package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"sluice/internal/config"
)

// Bodies larger than these are refused unread.
const (
	maxOrderBody    = 256 << 10               // thousands of names
	maxSettingsBody = 6*config.MaxFile + 4096 // every byte escaped as JSON may escape it
)

// decodeBody reads exactly one JSON object of at most limit bytes into v.
// Unknown fields, a second value and text after it are refused: what an
// operator misspelt must not be ignored.
func decodeBody(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	return decodeJSON(http.MaxBytesReader(w, r.Body, limit), v)
}

func decodeJSON(body io.Reader, v any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return decodeError(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return NewError(CodeInvalid, "read request: text after the JSON object", "send one object")
	}
	return nil
}

// decodeError says in the API's words what encoding/json says in Go's.
func decodeError(err error) error {
	var tooLarge *http.MaxBytesError
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return NewError(CodeTooLarge, fmt.Sprintf("read request: more than %d bytes", tooLarge.Limit), "send less at a time")
	case errors.Is(err, io.EOF):
		return NewError(CodeInvalid, "read request: empty body", "send a JSON object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return NewError(CodeInvalid, "read request: the JSON object is cut off", "send all of it")
	case errors.As(err, &syntax):
		return NewError(CodeInvalid, fmt.Sprintf("read request: byte %d: %v", syntax.Offset, syntax), "send a JSON object")
	case errors.As(err, &kind) && kind.Field != "":
		return NewError(CodeInvalid, fmt.Sprintf("read request: field %q: a %s does not fit here", wireName(kind.Field), kind.Value), "")
	case errors.As(err, &kind):
		return NewError(CodeInvalid, "read request: want an object, got: "+kind.Value, "send a JSON object")
	}
	return NewError(CodeInvalid, "read request: "+strings.TrimPrefix(err.Error(), "json: "), "")
}

// wireName strips the names of embedded structs, which begin with a capital
// and which the peer never sees, from the path of a field.
func wireName(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p != "" && unicode.IsUpper(rune(p[0])) }), ".")
}
