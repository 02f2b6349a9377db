package main

import (
	"strconv"

	"github.com/urfave/cli/v2"
)

// showCommand holds everything that only reads. Each of its commands can write
// a table, JSON and CSV; the names of columns in CSV are those of JSON.
func showCommand(g *globals) *cli.Command {
	return group(&cli.Command{
		Name:  "show",
		Usage: "read what the node steers, counts and runs with",
		Subcommands: []*cli.Command{
			showServices(g), showBackends(g), showFlows(g), showDrops(g), showBans(g),
			showVIPs(g), showNodes(g), showAlarms(g), showHistory(g), showSettings(g),
		},
	})
}

// Columns are made of these where a cell is just a value.

// number is a counter, the same for people and programs.
func number[T any](head, name string, value func(T) uint64) column[T] {
	return column[T]{head: head, name: name, right: true, value: func(row T) string {
		return strconv.FormatUint(value(row), 10)
	}}
}

// size is a number of bytes, with a unit for people.
func size[T any](head, name string, value func(T) uint64) column[T] {
	c := number(head, name, value)
	c.text = func(row T) string { return bytesText(value(row)) }
	return c
}

// text is a word; people see a dash where there is none.
func text[T any](head, name string, value func(T) string) column[T] {
	return column[T]{head: head, name: name, value: value, text: func(row T) string { return orDash(value(row)) }}
}

// yesNo is a truth; programs read true and false.
func yesNo[T any](head, name string, value func(T) bool) column[T] {
	return column[T]{head: head, name: name,
		value: func(row T) string { return strconv.FormatBool(value(row)) },
		text: func(row T) string {
			if value(row) {
				return "yes"
			}
			return "no"
		},
	}
}
