package config

import (
	_ "embed"
	"encoding/json"
)

//go:embed reference.yaml
var reference string

// Reference returns a settings file that shows every key, with comments for
// operators. It is valid as it stands.
func Reference() []byte { return []byte(reference) }

// Schema returns the JSON schema (draft 2020-12) of a settings file, for
// editors. It knows keys, types, words and limits; the rules between values
// are Parse's alone.
func Schema() []byte {
	o := settingsShape.schema(true)
	o["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	o["title"] = "Sluice settings"
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		panic("config: schema: " + err.Error()) // strings and numbers only
	}
	return append(text, '\n')
}
