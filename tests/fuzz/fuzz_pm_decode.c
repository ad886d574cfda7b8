/*
 * fuzz_pm_decode: any bytes as a message. The first byte chooses direction and
 * where the scan's input is split. Decoder, scan, encoder and JSON must agree.
 */
#include "tests/fuzz/fuzz_pm.h"
#include "tests/lib/pm_same_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int
scan_split(enum pm_dir dir, struct span in, size_t at, struct pm_scan *s)
{
	size_t used = 0;
	int rc;

	pm_scan_init(s, dir);
	rc = pm_scan_feed(s, in.p, at, &used, NULL);
	if (rc == -ERR_TRUNCATED)
		rc = pm_scan_feed(s, in.p + at, in.n - at, &used, NULL);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum pm_dir dir = n > 0 && data[0] % 2 == 1 ? PM_DAEMON : PM_CLIENT;
	struct span in = {data + 1, n - 1};
	struct pm_scan s;
	struct pm_route whole;
	struct arena a;
	union pm_any m;
	size_t used = 0;
	int rc, scan_rc;

	if (n == 0)
		return 0;
	arena_init(&a, (size_t)64 << 20);
	rc = any_decode(&a, dir, in, &used, &m);
	scan_rc = pm_shallow(dir, in.p, in.n, &whole, NULL);
	must(scan_split(dir, in, data[0] / 2 % (in.n + 1), &s) == scan_rc);
	must(same_route(pm_scan_route(&s), &whole));
	if (rc == -ERR_TRUNCATED)
		must(scan_rc == -ERR_TRUNCATED);
	if (rc == 0) {
		must(scan_rc == 0 && pm_scan_offset(&s) == used);
		must(whole.head_known && whole.carries_id == whole.id_known);
		must(whole.since == (dir == PM_CLIENT
					    ? pm_since_client(&m.client)
					    : pm_since_daemon(&m.daemon)));
		must_stand(&a, dir, &m);
	}
	arena_free(&a);
	return 0;
}
