// Package inventory counts the files in folders by type, twice, and tells what changed in between. It counts regular files,
// as `find -type f` does, and follows no links. It knows nothing of runs.
package inventory

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Other is the type of a file whose name has no extension or does not match the pattern.
const Other = "other"

// MostTypes is the largest number of types of one area. Files of the smallest types count as Other.
const MostTypes = 200

// MostFiles is the largest number of files that are remembered, which takes some 30 bytes for each. Beyond it the files are
// still counted, but nobody can say which ones changed.
const MostFiles = 10_000_000

// mostClasses bounds the types that one walk tells apart, over all areas.
const mostClasses = 1 << 16

// Area is a folder whose files are counted.
type Area struct {
	// Name names the area. No two areas of a call have the same name.
	Name string
	// Path is the absolute path. If it ends with a slash, it may be a link to the folder.
	Path string
	// Pattern gives the types; nil takes the extension of a name.
	Pattern *Pattern
}

// Pattern is a regular expression with one or two named groups. What they match is the type of a file.
type Pattern struct {
	text   string
	expr   *regexp.Regexp
	groups []int
	names  []string
	path   bool // it matches the path below the area, not the name
}

// NewPattern compiles a pattern in the syntax of package regexp. It must match the whole name of a file or, if it has a
// slash, the whole path below the area.
func NewPattern(text string) (*Pattern, error) {
	expr, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		_, err := regexp.Compile(text) // its message has the text as it was given
		return nil, fmt.Errorf("invalid pattern %q: %w", text, err)
	}
	p := &Pattern{text: text, expr: expr, path: strings.Contains(text, "/")}
	for i, name := range expr.SubexpNames() {
		if name == "" {
			continue
		}
		if slices.Contains(p.names, name) {
			return nil, fmt.Errorf("invalid pattern %q: two groups are called %s", text, name)
		}
		p.groups, p.names = append(p.groups, i), append(p.names, name)
	}
	if n := len(p.names); n < 1 || n > 2 {
		return nil, fmt.Errorf("invalid pattern %q: it has %d named groups (one or two: %s)", text, n, `(?P<instrument>\w+)_(?P<type>\w+)\.fits`)
	}
	return p, nil
}

// String returns the pattern as it was given, and "" for none.
func (p *Pattern) String() string {
	if p == nil {
		return ""
	}
	return p.text
}

// Groups names the parts of a type: the groups of the pattern, or "type" for the extension.
func (a Area) Groups() []string {
	if a.Pattern == nil {
		return []string{"type"}
	}
	return a.Pattern.names
}

// Options say what is counted.
type Options struct {
	Areas []Area
	// Once counts a file with several names once, as du does.
	Once bool
	// MostFiles replaces the limit of that name if it is not 0.
	MostFiles int
}

// Amount is a number of files and the sum of their sizes in bytes.
type Amount struct{ Files, Bytes int64 }

func (a *Amount) add(bytes int64) {
	a.Files++
	a.Bytes += bytes
}

func (a *Amount) join(b Amount) {
	a.Files += b.Files
	a.Bytes += b.Bytes
}

// Row has the files of one type in one area. Each file is in one row: in that of the innermost area.
type Row struct {
	// Groups are the parts of the type, in the order of Area.Groups.
	Groups        []string
	Before, After Amount
	// Made, Grown, Shrunk and Deleted count the files that differ between Before and After, and the bytes by which they
	// differ. They are 0 if Counted.Unknown says why they are not known.
	Made, Grown, Shrunk, Deleted Amount
}

func (r *Row) join(more Row) {
	r.Before.join(more.Before)
	r.After.join(more.After)
	r.Made.join(more.Made)
	r.Grown.join(more.Grown)
	r.Shrunk.join(more.Shrunk)
	r.Deleted.join(more.Deleted)
}

// Errors counts what could not be counted in an area.
type Errors struct {
	// Dangling counts links that lead nowhere. Vanished counts what was removed during the walk.
	Dangling, Vanished int64
	// Unread counts folders and files that could not be read: a permission is lacking, or the disk fails. Loops counts
	// folders that contain themselves.
	Unread, Loops int64
	// First is the first error behind Unread, or behind what the first walk could not read; nil if there was none.
	First error
}

// All returns the sum.
func (e Errors) All() int64 { return e.Dangling + e.Vanished + e.Unread + e.Loops }

// Counted is what was counted in an area.
type Counted struct {
	Area Area
	// Within names the innermost area around this one; "" if there is none.
	Within string
	// Rows are sorted by their groups. They exclude the areas within this one.
	Rows []Row
	// Merged is the number of types that count as Other because there are more than MostTypes.
	Merged int
	// Errors are those of the second walk.
	Errors Errors
	// FileSystem holds the folder, after the command. Its Err says why it is not known.
	FileSystem FileSystem
	// Err says why the area could not be counted at all. Unknown says why it is not known which files changed. Both are
	// nil if all is known.
	Err, Unknown error
}

// FileSystem is the space of a file system in bytes, as df shows it.
type FileSystem struct {
	// Mount is the folder that the file system is mounted on.
	Mount string
	// Free is what is free for users. Total less Used may be more.
	Total, Used, Free uint64
	Err               error
}

var (
	// errTooMany says why the changes are not known.
	errTooMany = errors.New("too many files to remember each")
	// errLink says that root does not follow a link that an area names.
	errLink = errors.New("a link, which root does not follow (a / behind the path follows it)")
	// errNoFolder says that there was no such folder, neither before nor after.
	errNoFolder = errors.New("no such folder")
)
