package control

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// FailKind is what could fail.
type FailKind string

// The kinds: a gateway, an interface of this one, a host that is pinged.
const (
	FailNode FailKind = "node"
	FailLink FailKind = "link"
	FailPing FailKind = "ping"
)

// FailQuestion asks who would be active if something failed.
type FailQuestion struct {
	// Kind may be empty where Name says it: the node looks which one it is.
	Kind FailKind
	// Name is a node's, an interface's or a host's address.
	Name string
	// Cluster is the only virtual cluster of interest, empty for all.
	Cluster string
}

// ParseFail reads what could fail: NAME, or node:NAME, link:NAME, ping:ADDR
// where a bare name could be several things.
func ParseFail(text string) (FailKind, string, error) {
	var kind FailKind
	name := text
	for _, k := range []FailKind{FailNode, FailLink, FailPing} {
		if rest, found := strings.CutPrefix(text, string(k)+":"); found {
			kind, name = k, rest
		}
	}
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return "", "", fmt.Errorf("%q names nothing that could fail", text)
	}
	return kind, name, nil
}

// String writes the question as ParseFail reads it.
func (q FailQuestion) String() string {
	if q.Kind == "" {
		return q.Name
	}
	return string(q.Kind) + ":" + q.Name
}

// FailExplanation is the answer of GET /v1/explain/fail.
type FailExplanation struct {
	// Kind and Name are what would fail, as the node found it.
	Kind     FailKind          `json:"kind"`
	Name     string            `json:"name"`
	Clusters List[FailOutcome] `json:"clusters"`
}

// FailOutcome is what would become of one virtual cluster.
type FailOutcome struct {
	Cluster string `json:"cluster"`
	// Now and Then are the active gateways, empty for nobody.
	Now  string `json:"now"`
	Then string `json:"then"`
	// Why are the decisions in order, one sentence each.
	Why List[string] `json:"why"`
}

// explainFail takes fail=WHAT and, for one virtual cluster, cluster=NAME.
func (s *Server) explainFail(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := newParameters(r.URL.Query(), "fail", "cluster")
	q := FailQuestion{Cluster: p.text("cluster")}
	var err error
	if q.Kind, q.Name, err = ParseFail(p.text("fail")); err != nil {
		p.fail("fail", err.Error(), "give a node, an interface or a host that is pinged")
	}
	if p.err != nil {
		return nil, p.err
	}
	if s.o.Failover == nil {
		return nil, errNoClusters()
	}
	return s.o.Failover.ExplainFail(r.Context(), q)
}

// Values writes q as the parameters of GET /v1/explain/fail.
func (q FailQuestion) Values() url.Values {
	v := url.Values{"fail": {q.String()}}
	if q.Cluster != "" {
		v.Set("cluster", q.Cluster)
	}
	return v
}
