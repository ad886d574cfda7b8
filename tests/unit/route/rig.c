#include "config.h"

#include "lib/log.h"
#include "tests/unit/route/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what comes out ---- */

static void
queue_free(struct rig_queue *q)
{
	for (int i = 0; q->msg != NULL && i < q->n; i++)
		buf_free(&q->msg[(q->head + i) % RIG_QUEUE]);
	for (int p = 0; p < ROUTE_PATHS; p++)
		buf_free(&q->part[p]);
	free(q->msg);
	memset(q, 0, sizeof(*q));
}

static void
queue_put(struct rig_queue *q, enum route_path path, const struct route_out *o)
{
	struct buf *b = &q->part[path];

	/* first and last must frame the pieces. */
	assert_int_equal(o->first, !q->open[path]);
	assert_in_range(o->n_part, 1, ROUTE_PARTS_MAX);
	for (int i = 0; i < o->n_part; i++) {
		assert_true(o->part[i].n > 0);
		assert_int_equal(buf_append(b, o->part[i].p, o->part[i].n), 0);
	}
	q->pieces++;
	q->open[path] = !o->last;
	if (!o->last)
		return;
	if (q->msg == NULL)
		q->msg = calloc(RIG_QUEUE, sizeof(*q->msg));
	assert_non_null(q->msg);
	assert_true(q->n < RIG_QUEUE);
	q->msg[(q->head + q->n++) % RIG_QUEUE] = *b;
	buf_init(b, 0);
}

struct buf *
rig_next(struct rig_queue *q)
{
	static struct buf got;

	buf_free(&got);
	if (q->n == 0)
		return NULL;
	got = q->msg[q->head];
	q->head = (q->head + 1) % RIG_QUEUE;
	q->n--;
	return &got;
}

static void
on_to_child(
    void *arg, int slot, enum route_path path, const struct route_out *out)
{
	struct rig *g = arg;

	if (!g->cfg.split_children)
		path = ROUTE_TRAFFIC;
	g->last_path = path;
	assert_in_range(slot, 0, g->cfg.n_slots - 1);
	assert_int_equal(g->drops, 0);
	queue_put(&g->child[slot], path, out);
}

static void
on_to_client(void *arg, enum route_path path, const struct route_out *out)
{
	struct rig *g = arg;

	if (!g->cfg.split_client)
		path = ROUTE_TRAFFIC;
	assert_int_equal(g->drops, 0);
	queue_put(&g->client, path, out);
}

static void
on_hold_client(void *arg, enum route_path path, bool hold)
{
	struct rig *g = arg;

	assert_int_not_equal(g->client_held[path], hold);
	g->client_held[path] = hold;
}

static void
on_hold_child(void *arg, int slot, enum route_path path, bool hold)
{
	struct rig *g = arg;

	assert_int_not_equal(g->child_held[slot][path], hold);
	g->child_held[slot][path] = hold;
}

static void
on_settled(void *arg, const char *version)
{
	struct rig *g = arg;

	g->settles++;
	snprintf(g->settled, sizeof(g->settled), "%s", version);
}

static int
on_may_subscribe(void *arg, enum pm_space space, uint16_t port, struct span raw)
{
	const struct rig *g = arg;

	(void)space;
	(void)raw;
	return g->locked_port == port ? -ERR_CONFLICT : 0;
}

static void
on_subscription(
    void *arg, enum pm_space space, uint16_t port, bool added, struct span raw)
{
	struct rig *g = arg;

	(void)space;
	(void)port;
	assert_true(raw.n > 0);
	if (added)
		g->subs_added++;
	else
		g->subs_gone++;
}

static void
on_drop_client(void *arg, enum route_drop reason, const char *why)
{
	struct rig *g = arg;

	assert_true(strlen(why) > 0);
	g->drops++;
	g->drop = reason;
	assert_int_equal(g->drops, 1);
}

static void
on_child_failed(void *arg, int slot, enum route_fail reason, const char *why)
{
	struct rig *g = arg;

	assert_true(strlen(why) > 0);
	g->fails[slot]++;
	g->fail[slot] = reason;
	for (int p = 0; p < ROUTE_PATHS; p++) {
		g->child_held[slot][p] = false;
		g->child[slot].open[p] = false;
		buf_free(&g->child[slot].part[p]);
	}
}

static void
on_child_live(void *arg, int slot)
{
	((struct rig *)arg)->lives[slot]++;
}

static bool
on_child_waits(void *arg, int slot)
{
	return ((struct rig *)arg)->waits[slot];
}

static bool
on_pool_take(void *arg, size_t n)
{
	struct rig *g = arg;

	if (g->pool_limit > 0 && g->pooled + (long)n > g->pool_limit)
		return false;
	g->pooled += (long)n;
	return true;
}

static void
on_pool_give(void *arg, size_t n)
{
	struct rig *g = arg;

	g->pooled -= (long)n;
	assert_true(g->pooled >= 0);
}

/* ---- life ---- */

void
rig_new(struct rig *g, int n, int dflt, const struct route_config *cfg)
{
	static const struct route_ops ops = {
	    .to_child = on_to_child,
	    .to_client = on_to_client,
	    .hold_client = on_hold_client,
	    .hold_child = on_hold_child,
	    .settled = on_settled,
	    .may_subscribe = on_may_subscribe,
	    .subscription = on_subscription,
	    .drop_client = on_drop_client,
	    .child_failed = on_child_failed,
	    .child_live = on_child_live,
	    .child_waits = on_child_waits,
	    .pool_take = on_pool_take,
	    .pool_give = on_pool_give,
	};
	struct err e;
	char name[16];

	log_set_level(LOG_LV_ERROR);
	memset(g, 0, sizeof(*g));
	if (cfg != NULL)
		g->cfg = *cfg;
	g->cfg.n_slots = n;
	g->cfg.default_slot = dflt;
	if (g->cfg.own_version == NULL)
		g->cfg.own_version = PM_VERSION_OWN;
	g->cfg.prefix_logs = true;
	g->now = 1000;
	g->client_held[ROUTE_TRAFFIC] = true;
	g->client_held[ROUTE_STATEFUL] = true;
	g->r = route_new(&g->cfg, &ops, g, &e);
	assert_non_null(g->r);
	for (int s = 0; s < n; s++) {
		snprintf(name, sizeof(name), "c%d", s);
		route_set_name(g->r, s, name);
	}
}

void
rig_start(struct rig *g)
{
	for (int s = 0; s < g->cfg.n_slots; s++)
		route_child_up(g->r, s, g->now);
	route_start(g->r, g->now);
}

void
rig_init(struct rig *g, int n, int dflt, const struct route_config *cfg)
{
	rig_new(g, n, dflt, cfg);
	rig_start(g);
	assert_false(g->client_held[ROUTE_TRAFFIC]);
}

void
rig_free(struct rig *g)
{
	route_free(&g->r);
	assert_int_equal(g->pooled, 0);
	queue_free(&g->client);
	for (int s = 0; s < ROUTE_SLOTS_MAX; s++)
		queue_free(&g->child[s]);
	rig_next(&(struct rig_queue){0});
}

/* ---- JSON ---- */

static void
to_json(char *out, size_t cap, const char *s, uint64_t id)
{
	size_t n = 0;

	for (; *s != '\0' && n + 24 < cap; s++) {
		if (*s == '$')
			n += (size_t)snprintf(out + n, cap - n, "\"%llu\"",
			    (unsigned long long)id);
		else
			out[n++] = (char)(*s == '\'' ? '"' : *s);
	}
	assert_int_equal(*s, '\0');
	out[n] = '\0';
}

struct buf
rig_bytes(enum pm_dir dir, const char *text, uint64_t id)
{
	char json[2048];
	struct arena a;
	struct buf b;
	struct err e = {0};
	int rc;

	to_json(json, sizeof(json), text, id);
	arena_init(&a, 1 << 20);
	buf_init(&b, 0);
	if (dir == PM_CLIENT) {
		struct pm_ClientMessage m;

		rc = pm_parse_client(&a, json, strlen(json), &m, &e);
		if (rc == 0)
			rc = pm_encode_client(&m, &b, &e);
	} else {
		struct pm_DaemonMessage m;

		rc = pm_parse_daemon(&a, json, strlen(json), &m, &e);
		if (rc == 0)
			rc = pm_encode_daemon(&m, &b, &e);
	}
	if (rc != 0)
		fail_msg("%s: %s", json, e.text);
	arena_free(&a);
	return b;
}

static void
print(enum pm_dir dir, struct span s, struct buf *out)
{
	struct arena a;
	size_t used = 0;
	int rc;

	arena_init(&a, 4 << 20);
	if (dir == PM_CLIENT) {
		struct pm_ClientMessage m;

		rc = pm_decode_client(&a, s.p, s.n, &used, &m, NULL);
		if (rc == 0)
			rc = pm_print_client(&m, out);
	} else {
		struct pm_DaemonMessage m;

		rc = pm_decode_daemon(&a, s.p, s.n, &used, &m, NULL);
		if (rc == 0)
			rc = pm_print_daemon(&m, out);
	}
	arena_free(&a);
	assert_int_equal(rc, 0);
	assert_int_equal(used, s.n);
}

static void
want(struct rig_queue *q, enum pm_dir dir, const char *text)
{
	struct buf b = rig_bytes(dir, text, 0), wanted, printed;
	const struct buf *got = rig_next(q);

	buf_init(&wanted, 0);
	buf_init(&printed, 0);
	if (got == NULL)
		fail_msg("nothing came, wanted %s", text);
	else
		print(dir, buf_span(got), &printed);
	print(dir, buf_span(&b), &wanted);
	assert_string_equal(buf_cstr(&printed), buf_cstr(&wanted));
	buf_free(&b);
	buf_free(&wanted);
	buf_free(&printed);
}

void
rig_want_bytes(struct rig_queue *q, struct span s)
{
	const struct buf *got = rig_next(q);

	assert_non_null(got);
	assert_int_equal(got->len, s.n);
	assert_memory_equal(buf_data(got), s.p, s.n);
}

#define FORMAT(text, fmt)                               \
	do {                                            \
		va_list ap;                             \
                                                        \
		va_start(ap, fmt);                      \
		vsnprintf(text, sizeof(text), fmt, ap); \
		va_end(ap);                             \
	} while (0)

void
rig_want_client(struct rig *g, const char *fmt, ...)
{
	char text[1024];

	FORMAT(text, fmt);
	want(&g->client, PM_DAEMON, text);
}

void
rig_want_child(struct rig *g, int slot, const char *fmt, ...)
{
	char text[1024];

	FORMAT(text, fmt);
	want(&g->child[slot], PM_CLIENT, text);
}

void
rig_want_all(struct rig *g, const char *fmt, ...)
{
	char text[1024];

	FORMAT(text, fmt);
	for (int s = 0; s < g->cfg.n_slots; s++)
		want(&g->child[s], PM_CLIENT, text);
}

void
rig_want_log(struct rig *g, const char *level, const char *text)
{
	const struct buf *got = rig_next(&g->client);
	struct buf b;
	char tail[32];

	buf_init(&b, 0);
	if (got == NULL)
		fail_msg("no log line, wanted %s", text);
	else
		print(PM_DAEMON, buf_span(got), &b);
	snprintf(tail, sizeof(tail), "\"level\": \"%s\"", level);
	if (strstr(buf_cstr(&b), text) == NULL ||
	    strstr(buf_cstr(&b), tail) == NULL)
		fail_msg("%s: wanted %s: %s", buf_cstr(&b), level, text);
	buf_free(&b);
}

void
rig_want_nothing(struct rig *g)
{
	struct buf b;

	buf_init(&b, 0);
	if (g->client.n > 0) {
		print(PM_DAEMON, buf_span(rig_next(&g->client)), &b);
		fail_msg("the client got %s", buf_cstr(&b));
	}
	for (int s = 0; s < g->cfg.n_slots; s++) {
		if (g->child[s].n == 0)
			continue;
		print(PM_CLIENT, buf_span(rig_next(&g->child[s])), &b);
		fail_msg("child %d got %s", s, buf_cstr(&b));
	}
	assert_int_equal(g->drops, 0);
}

void
rig_clear(struct rig *g)
{
	while (rig_next(&g->client) != NULL)
		;
	for (int s = 0; s < g->cfg.n_slots; s++)
		while (rig_next(&g->child[s]) != NULL)
			;
}

/* ---- what goes in ---- */

int
rig_client_bytes(struct rig *g, struct span s, size_t piece)
{
	size_t at = 0;
	int rc = 0;

	do {
		size_t n = s.n - at < piece ? s.n - at : piece;

		rc = route_from_client(g->r, ROUTE_TRAFFIC, s.p + at, n,
		    at == 0, at + n == s.n, g->now);
		at += n;
	} while (at < s.n && rc == 0);
	return rc;
}

int
rig_child_bytes(struct rig *g, int slot, struct span s, size_t piece)
{
	struct pm_route m;
	enum route_path path = ROUTE_TRAFFIC;
	size_t at = 0;
	int rc = 0;

	if (g->cfg.split_children && slot == g->cfg.default_slot &&
	    pm_shallow(PM_DAEMON, s.p, s.n, &m, NULL) == 0 &&
	    route_is_stateful(PM_DAEMON, &m))
		path = ROUTE_STATEFUL;
	do {
		size_t n = s.n - at < piece ? s.n - at : piece;

		rc = route_from_child(g->r, slot, path, s.p + at, n, at == 0,
		    at + n == s.n, g->now);
		at += n;
	} while (at < s.n && rc == 0);
	return rc;
}

void
rig_client(struct rig *g, const char *fmt, ...)
{
	char text[1024];
	struct buf b;

	FORMAT(text, fmt);
	b = rig_bytes(PM_CLIENT, text, 0);
	assert_int_equal(rig_client_bytes(g, buf_span(&b), b.len), 0);
	buf_free(&b);
}

void
rig_child(struct rig *g, int slot, const char *fmt, ...)
{
	char text[1024];
	struct buf b;

	FORMAT(text, fmt);
	b = rig_bytes(PM_DAEMON, text, 0);
	assert_int_equal(rig_child_bytes(g, slot, buf_span(&b), b.len), 0);
	buf_free(&b);
}

void
rig_wait(struct rig *g, uint64_t ms)
{
	uint64_t end = g->now + ms;

	for (int i = 0; i < 1000; i++) {
		uint64_t d = route_next_deadline(g->r);

		if (d > end) {
			g->now = end;
			return;
		}
		if (d > g->now)
			g->now = d;
		route_tick(g->r, g->now);
	}
	fail_msg("the router's deadline does not move");
}

void
rig_negotiate(struct rig *g, const char *v)
{
	rig_client(g, "{'SwitchProtocolVersion':'%s'}", v);
	for (int s = 0; s < g->cfg.n_slots; s++) {
		if (!route_child_is_live(g->r, s))
			continue;
		rig_want_child(g, s, "{'SwitchProtocolVersion':'%s'}", v);
		rig_child(g, s, "{'SwitchProtocolVersionResponse':'%s'}", v);
	}
	rig_want_client(g, "{'SwitchProtocolVersionResponse':'%s'}", v);
}

void
rig_ready(struct rig *g)
{
	rig_client(g, "'ReadyForLogs'");
	for (int s = 0; s < g->cfg.n_slots; s++)
		if (route_child_is_live(g->r, s))
			rig_want_child(g, s, "'ReadyForLogs'");
}
