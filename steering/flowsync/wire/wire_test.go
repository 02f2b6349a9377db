package wire

import (
	"encoding/hex"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// samples are flows of every shape.
var samples = []Flow{
	{
		Key:     Key{addr("192.0.2.3:2022"), addr("203.0.113.7:40000")},
		Backend: addr("10.0.0.21:22"), Source: addr("10.0.2.3:61000"), Mode: ModeNAT, State: StateEstablished,
		Notes: Header | ClientFIN, Opened: 26 * time.Hour, Idle: 1500 * time.Millisecond,
		ISN: 0xfffffff0, ClientSeq: 1, BackendSeq: 0x80000000,
	},
	{
		Key:     Key{addr("[2001:db8::3]:22"), addr("[2001:db8:ffff:ffff:ffff:ffff:ffff:1]:65535")},
		Backend: addr("10.0.0.21:22"), Mode: ModeGUE, State: StateYoung, Notes: Advanced,
	},
	{
		Key:     Key{addr("192.0.2.3:1"), addr("255.255.255.254:1")},
		Backend: addr("[2001:db8::1]:1"), Source: addr("[2001:db8::2]:1"), Mode: ModeIPIP, State: StateKilled,
		Notes: 0xffff, Opened: MaxAge, Idle: MaxAge,
	},
	{
		Key:     Key{addr("192.0.2.3:22"), addr("192.0.2.4:22")},
		Backend: addr("192.0.2.5:22"), Mode: ModeDSR, State: StateClosed,
	},
}

func keys() []Key {
	var all []Key
	for _, f := range samples {
		all = append(all, f.Key)
	}
	return all
}

func TestRecordsAreReadAsWritten(t *testing.T) {
	var r Record
	r.Reset(7)
	small := []Message{
		Hello{}, Offer{Index: 1, Name: "edge", Term: 1 << 63}, Stop{Index: 2}, Stop{Index: 2, All: true}, Begin{Index: 3}, End{Index: 65535},
		Alive{Time: 5, Lag: 3 * time.Second}, Ack{Seq: 9, Time: 5}, Want{Name: strings.Repeat("n", MaxName)},
		Refuse{Index: 1, Reason: RefusedActive, Term: 4}, Hello{Tells: true},
		Partial{Index: 1, Lacks: Span{2, 1 << 63}, Told: true}, Partial{Index: 1, Lacks: Span{3, 3}},
		Tell{Index: 3, Term: 9, Has: Holding{To: 8, Tail: true, Lacks: Span{1, 2}}, Name: strings.Repeat("n", MaxName)},
		Tell{Index: 3, Term: 9, Name: "edge"},
	}
	for _, m := range small {
		if !r.Add(m) {
			t.Fatal("no room")
		}
	}
	if rest := r.AddFlows(1, OriginChange, samples); len(rest) != 0 {
		t.Fatal("no room for flows")
	}
	if rest := r.AddGone(1, keys()); len(rest) != 0 {
		t.Fatal("no room for keys")
	}
	seq, got, err := Decode(r.Bytes())
	if err != nil || seq != 7 {
		t.Fatal(seq, err)
	}
	want := append(small, Flows{Index: 1, Origin: OriginChange, Flows: samples}, Gone{Index: 1, Keys: keys()})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v, want\n%+v", got, want)
	}
}

// The bytes of version 1, so that nobody changes them unawares.
func TestBytesOfAFlow(t *testing.T) {
	const want = "46" + // length
		"0106c000020307e6" + // service
		"0206cb0071079c40" + // client
		"03060a0000150016" + // backend
		"04060a000203ee48" + // source
		"050101" + "060102" + "07020041" + // mode, state, notes
		"080480f2d02c" + "0902dc0b" + // opened, idle
		"0a04fffffff0" + "0b0400000001" + "0c0480000000" // ISN, sequence numbers
	if got := hex.EncodeToString(appendFlow(nil, &samples[0])); got != want {
		t.Errorf("wrote %s, want %s", got, want)
	}
}

// A record is filled to its limit and no further, and nothing is lost between
// two.
func TestRecordsAreBounded(t *testing.T) {
	flows := slices.Repeat(samples, 2000)
	rest, n := flows, 0
	for len(rest) > 0 {
		var r Record
		r.Reset(1)
		rest = r.AddFlows(1, OriginSnapshot, rest)
		if len(r.Bytes()) > MaxRecord {
			t.Fatalf("a record has %d bytes", len(r.Bytes()))
		}
		_, messages, err := Decode(r.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got := messages[0].(Flows).Flows
		if !reflect.DeepEqual(got, flows[n:n+len(got)]) {
			t.Fatal("other flows were read than written")
		}
		n += len(got)
	}
	if n != len(flows) {
		t.Errorf("read %d of %d flows", n, len(flows))
	}
	many, n := slices.Repeat(keys(), 2000), 0
	for rest := many; len(rest) > 0; {
		var r Record
		r.Reset(1)
		rest = r.AddGone(1, rest)
		_, messages, err := Decode(r.Bytes())
		if err != nil || len(r.Bytes()) > MaxRecord {
			t.Fatal(len(r.Bytes()), err)
		}
		n += len(messages[0].(Gone).Keys)
	}
	if n != len(many) {
		t.Errorf("read %d of %d keys", n, len(many))
	}
	var r Record
	r.Reset(1)
	for r.Add(Tell{Name: strings.Repeat("n", MaxName)}) {
	}
	if _, _, err := Decode(r.Bytes()); err != nil || len(r.Bytes()) > MaxRecord {
		t.Error(len(r.Bytes()), err)
	}
}

// head is a record's version and number.
const head = "01" + "0000000000000001"

// flowsOf wraps the fields of one flow.
func flowsOf(fields string) string {
	n := len(fields) / 2
	return head + hexN(2, n+5) + "05" + "0001" + "02" + hexN(1, n) + fields
}

func hexN(size, n int) string {
	b := make([]byte, size)
	for i := range b {
		b[size-1-i] = byte(n >> (8 * i))
	}
	return hex.EncodeToString(b)
}

const (
	service = "0106c00002030016"
	client  = "0206cb0071079c40"
	backend = "03060a0000150016"
	rest    = "050101" + "060102" + "080100" + "090100"
)

func TestHostileRecordsAreRefused(t *testing.T) {
	good := service + client + backend + rest
	if _, _, err := Decode(unhex(t, flowsOf(good))); err != nil {
		t.Fatal(err)
	}
	for name, record := range map[string]string{
		"empty":                      "",
		"no number":                  "01000000",
		"another version":            "02" + head[2:],
		"half a length":              head + "00",
		"message without kind":       head + "0000",
		"message longer than record": head + "000503",
		"offer without term":         head + "0003" + "02" + "0001",
		"offer without name":         head + "000b" + "02" + "0001" + "0000000000000001",
		"name too long":              head + "0042" + "0a" + strings.Repeat("61", 65),
		"name is no text":            head + "0002" + "0a" + "ff",
		"terms from 0":               head + "0014" + "0c" + "0001" + "0000000000000000" + "0000000000000001" + "00",
		"terms backwards":            head + "0014" + "0c" + "0001" + "0000000000000002" + "0000000000000001" + "00",
		"half a span":                head + "000b" + "0c" + "0001" + "0000000000000001",
		"tell without name":          head + "0024" + "0d" + "0001" + strings.Repeat("00", 8+8+1+16),
		"origin 0":                   head + "0004" + "05" + "0001" + "00",
		"origin 4":                   head + "0004" + "05" + "0001" + "04",
		"flow longer than message":   head + "0005" + "05" + "0001" + "02" + "09",
		"key of family 5":            head + "0004" + "06" + "0001" + "05",
		"half a key":                 head + "000a" + "06" + "0001" + "04" + "c00002030016",
		"field twice":                flowsOf(good + service),
		"field longer than flow":     flowsOf(good + "0405"),
		"tag alone":                  flowsOf(good + "04"),
		"no backend":                 flowsOf(service + client + rest),
		"no idle time":               flowsOf(service + client + backend + "050101" + "060102" + "080100"),
		"mode 0":                     flowsOf(service + client + backend + "050100" + "060102" + "080100" + "090100"),
		"mode 5":                     flowsOf(service + client + backend + "050105" + "060102" + "080100" + "090100"),
		"state 6":                    flowsOf(service + client + backend + "050101" + "060106" + "080100" + "090100"),
		"empty mode":                 flowsOf(service + client + backend + "0500" + "060102" + "080100" + "090100"),
		"mode of two bytes":          flowsOf(service + client + backend + "05020101" + "060102" + "080100" + "090100"),
		"age of 11 bytes":            flowsOf(service + client + backend + "050101" + "060102" + "080100" + "090bffffffffffffffffffff01"),
		"age of centuries":           flowsOf(service + client + backend + "050101" + "060102" + "080100" + "0906ffffffffff7f"),
		"address of 3 bytes":         flowsOf("0105c000020016" + client + backend + rest),
		"address of no bytes":        flowsOf("0100" + client + backend + rest),
		"port alone":                 flowsOf("01020016" + client + backend + rest),
		"port 0":                     flowsOf("0106c00002030000" + client + backend + rest),
		"no address":                 flowsOf("0106000000000016" + client + backend + rest),
		"multicast":                  flowsOf("0106e00000120016" + client + backend + rest),
		"IPv4 as IPv6":               flowsOf("011200000000000000000000ffffc00002030016" + client + backend + rest),
		"two families":               flowsOf("011220010db80000000000000000000000030016" + client + backend + rest),
	} {
		if _, messages, err := Decode(unhex(t, record)); err == nil || messages != nil {
			t.Errorf("%s: read as %+v", name, messages)
		}
	}
	if _, _, err := Decode(make([]byte, MaxRecord+1)); err == nil {
		t.Error("a record beyond the limit was read")
	}
}

// What a later version may add is skipped.
func TestUnknownIsSkipped(t *testing.T) {
	good := service + client + backend + rest
	known, unknown := flowsOf(good), flowsOf("0003aabbcc"+service+client+"7f00"+backend+rest+"ff0401020304")
	_, want, err := Decode(unhex(t, known))
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := Decode(unhex(t, unknown))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	_, got, err = Decode(unhex(t, head+"0004"+"c8"+"aabbcc"+"0005"+"03"+"0007"+"aabb"))
	if err != nil || !reflect.DeepEqual(got, []Message{Stop{Index: 7}}) {
		t.Errorf("read %+v, %v", got, err)
	}
}

// Hello of who knows of no tells is shorter; one that is longer has a later
// version's fields.
func TestHelloOfOtherVersions(t *testing.T) {
	for text, want := range map[string]Hello{"000101": {}, "00020100": {}, "00020101": {Tells: true}, "00030101aa": {Tells: true}} {
		_, got, err := Decode(unhex(t, head+text))
		if err != nil || !reflect.DeepEqual(got, []Message{want}) {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
}

// An age beyond what is told is cut, and one below nought is none.
func TestAgesAreCut(t *testing.T) {
	f := samples[3]
	f.Opened, f.Idle = 2*MaxAge, -time.Second
	c := cursor{rest: appendFlow(nil, &f)}
	got, err := readFlow(&c)
	if err != nil || got.Opened != MaxAge || got.Idle != 0 {
		t.Errorf("read %v, %v, %v", got.Opened, got.Idle, err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever arrives is refused or understood, and what is understood is written
// so that the same is read again.
func FuzzDecode(f *testing.F) {
	var r Record
	r.Reset(1)
	r.Add(Hello{})
	r.Add(Offer{Name: "edge", Term: 3})
	r.AddFlows(1, OriginChange, samples)
	r.AddGone(1, keys())
	r.Add(Refuse{Reason: RefusedHeld})
	r.Add(Partial{Index: 1, Lacks: Span{1, 2}})
	r.Add(Tell{Index: 2, Term: 3, Has: Holding{To: 2, Tail: true}, Name: "edge"})
	f.Add(slices.Clone(r.Bytes()))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		seq, messages, err := Decode(b)
		if err != nil {
			if messages != nil {
				t.Fatal("something was read from what is refused")
			}
			return
		}
		var again []Message
		for _, m := range messages {
			again = append(again, reread(t, seq, m)...)
		}
		if !reflect.DeepEqual(again, messages) {
			t.Fatalf("read %+v, wrote and read %+v", messages, again)
		}
	})
}

func reread(t *testing.T, seq uint64, m Message) []Message {
	t.Helper()
	var r Record
	r.Reset(seq)
	switch m := m.(type) {
	case Flows:
		if len(m.Flows) == 0 {
			return []Message{m}
		}
		if len(r.AddFlows(m.Index, m.Origin, m.Flows)) > 0 {
			return []Message{m} // a sparser way of writing filled the record
		}
	case Gone:
		if len(m.Keys) == 0 {
			return []Message{m}
		}
		r.AddGone(m.Index, m.Keys)
	default:
		r.Add(m)
	}
	got, messages, err := Decode(r.Bytes())
	if err != nil || got != seq {
		t.Fatalf("%+v was written so that it cannot be read: %v", m, err)
	}
	return messages
}
