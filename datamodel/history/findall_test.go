package history_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

func TestFindAll(t *testing.T) {
	root := t.TempDir()
	h := history.History{Results: root}
	const one, two, three = "1111aaaa", "2222bbbb", "3333cccc"
	dirty, same := true, false
	dirs := map[string]string{}
	for i, r := range []struct {
		id, commit string
		dirty      *bool
		outcome    datamodel.Outcome
	}{
		{"r1", one, &same, datamodel.Done},
		{"r2", one, nil, datamodel.TargetFailed},
		{"r3", one, &dirty, datamodel.Done},
		{"r4", one, &same, datamodel.Unfinished},
		{"r5", two, &dirty, datamodel.Done},
		{"r6", "", nil, datamodel.Done},
	} {
		run := result("p", r.id, noon.Add(time.Duration(i)*time.Minute))
		run.Outcome = r.outcome
		if r.commit != "" {
			run.Host.Git = &sensors.Git{Commit: r.commit, Dirty: r.dirty}
		}
		dirs[r.id] = save(t, root, run)
	}
	for _, tag := range []string{"nightly-1", "nightly-2"} {
		if err := h.AddTag(tag, map[string]string{"nightly-1": "r1", "nightly-2": "r6"}[tag], false, nil); err != nil {
			t.Fatal(err)
		}
	}
	commitOf := func(name string) (string, error) {
		switch name {
		case "main":
			return one, nil
		case "old":
			return three, nil
		case "broken":
			return "", errors.New("no git")
		}
		return "", nil
	}
	for _, c := range []struct{ name, want, commit string }{
		{"last", "r6", ""},
		{"last~1", "r5", ""},
		{"r3", "r3", ""},
		{"nightly-1", "r1", ""},
		{dirs["r2"], "r2", ""},
		{"1111", "r2 r1", one},
		{one, "r2 r1", one},
		{"main", "r2 r1", one},
		{"nightly-*", "r6 r1", ""},
		{"r[12]", "r2 r1", ""},
		{"r5,r1,last~1", "r5 r1", ""},
		{"main,1111", "r2 r1", one},
		{"main,r6", "r2 r1 r6", ""},
	} {
		found, err := h.FindAll(c.name, commitOf)
		var got []string
		for _, dir := range found.Dirs {
			got = append(got, store.IDOf(dir))
		}
		if err != nil || strings.Join(got, " ") != c.want || found.Commit != c.commit {
			t.Errorf("%s: %v of %q, %v", c.name, got, found.Commit, err)
		}
	}
	if found, _ := h.FindAll("main", commitOf); found.Dirty != 1 {
		t.Errorf("%+v", found)
	}
	for name, why := range map[string]string{
		"2222": "uncommitted changes", "old": "no run of this commit", "none": "no run in", "last~9": "only 6 runs", "/no/such": "no such folder", "x*": "a tag or an id like that",
		"r1,none": "no run in", "last:other": "no runs in project",
	} {
		_, err := h.FindAll(name, commitOf)
		if _, none := errors.AsType[*history.NotFoundError](err); !none || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, why := range map[string]string{"r": "begin with it", "broken": "no git", "[": "not a glob", "": "no name given"} {
		_, err := h.FindAll(name, commitOf)
		if _, none := errors.AsType[*history.NotFoundError](err); err == nil || none || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty := history.History{Results: t.TempDir()}
	if _, err := empty.FindAll("last", commitOf); !errors.As(err, new(*history.NotFoundError)) {
		t.Errorf("%v", err)
	}
}
