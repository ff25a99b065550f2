// What the constructor does if this file was installed with rights that its caller lacks. See secure.c.
#ifndef ERGON_SECURE_H
#define ERGON_SECURE_H

#include <features.h>

// musl gives a constructor no argc and argv, and its linker refuses a program that leaves NVML's functions undefined.
#ifndef __GLIBC__
#error "with cgo, ergon needs glibc: build it with CGO_ENABLED=0 for another C library, such as musl"
#endif

// secure_begin keeps no capability but CAP_PERFMON, and notes the environment as the caller gave it.
void secure_begin(int argc, char **argv);

// secure_as_given makes this process what the caller would have had without the rights of the file: no capability, and all
// variables. It is for the process that makes the commands.
void secure_as_given(void);

#endif
