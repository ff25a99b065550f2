package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/internal/git"
	"github.com/ergon-energy/ergon/sensors"
)

// git may take as long as the command did to say whether files have changed, but no longer than gitMost; it is not asked
// where that is less than gitLeast. To start it alone is some 4 ms, half of what measuring `true` takes.
const (
	gitLeast = 20 * time.Millisecond
	gitMost  = 500 * time.Millisecond
)

// longest is the most that is kept of a variable, in bytes.
const longest = 4096

// complete describes the machine in full, once the command has ended: with the repository of the working folder and the
// variables that say how the command was launched, and those asked for.
func complete(host sensors.Host, asked []string, wall time.Duration, m *sensors.Machine) {
	dirty := make(chan sensors.Git, 1)
	dir, err := os.Getwd()
	tree, found := git.Find(dir)
	if found = found && err == nil; found {
		go func() { dirty <- state(tree, min(wall, gitMost)) }() // git takes the longest of all this
	}
	backend.Complete(host, m)
	m.Environment = launched(os.Environ(), asked)
	if found {
		g := <-dirty
		m.Git = &g
	}
}

// state is the commit and whether files differ from it.
func state(tree git.Tree, limit time.Duration) sensors.Git {
	var g sensors.Git
	var err error
	if g.Commit, g.Branch, err = tree.Head(); err != nil {
		g.Reason = err.Error()
		return g
	}
	if limit < gitLeast {
		g.Reason = "git was not asked for changes after so short a command"
		return g
	}
	dirty, err := tree.Dirty(context.Background(), limit)
	if err != nil {
		g.Reason = err.Error()
		return g
	}
	g.Dirty = &dirty
	return g
}

// launchers are the variables that are stored without being asked for: what a scheduler or MPI launcher says of the job,
// what decides on the number of threads and on the GPUs, and what a CI service says of the build. A * stands for any
// rest of the name.
func launchers() []string {
	return []string{
		"SLURM_*", "OMPI_*", "PMI_*", "PMIX_RANK", "PMIX_NAMESPACE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "FLUX_JOB_ID", "FLUX_TASK_RANK",
		"PBS_JOBID", "PBS_JOBNAME", "PBS_NODENUM", "LSB_JOBID", "LSB_JOBINDEX", "JOB_ID", "SGE_TASK_ID",
		"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID",
		"OMP_*", "KMP_AFFINITY", "KMP_BLOCKTIME", "GOMP_CPU_AFFINITY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS",
		"NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS", "JULIA_NUM_THREADS", "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG",
		"MALLOC_ARENA_MAX", "LD_PRELOAD",
		"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
		"ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "PYTORCH_CUDA_ALLOC_CONF", "XLA_FLAGS", "TF_NUM_INTRAOP_THREADS",
		"CI", "CI_COMMIT_SHA", "CI_COMMIT_REF_NAME", "CI_JOB_ID", "CI_JOB_NAME", "CI_PIPELINE_ID", "CI_PROJECT_PATH", "CI_RUNNER_DESCRIPTION",
		"GITHUB_SHA", "GITHUB_REF", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_WORKFLOW", "GITHUB_JOB",
		"RUNNER_NAME", "RUNNER_OS", "RUNNER_ARCH", "GITLAB_CI", "BUILDKITE_BUILD_ID", "BUILDKITE_COMMIT", "CIRCLE_SHA1", "CIRCLE_BUILD_NUM",
		"JENKINS_URL", "BUILD_NUMBER", "JOB_NAME", "GIT_COMMIT", "BUILD_SOURCEVERSION", "BUILD_BUILDID",
	}
}

// secret says whether a variable's name makes it likely to hold what nobody else may know. Slurm has its JWT and Open MPI
// the key of its transports among the names that would be stored.
func secret(name string) bool {
	name = strings.ToUpper(name)
	for _, word := range []string{"TOKEN", "SECRET", "KEY", "PASS", "AUTH", "CREDENTIAL", "JWT", "COOKIE", "PRECONDITION_TRANSPORTS"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// storable refuses names of --env that are none, and those of secrets.
func storable(asked []string) error {
	for _, name := range asked {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			return &usage{fmt.Errorf("--env: %q is no name of a variable: give the name alone, its value is taken from the environment", name)}
		case secret(name):
			return &usage{fmt.Errorf("--env: %s: a name like that is not stored, as it may hold a secret", name)}
		}
	}
	return nil
}

// launched picks from the environment what is stored: the first that is given by a name counts, as for getenv.
func launched(environ, asked []string) map[string]string {
	out, known := map[string]string{}, launchers()
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if _, seen := out[name]; seen || secret(name) {
			continue
		}
		if slices.Contains(asked, name) || slices.ContainsFunc(known, func(pattern string) bool {
			begin, more := strings.CutSuffix(pattern, "*")
			return name == pattern || more && strings.HasPrefix(name, begin)
		}) {
			out[name] = value[:min(len(value), longest)]
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
