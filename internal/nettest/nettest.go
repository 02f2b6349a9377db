// Package nettest builds small networks out of Linux network namespaces: veth
// pairs, bridges, a whole gateway with its client and backends, and TCP servers
// and clients inside them.
//
// It serves the tests of many packages and the lab, so nothing here imports
// package testing: what fails returns an error, and the few functions that take
// a [TB] are thin. Sub-packages hold what not everybody needs: frame builds and
// decodes single packets, sshtest runs SSH servers and clients.
//
// A namespace is entered by setns(CLONE_NEWNET) on a locked thread and never by
// "ip netns exec". The latter makes a private mount namespace with a /sys of
// its own; a bpffs mounted there disappears with the process, and every pinned
// program with it, while the test that meant to prove the opposite passes.
package nettest
