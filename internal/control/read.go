package control

import (
	"net/http"
)

// The calls of this file read; none has parameters unless it says so.

func (s *Server) version(_ http.ResponseWriter, _ *http.Request) (any, error) {
	return s.o.Build, nil
}

func (s *Server) status(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.wholeStatus(r.Context())
}

func (s *Server) nodes(_ http.ResponseWriter, r *http.Request) (any, error) {
	nodes, err := s.o.Status.Nodes(r.Context())
	return NodeList{nodes}, err
}

func (s *Server) services(_ http.ResponseWriter, r *http.Request) (any, error) {
	services, err := s.o.Counters.Services(r.Context())
	return ServiceList{services}, err
}

func (s *Server) backends(_ http.ResponseWriter, r *http.Request) (any, error) {
	backends, err := s.o.Counters.Backends(r.Context())
	return BackendList{backends}, err
}

func (s *Server) drops(_ http.ResponseWriter, r *http.Request) (any, error) {
	drops, err := s.o.Counters.Drops(r.Context())
	return DropList{drops}, err
}

func (s *Server) settings(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.o.Settings.Settings(r.Context())
}

// flows takes the parameters of [FlowQuery].
func (s *Server) flows(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := flowQuery(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return s.o.Flows.Flows(r.Context(), q)
}

// explain takes flow=CLIENT:PORT and, where that leaves a doubt, to=VIP:PORT.
func (s *Server) explain(_ http.ResponseWriter, r *http.Request) (any, error) {
	p := newParameters(r.URL.Query(), "flow", "to")
	client, listen := p.addrPort("flow"), p.addrPort("to")
	if !client.IsValid() {
		p.fail("flow", "missing", "give the client as flow=192.0.2.7:40022")
	}
	if p.err != nil {
		return nil, p.err
	}
	return s.o.Explain.Explain(r.Context(), client, listen)
}
