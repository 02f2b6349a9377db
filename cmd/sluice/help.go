package main

// The help texts, in the words and the order of a manual page but short enough
// for one screen.

const appHelp = `{{.HelpName}} - {{.Usage}}

usage: {{.HelpName}} [-c FILE] [--socket PATH] COMMAND [OPTION...] [OPERAND...]

commands:{{range .VisibleCommands}}
  {{.Name}}{{"\t"}}{{.Usage}}{{end}}

options, before or after the command:{{range .VisibleFlags}}
  {{.}}{{end}}

"sluice COMMAND --help" tells more. Exit codes: 0, 1 (failed), 2 (usage).
`

const groupHelp = `{{.HelpName}} - {{.Usage}}

usage: {{.HelpName}} WHAT [OPTION...]

{{range .VisibleCommands}}  {{join .Names ", "}}{{"\t"}}{{.Usage}}
{{end}}`

const commandHelp = `{{.HelpName}} - {{.Usage}}

usage: {{.HelpName}}{{if gt (len .VisibleFlags) 1}} [OPTION...]{{end}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}
{{if .Description}}
{{.Description}}
{{end}}
options:{{range .VisibleFlags}}
  {{.}}{{end}}
`
