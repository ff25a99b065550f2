//go:build !linux

package sampler

import (
	"errors"
	"os"

	"github.com/ergon-energy/ergon/datamodel/store"
)

// filesPair returns nil: on these systems no descriptors are handed over.
func filesPair() (ours, theirs *os.File, err error) { return nil, nil, nil }

// sendFiles returns an error unless there is nothing to send.
func sendFiles(_ *os.File, files []int) error {
	if len(files) > 0 {
		return errors.ErrUnsupported
	}
	return nil
}

// sendFolder sends nothing: the sampler opens the folder by its path.
func sendFolder(*os.File, *store.Folder) error { return nil }

// receiveFolder returns an error: nothing is sent.
func receiveFolder(string) (*store.Folder, error) { return nil, errors.ErrUnsupported }

// receiveFiles returns an error unless there is nothing to receive.
func receiveFiles(counts []int) ([][]int, error) {
	for _, n := range counts {
		if n > 0 {
			return nil, errors.ErrUnsupported
		}
	}
	return make([][]int, len(counts)), nil
}

// closeFiles does nothing.
func closeFiles([]int) {}
