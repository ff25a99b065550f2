package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/sensors"
)

// everything returns a report with every fix, some of them twice for two files.
func everything() Report {
	var r Report
	for _, f := range fixes() {
		r.Findings = append(r.Findings, Finding{Fix: fix(f.ID, "{PATH}", "/sys/class/hwmon/hwmon3/it's a file", "{GROUP}", "video", "{UNIT}", "a.service")})
	}
	r.Findings = append(r.Findings, Finding{Fix: fix(fixSysfs, "{PATH}", "/sys/other")}, Finding{Fix: fix(fixPowercap)}, Finding{})
	return r
}

// TestScript checks the script with every fix: a shell can parse it, each fix is in it once, and a change that only people can
// make is a comment.
func TestScript(t *testing.T) {
	text := everything().Script("it's me\nreboot", "/opt/my \"ergon\"/ergon")
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, checker := range [][]string{{"sh", "-n"}, {"shellcheck"}} {
		if _, err := exec.LookPath(checker[0]); err != nil {
			t.Logf("not checked: %v", err)
			continue
		}
		if out, err := exec.CommandContext(t.Context(), checker[0], append(checker[1:], file)...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", checker, err, out)
		}
	}
	lines := strings.Split(text, "\n")
	count := func(prefix string) (n int) {
		for _, line := range lines {
			if strings.HasPrefix(strings.TrimSpace(line), prefix) {
				n++
			}
		}
		return n
	}
	exactly := func(text string) (n int) {
		for _, line := range lines {
			if strings.TrimSpace(line) == text {
				n++
			}
		}
		return n
	}
	for _, f := range fixes() {
		if n := count("# " + strings.ToUpper(f.ID) + ": "); n != 1 {
			t.Errorf("%s occurs %d times", f.ID, n)
		}
		name, want := strings.ReplaceAll(f.ID, "-", "_"), 0
		if f.scripted() {
			want = 2 // the function and its call
		}
		for _, verb := range []string{"apply_", "undo_"} {
			if n := count(verb+name+"() {") + exactly(verb+name); n != want {
				t.Errorf("%s%s occurs %d times, want %d", verb, name, n, want)
			}
		}
	}
	for prefix, want := range map[string]int{
		"reboot": 1, // in the name of the user, quoted
		"apt":    0, "systemctl restart": 0, "docker": 0, "sudo": 0, "usermod -aG ergon \"$user\"": 1, "leave ergon": 1, "rm -f " + perfFile: 1,
		"put /etc/tmpfiles.d/ergon-sensors.conf": 1, "z /sys/other 0440 root ergon - -'": 1, `close_again '/sys/class/hwmon/hwmon3/it'\''s a file'`: 1,
	} {
		if n := count(prefix); n != want {
			t.Errorf("%d lines begin with %q, want %d", n, prefix, want)
		}
	}
	for _, left := range []string{userWord, ergonWord, "{PATH}", "{GROUP}", "{UNIT}"} {
		if strings.Contains(text, left) {
			t.Errorf("%s is left", left)
		}
	}
}

// TestScriptWithoutChanges checks that nothing can run in a script without changes.
func TestScriptWithoutChanges(t *testing.T) {
	for _, r := range []Report{
		{}, {Findings: []Finding{{Fix: fix(fixMasked)}, {Fix: fix(fixMismatch)}}}, Examine(Facts{Missing: []sensors.Absence{zone(sensors.Masked, "\nreboot")}}),
	} {
		text := r.Script("me", "/ergon")
		for line := range strings.Lines(text) {
			if line != "\n" && !strings.HasPrefix(line, "#") {
				t.Errorf("%q in\n%s", line, text)
			}
		}
		if !strings.Contains(text, "nothing here that a script of root's could change") {
			t.Error(text)
		}
	}
}
