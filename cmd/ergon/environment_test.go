package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestLaunched(t *testing.T) {
	got := launched([]string{
		"SLURM_JOB_ID=17", "SLURM_JWT=x", "OMP_NUM_THREADS=4", "OMPI_MCA_orte_precondition_transports=x", "OMPI_COMM_WORLD_RANK=0",
		"GITHUB_SHA=abc", "GITHUB_TOKEN=x", "HOME=/root", "EDITOR=vi", "SLURM_JOB_ID=18", "CI=", "CI_JOB_TOKEN=x", "MY_KEY=x", "=C:=x",
		"OMP_LONG=" + strings.Repeat("x", 2*longest),
	}, []string{"EDITOR", "MY_KEY", "NONE"})
	want := map[string]string{
		"SLURM_JOB_ID": "17", "OMP_NUM_THREADS": "4", "OMPI_COMM_WORLD_RANK": "0", "GITHUB_SHA": "abc", "EDITOR": "vi", "CI": "",
		"OMP_LONG": strings.Repeat("x", longest),
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := launched([]string{"HOME=/root"}, nil); got != nil {
		t.Errorf("%v", got)
	}
}

// No name that is always stored may look like a secret.
func TestLaunchersAreNoSecrets(t *testing.T) {
	if i := slices.IndexFunc(launchers(), secret); i >= 0 {
		t.Error(launchers()[i])
	}
}
