//go:build linux && cgo

// An administrator may give this file capabilities (setcap(8)). The kernel then sets AT_SECURE (getauxval(3)), and ld.so
// removes variables that would change what it loads, such as LD_LIBRARY_PATH, TMPDIR and MALLOC_ARENA_MAX (ld.so(8)). That is
// right for ergon. But the command has no capability, and needs the variables that its caller set.
#define _GNU_SOURCE
#include "secure.h"

#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif

// The strings of the environment as execve has put them on the stack: one behind the other, between the words and the name of
// the program (create_elf_tables in fs/binfmt_elf.c). ld.so only takes pointers to them out of the list.
static char *first, *end;

// keep gives up all capabilities but those in the mask.
static void keep(uint64_t mask) {
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	memset(sets, 0, sizeof sets);
	if (syscall(SYS_capget, &head, sets)) return;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		uint32_t part = (uint32_t)(mask >> (32 * i));
		sets[i].effective &= part;
		sets[i].permitted &= part;
		sets[i].inheritable &= part;
	}
	syscall(SYS_capset, &head, sets);
}

void secure_begin(int argc, char **argv) {
	if (!getauxval(AT_SECURE)) return;
	keep(UINT64_C(1) << CAP_PERFMON);
	if (argc < 1) return;
	first = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
	end = (char *)getauxval(AT_EXECFN);
}

void secure_as_given(void) {
	if (!getauxval(AT_SECURE)) return;
	keep(0);
	if (!first || end <= first) return;
	size_t n = 1;
	for (char *p = first; p < end; p += strlen(p) + 1) n++;
	char **list = mmap(NULL, n * sizeof *list, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (list == MAP_FAILED) return;
	environ = list;
	for (char *p = first; p < end; p += strlen(p) + 1) *list++ = p;
	*list = NULL;
}
