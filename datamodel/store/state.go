package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ergon-energy/ergon/datamodel"
)

const (
	// stateFile lies in the spool folder beside the readings.
	stateFile = "run.json"
	// stateRoom is several times the size of a state, which is 4 KB, or more with many sources, warnings or a long command.
	stateRoom = 16 << 10
)

// State is what only the runner knows when the command has ended.
type State struct {
	Run    datamodel.Run    `json:"run"`
	Ledger datamodel.Ledger `json:"ledger"`
}

// ReserveState makes room for a State in a spool folder. It is called before the command starts, since the command may
// fill the disk. more is the number of bytes needed beyond the usual.
func ReserveState(spool string, more int) error {
	path := filepath.Join(spool, stateFile)
	if err := os.WriteFile(path, bytes.Repeat([]byte{' '}, stateRoom+more), 0o666); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// SaveState writes a State into the room that ReserveState made, in place and without a sync. It helps if the disk is
// full, or if ergon is killed before it has written the run's files; not if the machine goes down. It also tells those
// who follow the spool that the run has ended.
func SaveState(spool string, s State) error {
	path := filepath.Join(spool, stateFile)
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// LoadState reads a State back. It returns an error if nothing was written into the room.
func LoadState(spool string) (s State, err error) {
	path := filepath.Join(spool, stateFile)
	text, err := readLimited(path, manifestLimit)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil { // spaces may follow
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	if s.Run.Schema != datamodel.ManifestSchema {
		return s, fmt.Errorf("read %s: schema %q: %w", path, s.Run.Schema, ErrForeign)
	}
	return s, nil
}
