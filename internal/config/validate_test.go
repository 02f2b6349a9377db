package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// violation is what a JSON schema has against a value, empty for nothing. It
// knows the words that Schema uses; any other is a violation, lest the tests
// believe what nobody checked.
func violation(schema map[string]any, value any, p string) string {
	for _, word := range slices.Sorted(maps.Keys(schema)) {
		if problem := wordViolation(schema, word, value, p); problem != "" {
			return problem
		}
	}
	return ""
}

func wordViolation(schema map[string]any, word string, value any, p string) string {
	want := schema[word]
	switch word {
	case "$schema", "title", "description", "default":
		return ""
	case "anyOf":
		return noneOf(asList(want), value, p)
	case "properties", "propertyNames", "additionalProperties":
		return mappingViolation(schema, word, value, p)
	case "required":
		m, isMapping := value.(map[string]any)
		for _, name := range asList(want) {
			if isMapping && m[name.(string)] == nil {
				return p + ": no " + name.(string)
			}
		}
		return ""
	case "items":
		for i, v := range asList(value) {
			if problem := violation(want.(map[string]any), v, fmt.Sprintf("%s[%d]", p, i)); problem != "" {
				return problem
			}
		}
		return ""
	}
	if !obeys(word, want, value) {
		return fmt.Sprintf("%s: %s %v forbids %v", p, word, want, value)
	}
	return ""
}

// obeys checks the words that look at one value alone. Each speaks of one type
// and lets the others pass.
func obeys(word string, want, value any) bool {
	text, isText := value.(string)
	number, isNumber := asNumber(value)
	items, isList := value.([]any)
	keys, _ := value.(map[string]any)
	switch word {
	case "type":
		return slices.ContainsFunc(append(asList(want), want), func(kind any) bool { return isType(value, kind) })
	case "enum":
		return slices.Contains(asList(want), value)
	case "pattern":
		return !isText || regexp.MustCompile(want.(string)).MatchString(text)
	case "maxLength":
		return float64(len(text)) <= want.(float64)
	case "minimum":
		return !isNumber || number >= want.(float64)
	case "maximum":
		return !isNumber || number <= want.(float64)
	case "minItems":
		return !isList || float64(len(items)) >= want.(float64)
	case "maxItems":
		return float64(len(items)) <= want.(float64)
	case "maxProperties":
		return float64(len(keys)) <= want.(float64)
	default:
		return false
	}
}

func noneOf(schemas []any, value any, p string) string {
	var problems []string
	for _, s := range schemas {
		problem := violation(s.(map[string]any), value, p)
		if problem == "" {
			return ""
		}
		problems = append(problems, problem)
	}
	return strings.Join(problems, " and ")
}

func mappingViolation(schema map[string]any, word string, value any, p string) string {
	m, _ := value.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		property, known := properties[name]
		problem := ""
		switch {
		case word == "propertyNames":
			problem = violation(schema[word].(map[string]any), name, p)
		case word == "properties" && known:
			problem = violation(property.(map[string]any), m[name], p+"."+name)
		case word == "additionalProperties" && !known && schema[word] == false:
			problem = p + "." + name + ": unknown"
		case word == "additionalProperties" && !known:
			problem = violation(schema[word].(map[string]any), m[name], p+"."+name)
		}
		if problem != "" {
			return problem
		}
	}
	return ""
}

func isType(value, kind any) bool {
	number, isNumber := asNumber(value)
	switch value.(type) {
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case map[string]any:
		return kind == "object"
	case []any:
		return kind == "array"
	default:
		return isNumber && (kind == "number" || kind == "integer" && number == float64(int64(number)))
	}
}

func asNumber(value any) (float64, bool) {
	switch v := value.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	default:
		return 0, false
	}
}

func asList(v any) []any { l, _ := v.([]any); return l }
