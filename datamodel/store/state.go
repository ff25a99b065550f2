package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

// Room is the space that is kept for the State of a run. It is made before the command starts, since the command may fill
// the disk.
type Room struct {
	file *os.File
	path string
	used int // bytes of the longest State so far
}

// ReserveState makes room for a State in a spool folder. more is the number of bytes needed beyond the usual.
func ReserveState(spool *Folder, more int) (*Room, error) {
	file, err := spool.Create(stateFile)
	if err != nil {
		return nil, err
	}
	r := &Room{file: file, path: filepath.Join(spool.path, stateFile)}
	if _, err := file.Write(bytes.Repeat([]byte{' '}, stateRoom+more)); err != nil {
		return nil, errors.Join(err, r.Close()) // it names the file
	}
	return r, nil
}

// Save writes a State into the room, in place and without a sync. It helps if the disk is full, or if ergon is killed before
// it has written the run's files; not if the machine goes down. It also tells those who follow the spool that the run has
// ended.
func (r *Room) Save(s State) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write %s: %w", r.path, err)
	}
	text = sealed(text, ","+digestKey)
	text = append(text, bytes.Repeat([]byte{' '}, max(0, r.used-len(text)))...)
	if _, err := r.file.WriteAt(text, 0); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	r.used = len(text)
	return nil
}

// Close releases the file.
func (r *Room) Close() error { return r.file.Close() }

// LoadState reads a State back. If there is none, because there is no room or nothing was written into it, the error wraps
// fs.ErrNotExist.
func LoadState(spool *Folder) (s State, err error) {
	path := filepath.Join(spool.path, stateFile)
	text, err := spool.readLimited(stateFile, manifestLimit)
	if err != nil {
		return s, err
	}
	if len(bytes.TrimLeft(text, " ")) == 0 {
		return s, fmt.Errorf("read %s: nothing was written: %w", path, fs.ErrNotExist)
	}
	if _, err := unsealed(text); err != nil { // spaces may follow
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	if err := checkJSON(text); err != nil {
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	s.Run.RestoreCommand()
	if !datamodel.ReadsManifest(s.Run.Schema) {
		return s, fmt.Errorf("read %s: schema %q: %w", path, s.Run.Schema, ErrForeign)
	}
	return s, nil
}
