package control

import (
	"runtime"
	"testing"
)

func TestThisBuild(t *testing.T) {
	defer func(v string) { version = v }(version)
	for linked, want := range map[string]string{"": "devel", "v1.2.3": "v1.2.3"} {
		version = linked
		if b := ThisBuild(); b.Version != want || b.API != "v1" || b.Go != runtime.Version() {
			t.Errorf("%+v, want version %s", b, want)
		}
	}
}
