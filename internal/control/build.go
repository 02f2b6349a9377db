package control

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker for releases: -X sluice/internal/control.version=v1.2.3
var version string

// Build says which program this is: GET /v1/version.
type Build struct {
	// Version is the release, or "devel".
	Version string `json:"version"`
	// Commit is the revision it was built from; "+" marks local changes and
	// empty means that the build does not know.
	Commit string `json:"commit"`
	Go     string `json:"go"`
	// API is the version of the paths this program serves.
	API string `json:"api"`
}

// ThisBuild returns the build of the running program.
func ThisBuild() Build {
	b := Build{Version: version, Go: runtime.Version(), API: "v1"}
	if b.Version == "" {
		b.Version = "devel"
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	var dirty bool
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty {
		b.Commit += "+"
	}
	return b
}
