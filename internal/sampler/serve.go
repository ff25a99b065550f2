package sampler

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/marks"
	"github.com/ergon-energy/ergon/sensors"
)

// longestOrder limits the length of an order. The runner's readings at 1 kHz until the sampler joins are some 100 KB.
const longestOrder = 64 << 20

// Serve runs the sampler process. It obeys the orders on in, answers on out, and returns when in ends.
func Serve(in io.Reader, out io.Writer, backends []sensors.Backend) error {
	s := &server{backends: backends, out: json.NewEncoder(out)}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestOrder)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("order %.80q: %w", lines.Text(), err)
		}
		if err := s.obey(r); err != nil {
			return errors.Join(err, s.leave())
		}
	}
	return errors.Join(lines.Err(), s.leave())
}

// server implements the protocol around an engine. Each round has its own engine.
type server struct {
	backends   []sensors.Backend
	out        *json.Encoder
	config     Config
	configured bool
	engine     *Engine // the engine of the current or next round; nil before config
	attached   bool    // the order subject was obeyed
	begun      bool    // the order begin was obeyed
	refused    bool    // the order subject had an invalid configuration
}

// leave ends the current round, and removes a spool that is not kept.
func (s *server) leave() error {
	if s.engine == nil {
		return nil
	}
	s.engine.End()
	s.engine.Close()
	if s.attached && s.engine.subject.Ephemeral {
		return removeTemp(s.engine.subject.Spool)
	}
	return nil
}

// openFolder opens a spool folder by its path. Below the results folder no level may be a link.
func openFolder(path string) (*store.Folder, error) {
	if filepath.Base(path) != store.SpoolFolder {
		return store.OpenFolder(path) // a temporary folder
	}
	run, err := store.OpenRun(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	spool, err := run.Open(store.SpoolFolder)
	return spool, errors.Join(err, run.Close())
}

// removeTemp removes a temporary folder.
func removeTemp(f *store.Folder) error {
	temp, err := store.OpenFolder(filepath.Dir(f.Path()))
	if err != nil {
		return err
	}
	return errors.Join(temp.RemoveTree(filepath.Base(f.Path())), temp.Close())
}

// obey carries out one order.
func (s *server) obey(r request) error {
	switch r.Op {
	case opConfig:
		if r.Config == nil || s.configured {
			return errors.New("order config: nothing in it, or the second one")
		}
		s.configured, s.config = true, *r.Config
		s.engine = NewEngine(s.config, s.backends)
		s.engine.Open() // while the runner makes the target ready
		return nil
	case opSubject:
		if r.Subject == nil || !s.configured || s.attached {
			return errors.New("order subject: nothing in it, or out of turn")
		}
		if s.engine == nil {
			s.engine = NewEngine(s.config, s.backends)
			s.engine.Open()
		}
		if r.Subject.SpoolPath != "" {
			open := openFolder
			if r.Subject.SpoolSent {
				open = receiveFolder
			}
			spool, err := open(r.Subject.SpoolPath)
			if err != nil {
				return err
			}
			r.Subject.Spool = spool
		}
		if r.Subject.MarksSent {
			files, err := receiveFiles([]int{1})
			if err != nil {
				return err
			}
			r.Subject.Marks = marks.Over(files[0][0])
		}
		s.attached = true
		ready, err := s.engine.Attach(*r.Subject)
		if err != nil {
			s.refused = true
			ready = &Ready{Error: err.Error()}
		}
		return s.out.Encode(reply{Op: opReady, Ready: ready})
	case opFollow:
		if s.engine != nil {
			s.engine.Follow(r.PID)
		}
		return nil
	case opBegin:
		if s.begun || !s.attached {
			return errors.New("order begin: out of turn")
		}
		if s.refused {
			return nil // Ready has the reason
		}
		s.begun = true
		if err := s.begin(r.Takeover); err != nil {
			return err
		}
		return s.out.Encode(reply{Op: opBegun, Begun: s.engine.Clock()})
	case opForget:
		if s.engine != nil {
			s.engine.subject.Ephemeral = false
		}
		return nil
	case opEnd:
		ended := &Ended{}
		if s.engine != nil {
			s.engine.End()
			ended = s.engine.Summary()
			s.engine.Close()
			if spool := s.engine.subject.Spool; spool != nil {
				_ = spool.Close() // its files told their errors
			}
		}
		s.engine, s.attached, s.begun, s.refused = nil, false, false, false
		return s.out.Encode(reply{Op: opEnded, Ended: ended})
	}
	return fmt.Errorf("order %q is unknown", r.Op)
}

// begin takes the first readings, or goes on where the runner stopped.
func (s *server) begin(t *Takeover) error {
	if t == nil {
		return s.engine.Begin()
	}
	files, err := receiveFiles(t.files())
	if err != nil {
		return err
	}
	return s.engine.Join(t, files)
}
