// Package e2e holds the tests of the whole product: the real binary on a real
// gateway between real SSH clients and servers, each in a network namespace.
// It has no code of its own.
package e2e
