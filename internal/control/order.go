package control

import (
	"fmt"
	"net/http"

	"sluice/internal/config"
)

func (s *Server) drain(w http.ResponseWriter, r *http.Request) (any, error) {
	var q DrainRequest
	if err := decodeOrder(w, r, &q, &q.Selection); err != nil {
		return nil, err
	}
	changes, err := s.o.Drainer.Drain(r.Context(), q.Selection, q.DrainOptions)
	return ChangeList{changes}, err
}

func (s *Server) disable(w http.ResponseWriter, r *http.Request) (any, error) {
	var q DisableRequest
	if err := decodeOrder(w, r, &q, &q.Selection); err != nil {
		return nil, err
	}
	changes, err := s.o.Drainer.Disable(r.Context(), q.Selection, q.Yes)
	return ChangeList{changes}, err
}

func (s *Server) enable(w http.ResponseWriter, r *http.Request) (any, error) {
	var q EnableRequest
	if err := decodeOrder(w, r, &q, &q.Selection); err != nil {
		return nil, err
	}
	changes, err := s.o.Drainer.Enable(r.Context(), q.Selection)
	return ChangeList{changes}, err
}

func (s *Server) weight(w http.ResponseWriter, r *http.Request) (any, error) {
	var q WeightRequest
	if err := decodeOrder(w, r, &q, &q.Selection); err != nil {
		return nil, err
	}
	if q.Weight == nil {
		return nil, NewError(CodeInvalid, `field "weight": missing`, "give the new weight")
	}
	if *q.Weight < 0 || *q.Weight > config.MaxWeight {
		return nil, NewError(CodeInvalid, fmt.Sprintf(`field "weight": %d is not within 0 to %d`, *q.Weight, config.MaxWeight), "")
	}
	changes, err := s.o.Weigher.SetWeight(r.Context(), q.Selection, *q.Weight, q.Yes)
	return ChangeList{changes}, err
}

// decodeOrder reads an order into q and expands the selection within it.
func decodeOrder(w http.ResponseWriter, r *http.Request, q any, sel *Selection) error {
	if err := decodeBody(w, r, maxOrderBody, q); err != nil {
		return err
	}
	return sel.expand()
}

// expand replaces node sets by the names they stand for and checks that the
// selection says one thing.
func (s *Selection) expand() error {
	if s.All != (len(s.Backends) == 0) {
		return NewError(CodeInvalid, "an order is for named backends or for all of them", "give either backends or all")
	}
	var e expansion
	for _, set := range s.Backends {
		if err := e.add(set); err != nil {
			return NewError(CodeInvalid, err.Error(), "write blue1, blue[1-4] or blue[1,3]")
		}
	}
	s.Backends = e.names
	return nil
}

func (s *Server) diff(w http.ResponseWriter, r *http.Request) (any, error) {
	var f SettingsFile
	if err := decodeBody(w, r, maxSettingsBody, &f); err != nil {
		return nil, err
	}
	changes, err := s.o.Settings.Diff(r.Context(), f)
	return DiffResult{changes}, err
}

func (s *Server) apply(w http.ResponseWriter, r *http.Request) (any, error) {
	var q ApplyRequest
	if err := decodeBody(w, r, maxSettingsBody, &q); err != nil {
		return nil, err
	}
	return s.o.Settings.Apply(r.Context(), q.SettingsFile, q.Force)
}
