package runner

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

const (
	// idRandom is the number of random characters in an id: 5 bits each, so 60 bits. With 10,000 starts in each second,
	// two ids are the same once in some 700 years.
	idRandom = 12
	// idLongest bounds an id that a caller chooses. It also stands in paths and in the first line of reports.
	idLongest = 100
	// idTries bounds how often another id is tried if a run has the first one.
	idTries = 10
)

// newID names a run: the time ergon was called, in UTC, and random letters and digits. So names sort by time.
func newID(at time.Time) string {
	return at.UTC().Format(store.IDTime) + "-" + strings.ToLower(rand.Text()[:idRandom])
}

// CheckID returns an error if a caller may not name a run like that. An id is a word in paths, tables and shells.
func CheckID(id string) error {
	const rule = "letters, digits, and between them . _ -"
	switch {
	case id == "":
		return errors.New("no id given")
	case id == store.Last:
		return fmt.Errorf("%q means the latest run (choose another id)", id)
	case len(id) > idLongest:
		return fmt.Errorf("%d characters are too many (at most %d)", len(id), idLongest)
	}
	for i, c := range []byte(id) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		inside := i > 0 && i < len(id)-1 && strings.IndexByte("._-", c) >= 0
		if !plain && !inside {
			return fmt.Errorf("invalid id %q (%s)", id, rule)
		}
	}
	return nil
}

// newDir makes the folder of a run. If a run has its id already, the run gets the next id that fresh returns. If fresh is
// nil, the caller chose the id, and no other run of the results folder may have it.
func newDir(results string, run *datamodel.Run, fresh func() string, a store.Access) (dir *store.Folder, err error) {
	if fresh == nil {
		switch by, err := store.FindID(results, run.ID); {
		case err != nil:
			return nil, err
		case by != "":
			return nil, idTaken(run.ID, by)
		}
	}
	for range idTries {
		dir, err = store.NewRun(results, run.Project, run.Start, run.ID, a)
		switch {
		case !errors.Is(err, os.ErrExist):
			return dir, err
		case fresh == nil: // another run took it since
			return nil, idTaken(run.ID, results)
		}
		run.ID = fresh()
	}
	return nil, err
}

// idTaken says that a run has the id that the caller chose. The error wraps os.ErrExist.
func idTaken(id, by string) error {
	return fmt.Errorf("run id %s: %w: a run in %s has it (choose another with --run-id)", id, os.ErrExist, by)
}
