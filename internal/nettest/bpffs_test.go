package nettest

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBPFFS(t *testing.T) {
	Require(t, Root, BPF)
	dir := ""
	t.Run("mounted", func(t *testing.T) {
		dir = BPFFS(t)
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
			t.Errorf("%s has the file system type %#x (%v)", dir, st.Type, err)
		}
		program, err := passProgram()
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		if err := program.Pin(dir + "/pass"); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there after the test (%v)", dir, err)
	}
}
