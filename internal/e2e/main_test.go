package e2e

import (
	"fmt"
	"os"
	"testing"

	"sluice/internal/nettest"
)

// binary is the sluice under test, built as it ships.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	program, remove, err := nettest.Build("sluice/cmd/sluice")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	binary = program
	return m.Run()
}
