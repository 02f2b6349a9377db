package control

import (
	"errors"
	"fmt"
	"net/http"
)

// Code is the kind of a refusal; programs match on it, people read the text.
type Code string

// The codes, each with the HTTP status it travels under.
const (
	CodeInvalid          Code = "invalid"            // 400: the request is not well formed
	CodeInvalidSettings  Code = "invalid_settings"   // 400: the settings have faults, listed in Details
	CodeForbidden        Code = "forbidden"          // 403: the peer may not use this socket
	CodeNotFound         Code = "not_found"          // 404: no such path, backend, service, virtual cluster or listen address
	CodeMethodNotAllowed Code = "method_not_allowed" // 405: the path knows other methods
	CodeConflict         Code = "conflict"           // 409: newer settings came by another way
	CodeLastBackend      Code = "last_backend"       // 409: a service would be left with no backend
	CodeNoPeer           Code = "no_peer"            // 409: no other gateway could take the VIPs
	CodeTooLarge         Code = "too_large"          // 413: the body is over its limit
	CodeInternal         Code = "internal"           // 500: the node failed
	CodeUnavailable      Code = "unavailable"        // 503: not now; asking again may help
)

// Error is what the API answers instead of what was asked for. It is an error
// on both sides of the socket: sources return it, the client hands it out.
type Error struct {
	Code Code `json:"code"`
	// Message is what failed, one line.
	Message string `json:"error"`
	// Hint is what to do next, one line; may be empty.
	Hint string `json:"hint"`
	// Details are further lines, such as one a fault of the settings.
	Details []string `json:"details,omitempty"`
}

// NewError returns an Error without details.
func NewError(code Code, message, hint string) *Error {
	return &Error{Code: code, Message: message, Hint: hint}
}

// Error returns the message alone; hint and details are for whoever shows it.
func (e *Error) Error() string { return e.Message }

// IsCode reports whether err is, or wraps, an [Error] with the code.
func IsCode(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// UnreachableError says that no node answered at the socket. Unwrap gives the
// cause, among others fs.ErrNotExist, fs.ErrPermission, syscall.ECONNREFUSED
// or, where a node lives but is late, os.ErrDeadlineExceeded.
type UnreachableError struct {
	Socket string
	Err    error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("reach node at %q: %v", e.Socket, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// status returns the HTTP status of a code; codes this program does not know
// count as failures of the node.
func (c Code) status() int {
	switch c {
	case CodeInvalid, CodeInvalidSettings:
		return http.StatusBadRequest
	case CodeForbidden:
		return http.StatusForbidden
	case CodeNotFound:
		return http.StatusNotFound
	case CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case CodeConflict, CodeLastBackend, CodeNoPeer:
		return http.StatusConflict
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	case CodeInternal:
	}
	return http.StatusInternalServerError
}
