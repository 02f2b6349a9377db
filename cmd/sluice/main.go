// Command sluice is the SSH front door for people who run gateways: it steers
// TCP flows to SSH backends in XDP and is the tool to look at that and change
// it.
//
// The rules of its surface: "show" reads and every other verb changes and says
// what it changed; what was asked for goes to standard output, everything else
// to standard error; the exit code is 0, 1 for what failed, 2 for what was not
// understood.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), systemEnv(), os.Args))
}
