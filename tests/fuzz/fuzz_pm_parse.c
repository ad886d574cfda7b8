/*
 * fuzz_pm_parse: any text as the JSON of a message; the first byte chooses the
 * direction. What is accepted must survive encoding and printing.
 */
#include "tests/fuzz/fuzz_pm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum pm_dir dir = n > 0 && data[0] % 2 == 1 ? PM_DAEMON : PM_CLIENT;
	struct arena a;
	union pm_any m;

	if (n == 0)
		return 0;
	arena_init(&a, (size_t)64 << 20);
	if (any_parse(&a, dir, (struct span){data + 1, n - 1}, &m) == 0)
		must_stand(&a, dir, &m);
	arena_free(&a);
	return 0;
}
