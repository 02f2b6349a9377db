package control

import (
	"context"
	"net/http"
	"time"
)

// VIPOrder is the body of POST /v1/vips/swap and /v1/vips/resign.
type VIPOrder struct {
	// Clusters names virtual clusters; with All it is empty.
	Clusters List[string] `json:"clusters"`
	All      bool         `json:"all"`
	// For is how long whoever is active by the order stays it, whatever the
	// priorities are; zero is until a gateway is lost or told otherwise.
	For Duration `json:"for"`
	// Yes gives VIPs up even where no other gateway can take them.
	Yes bool `json:"yes"`
}

// VIPChangeList is the answer.
type VIPChangeList struct {
	Changes List[VIPChange] `json:"changes"`
}

// VIPChange is what an order did to one virtual cluster on this gateway.
type VIPChange struct {
	Cluster  string   `json:"cluster"`
	StateWas VIPState `json:"state_was"`
	State    VIPState `json:"state"`
	// Peer is who has the VIPs when this gateway has not, empty for nobody.
	Peer string `json:"peer"`
	// Until is the end of the order's For; null without.
	Until *time.Time `json:"until"`
}

// errNoClusters answers orders and questions about virtual clusters where there
// are none.
func errNoClusters() error {
	return NewError(CodeNotFound, "this node has no virtual clusters", "name some in the settings (virtual_clusters)")
}

// virtualClusters are those of the node; none where nothing is said of them.
func (s *Server) virtualClusters(ctx context.Context) ([]VirtualCluster, error) {
	if s.o.Failover == nil {
		return nil, nil
	}
	return s.o.Failover.VirtualClusters(ctx)
}

func (s *Server) vips(_ http.ResponseWriter, r *http.Request) (any, error) {
	clusters, err := s.virtualClusters(r.Context())
	return VirtualClusterList{clusters}, err
}

func (s *Server) swap(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.moveVIPs(w, r, FailoverSource.Swap)
}

func (s *Server) resign(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.moveVIPs(w, r, FailoverSource.Resign)
}

// moveVIPs checks an order and has it carried out.
func (s *Server) moveVIPs(w http.ResponseWriter, r *http.Request, do func(FailoverSource, context.Context, VIPOrder) ([]VIPChange, error)) (any, error) {
	var o VIPOrder
	if err := decodeBody(w, r, maxOrderBody, &o); err != nil {
		return nil, err
	}
	if o.All == (len(o.Clusters) > 0) {
		return nil, NewError(CodeInvalid, "an order is for named virtual clusters or for all of them", `give either "clusters" or "all": true`)
	}
	if s.o.Failover == nil {
		return nil, errNoClusters()
	}
	changes, err := do(s.o.Failover, r.Context(), o)
	return VIPChangeList{changes}, err
}

// AlarmList is the answer of GET /v1/alarms: what needs an operator, worst first.
type AlarmList struct {
	Alarms List[Alarm] `json:"alarms"`
}

func (s *Server) alarms(_ http.ResponseWriter, r *http.Request) (any, error) {
	status, err := s.wholeStatus(r.Context())
	return AlarmList{status.Alarms}, err
}

// wholeStatus is the node's status with the alarms of its virtual clusters. That
// these cannot be read is an alarm, too: how the rest stands matters all the more.
func (s *Server) wholeStatus(ctx context.Context) (Status, error) {
	status, err := s.o.Status.Status(ctx)
	if err != nil {
		return status, err
	}
	alarms := append(List[Alarm]{}, status.Alarms...)
	clusters, err := s.virtualClusters(ctx)
	if err == nil {
		s.unread.Store(nil)
	} else {
		now := time.Now()
		s.unread.CompareAndSwap(nil, &now)
		since := now
		if began := s.unread.Load(); began != nil { // else another call could read them meanwhile
			since = *began
		}
		alarms = append(alarms, Alarm{
			Severity: SeverityCritical, Subject: "virtual clusters", Text: "cannot be read: " + err.Error(),
			Hint: "look at the log of the vip process", Since: since,
		})
		clusters = nil
	}
	for _, c := range clusters {
		for _, a := range c.Alarms {
			alarms = append(alarms, a.Of(c.Name))
		}
	}
	status.Alarms = worstFirst(alarms)
	return status, nil
}

// Of is the alarm as one among all of the node.
func (a ClusterAlarm) Of(cluster string) Alarm {
	severity := a.Severity
	if severity == "" {
		severity = SeverityWarning
	}
	return Alarm{Severity: severity, Subject: "virtual cluster " + cluster, Text: a.Text, Hint: a.Hint, Since: a.Since}
}
