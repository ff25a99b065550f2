//go:build linux && cgo

// The first process must know the command even if the Go runtime cannot start. This file finds the command as parse in
// line.go does. TestWordsAsParsed holds both against each other, for every option.
#include "words.h"

#include <stddef.h>
#include <string.h>

// with_value lists the options of run and record that take a value, alone the switches. Both end with NULL.
static const char *const with_value[] = {
	"results", "o", "project", "run-id", "user", "progress", "baseline", "env", "timeout", "replay", "tape",
	"format", "f", "summary-to", "export", "id-file", "share", "exclusive", "config", "inventory", "interval", "sensors", "path.procfs", "path.sysfs", "path.nvml",
	"budget", "on-budget", "kill-after", "carbon-intensity", "price", "pue", "power-overhead", NULL,
};
static const char *const alone[] = {
	"no-save", "quiet", "q", "verbose", "v", "arguments", "align", "estimate", "inventory-once", "all-gpus", "names", "off", "posix", "p", "append", "a", "no-ci", "no-arguments", "no-marks", "strict", NULL,
};

// measuring lists the subcommands that measure a command. Before any other subcommand there is none to measure.
static const char *const measuring[] = {"run", "record", NULL};
static const char *const other[] = {
	"bench", "noise", "check", "compare", "sensors", "doctor", "report", "plot", "trend", "ls", "runs", "export", "mark", "recover", "config", "init", "completion", "version", "help", NULL,
};

const char *const *prelaunch_options(int value) { return value ? with_value : alone; }

// among says whether the first n bytes of word are in a list.
static int among(const char *const *list, const char *word, size_t n) {
	for (; *list; list++) {
		if (strlen(*list) == n && !strncmp(*list, word, n)) return 1;
	}
	return 0;
}

// is_true says what strconv.ParseBool says: 1, 0, or -1 for neither.
static int is_true(const char *value) {
	static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True", NULL};
	static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False", NULL};
	if (among(yes, value, strlen(value))) return 1;
	return among(no, value, strlen(value)) ? 0 : -1;
}

// skip goes behind the options. It returns NULL after a wrong one, and after help or version.
static char **skip(char **word, struct prelaunch_switches *on) {
	while (*word && (*word)[0] == '-' && (*word)[1] && strcmp(*word, "--")) {
		const char *name = *word + 1;
		if (*name == '-') name++;
		size_t n = strcspn(name, "=");
		const char *value = name[n] ? name + n + 1 : NULL;
		word++;
		if (among(with_value, name, n)) {
			if (!value && !*word++) return NULL;
			if (n == 4 && !strncmp(name, "user", n)) on->user = 1;
			if (n == 9 && !strncmp(name, "exclusive", n)) on->exclusive = 1;
		} else if (among(alone, name, n)) {
			int set = value ? is_true(value) : 1;
			if (set < 0) return NULL;
			if (n == 3 && !strncmp(name, "off", n)) on->off = set;
		} else {
			return NULL;
		}
	}
	return word;
}

char **prelaunch_words(int argc, char **argv, struct prelaunch_switches *on) {
	memset(on, 0, sizeof *on);
	if (argc < 2) return NULL;
	char **word = skip(argv + 1, on);
	if (word && *word) {
		if (among(other, *word, strlen(*word))) return NULL;
		if (among(measuring, *word, strlen(*word))) word = skip(word + 1, on);
	}
	if (word && *word && !strcmp(*word, "--")) word++;
	return word && *word ? word : NULL;
}
