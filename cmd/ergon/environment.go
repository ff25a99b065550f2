package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/internal/cmdline"
)

// longest is how much of a variable is kept, in bytes.
const longest = 4096

// launchers lists the variables that are always stored. They describe the job of a scheduler or MPI launcher, the number of
// threads, the GPUs, and the build of a CI service. A * stands for any rest of the name.
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

// secret reports whether a variable's name suggests a secret. Two of the names above would be stored otherwise: Slurm's JWT,
// and the key of Open MPI's transports.
func secret(name string) bool {
	name = strings.ToUpper(name)
	for _, word := range []string{"TOKEN", "SECRET", "KEY", "PASS", "AUTH", "CREDENTIAL", "JWT", "COOKIE", "PRECONDITION_TRANSPORTS"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// storable returns an error if name is not the name of a variable, or if the name suggests a secret.
func storable(name string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00"):
		return fmt.Errorf("%q is not the name of a variable (give the name alone; the value comes from the environment)", name)
	case secret(name):
		return fmt.Errorf("%s: variables with such a name are not stored: they may hold a secret", name)
	}
	return nil
}

// launched picks the variables to store. If a name occurs twice, the first one counts, as for getenv.
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
			out[name] = cmdline.Text(value[:min(len(value), longest)])
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
