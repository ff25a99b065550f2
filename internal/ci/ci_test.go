package ci

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// root is the top folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// needs skips the test if a program is missing.
func needs(t *testing.T, part testenv.Part, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		testenv.Lacks(t, part, err)
	}
	return path
}

// action is a composite action.
type action struct {
	Inputs  map[string]struct{ Default string }
	Outputs map[string]struct{ Value string }
	Runs    struct {
		Steps []struct {
			Name, ID, Run string
			Env           map[string]string
		}
	}
}

func readAction(t *testing.T) action {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var a action
	if err := yaml.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestSchemas checks the files against the schemas that the editors use. check-jsonschema has copies of them.
func TestSchemas(t *testing.T) {
	check := filepath.Join(root(t), ".venv/bin/check-jsonschema")
	if _, err := os.Stat(check); err != nil {
		testenv.Lacks(t, testenv.Readers, err)
	}
	for schema, file := range map[string]string{
		"vendor.github-actions": "action.yml", "vendor.github-workflows": ".github/workflows/ergon.yml", "vendor.gitlab-ci": "packaging/ci/ergon.gitlab-ci.yml",
	} {
		out, err := exec.CommandContext(t.Context(), check, "--builtin-schema", schema, filepath.Join(root(t), file)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", file, err, out)
		}
	}
}

// TestShell lets shellcheck read the steps.
func TestShell(t *testing.T) {
	check := needs(t, testenv.Lint, "shellcheck")
	f := func(name, shell, script string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), check, "--shell="+shell, "--exclude=SC2086", "-") // $ERGON_STRICT is no word or one
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	for _, s := range readAction(t).Runs.Steps {
		f(s.Name, "bash", s.Run)
	}
	f("GitLab", "sh", strings.Join(readJob(t).Script, "\n"))
}

// service is what the steps of a job see of GitHub, on a repository with a pull request.
type service struct {
	t *testing.T
	// dir is the checkout, temp the folder for everything else.
	dir, temp string
	github    map[string]string // the expressions of the contexts
	env       []string
	// log is what gh was called with and the body that it got.
	log string
}

// expression is an expression of the workflow language.
var expression = regexp.MustCompile(`\$\{\{ (.*?) \}\}`)

// run executes the steps of the action. It returns their outputs, the text of all steps, and the exit code.
func (s service) run(inputs map[string]string) (outputs map[string]string, said string, code int) {
	s.t.Helper()
	a := readAction(s.t)
	known := maps.Clone(s.github)
	value := func(text string) string {
		return expression.ReplaceAllStringFunc(text, func(e string) string {
			for one := range strings.SplitSeq(expression.FindStringSubmatch(e)[1], "||") {
				if v := known[strings.TrimSpace(one)]; v != "" {
					return v
				}
			}
			return ""
		})
	}
	for name, in := range a.Inputs {
		known["inputs."+name] = value(in.Default)
		if v, ok := inputs[name]; ok {
			known["inputs."+name] = v
		}
	}
	for i, step := range a.Runs.Steps {
		file := filepath.Join(s.temp, fmt.Sprintf("output-%d", i))
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			s.t.Fatal(err)
		}
		cmd := exec.CommandContext(s.t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run)
		cmd.Dir = s.dir
		cmd.Env = append(os.Environ(), s.env...)
		cmd.Env = append(cmd.Env, "GITHUB_OUTPUT="+file)
		for k, v := range step.Env {
			cmd.Env = append(cmd.Env, k+"="+value(v))
		}
		out, err := cmd.CombinedOutput()
		said += string(out)
		written, _ := os.ReadFile(file)
		for line := range strings.Lines(string(written)) {
			if k, v, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
				known["steps."+step.ID+".outputs."+k] = v
			}
		}
		if err != nil {
			code = cmd.ProcessState.ExitCode()
			break
		}
	}
	outputs = map[string]string{}
	for name, o := range a.Outputs {
		outputs[name] = value(o.Value)
	}
	return outputs, said, code
}

// git runs git without the configuration of the user and the system.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // scripts among them
		t.Fatal(err)
	}
}

// gh is a stand-in for GitHub's program: it notes its arguments and the body. There is a comment if the file comment exists, and
// nothing may be written if the file denied exists.
const gh = `#!/bin/bash
dir=$(dirname "$0")
echo "gh $*" | tr '\n' ' ' >>"$dir/log"; echo >>"$dir/log"
if [ "$2" = graphql ]; then if [ -e "$dir/comment" ]; then cat "$dir/comment"; fi; exit 0; fi
if [ -e "$dir/denied" ]; then echo 'gh: Resource not accessible by integration (HTTP 403)' >&2; exit 1; fi
for word; do case $word in body=@*) cp "${word#body=@}" "$dir/body" ;; esac; done
`

// load is a program for which awk counts so far.
func load(count int) string {
	return fmt.Sprintf("#!/bin/sh\nexec awk 'BEGIN { for (i = 0; i < %d; i++) s += i }'\n", count)
}

// pullRequest makes a repository with a pull request that changes the program run, and its checkout, as actions/checkout makes
// it: the merge commit, and nothing of the history.
func pullRequest(t *testing.T, base, change string) service {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the steps are for Linux")
	}
	needs(t, testenv.Git, "git")
	needs(t, testenv.Bash, "bash")
	temp := t.TempDir()
	work, origin, dir := filepath.Join(temp, "work"), filepath.Join(temp, "origin.git"), filepath.Join(temp, "runner/project")
	write(t, filepath.Join(work, "run"), base)
	git(t, work, "init", "-q", "-b", "main")
	git(t, work, "add", ".")
	git(t, work, "commit", "-q", "-m", "base")
	before := git(t, work, "rev-parse", "HEAD")
	git(t, work, "checkout", "-q", "-b", "topic")
	write(t, filepath.Join(work, "run"), change)
	write(t, filepath.Join(work, "new"), "")
	git(t, work, "add", ".")
	git(t, work, "commit", "-q", "-m", "change")
	git(t, work, "checkout", "-q", "main")
	write(t, filepath.Join(work, "other"), "somebody else's change, after the pull request was opened")
	git(t, work, "add", ".")
	git(t, work, "commit", "-q", "-m", "other")
	git(t, work, "checkout", "-q", "-b", "merge")
	git(t, work, "merge", "-q", "--no-ff", "-m", "merge", "topic")
	git(t, temp, "clone", "-q", "--bare", work, origin)
	git(t, origin, "config", "uploadpack.allowAnySHA1InWant", "true")
	git(t, temp, "clone", "-q", "--depth=1", "-b", "merge", "file://"+origin, dir)
	bin := filepath.Join(temp, "bin")
	write(t, filepath.Join(bin, "gh"), gh)
	write(t, filepath.Join(temp, "summary.md"), "")
	return service{
		t: t, dir: dir, temp: temp, log: bin,
		github: map[string]string{
			"github.token": "t", "github.action_path": root(t), "github.action_repository": "ergon-energy/ergon",
			"github.event.pull_request.base.sha": before, "github.event.pull_request.number": "7",
		},
		env: []string{
			"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "RUNNER_TEMP=" + temp, "GITHUB_BASE_REF=main", "GITHUB_REPOSITORY=a/b",
			"GITHUB_STEP_SUMMARY=" + filepath.Join(temp, "summary.md"), "GITHUB_ACTIONS=true",
		},
	}
}

func (s service) read(path string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.temp, path))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(b)
}

// TestSteps executes the steps of the action and the lines of the job for GitLab, with the ergon that the first step builds.
func TestSteps(t *testing.T) {
	testenv.Long(t)
	s := pullRequest(t, load(1), load(1))
	if out, said, code := s.run(map[string]string{"command": "true", "max-runs": "1"}); code != 0 || out["verdict"] != "inconclusive" {
		t.Fatalf("built here: %v, %d: %s", out, code, said)
	}
	// gh downloads nothing here, so the step ends at the checksums.
	_, said, code := s.run(map[string]string{"command": "true", "version": "v1"})
	if code == 0 || !strings.Contains(s.read("bin/log"), "gh release download v1 --repo ergon-energy/ergon") {
		t.Errorf("downloaded: %d: %s", code, said)
	}
	ergon := filepath.Join(s.temp, "ergon-built/ergon")
	t.Run("action", func(t *testing.T) { testAction(t, ergon) })
	t.Run("GitLab", func(t *testing.T) { testGitLab(t, ergon) })
}

// testAction executes the action on a pull request that more than doubles the work of a program: the comment, its update, a
// token that may not comment, no base, budgets.
func testAction(t *testing.T, ergon string) {
	t.Helper()
	slower := pullRequest(t, load(200_000), load(500_000))
	inputs := func(more ...string) map[string]string {
		in := map[string]string{"command": "./run", "ergon": ergon, "metrics": "cpu_time", "threshold": "20%", "max-runs": "10"}
		for i := 0; i < len(more); i += 2 {
			in[more[i]] = more[i+1]
		}
		return in
	}
	expect := func(s service, what string, in map[string]string, verdict string, code int, wants ...string) (said string) {
		t.Helper()
		out, said, got := s.run(in)
		if out["verdict"] != verdict || got != code {
			t.Fatalf("%s: %v, exit code %d, want %s and %d: %s", what, out, got, verdict, code, said)
		}
		body := s.read("bin/body") + s.read("summary.md") + s.read("bin/log") + said
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q in %s", what, want, body)
			}
		}
		if out["markdown"] == "" || out["code"] == "" || (out["json"] == "") != (verdict == "none") {
			t.Errorf("%s: %v", what, out)
		}
		return said
	}

	expect(slower, "slower", inputs(), "regressed", 121, "<!-- ergon: default -->\n\n### ❌ regressed", "--method POST repos/a/b/issues/7/comments", "::error title=")
	if list := git(t, slower.dir, "worktree", "list"); strings.Contains(list, "\n") {
		t.Errorf("left: %s", list)
	}
	if !strings.Contains(slower.read("bin/log"), "-F number=7") || slower.read("summary.md") != "" {
		t.Errorf("%s%s", slower.read("bin/log"), slower.read("summary.md"))
	}

	write(t, filepath.Join(slower.log, "comment"), "12\n34\n")
	expect(slower, "again", inputs("fail", "false"), "regressed", 0, "--method PATCH repos/a/b/issues/comments/34")

	write(t, filepath.Join(slower.log, "denied"), "")
	expect(slower, "from a fork", inputs("key", "other"), "regressed", 121, "<!-- ergon: other -->\n\n### ❌ regressed", "::notice title=ergon::this token may not comment")
	if slower.read("summary.md") == "" {
		t.Error("the page of the job has nothing")
	}

	push := pullRequest(t, load(1), load(1))
	push.github["github.event.pull_request.number"], push.github["github.event.pull_request.base.sha"] = "", ""
	push.env = append(push.env, "GITHUB_BASE_REF=")
	push.github["github.event.before"] = strings.Repeat("0", 40)
	expect(push, "a new branch", inputs(), "none", 0, "There is no base to compare with.", "::notice title=ergon::there is no base")
	expect(push, "a new branch, strict", inputs("strict", "true"), "none", 122)
	push.github["github.event.before"] = strings.Repeat("1", 40)
	expect(push, "a base that is gone", inputs(), "none", 0, "cannot be fetched, so nothing is compared")
	push.github["github.event.before"] = git(t, push.dir, "rev-parse", "origin/merge")
	expect(push, "budgets", inputs("budgets", "wall_time <= 1h\n\ncpu_time < 1us\n", "max-runs", "2"), "inconclusive", 120, "budgets: exit code 120")
	// The other modes need no base. A budget that is broken fails them, too.
	bench := func(more ...string) map[string]string {
		return inputs(append(more, "mode", "bench", "max-runs", "2")...)
	}
	expectModes := func(what string, in map[string]string, code int, schema, want string) {
		t.Helper()
		out, said, got := push.run(in)
		result, _ := os.ReadFile(out["json"])
		comment, _ := os.ReadFile(out["markdown"])
		if got != code || out["verdict"] != "none" || !strings.Contains(string(result), schema) || !strings.Contains(string(comment), want) {
			t.Errorf("%s: exit code %d, want %d, %v: %s: %s", what, got, code, out, comment, said)
		}
	}
	expectModes("bench", bench(), 0, `"ergon.bench/1"`, "cpu")
	expectModes("bench over its budget", bench("budgets", "cpu_time < 1us"), 120, `"ergon.bench/1"`, "cpu")
	expectModes("run", inputs("mode", "run", "prepare", "echo x > built", "command", "test -e built"), 0, `"ergon.report/2"`, "<pre>\nsh -c 'test -e built'")
	expectModes("run over its budget", inputs("mode", "run", "budgets", "cpu_time < 1us"), 120, `"ergon.report/2"`, "<pre>")
	if _, said, code := push.run(inputs("mode", "walk")); code != 1 || !strings.Contains(said, "mode: no walk (compare, bench or run)") {
		t.Errorf("exit code %d: %s", code, said)
	}
	_, said, code := push.run(inputs("prepare", "test -e nothing"))
	if code != 125 || !strings.Contains(said, `--prepare "test -e nothing"`) || !strings.Contains(push.read("summary.md"), "could not compare with") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// job is a job of GitLab.
type job struct {
	Variables map[string]string
	Script    []string
}

func readJob(t *testing.T) job {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), "packaging/ci/ergon.gitlab-ci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]job
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file[".ergon"]
}

// testGitLab executes the lines of the job.
func testGitLab(t *testing.T, ergon string) {
	t.Helper()
	s := pullRequest(t, load(200_000), load(500_000))
	j := readJob(t)
	f := func(code int, want string, variables ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", strings.Join(j.Script, "\n"))
		cmd.Dir = s.dir
		cmd.Env = os.Environ()
		for k, v := range j.Variables {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		cmd.Env = append(append(cmd.Env, "ERGON="+ergon, "ERGON_COMMAND=./run", "ERGON_METRICS=cpu_time", "ERGON_THRESHOLD=20%", "ERGON_MAX_TIME=10s"), variables...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(out.String(), want) {
			t.Errorf("%v: exit code %d, want %d and %q: %s", variables, got, code, want, out.String())
		}
	}
	f(121, "regressed", "CI_MERGE_REQUEST_DIFF_BASE_SHA="+s.github["github.event.pull_request.base.sha"])
	for file, want := range map[string]string{
		"ergon.json": `"verdict": "regressed"`, "ergon.md": "regressed", "ergon.xml": "<failure", "ergon.txt": "# EOF", "ergon.html": "<html",
	} {
		if b, err := os.ReadFile(filepath.Join(s.dir, file)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, no %q", file, err, want)
		}
	}
	f(0, "there is no base to compare with", "CI_COMMIT_BEFORE_SHA="+strings.Repeat("0", 40))
	f(122, "there is no base to compare with", "ERGON_STRICT=--strict")
}

// TestRegression runs the action on a pull request that changes nothing that costs anything, and on one that plants 5 % more
// work. It is for .ci/run: up to three minutes. An undecided comparison on a busy machine is a skip that is counted.
func TestRegression(t *testing.T) {
	if os.Getenv("ERGON_TEST_REGRESSION") == "" {
		t.Skip("make regression runs it")
	}
	const count = 600_000
	same := pullRequest(t, load(count), load(count)+"# a comment\n")
	planted := pullRequest(t, load(count), load(count*105/100))
	try := func(t *testing.T, s service) (verdict string, code int) {
		t.Helper()
		s.t = t
		out, said, code := s.run(map[string]string{"command": "./run", "metrics": "cpu_time", "max-time": "80s"})
		t.Logf("%s, exit code %d\n%s", out["verdict"], code, said)
		return out["verdict"], code
	}
	t.Run("unchanged", func(t *testing.T) {
		machine := testenv.Begin(t)
		// Up to 5 % of all comparisons may be wrong, so one that finds a change is measured again. Two would be 0.25 %.
		verdict, code := try(t, same)
		if verdict != "unchanged" && verdict != "inconclusive" {
			verdict, code = try(t, same)
		}
		switch {
		case verdict == "inconclusive":
			machine.Errorf("undecided after 80 s")
		case verdict != "unchanged" || code != 0:
			machine.Errorf("%s, exit code %d", verdict, code)
		}
	})
	t.Run("planted", func(t *testing.T) {
		machine := testenv.Begin(t)
		if verdict, code := try(t, planted); verdict != "regressed" || code != 121 {
			machine.Errorf("%s, exit code %d, want regressed and 121", verdict, code)
		}
	})
}
