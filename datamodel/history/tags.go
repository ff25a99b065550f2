package history

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel/store"
)

const (
	// tagsFolder is the folder of the tags in a results folder.
	tagsFolder = "_tags"
	// longestTag bounds the name of a tag in bytes, longestID the id in it.
	longestTag = 100
	longestID  = 255
	// mostTags bounds how many tags are read.
	mostTags = 100_000
)

// Tag is a name of one run.
type Tag struct {
	Name string
	// ID is the id of the run. There may be no such run any more.
	ID string
}

// CheckTag returns an error if a tag may not have this name. A tag is a word in paths and in shells, and it may not look like
// another reference to a run.
func CheckTag(name string) error {
	const rule = "letters, digits, and between them . _ -"
	switch {
	case name == "":
		return errors.New("no tag given")
	case name == Last:
		return fmt.Errorf("%q means the latest run (choose another tag)", name)
	case len(name) > longestTag:
		return fmt.Errorf("%d characters are too many (at most %d)", len(name), longestTag)
	}
	for i, c := range []byte(name) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		inside := i > 0 && i < len(name)-1 && strings.IndexByte("._-", c) >= 0
		if !plain && !inside {
			return fmt.Errorf("invalid tag %q (%s)", name, rule)
		}
	}
	return nil
}

// Tags lists the tags, sorted by name. A tag that cannot be read is left out, with a note.
func (h History) Tags() ([]Tag, error) {
	dir, err := h.openTags()
	if dir == nil || err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }() // it was only read
	names, err := dir.List()
	if err != nil {
		return nil, err
	}
	var tags []Tag
	for _, name := range names {
		if CheckTag(name) != nil { // not made by ergon, or not finished
			continue
		}
		id, err := readTag(dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			h.note(fmt.Errorf("tag %s: %w", name, err))
		default:
			tags = append(tags, Tag{name, id})
		}
		if len(tags) > mostTags {
			return nil, fmt.Errorf("%s: more than %d tags", dir.Path(), mostTags)
		}
	}
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
	return tags, nil
}

func (h History) note(err error) {
	if h.Note != nil {
		h.Note(err)
	}
}

// openTags opens the folder of the tags; nil if there is none.
func (h History) openTags() (*store.Folder, error) {
	results, err := store.OpenFolder(h.Results)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there are no tags
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = results.Close() }() // nothing was written through it
	dir, err := results.Open(tagsFolder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there are no tags
	}
	return dir, err
}

// readTag reads the id in a tag.
func readTag(dir *store.Folder, name string) (id string, err error) {
	text, err := dir.ReadSmall(name, longestID+1)
	if err != nil {
		return "", err
	}
	id = strings.TrimSuffix(string(text), "\n")
	if id == "" || strings.ContainsAny(id, "\n/\x00") {
		return "", fmt.Errorf("%s: not a tag (`ergon runs tag rm %s` removes it)", filepath.Join(dir.Path(), name), name)
	}
	return id, nil
}

// tag returns the id of the run that has a tag; empty if there is no such tag.
func (h History) tag(name string) (id string, err error) {
	if CheckTag(name) != nil {
		return "", nil
	}
	dir, err := h.openTags()
	if err != nil {
		h.note(fmt.Errorf("no tag is known: %w", err))
	}
	if dir == nil || err != nil {
		return "", nil
	}
	defer func() { _ = dir.Close() }() // it was only read
	id, err = readTag(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return id, err
}

// tagsByRun returns the tags of each run by its id.
func (h History) tagsByRun() map[string][]string {
	tags, err := h.Tags()
	if err != nil {
		h.note(fmt.Errorf("no tags are shown: %w", err))
	}
	of := map[string][]string{}
	for _, t := range tags {
		of[t.ID] = append(of[t.ID], t.Name)
	}
	return of
}

// hasTag reports whether a run has a tag. The error says which tags cannot be read: one of them could be the run's.
func (h History) hasTag(id string) (bool, error) {
	var unread error
	h.Note = func(err error) { unread = errors.Join(unread, err) }
	tags, err := h.Tags()
	return slices.ContainsFunc(tags, func(t Tag) bool { return t.ID == id }), errors.Join(err, unread)
}

// AddTag gives a run a tag. If another run has the tag, it is an error, unless move is true. owner gets the folder of the tags if
// it has to be made; nil is the user of this process.
func (h History) AddTag(name, id string, move bool, owner *store.Owner) error {
	if err := CheckTag(name); err != nil {
		return fmt.Errorf("tag: %w", err)
	}
	by, err := store.FindID(h.Results, name)
	if err != nil {
		return err
	}
	if by != "" {
		return fmt.Errorf("tag %s: a run has this id (choose another tag)", name)
	}
	dir, err := h.makeTags(owner)
	if err != nil {
		return fmt.Errorf("tag %s: %w", name, err)
	}
	defer func() { _ = dir.Close() }() // the tag is written
	has, err := readTag(dir, name)
	switch {
	case err == nil && has == id:
		return nil
	case err == nil && !move:
		return fmt.Errorf("tag %s: run %s has it (--move gives it to the other run)", name, has)
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !move:
		return fmt.Errorf("tag %s: %w", name, err)
	}
	if err := writeTag(dir, name, id+"\n", move); err != nil {
		return fmt.Errorf("tag %s: %w", name, err)
	}
	return nil
}

// writeTag writes a tag. If it may not be moved, and somebody else makes it at the same moment, the error wraps fs.ErrExist.
func writeTag(dir *store.Folder, name, text string, move bool) error {
	if move {
		return dir.Put(name, false, []byte(text))
	}
	file, err := dir.Create(name)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, dir.Remove(name))
	}
	return nil
}

// makeTags opens the folder of the tags, and makes it if it is missing.
func (h History) makeTags(owner *store.Owner) (*store.Folder, error) {
	results, err := store.OpenFolder(h.Results)
	if err != nil {
		return nil, err
	}
	return results.Within(tagsFolder, owner)
}

// RemoveTag removes a tag. The run stays. If id is not empty, the tag must be of that run.
func (h History) RemoveTag(name, id string) error {
	missing := fmt.Errorf("tag %s: there is no such tag in %s (`ergon runs tag` lists them)", name, h.Results)
	if CheckTag(name) != nil {
		return missing
	}
	dir, err := h.openTags()
	if err != nil {
		return fmt.Errorf("tag %s: %w", name, err)
	}
	if dir == nil {
		return missing
	}
	defer func() { _ = dir.Close() }() // the tag is removed
	if id != "" {
		has, err := readTag(dir, name)
		if err == nil && has != id {
			return fmt.Errorf("tag %s: it is of run %s, not of run %s", name, has, id)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tag %s: %w", name, err)
		}
	}
	switch err := dir.Remove(name); {
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case err != nil:
		return fmt.Errorf("tag %s: %w", name, err)
	}
	return nil
}
