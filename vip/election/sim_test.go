package election

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// world is gateways, segments and heartbeat links in simulated time: each node's
// machine does what the daemon would do, and owner words are what XDP would see.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	now    time.Duration
	queue  events
	serial int
	nodes  []*simNode
	segs   int
	pings  bool
	// cut says what does not pass: from node, to node, way (-1 the heartbeat link,
	// else a segment). targetDown is a ping target that answers nobody.
	cut        map[[3]int]bool
	targetDown map[int]bool
	unreached  map[[2]int]bool // node and segment: no ping host is reached
	loss       float64
	maxDelay   time.Duration
	log        []string
	dual       time.Duration // instant at which two words were open, -1 never
	dualOK     bool
	lied       bool // somebody advertised that it is active after its word closed
}

type simNode struct {
	w                *world
	id               int
	m                *Machine
	cfg              Config
	dead, frozen     bool
	wordOpen         bool
	wordUntil        time.Duration
	wakeAt           time.Duration
	lastBeat         map[int]time.Duration
	linkDown         map[int]bool
	failedSince      map[int]time.Duration
	failing          map[int]bool
	faults           []string
	synced           bool
	streamed         time.Duration // as in Local
	changes          []Effect
	stills, announce int
	generation       int
	sequence         map[int]int
	simLoop
}

type event struct {
	at     time.Duration
	serial int
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

const heartbeat = -1

// pingDetect is how long after an outage a ping item fails, or answers again.
const pingDetect = time.Second

type setup struct {
	nodes, segs int
	seed        uint64
	beats       bool
	pings       bool
	preempt     bool
	priorities  []uint8
	interval    time.Duration
}

func newWorld(t *testing.T, s setup) *world {
	if s.interval == 0 {
		s.interval = 100 * time.Millisecond
	}
	if s.segs == 0 {
		s.segs = 2
	}
	if s.priorities == nil {
		s.priorities = []uint8{150, 100, 50}[:s.nodes]
	}
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(s.seed, 1)), now: time.Hour, segs: s.segs, pings: s.pings,
		cut: map[[3]int]bool{}, targetDown: map[int]bool{}, unreached: map[[2]int]bool{},
		maxDelay: 2 * time.Millisecond, dual: -1,
	}
	for i := range s.nodes {
		rank := uint8(1)
		for _, p := range s.priorities {
			if p < s.priorities[i] {
				rank++
			}
		}
		cfg := Config{
			Priority: s.priorities[i], Impaired: rank, Ranks: uint8(s.nodes), Interval: s.interval,
			BeatInterval: s.interval / 2, BeatTimeout: s.interval * 3 / 2, Segments: s.segs, Preempt: s.preempt,
			PreemptDelay: time.Second, Pings: s.pings, Settle: 1200 * time.Millisecond, Address: addrOf(9, i),
			Alone: s.nodes == 1,
		}
		if s.beats {
			for j := range s.nodes {
				if j != i {
					cfg.Peers = append(cfg.Peers, Peer{Node: fmt.Sprint("gw-", j), Address: addrOf(9, j)})
				}
			}
		}
		n := &simNode{w: w, id: i, cfg: cfg, synced: true}
		w.nodes = append(w.nodes, n)
		n.dead = true
	}
	for _, n := range w.nodes {
		w.after(w.jitter(), n.boot)
	}
	return w
}

func addrOf(segment, node int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(segment), byte(1 + node)})
}

// boot starts a new process on the node.
func (n *simNode) boot() {
	n.generation++
	n.dead, n.frozen = false, false
	n.simLoop.reset()
	n.lastBeat, n.failing, n.failedSince = map[int]time.Duration{}, map[int]bool{}, map[int]time.Duration{}
	if n.linkDown == nil {
		n.linkDown = map[int]bool{}
	}
	n.sequence = map[int]int{}
	n.cfg.Claims = uint32(n.generation) << 16
	n.m = New(n.cfg)
	n.wordOpen = false
	n.m.Local(n.w.now, n.localNow())
	n.run()
	n.tick(n.generation)
}

func (n *simNode) localNow() Local {
	l := Local{Faults: n.faults, Synced: n.synced, Streamed: n.streamed}
	n.simLoop.addTo(&l, n.w.now)
	failed := 0
	for s := range n.w.segs {
		name := fmt.Sprint("seg", s)
		if n.linkDown[s] {
			l.LinksDown = append(l.LinksDown, name)
		}
		if n.w.pings && n.failing[s] {
			l.PingsFailed = append(l.PingsFailed, name)
			failed++
		}
	}
	l.AllPingsFailed = n.w.pings && failed == n.w.segs
	return l
}

func (n *simNode) reaches(s int) bool {
	return !n.linkDown[s] && !n.w.targetDown[s] && !n.w.unreached[[2]int{n.id, s}]
}

// ping brings the ping items up to date, each with its own delay.
func (n *simNode) ping() {
	for s := range n.w.segs {
		ok := n.reaches(s)
		if ok {
			n.m.Answered(n.w.now)
		}
		if ok != n.failing[s] {
			delete(n.failedSince, s)
			continue
		}
		at, changing := n.failedSince[s]
		if !changing {
			n.failedSince[s] = n.w.now + time.Duration(n.w.rng.Int64N(int64(pingDetect)))
		} else if n.w.now >= at {
			n.failing[s] = !ok
			delete(n.failedSince, s)
		}
	}
}

// tick is the node's loop.
func (n *simNode) tick(generation int) {
	if n.dead || generation != n.generation {
		return
	}
	if !n.frozen && !n.busy {
		n.run() // what it was about when it was stopped
		n.awake()
	}
	if !n.frozen && !n.busy {
		if n.w.pings {
			n.ping()
		}
		n.m.Tick(n.w.now)
		n.run()
		n.m.Local(n.w.now, n.localNow())
		n.run()
	}
	next := min(n.m.Next(n.w.now), n.w.now+n.cfg.Interval/4)
	n.w.after(next-n.w.now+n.w.jitter(), func() { n.tick(generation) })
}

func (w *world) jitter() time.Duration { return time.Duration(w.rng.Int64N(int64(w.maxDelay))) }

func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.queue, event{w.now + d, w.serial, do})
}

func (n *simNode) open() bool { return n.wordOpen && (n.wordUntil == 0 || n.w.now < n.wordUntil) }

// check is the invariant.
func (w *world) check() {
	open := 0
	for _, n := range w.nodes {
		if !n.dead && n.open() {
			open++
		}
	}
	if open > 1 && w.dual < 0 {
		w.dual = w.now
		w.note("TWO OPEN WORDS")
	}
}

func (n *simNode) sendAdverts(priority uint8) {
	for s := range n.w.segs {
		for _, to := range n.w.nodes {
			if to != n && !n.w.blocked(n, to, s) {
				n.w.deliver(to, func() {
					to.m.Advert(n.w.now, s, Advert{Source: addrOf(s, n.id), Own: addrOf(s, to.id), Priority: priority, Interval: n.cfg.Interval})
				})
			}
		}
	}
}

func (n *simNode) sendBeats() {
	for i, p := range n.cfg.Peers {
		to := n.w.byAddress(p.Address)
		h := n.m.Beacon(i)
		h.Remaining = n.m.Remaining(n.w.now)
		h.HearsUs = n.w.now-n.lastBeat[to.id] < n.cfg.BeatTimeout && n.lastBeat[to.id] != 0
		if n.w.blocked(n, to, heartbeat) {
			continue
		}
		from := n.id
		n.w.serial++
		sequence := n.w.serial
		n.w.deliver(to, func() {
			if sequence < to.sequence[from] {
				return // overtaken: what the heartbeat's codec refuses
			}
			to.sequence[from] = sequence
			to.lastBeat[from] = n.w.now
			to.m.Heartbeat(n.w.now, to.indexOf(from), h)
		})
	}
}

func (n *simNode) indexOf(node int) int {
	for i, p := range n.cfg.Peers {
		if p.Address == addrOf(9, node) {
			return i
		}
	}
	panic("no such peer")
}

func (w *world) byAddress(a netip.Addr) *simNode {
	for _, n := range w.nodes {
		if n.cfg.Address == a {
			return n
		}
	}
	panic("no such node")
}

func (w *world) blocked(from, to *simNode, way int) bool {
	if from.dead || to.dead || w.cut[[3]int{from.id, to.id, way}] || w.rng.Float64() < w.loss {
		return true
	}
	return way >= 0 && (from.linkDown[way] || to.linkDown[way])
}

func (w *world) deliver(to *simNode, do func()) {
	generation := to.generation
	w.after(50*time.Microsecond+w.jitter()/2, func() {
		if to.dead || to.frozen || to.generation != generation {
			return // a stopped process drops what waited when it goes on
		}
		to.packet(do)
	})
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(event)
		w.now = max(w.now, e.at)
		e.do()
		w.check()
	}
	w.now = end
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%10.4f ", (w.now-time.Hour).Seconds())+fmt.Sprintf(format, args...))
}

func (w *world) cutLAN(from, to int) {
	for s := range w.segs {
		w.cut[[3]int{from, to, s}] = true
	}
	w.note("adverts %d → %d are lost", from, to)
}

func (w *world) cutBeat(from, to int) {
	w.cut[[3]int{from, to, heartbeat}] = true
	w.note("heartbeats %d → %d are lost", from, to)
}

func (w *world) heal() {
	clear(w.cut)
	clear(w.targetDown)
	clear(w.unreached)
	for _, n := range w.nodes {
		clear(n.linkDown)
	}
	w.note("healed")
}

func (w *world) powerOff(i int) {
	w.nodes[i].dead, w.nodes[i].wordOpen = true, false
	w.note("%d is powered off", i)
}

// states are those of all nodes, for comparing.
func (w *world) states() string {
	text := ""
	for i, n := range w.nodes {
		if i > 0 {
			text += " "
		}
		if n.dead {
			text += "dead"
			continue
		}
		s, _ := n.m.State()
		text += s.String()
	}
	return text
}

func (w *world) want(states string) {
	w.t.Helper()
	if got := w.states(); got != states {
		w.fail("states are %q, want %q", got, states)
	}
	if w.dual >= 0 && !w.dualOK {
		w.fail("two owner words were open at %v", w.dual-time.Hour)
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, l := range w.log {
		w.t.Log(l)
	}
	w.t.Fatalf(format, args...)
}
