package process

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBackoff(t *testing.T) {
	b := backoff{first: time.Second, limit: 10 * time.Second, stable: time.Minute}
	lived := []time.Duration{0, time.Second, 0, 0, 0, 59 * time.Second, time.Minute, 0, 2 * time.Minute}
	for atOnce, want := range map[bool][]time.Duration{
		false: {1, 2, 4, 8, 10, 10, 1, 2, 1},
		true:  {0, 1, 2, 4, 8, 10, 0, 1, 0},
	} {
		b := b
		b.atOnce = atOnce
		var got []time.Duration
		for _, l := range lived {
			got = append(got, b.pause(l)/time.Second)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at once %t: pauses in seconds (-want +got):\n%s", atOnce, diff)
		}
	}
}
