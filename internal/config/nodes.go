package config

import "strings"

// maxVariable bounds a variable's value in bytes, so that a file full of
// references cannot grow without measure when they are replaced.
const maxVariable = 255

// nodesShape is the shape of Settings.Nodes. What kind of scalar a value is
// gets decided where it is used.
var nodesShape = table[map[string]string]{
	noun: "a node",
	name: nodeName,
	most: MaxNodes,
	of: table[string]{
		noun: "a variable",
		name: text(variableName.String(), "a variable's name", "ext_addr"),
		most: MaxVariables,
		of: leaf[string]{
			kind:    kindText,
			loose:   true,
			example: `"192.0.2.1"`,
			parse: func(text string) (string, string, string) {
				if text == "" || len(text) > maxVariable || strings.ContainsFunc(text, control) {
					return "", quote(text) + " cannot be a variable's value", "write 1 to 255 bytes without control characters"
				}
				return text, "", ""
			},
			format: func(v string) string { return v },
		},
	},
}
