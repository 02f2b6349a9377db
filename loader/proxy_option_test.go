package loader_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// optionCases are clients whose SYN asks for what a header does not go with.
var optionCases = map[string]proxyCase{
	"TFO SYN with a cookie and data": {
		server: option(unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 16), prepare: fastOpen, talk: talkFastOpen,
	},
	"TFO SYN with data and no cookie": {
		server:  option(unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 16),
		prepare: both(fastOpen, func(t *testing.T, w *proxyWorld) { sysctls(t, w.Client, "net/ipv4/tcp_fastopen=5") }),
		talk:    talkFastOpenData,
	},
	"MPTCP SYN":     {server: proxyServer{multipath: true}, talk: talkMultipath},
	"MD5 option":    {talk: talkSigned, drops: []string{"tcp_signature"}},
	"MSS of 536":    {prepare: smallMSS, talk: says(4*mss, 100_000)},
	"no MSS at all": {prepare: clientWithoutMSS, talk: says(4*mss, 100_000)},
	"urgent first":  {prepare: onlyClientRepeats, talk: talkUrgent},
}

// fastOpen has both kernels do it for sockets that ask for it.
func fastOpen(t *testing.T, w *proxyWorld) {
	sysctls(t, w.Client, "net/ipv4/tcp_fastopen=1")
	sysctls(t, w.backend().Namespace, "net/ipv4/tcp_fastopen=2")
}

// smallMSS and clientWithoutMSS change what the client's SYN says.
func smallMSS(t *testing.T, w *proxyWorld) {
	nft(t, w.Client, "table inet mss { chain out { type filter hook output priority 0; tcp flags syn tcp option maxseg size set 536; }; }")
}

func clientWithoutMSS(t *testing.T, w *proxyWorld) {
	nft(t, w.Client, "table inet mss { chain out { type filter hook output priority 0; tcp flags syn reset tcp option maxseg; }; }")
}

// talkFastOpen has the client learn a cookie for the VIP from a connection that
// begins without a header, where the option passes.
func talkFastOpen(t *testing.T, w *proxyWorld) {
	plain := w.service
	plain.Proxy = false
	must(t, w.dp.PutService(testService, plain))
	for range 2 {
		c := w.connectBy(t, net.Dialer{Control: fastOpenConnect})
		_, err := io.WriteString(c, "no header")
		must(t, err)
		if h := w.hears(t); h.err == nil {
			t.Fatalf("without a header the backend has heard %+v", h)
		}
		must(t, c.Close())
	}
	if mib(t, w.Client, "TcpExt", "TCPFastOpenActive") == 0 {
		t.Fatal("the client has no cookie, or did not use it")
	}
	must(t, w.dp.PutService(testService, w.service))
	talkFastOpenData(t, w)
}

// talkFastOpenData: what was in the SYN arrives once, behind the header. The
// backend does not even know that it was asked.
func talkFastOpenData(t *testing.T, w *proxyWorld) {
	failed := func() uint64 { return mib(t, w.Client, "TcpExt", "TCPFastOpenActiveFail") }
	taken := func() uint64 { return mib(t, w.backend().Namespace, "TcpExt", "TCPFastOpenPassive") }
	before, other := failed(), taken()
	c := w.connectBy(t, net.Dialer{Control: fastOpenConnect})
	w.converse(t, c, 700, 100_000)
	if failed() != before+1 {
		t.Error("the client has sent no data in its SYN, or it was taken")
	}
	if taken() != other {
		t.Error("the backend has taken the SYN's cookie")
	}
	must(t, c.Close())
}

func fastOpenConnect(_, _ string, c syscall.RawConn) (err error) {
	return errors.Join(c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1)
	}), err)
}

// talkMultipath: a client that would speak MPTCP with this server speaks TCP.
func talkMultipath(t *testing.T, w *proxyWorld) {
	var d net.Dialer
	d.SetMultipathTCP(true)
	var c net.Conn
	must(t, w.Client.Do(func() (err error) {
		c, err = d.DialContext(t.Context(), "tcp", backendAddr(w).String())
		return err
	}))
	if ok, err := c.(*net.TCPConn).MultipathTCP(); err != nil || !ok {
		t.Fatalf("without the gateway MPTCP is spoken: %t, %v", ok, err)
	}
	must(t, c.Close())
	if h := w.hears(t); h.err == nil {
		t.Fatalf("without the gateway the backend has heard %+v", h)
	}
	agreed := mib(t, w.Client, "MPTcpExt", "MPCapableSYNACKRX")
	c = w.connectBy(t, d)
	if mib(t, w.Client, "MPTcpExt", "MPCapableSYNACKRX") != agreed {
		t.Error("the backend has agreed to MPTCP")
	}
	if ok, err := c.(*net.TCPConn).MultipathTCP(); err != nil || ok {
		t.Errorf("MPTCP is spoken: %t, %v", ok, err)
	}
	w.converse(t, c, 4*mss, 300_000)
	must(t, c.Close())
}

// talkSigned: a client that signs is refused. Its kernel takes no reset without
// a signature, so that it is not told, but counts that one came.
func talkSigned(t *testing.T, w *proxyWorld) {
	d := net.Dialer{Timeout: 100 * time.Millisecond, Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = sign(int(fd), w) }), err)
	}}
	var waited net.Error
	if _, err := w.dialBy(t, d); !errors.As(err, &waited) || !waited.Timeout() {
		t.Errorf("a client that signs is told %v, want nothing", err)
	}
	if n := mib(t, w.Client, "TcpExt", "TCPMD5NotFound"); n != 1 {
		t.Errorf("the client has got %d resets, want one", n)
	}
	says(0, 1000)(t, w)
}

// sign gives the socket a key for the VIP.
func sign(fd int, w *proxyWorld) error {
	key := unix.TCPMD5Sig{Keylen: 3}
	copy(key.Key[:], "key")
	if w.listen.Addr().Is4() {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&key.Addr))
		four.Family, four.Addr = unix.AF_INET, w.listen.Addr().As4()
	} else {
		six := (*unix.RawSockaddrInet6)(unsafe.Pointer(&key.Addr))
		six.Family, six.Addr = unix.AF_INET6, w.listen.Addr().As16()
	}
	return unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, &key)
}

// talkUrgent sends a byte out of band before anything else.
func talkUrgent(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	raw, err := c.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, errors.Join(raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) }), err))
	w.converse(t, c, 100, 10_000)
	must(t, c.Close())
}
