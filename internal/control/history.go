package control

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// StateChange is one change of a gateway's state, with its reason.
type StateChange struct {
	At       time.Time `json:"at"`
	Cluster  string    `json:"cluster"`
	StateWas VIPState  `json:"state_was"`
	State    VIPState  `json:"state"`
	// Term, Cause and Reason are as in [VirtualCluster].
	Term   uint64 `json:"term"`
	Cause  string `json:"cause"`
	Reason string `json:"reason"`
}

// HistoryQuery says which changes are wanted. Cluster is a name, empty for all.
type HistoryQuery struct {
	Cluster string
	// Limit is 1 to [MaxHistory].
	Limit int
}

const (
	// DefaultHistory is the limit of a HistoryQuery where none is given.
	DefaultHistory = 100
	// MaxHistory is how many changes may be asked for. A gateway keeps 1000 at
	// least, over restarts.
	MaxHistory = 10000
)

// History is the answer of GET /v1/history: changes, the latest first.
type History struct {
	Changes List[StateChange] `json:"changes"`
}

// Values writes q as the parameters of GET /v1/history.
func (q HistoryQuery) Values() url.Values {
	v := url.Values{}
	if q.Cluster != "" {
		v.Set("cluster", q.Cluster)
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

func (s *Server) history(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := newParameters(r.URL.Query(), "cluster", "limit")
	q := HistoryQuery{Cluster: p.text("cluster"), Limit: p.number("limit", DefaultHistory, 1, MaxHistory)}
	if p.err != nil || s.o.Failover == nil {
		return History{}, p.err
	}
	changes, err := s.o.Failover.History(r.Context(), q)
	return History{changes}, err
}
