// Finds the command in ergon's own arguments, before Go can. See words.c.
#ifndef ERGON_WORDS_H
#define ERGON_WORDS_H

// prelaunch_switches says which of three options were given.
struct prelaunch_switches {
	int off;  // --off: the command is only executed
	int user; // --user: the command must not run as ergon's own user
	int exclusive; // --exclusive: the command must not run without the lock
};

// prelaunch_words returns where the command to measure begins in argv. It returns NULL if there is none: another subcommand,
// help, or a wrong option, which Go complains about.
char **prelaunch_words(int argc, char **argv, struct prelaunch_switches *on);

// prelaunch_options returns the list of options that take a value, or of those that do not. NULL ends it. A test reads it.
const char *const *prelaunch_options(int value);

#endif
