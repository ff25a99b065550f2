package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestScriptRuns runs the script with every fix as root, twice, and takes all of it back. It works on a copy of /etc in a mount
// namespace of its own. Programs that reach further than /etc are replaced by one that notes its words.
func TestScriptRuns(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to mount")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ergon, notes, sensor := at("ergon"), at("notes"), at("sensor file")
	for _, d := range []string{"bin", "local"} {
		if err := os.Mkdir(at(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(file, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(ergon, "#!/bin/sh\n", 0o755)
	write(sensor, "1\n", 0o400)
	stubs := []string{"udevadm", "systemctl", "setcap", "modprobe", "nvidia-modprobe", "cgcreate", "cgdelete", "sysctl"}
	for _, name := range stubs {
		write(at("bin/"+name), "#!/bin/sh\necho "+name+" \"$@\" >>\"$NOTES\"\n", 0o755)
	}
	write(at("bin/systemd-tmpfiles"), "#!/bin/sh\nchgrp ergon \"$SENSOR\"; chmod g+r \"$SENSOR\"; echo systemd-tmpfiles \"$@\" >>\"$NOTES\"\n", 0o755)
	var r Report
	for _, f := range fixes() {
		r.Findings = append(r.Findings, Finding{Fix: fix(f.ID, "{PATH}", sensor, "{GROUP}", "video", "{UNIT}", "a.service")})
	}
	write(at("script"), r.Script("nobody", ergon), 0o600)
	write(at("test"), `set -eu
		mount --make-rprivate /
		cp -a /etc "$D/etc"; mount --bind "$D/etc" /etc; mount --bind "$D/local" /usr/local/bin
		state() { sort /etc/group; find /etc /usr/local/bin -newer "$D/test" -type f ! -name '*-' ! -name '.*' ! -name group ! -name gshadow | sort; stat -c '%a %G' "$SENSOR"; }
		state >"$D/before"
		PATH=$D/bin:$PATH
		sh "$D/script"; state >"$D/once"
		sh "$D/script" apply; state >"$D/twice"
		getent group ergon; getent group video; stat -c '%a %U %G' /usr/local/bin/ergon-perf; stat -c '%a %G' "$SENSOR"
		cat /etc/udev/rules.d/70-ergon-powercap.rules /etc/systemd/system/a.service.d/ergon-delegate.conf /etc/modprobe.d/ergon-nvidia.conf
		sh "$D/script" undo; state >"$D/after"
		sh "$D/script" undo
		[ ! -e /etc/systemd/system/a.service.d ]
		echo other >/etc/udev/rules.d/70-ergon-powercap.rules
		! sh "$D/script" || exit 9
		cat /etc/udev/rules.d/70-ergon-powercap.rules
		! sh "$D/script" nonsense || exit 9
		! setpriv --reuid=65534 --clear-groups sh <"$D/script" || exit 9
	`, 0o600)
	c := exec.CommandContext(t.Context(), "sh", at("test"))
	c.Env = append(os.Environ(), "D="+dir, "NOTES="+notes, "SENSOR="+sensor)
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	b, err := c.CombinedOutput()
	out := string(b)
	if err != nil && (strings.Contains(out, "mount:") || c.ProcessState == nil) {
		t.Skipf("no mount namespace here: %v: %s", err, out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		":nobody\nvideo:", "750 root ergon\n440 ergon\n", `SUBSYSTEM=="powercap"`, "[Service]\nDelegate=yes\n", "options nvidia NVreg_DeviceFileGID=",
		"70-ergon-powercap.rules is there already, with other content", "\nother\n", "usage: sh ", "only root can make these changes",
		"made: let a group read the energy counters of powercap\n", "taken back: let a group read the energy counters of powercap\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(at(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if before, after := read("before"), read("after"); before != after {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if once, twice := read("once"), read("twice"); once != twice || !strings.Contains(once, "/etc/tmpfiles.d/ergon-sensors.conf\n") {
		t.Errorf("once\n%s\ntwice\n%s", once, twice)
	}
	did := read("notes")
	for _, want := range []string{
		"udevadm control --reload\nudevadm trigger --action=add --subsystem-match=powercap\n", "setcap cap_perfmon=ep /usr/local/bin/ergon-perf\n",
		"cgcreate -a nobody -t nobody -g cpuacct,memory:ergon\n", "cgdelete -g cpuacct,memory:ergon\n", "modprobe -r nvidia\n", "systemctl daemon-reload\n",
	} {
		if !strings.Contains(did, want) {
			t.Errorf("%q is missing in\n%s", want, did)
		}
	}
	if strings.Contains(did, "restart") {
		t.Errorf("a service was restarted:\n%s", did)
	}
}
