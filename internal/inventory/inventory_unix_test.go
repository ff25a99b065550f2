//go:build unix

package inventory

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// found returns what find says: the number of lines and the sum of their last words.
func found(t *testing.T, dir, format string) Amount {
	t.Helper()
	if out, err := exec.Command("find", "--version").Output(); err != nil || !strings.Contains(string(out), "GNU") {
		t.Skip("there is no GNU find")
	}
	cmd := exec.Command("find", dir, "-type", "f", "-printf", format)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && !strings.Contains(stderr.String(), "Permission denied") {
		t.Fatalf("find: %v %s", err, stderr.String())
	}
	seen := map[string]bool{}
	var all Amount
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || len(words) > 1 && seen[line] {
			continue
		}
		seen[line] = true
		size, err := strconv.ParseInt(words[len(words)-1], 10, 64)
		if err != nil {
			t.Fatalf("find says %q", line)
		}
		all.add(size)
	}
	return all
}

// allNames has each name of a file, onceEach has each file once.
const (
	allNames = `%s\n`
	onceEach = `%D:%i %s\n`
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// odd makes a tree with everything that is not a plain file with a plain name.
func odd(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range []string{
		"plain.txt", "new\nline.log", "tab\t.log", "caf\xe9.dat", "\xff\xfe", " ", "-rf", "...", "..a", "sub/a.txt", "sub/.hidden", "sub/sub/b",
		"UPPER.TXT", strings.Repeat("n", 255), "empty/../zero.bin",
	} {
		write(t, 100*i+1, dir, name)
	}
	write(t, 0, dir, "zero.bin")
	ok(t, os.Mkdir(filepath.Join(dir, "nothing in here"), 0o755))
	ok(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	at, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	ok(t, err)
	t.Cleanup(func() { _ = unix.Close(at) })
	short := t.TempDir() // an address has room for 107 bytes
	ok(t, unix.Bind(at, &unix.SockaddrUnix{Name: filepath.Join(short, "s")}))
	ok(t, os.Rename(filepath.Join(short, "s"), filepath.Join(dir, "socket")))
	f, err := os.Create(filepath.Join(dir, "sparse.img"))
	ok(t, err)
	ok(t, f.Truncate(1<<33+1))
	ok(t, f.Close())
	for _, l := range [][2]string{
		{"plain.txt", "link"},
		{"no such", "dangling"},
		{"dangling", "sub/dangling too"},
		{"circle", "circle"},
		{"sub", "linked folder"},
		{"..", "sub/up"},
		{"/", "root"},
	} {
		ok(t, os.Symlink(l[0], filepath.Join(dir, l[1])))
	}
	for _, name := range []string{"hard.txt", "sub/hard.log", "hard.again"} {
		ok(t, os.Link(filepath.Join(dir, "plain.txt"), filepath.Join(dir, name)))
	}
	return dir
}

// TestAgreesWithFind compares the number and the sum with those of find, for odd trees and for real ones.
func TestAgreesWithFind(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	ok(t, err)
	for name, dir := range map[string]string{"odd": odd(t), "go": filepath.Join(strings.TrimSpace(string(root)), "src"), "here": "../.."} {
		dir, err := filepath.Abs(dir)
		ok(t, err)
		if name == "here" { // other tests may write there
			dir = filepath.Join(dir, "docs")
		}
		area := []Area{{Name: name, Path: dir}}
		got := twice(t, Options{Areas: area}, nothing)
		if s, want := sum(got), found(t, dir, allNames); s.Before != want || s.After != want || want.Files == 0 {
			t.Errorf("%s: %+v, want %+v", name, s, want)
		}
		once := twice(t, Options{Areas: area, Once: true}, nothing)
		if s, want := sum(once), found(t, dir, onceEach); s.Before != want || s.After != want {
			t.Errorf("%s, once: %+v, want %+v", name, s, want)
		}
		if e := got[0].Errors; name == "odd" && (e.Dangling != 3 || e.All() != 3) {
			t.Errorf("errors: %+v", e)
		}
	}
}

// TestOnce gives a file more names and others: the file is the same.
func TestOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, 100, dir, "a.x")
	write(t, 10, dir, "b.x")
	got := twice(t, Options{Areas: []Area{{Name: "d", Path: dir}}, Once: true}, func() {
		ok(t, os.Link(filepath.Join(dir, "a.x"), filepath.Join(dir, "0.x")))
		ok(t, os.Rename(filepath.Join(dir, "b.x"), filepath.Join(dir, "c.x")))
		write(t, 110, dir, "a.x")
	})[0]
	check(t, got, "x 2/110 > 2/120 grown 1/10")
	got = twice(t, Options{Areas: []Area{{Name: "d", Path: dir}}}, func() { remove(t, dir, "0.x") })[0]
	check(t, got, "x 3/230 > 2/120 deleted 1/110")
}

// TestNewFileWithAnOldNumber removes a file and makes another one, which gets its inode on many file systems.
func TestNewFileWithAnOldNumber(t *testing.T) {
	dir := t.TempDir()
	write(t, 100, dir, "a.x")
	got := twice(t, Options{Areas: []Area{{Name: "d", Path: dir}}}, func() {
		remove(t, dir, "a.x")
		write(t, 150, dir, "b.x")
	})[0]
	check(t, got, "x 1/100 > 1/150 made 1/150 deleted 1/100")
}

// TestDeep walks folders whose path is longer than the kernel takes, with few open descriptors.
func TestDeep(t *testing.T) {
	dir := t.TempDir()
	const depth, down = 500, "down and down"
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	ok(t, err)
	for i := range depth {
		ok(t, unix.Mkdirat(at, down, 0o755))
		if i%30 == 0 {
			ok(t, unix.Mkdirat(at, "aside", 0o755))
			ok(t, unix.Mkdirat(at, "zz", 0o755))
			for _, name := range []string{"aside/f.x", "zz/f.x", "f.x"} {
				fd, err := unix.Openat(at, name, unix.O_CREAT|unix.O_WRONLY, 0o644)
				ok(t, err)
				_, err = unix.Write(fd, []byte("1234567"))
				ok(t, err)
				ok(t, unix.Close(fd))
			}
		}
		next, err := unix.Openat(at, down, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		ok(t, err)
		ok(t, unix.Close(at))
		at = next
	}
	ok(t, unix.Close(at))
	got := twice(t, Options{Areas: []Area{{Name: "d", Path: dir}}}, nothing)[0]
	check(t, got, "x 51/357 > 51/357")
	if got.Errors.All() != 0 {
		t.Errorf("errors: %+v", got.Errors)
	}
	if want := found(t, dir, allNames); want != (Amount{51, 357}) {
		t.Errorf("find: %+v", want)
	}
}

// asNobody calls f on a thread that belongs to the user nobody. Without root it only calls f.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	var failed error
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := becomeNobody(); err != nil {
			failed = err
			return
		}
		f()
	})
	done.Wait()
	ok(t, failed)
}

// TestDenied has folders that may not be read, or not be entered. Nothing stops the walk, and the count is known to lack
// something.
func TestDenied(t *testing.T) {
	dir := t.TempDir()
	write(t, 1, dir, "a.x")
	write(t, 2, dir, "closed", "b.x")
	write(t, 4, dir, "no entry", "c.x")
	write(t, 8, dir, "zz", "d.x")
	ok(t, os.Chmod(filepath.Dir(dir), 0o755))
	ok(t, os.Chmod(filepath.Join(dir, "closed"), 0))
	ok(t, os.Chmod(filepath.Join(dir, "no entry"), 0o444))
	t.Cleanup(func() {
		_ = os.Chmod(filepath.Join(dir, "closed"), 0o755)
		_ = os.Chmod(filepath.Join(dir, "no entry"), 0o755)
	})
	asNobody(t, func() {
		s, err := Take(context.Background(), Options{Areas: []Area{
			{Name: "d", Path: dir}, {Name: "closed", Path: filepath.Join(dir, "closed")},
		}})
		if err != nil {
			t.Error(err)
			return
		}
		all, err := s.Compare(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		if got := table(all[0]); len(got) != 1 || got[0] != "x 2/9 > 2/9" {
			t.Errorf("%v", got)
		}
		if e := all[0].Errors; e.Unread != 2 || e.First == nil || !strings.Contains(e.First.Error(), dir) || !strings.Contains(e.First.Error(), "permission denied") {
			t.Errorf("%+v", e)
		}
		if err := all[1].Err; err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("the closed area: %v", err)
		}
	})
}

// TestNoLinkIsFollowed puts links in the place of folders while they are walked. Nothing outside the area is counted, and
// nothing stops the walk.
func TestNoLinkIsFollowed(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for i := range 50 {
		write(t, 1, dir, fmt.Sprint("d", i), "inside.in")
	}
	write(t, 1, outside, "secret.out")
	write(t, 1, outside, "sub", "secret.out")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i = (i + 1) % 50 {
			select {
			case <-stop:
				return
			default:
			}
			name := filepath.Join(dir, fmt.Sprint("d", i))
			_ = os.Rename(name, name+"-away")
			_ = os.Symlink(outside, name)
			_ = os.Remove(name)
			_ = os.Rename(name+"-away", name)
		}
	}()
	defer func() {
		close(stop)
		<-done
	}()
	vanished := int64(0)
	for range 100 {
		got := twice(t, Options{Areas: []Area{{Name: "d", Path: dir}}}, nothing)[0]
		for _, r := range got.Rows {
			if r.Groups[0] != "in" {
				t.Fatalf("outside of the area: %+v", r)
			}
		}
		if got.Errors.Unread > 0 || got.Err != nil {
			t.Fatalf("%+v %v", got.Errors, got.Err)
		}
		vanished += got.Errors.Vanished
	}
	if vanished == 0 {
		t.Log("nothing vanished during the walks") // on one processor nothing may have run between two calls
	}
}

// TestLinkAsArea has an area that is a link: root follows it only with a slash.
func TestLinkAsArea(t *testing.T) {
	dir := t.TempDir()
	write(t, 3, dir, "real", "a.x")
	link := filepath.Join(dir, "link")
	ok(t, os.Symlink("real", link))
	check(t, twice(t, Options{Areas: []Area{{Name: "l", Path: link + "/"}}}, nothing)[0], "x 1/3 > 1/3")
	got := twice(t, Options{Areas: []Area{{Name: "l", Path: link}}}, nothing)[0]
	if os.Geteuid() != 0 {
		check(t, got, "x 1/3 > 1/3")
	} else if got.Err == nil || !strings.Contains(got.Err.Error(), "a link, which root does not follow") {
		t.Errorf("%v", got.Err)
	}
}

// TestFileSystem compares the space with df's.
func TestFileSystem(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.Command("df", "-B1", "--output=target,size", dir).Output()
	if err != nil {
		t.Skip("there is no GNU df")
	}
	words := strings.Fields(strings.Split(strings.TrimSpace(string(out)), "\n")[1])
	got := fileSystem(filepath.Join(dir, "not", "made", "yet"))
	if got.Err != nil || got.Mount != words[0] || strconv.FormatUint(got.Total, 10) != words[1] {
		t.Errorf("%+v, df says %v", got, words)
	}
	if runtime.GOOS == "linux" && fileSystem("/proc").Err == nil {
		t.Error("/proc has a size")
	}
	if got.Used == 0 || got.Used > got.Total || got.Free > got.Total {
		t.Errorf("%+v", got)
	}
}
