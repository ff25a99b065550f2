/*
 * The moment at which a command's own code begins: it prints the monotonic clock in ns. The benchmark of package
 * bench runs it with and without a wrapper.
 */
#include <stdio.h>
#include <time.h>

int main(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("%lld\n", t.tv_sec * 1000000000LL + t.tv_nsec);
	return 0;
}
