package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPerCPU(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenPerCPU(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a v2 group: %v", err)
	}
	file := filepath.Join(dir, "cpuacct.usage_percpu")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	many := strings.Repeat("123456789012345 ", 1024) + "\n" // more than the first buffer
	write(many)
	m, err := OpenPerCPU(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	if got, err := m.Read(); err != nil || len(got) != 1024 || got[1023] != 123456789012345 {
		t.Errorf("%d processors: %v", len(got), err)
	}
	write("81234 0 99120 \n")
	if got, err := m.Read(); err != nil || !reflect.DeepEqual(got, []time.Duration{81234, 0, 99120}) {
		t.Errorf("%v, %v", got, err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = m.Read() }); n != 0 {
		t.Errorf("a reading allocates %v times", n)
	}
	for _, junk := range []string{"", "\n", "12 x\n", "-1\n", "99999999999999999999\n"} {
		write(junk)
		if got, err := m.Read(); !errors.Is(err, errForm) || got != nil {
			t.Errorf("%q: %v, %v", junk, got, err)
		}
	}
}

func FuzzPerCPU(f *testing.F) {
	f.Add([]byte("81234 0 99120 \n"))
	f.Add([]byte("1  2"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parsePerCPU(nil, b)
		if ok != (len(got) > 0 && len(strings.Fields(string(b))) == len(got)) && ok {
			t.Errorf("%q: %v", b, got)
		}
		for _, d := range got {
			if d < 0 {
				t.Errorf("%q: %v", b, got)
			}
		}
	})
}
