package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Folder is a handle of a folder that ergon writes to: the folder of a run, its spool, a temporary folder. Whatever is made,
// read, renamed or removed in the folder goes through the handle. The handle stays with the folder if somebody renames the
// folder or puts a link in its place. Names are plain names in the folder, never paths. No method follows a link, and no
// method writes to a file that it has not made itself. Errors are *fs.PathError. All methods may be called concurrently.
type Folder struct {
	handle
	path string
	// ofRun says that the folder is a run's or temporary, and decides about what is made in it. A folder in it inherits this.
	ofRun bool
	// owner gets what is made in a folder that is not a run's; nil is the user of this process.
	owner *Owner
	up    *Folder // the folder that it was made in, if this handle owns that one too
}

const (
	// tempNames is how many random names are tried. Each has 64 random bits, so only an attacker could make them collide.
	tempNames = 10
	// tempSuffix ends the name of a file that is not finished.
	tempSuffix = ".tmp"
	// newRunTries is how often a run's folder is made if a folder above it vanishes meanwhile.
	newRunTries = 5
	// treeDepth bounds how deep RemoveTree goes. A run has two levels.
	treeDepth = 8
)

// ErrLocked means that another process works on a folder.
var ErrLocked = errors.New("the run has not ended yet")

// errReplaced means that somebody put another folder in the place of the new one.
var errReplaced = errors.New("somebody put another folder in its place")

// errLink means that there is a link or something else in the place of a file or a folder.
var errLink = errors.New("a link or a special file stands in its place")

// OpenFolder opens a folder that the caller of ergon has named. So the path may lead through links.
func OpenFolder(path string) (*Folder, error) {
	h, err := openHandle(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Folder{handle: h, path: path}, nil
}

// Path is how the folder was named. It is for messages and for readers of results.
func (f *Folder) Path() string { return f.path }

// Open opens a folder in this one.
func (f *Folder) Open(name string) (*Folder, error) {
	h, err := f.open(name)
	if err != nil {
		return nil, f.fault("open", name, err)
	}
	return &Folder{handle: h, path: filepath.Join(f.path, name), ofRun: f.ofRun, owner: f.owner}, nil
}

// Make makes a folder in this one and opens it. If the name is taken, by whatever, the error wraps fs.ErrExist.
func (f *Folder) Make(name string) (*Folder, error) {
	return f.makeAs(name, f.rights())
}

func (f *Folder) makeAs(name string, r rights) (*Folder, error) {
	if err := f.mkdir(name, r.folder()); err != nil {
		return nil, f.fault("make", name, err)
	}
	return f.openMade(name, r)
}

// openMade opens a folder that this process has just made, and gives it the rights.
func (f *Folder) openMade(name string, r rights) (*Folder, error) {
	sub, err := f.Open(name)
	if err != nil || r.owner == nil && !r.exact {
		return sub, err
	}
	// Whoever may write in this folder could have put another one in its place. An empty one gives nothing away.
	if names, err := sub.list(); err != nil || len(names) > 0 || !sub.own() {
		_ = sub.Close() // nothing was written
		return nil, f.fault("make", name, errReplaced)
	}
	if err := sub.settle(r, f.keepsGroup()); err != nil {
		return nil, errors.Join(f.fault("make", name, err), sub.Close())
	}
	return sub, nil
}

// rights returns what a new file in the folder gets.
func (f *Folder) rights() rights {
	if !f.ofRun {
		return byUmask(f.owner)
	}
	mode, owner, err := f.mode()
	if err != nil {
		return rights{mode: 0o600}
	}
	return inside(mode, owner, os.Geteuid())
}

// keepsGroup reports whether what is made in the folder gets the folder's group.
func (f *Folder) keepsGroup() bool {
	mode, _, err := f.mode()
	return err == nil && mode&fs.ModeSetgid != 0
}

// within opens a folder in this one, and makes it if it is missing. The new handle owns this one.
func (f *Folder) within(name string) (*Folder, error) {
	sub, err := f.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if sub, err = f.Make(name); errors.Is(err, fs.ErrExist) { // another run has just made it
			sub, err = f.Open(name)
		}
	}
	if err != nil {
		return nil, err
	}
	sub.up = f
	return sub, nil
}

// Within opens a folder in this one, and makes it if it is missing. owner gets a folder that is made, and what is made in it; nil
// is the user of this process. The new handle owns this one: Close closes both. After an error both are closed.
func (f *Folder) Within(name string, owner *Owner) (*Folder, error) {
	f.owner = owner
	sub, err := f.within(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return sub, nil
}

// Create makes a new file for reading and writing. If the name is taken, by whatever, the error wraps fs.ErrExist.
func (f *Folder) Create(name string) (*os.File, error) {
	return f.createAs(name, f.rights())
}

func (f *Folder) createAs(name string, r rights) (*os.File, error) {
	file, err := f.create(name, filepath.Join(f.path, name), r.mode)
	if err != nil {
		return nil, f.fault("create", name, err)
	}
	if err := r.apply(file, r.owner != nil && f.keepsGroup()); err != nil {
		return nil, errors.Join(f.fault("create", name, err), file.Close(), f.Remove(name))
	}
	return file, nil
}

// createTemp makes a new file under a name that cannot be foretold. Rename then gives it its name.
func (f *Folder) createTemp(name string, r rights) (file *os.File, temp string, err error) {
	for range tempNames {
		temp = "." + name + "." + randomName() + tempSuffix
		if file, err = f.createAs(temp, r); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return file, temp, err
}

// Read opens a regular file for reading.
func (f *Folder) Read(name string) (*os.File, error) {
	file, err := f.read(name, filepath.Join(f.path, name))
	if err != nil {
		return nil, f.fault("read", name, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errLink
	}
	if err != nil {
		_ = file.Close() // nothing was read
		return nil, f.fault("read", name, err)
	}
	return file, nil
}

// Put writes a file anew, in place of one of that name. It appears whole or not at all. It is not synced: after a crash of the
// machine it may be damaged. If private is true, only the user of this process can read it, whatever the folder's rights are.
func (f *Folder) Put(name string, private bool, content []byte) error {
	r := f.rights()
	if private {
		r = rights{mode: 0o600}
	}
	w, err := f.beginAs(name, r)
	if err != nil {
		return err
	}
	err = w.fill(func(to io.Writer) error {
		_, err := to.Write(content)
		return err
	})
	if err == nil {
		err = w.file.Close()
	}
	if err != nil {
		return w.fail(err)
	}
	return w.name()
}

// ReadSmall returns a file of at most so many bytes.
func (f *Folder) ReadSmall(name string, limit int64) ([]byte, error) {
	return f.readLimited(name, limit)
}

// ReadOwn returns a file of at most so many bytes that belongs to the user of this process. Nobody else can have chosen what is
// in it.
func (f *Folder) ReadOwn(name string, limit int64) ([]byte, error) {
	file, err := f.Read(name)
	if err != nil {
		return nil, err
	}
	if !ownFile(file) {
		_ = file.Close() // it was only opened
		return nil, f.fault("read", name, fs.ErrPermission)
	}
	return readAll(file, filepath.Join(f.path, name), limit)
}

// Rename gives a file of this folder another name. A file or a link of that name is replaced, not followed.
func (f *Folder) Rename(name, to string) error {
	if err := f.rename(name, to); err != nil {
		return f.fault("rename", name, err)
	}
	return nil
}

// MoveTo moves an entry of this folder into another one, under another name. It replaces a file of that name, but no folder that
// has something in it.
func (f *Folder) MoveTo(name string, to *Folder, as string) error {
	if err := f.move(name, to.handle, as); err != nil {
		return f.fault("move", name, err)
	}
	return nil
}

// Remove removes a file, a link or an empty folder.
func (f *Folder) Remove(name string) error {
	if err := f.remove(name); err != nil {
		return f.fault("remove", name, err)
	}
	return nil
}

// RemoveTree removes a folder in this one with everything in it.
func (f *Folder) RemoveTree(name string) error { return f.removeTree(name, treeDepth) }

func (f *Folder) removeTree(name string, depth int) error {
	err := f.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	sub, notFolder := f.Open(name)
	if notFolder != nil || depth == 0 {
		return err
	}
	err = sub.clear(depth - 1)
	_ = sub.Close() // nothing was written through it
	return errors.Join(err, f.Remove(name))
}

// clear removes everything in the folder.
func (f *Folder) clear(depth int) error {
	names, err := f.List()
	for _, name := range names {
		err = errors.Join(err, f.removeTree(name, depth))
	}
	return err
}

// Discard removes the folder with everything in it, if NewRun or TempFolder has made it. It also removes the folders of
// the date and of the project, if they are empty now.
func (f *Folder) Discard() error {
	if f.up == nil {
		return nil
	}
	err := errors.Join(f.clear(treeDepth), f.up.Remove(filepath.Base(f.path)))
	for above := f.up; above.up != nil; above = above.up {
		if above.up.Remove(filepath.Base(above.path)) != nil {
			break // another run is in it
		}
	}
	return err
}

// List returns the names in the folder, in no order.
func (f *Folder) List() ([]string, error) {
	names, err := f.list()
	if err != nil {
		return names, &fs.PathError{Op: "list", Path: f.path, Err: err}
	}
	return names, nil
}

// Lock locks the folder until it is closed or this process ends. If another process has the lock, the error is ErrLocked.
// A file system without locks (some network ones) gives no error: there is no lock then.
func (f *Folder) Lock() error {
	if _, err := f.lock(); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// Dead locks the folder and reports whether that proves that no other process works on it.
func (f *Folder) Dead() bool {
	held, err := f.lock()
	return held && err == nil
}

// Alive reports whether another process has locked the folder. It holds the lock for a moment itself, but shared: two that ask
// at the same time do not see each other. On a file system without locks nobody knows, and the answer is yes.
func (f *Folder) Alive() bool { return f.taken() }

// RemoveTemps removes the files that were not finished. The folder must be locked.
func (f *Folder) RemoveTemps() error {
	names, err := f.List()
	for _, name := range names {
		if isTemp(name) {
			err = errors.Join(err, f.Remove(name))
		}
	}
	return err
}

// isTemp reports whether a name is one that createTemp makes.
func isTemp(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, tempSuffix)
}

// Unused reports whether nothing was ever kept in the folder of a run: no manifest, no readings. A run that is killed while
// it starts leaves such a folder. The folder must be locked.
func (f *Folder) Unused() bool {
	names, err := f.List()
	if err != nil {
		return false
	}
	for _, name := range names {
		if name != SpoolFolder && !isTemp(name) {
			return false
		}
	}
	spool, err := f.Open(SpoolFolder)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer func() { _ = spool.Close() }() // it was only read
	names, err = spool.List()
	return err == nil && spool.Dead() && (len(names) == 0 || len(names) == 1 && names[0] == stateFile)
}

// Strange lists what is in the folder of a run and is not ergon's, sorted.
func (f *Folder) Strange() ([]string, error) {
	names, err := f.List()
	names = slices.DeleteFunc(names, func(name string) bool {
		return name == ManifestFile || name == SpoolFolder || isTemp(name) || slices.Contains(runFiles(), name)
	})
	slices.Sort(names)
	return names, err
}

// Sync makes the names in the folder durable.
func (f *Folder) Sync() error {
	// Some network and FUSE file systems cannot sync a folder; the files are there all the same.
	if err := f.sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) && !unsupportedSync(err) {
		return fmt.Errorf("sync folder %s: %w", f.path, err)
	}
	return nil
}

// Close releases the handle, and with it the lock.
func (f *Folder) Close() error {
	var err error
	for at := f; at != nil; at = at.up {
		err = errors.Join(err, at.close())
	}
	return err
}

// fault returns the error of an entry of the folder.
func (f *Folder) fault(op, name string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return &fs.PathError{Op: op, Path: filepath.Join(f.path, name), Err: err}
}

// plain returns an error unless a name is that of an entry: no path, and neither the folder itself nor the one above.
func plain(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || !filepath.IsLocal(name) ||
		strings.ContainsRune(name, filepath.Separator) {
		return fs.ErrInvalid
	}
	return nil
}

// randomName returns 64 random bits.
func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// TempFolder makes a folder for readings that are not kept. Only the caller's user can open it.
func TempFolder() (*Folder, error) {
	temp, err := OpenFolder(os.TempDir())
	if err != nil {
		return nil, err
	}
	name := tempPrefix + randomName()
	if err := temp.mkdir(name, 0o700); err != nil {
		return nil, errors.Join(temp.fault("make", name, err), temp.Close())
	}
	f, err := temp.Open(name)
	if err != nil {
		return nil, errors.Join(err, temp.Close())
	}
	f.up, f.ofRun = temp, true
	// Until it was locked, the folder looked like one that a killed run has left.
	if err := f.Lock(); err != nil || !temp.holds(name, f.handle) {
		return nil, errors.Join(temp.fault("lock", name, errReplaced), err, f.Close())
	}
	return f, nil
}

// tempPrefix begins the name of a temporary folder.
const tempPrefix = "ergon-"

// SweepTemp removes the temporary folders of this user that killed runs have left. It returns how many.
func SweepTemp() (removed int) {
	temp, err := OpenFolder(os.TempDir())
	if err != nil {
		return 0
	}
	defer func() { _ = temp.Close() }() // what is removed is gone
	names, _ := temp.List()             // those that could be read
	for _, name := range names {
		random, ok := strings.CutPrefix(name, tempPrefix)
		if _, err := hex.DecodeString(random); !ok || err != nil || len(random) != 16 {
			continue
		}
		f, err := temp.Open(name)
		if err != nil {
			continue
		}
		if _, own := f.Owner(); own && f.Dead() && temp.RemoveTree(name) == nil {
			removed++
		}
		_ = f.Close() // it is removed
	}
	return removed
}

// NewRun makes the folder of a run below results, opens it and locks it. Results, as the caller names it, may be a link;
// nothing below may be one. The date in the path is the day of called in UTC. If the folder exists, the error wraps
// fs.ErrExist: an earlier run is never overwritten. a says whom the run belongs to and who may read it.
func NewRun(results, project string, called time.Time, id string, a Access) (*Folder, error) {
	if project == "" {
		project = "unnamed"
	}
	if id == "" {
		return nil, errors.New("new run folder: no run id")
	}
	date := datePrefix + called.UTC().Format(time.DateOnly)
	run, err := newRun(results, projectPrefix+escape(project), date, runPrefix+escape(id), a)
	for try := 1; try < newRunTries && errors.Is(err, fs.ErrNotExist); try++ { // somebody has just removed an empty folder above it
		run, err = newRun(results, projectPrefix+escape(project), date, runPrefix+escape(id), a)
	}
	if err != nil {
		return nil, fmt.Errorf("new run folder: %w", err)
	}
	return run, nil
}

func newRun(results, project, date, name string, a Access) (_ *Folder, err error) {
	open := OpenFolder
	if a.Unnamed {
		open = openUnnamed
	}
	at, err := open(results)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeResults(results, a.Owner); err == nil {
			at, err = open(results)
		}
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = at.Close() // nothing was written
		}
	}()
	at.owner = a.Owner
	for _, name := range []string{project, date} {
		sub, err := at.within(name)
		if err != nil {
			return nil, err
		}
		at = sub
	}
	run, err := at.makeAs(name, a.run())
	if err != nil {
		return nil, err
	}
	run.ofRun = true
	// Until it was locked, the folder looked like one that a killed run has left, and Recover may have removed it.
	err = run.Lock()
	if err == nil && !at.holds(name, run.handle) {
		err = fs.ErrExist
	} else if errors.Is(err, ErrLocked) {
		err = at.fault("lock", name, fs.ErrExist)
	}
	if err != nil {
		_ = run.Close() // nothing was written
		return nil, err
	}
	run.up = at
	return run, nil
}

// openUnnamed opens a folder that the caller has not named. A link in its place is followed only if nobody but the user of
// this process and root can have put it there.
func openUnnamed(path string) (*Folder, error) {
	above, err := OpenFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = above.Close() }() // nothing was written through it
	f, err := above.Open(filepath.Base(path))
	if errors.Is(err, errLink) && above.trusts(filepath.Base(path)) {
		return OpenFolder(path)
	}
	return f, err
}

// ignoreFile keeps a results folder out of a git repository. git reads it like any other file of this name.
const (
	ignoreFile = ".gitignore"
	ignoreText = "# made by ergon with this folder: git ignores the results\n*\n"
)

// makeResults makes a results folder, those above it that are missing, and its .gitignore. A folder that exists is the
// user's: ergon writes no .gitignore into it.
func makeResults(path string, owner *Owner) error {
	made, err := makeAll(path, owner)
	if made == nil || err != nil {
		return err
	}
	made.owner = owner
	ignore, err := made.Create(ignoreFile)
	if err != nil {
		return errors.Join(err, made.Close())
	}
	_, err = ignore.WriteString(ignoreText)
	return errors.Join(err, ignore.Close(), made.Close())
}

// makeAll makes a folder that the caller has named, and those above it that are missing. It returns nil if another run has
// just made the folder.
func makeAll(path string, owner *Owner) (*Folder, error) {
	above := filepath.Dir(path)
	at, err := OpenFolder(above)
	if errors.Is(err, fs.ErrNotExist) && above != path {
		var made *Folder
		if made, err = makeAll(above, owner); made != nil {
			_ = made.Close() // nothing was written through it
		}
		if err == nil {
			at, err = OpenFolder(above)
		}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = at.Close() }() // nothing was written through it
	at.owner = owner
	made, err := at.Make(filepath.Base(path))
	if errors.Is(err, fs.ErrExist) {
		return nil, nil
	}
	return made, err
}

// InResults reports whether a folder has the place of a run in a results folder: project=P/date=D/run=ID.
func InResults(dir string) bool {
	day := filepath.Dir(filepath.Clean(dir))
	return strings.HasPrefix(filepath.Base(dir), runPrefix) && strings.HasPrefix(filepath.Base(day), datePrefix) &&
		strings.HasPrefix(filepath.Base(filepath.Dir(day)), projectPrefix)
}

// OpenRun opens the folder of a run. The levels below the results folder, which are called project=, date= and run=, may
// not be links, and neither may the archive.
func OpenRun(dir string) (*Folder, error) {
	dir = filepath.Clean(dir)
	var below []string
	for _, prefix := range []string{runPrefix, datePrefix, projectPrefix} {
		if base := filepath.Base(dir); strings.HasPrefix(base, prefix) {
			below, dir = append(below, base), filepath.Dir(dir)
		} else {
			break
		}
	}
	if len(below) == runLevels && filepath.Base(dir) == ArchiveFolder {
		below, dir = append(below, ArchiveFolder), filepath.Dir(dir)
	}
	at, err := OpenFolder(dir)
	for i := len(below) - 1; i >= 0 && err == nil; i-- {
		var sub *Folder
		if sub, err = at.Open(below[i]); err == nil {
			sub.up = at
			at = sub
		}
	}
	if err != nil {
		if at != nil {
			_ = at.Close() // nothing was written
		}
		return nil, fmt.Errorf("run folder: %w", err)
	}
	at.ofRun = true
	return at, nil
}
