package ring

import "testing"

// The vectors of the SipHash paper's reference implementation: key 00..0f,
// message 00, 01, 02, … of the given length.
func TestSipHash(t *testing.T) {
	var key Key
	for i := range key {
		key[i] = byte(i)
	}
	message := make([]byte, 64)
	for i := range message {
		message[i] = byte(i)
	}
	for length, want := range map[int]uint64{
		0:  0x726fdb47dd0e0e31,
		1:  0x74f839c593dc67fd,
		7:  0xab0200f58b01d137,
		8:  0x93f5f5799a932462,
		15: 0xa129ca6149be45e5,
		18: 0x4bc1b3f0968dd39c, // what an address and port take
	} {
		if got := sipHash(key, message[:length]); got != want {
			t.Errorf("sipHash of %d bytes = %#x, want %#x", length, got, want)
		}
	}
}
