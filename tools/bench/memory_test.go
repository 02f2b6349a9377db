package main

import "testing"

func TestTouchIdle(t *testing.T) {
	idle, warm, err := touchIdle(t.Context())
	if err != nil || idle <= 0 || warm <= 0 {
		t.Errorf("idle %s, warm %s, error %v", idle, warm, err)
	}
	t.Logf("idle %s, warm %s", idle, warm)
}
