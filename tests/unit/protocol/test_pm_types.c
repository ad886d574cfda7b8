/*
 * The descriptor tables themselves: what the walkers take for granted, the
 * numbers of the reference, and, from the tables, a message of every variant
 * through encoder, decoder, scan and JSON.
 */
#include "protocol/pm_type.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/protocol/pm_rows.h"
#include "tests/unit/unit.h"

extern const struct pm_type pm_type_FileRequest;
extern const struct pm_type pm_type_FileResponse;
extern const struct pm_type pm_type_ErrorKindInternal;
extern const struct pm_type pm_type_LayerTcp;
extern const struct pm_type pm_type_LayerTcpSteal;
extern const struct pm_type pm_type_DaemonTcp;
extern const struct pm_type pm_type_LayerSeqpacket;
extern const struct pm_type pm_type_BlockedAction;
extern const struct pm_type pm_type_RemoteError;
extern const struct pm_type pm_type_AddressFamily;
extern const struct pm_type pm_type_LogLevel;

static void
test_counts(void **state)
{
	static const struct {
		const struct pm_type *t;
		uint32_t count;
		const char *last;
	} t[] = {
	    {&pm_type_ClientMessage, 18, "ShareLink"},
	    {&pm_type_DaemonMessage, 16, "SeqpacketOutgoing"},
	    {&pm_type_FileRequest, 30, "Fchmod"},
	    {&pm_type_FileResponse, 23, "Fchmod"},
	    {&pm_type_ResponseError, 14, "SystemFailure"},
	    {&pm_type_ErrorKindInternal, 41, "Unknown"},
	    {&pm_type_HttpFilter, 6, "HeaderJq"},
	    {&pm_type_LayerTcp, 4, "PortSubscribeFilteredHttp"},
	    {&pm_type_LayerTcpSteal, 7, "HttpResponseChunked"},
	    {&pm_type_DaemonTcp, 8, "NewConnectionV2"},
	    {&pm_type_LayerSeqpacket, 3, "ConnectV2"},
	    {&pm_type_BlockedAction, 4, "OutgoingUdp"},
	    {&pm_type_RemoteError, 6, "BadHttpFilterExRegex"},
	    {&pm_type_AddressFamily, 5, "UnknownAddressFamilyFromNewerClient"},
	    {&pm_type_LogLevel, 3, "Info"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		assert_int_equal(t[i].t->count, t[i].count);
		assert_string_equal(
		    t[i].t->variants[t[i].count - 1].name, t[i].last);
	}
}

/* ---- every type that can be reached ---- */

struct seen {
	const struct pm_type *v[400];
	size_t n;
};

static void visit(struct seen *s, const struct pm_type *t);

static void
visit_fields(struct seen *s, const struct pm_type *t, const struct pm_field *f,
    bool named)
{
	size_t n;

	for (n = 0; f[n].type != NULL; n++) {
		/* inside its owner, known by name to the JSON reader */
		assert_in_range(f[n].offset, 0, t->size - f[n].type->size);
		assert_int_equal(f[n].name != NULL, named);
		for (size_t k = 0; named && k < n; k++)
			assert_string_not_equal(f[n].name, f[k].name);
		visit(s, f[n].type);
	}
	assert_in_range(n, 0, 32); /* a bit each in pm_parse */
}

static void
visit_enum(struct seen *s, const struct pm_type *t)
{
	uint32_t before = 0;

	assert_in_range(t->count, 1, PM_NONE - 1); /* fits a route's byte */
	for (uint32_t i = 0; i < t->count; i++) {
		const struct pm_variant *v = &t->variants[i];

		assert_non_null(v->name);
		visit_fields(s, t, v->fields, v->named);
		/* variants are only ever added at the end */
		if (v->since != 0)
			assert_true(v->since >= before);
		if (v->since != 0)
			before = v->since;
	}
}

static void
visit(struct seen *s, const struct pm_type *t)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i] == t)
			return;
	assert_in_range(s->n, 0, N_OF(s->v) - 1);
	s->v[s->n++] = t;
	assert_in_range(t->kind, 0, PM_K_COUNT - 1);
	assert_int_not_equal(t->size, 0);
	if (t->kind == PM_K_ENUM)
		visit_enum(s, t);
	else if (t->fields != NULL)
		visit_fields(s, t, t->fields, true);
	if (t->elem != NULL)
		visit(s, t->elem);
	if (t->kind == PM_K_TWO)
		assert_int_equal(t->size, 2 * t->elem->size);
	if (t->kind == PM_K_RES)
		assert_true(t->err_offset > 0 && t->elem_offset > 0);
}

static void
test_tables(void **state)
{
	struct seen s = {.n = 0};

	(void)state;
	visit(&s, &pm_type_ClientMessage);
	visit(&s, &pm_type_DaemonMessage);
	assert_in_range(s.n, 150, 400);
}

/* ---- messages made from the tables ---- */

struct gen {
	struct arena a;
	uint32_t random;
	unsigned depth;
	/* one variant of one enum is wanted; the others are drawn */
	const struct pm_type *want;
	uint32_t variant;
};

static uint32_t
draw(struct gen *g, uint32_t below)
{
	g->random = g->random * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(g->random >> 8) * below >> 24);
}

static uint64_t
draw_number(struct gen *g, uint64_t max)
{
	static const uint64_t edges[] = {0, 1, 250, 251, 65535, 65536,
	    UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX, 1ULL << 53};
	uint64_t v = edges[draw(g, N_OF(edges))];

	return v > max ? max : v;
}

static struct pm_str
draw_text(struct gen *g, enum pm_kind kind)
{
	static const char *const texts[][3] = {
	    [PM_K_STR] = {"", "\xc3\xbc\xf0\x9f\xa6\x80\"\\\n", "plain"},
	    [PM_K_SEMVER] = {"1.29.0", "0.0.0-rc.1", "1.2.3+b"},
	    [PM_K_METHOD] = {"GET", "get", "X!"},
	    [PM_K_URI] = {"/", "*", "http://h/p?q"},
	    [PM_K_HTTPVER] = {"HTTP/0.9", "HTTP/1.1", "HTTP/3.0"},
	    [PM_K_HEADER_NAME] = {"a", "x-long-name", "~"},
	};

	return pm_str(texts[kind][draw(g, 3)]);
}

static void fill(struct gen *g, const struct pm_type *t, void *out);

static void
fill_fields(struct gen *g, const struct pm_field *f, void *out)
{
	for (; f->type != NULL; f++)
		fill(g, f->type, pm_at(out, f->offset));
}

static void
fill_enum(struct gen *g, const struct pm_type *t, void *out)
{
	uint32_t *tag = out;

	*tag = t == g->want ? g->variant : draw(g, t->count);
	/* filters may hold filters: come to an end */
	if (t == &pm_type_HttpFilter && g->depth++ > 8)
		*tag = PM_HttpFilter_Path;
	fill_fields(g, t->variants[*tag].fields, out);
}

static void
fill_items(struct gen *g, const struct pm_type *t, struct pm_vec *out)
{
	/* one item where names and keys must differ */
	bool one = t->kind == PM_K_SET || t->kind == PM_K_MAP ||
		   t->kind == PM_K_HEADERS;

	out->n = draw(g, one ? 2 : 4);
	if (t->elem->kind == PM_K_HEADER_VALUE)
		out->n++; /* a header without values is no header */
	out->v = arena_alloc(&g->a, out->n * t->elem->size);
	assert_non_null(out->v);
	for (size_t i = 0; i < out->n; i++)
		fill(g, t->elem, pm_at(out->v, i * t->elem->size));
}

static void
fill_number(struct gen *g, const struct pm_type *t, void *out)
{
	uint64_t v = draw_number(g, UINT64_MAX);
	uint32_t v32 = (uint32_t)v;
	uint16_t v16 = (uint16_t)v;

	switch (t->size) {
	case 1:
		*(uint8_t *)out = (uint8_t)(t->kind == PM_K_BOOL ? v & 1 : v);
		break;
	case 2:
		memcpy(out, &v16, sizeof(v16));
		if (t->kind == PM_K_STATUS)
			*(uint16_t *)out = (uint16_t)(100 + draw(g, 900));
		break;
	case 4:
		memcpy(out, &v32, sizeof(v32));
		break;
	default:
		memcpy(out, &v, sizeof(v));
	}
}

static void
fill_ip(struct gen *g, struct pm_ip *ip)
{
	memset(ip, 0, sizeof(*ip));
	ip->v6 = draw(g, 2) == 1;
	for (int i = 0; i < (ip->v6 ? 16 : 4); i++)
		ip->a[i] = draw(g, 2) == 1 ? (uint8_t)draw(g, 256) : 0;
}

static void
fill_parts(struct gen *g, const struct pm_type *t, void *out)
{
	switch (t->kind) {
	case PM_K_ENUM:
		fill_enum(g, t, out);
		break;
	case PM_K_OPT:
		*(bool *)out = draw(g, 2) == 1;
		if (*(bool *)out)
			fill(g, t->elem, pm_at(out, t->elem_offset));
		break;
	case PM_K_TWO:
		fill(g, t->elem, out);
		fill(g, t->elem, pm_at(out, t->elem->size));
		break;
	case PM_K_RES:
		*(uint32_t *)out =
		    g->want == &pm_type_ResponseError ? PM_ERR : draw(g, 2);
		if (*(uint32_t *)out == PM_OK)
			fill(g, t->elem, pm_at(out, t->elem_offset));
		else
			fill(g, &pm_type_ResponseError,
			    pm_at(out, t->err_offset));
		break;
	case PM_K_IP:
		fill_ip(g, out);
		break;
	default: /* structs, and the primitives told as structs */
		fill_fields(g, t->fields, out);
	}
}

static void
fill(struct gen *g, const struct pm_type *t, void *out)
{
	static const uint8_t bytes[] = {0x41, 0xff, 0x20, 0x7e};

	if (t->size <= 8 && t->elem == NULL && t->fields == NULL &&
	    t->kind != PM_K_ENUM && t->kind != PM_K_UNIT)
		fill_number(g, t, out);
	else if (t->kind == PM_K_UNIT)
		memset(out, 0, t->size);
	else if (t->kind >= PM_K_STR && t->kind <= PM_K_HEADER_NAME)
		*(struct pm_str *)out = draw_text(g, t->kind);
	else if (t->kind == PM_K_BYTES || t->kind == PM_K_HEADER_VALUE)
		*(struct span *)out = (struct span){bytes, draw(g, 5)};
	else if (t->kind == PM_K_U128 || t->kind == PM_K_UID)
		for (size_t i = 0; i < 16; i++)
			((uint8_t *)out)[i] = (uint8_t)draw(g, 256);
	else if (t->kind == PM_K_VEC || t->kind == PM_K_SET ||
		 t->kind == PM_K_MAP || t->kind == PM_K_HEADERS)
		fill_items(g, t, out);
	else
		fill_parts(g, t, out);
}

static void
must_equal(const struct buf *a, const struct buf *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(buf_data(a), buf_data(b), a->len);
}

static void
check_message(struct gen *g, const struct message *m)
{
	struct buf raw = {0}, again = {0}, text = {0};
	struct message back;
	struct pm_route r;
	struct pm_scan scan;
	struct err e = {0};
	size_t used = 0;

	if (message_encode(m, &raw, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(message_decode(&g->a, m->dir, buf_data(&raw), raw.len,
			     &used, &back, &e),
	    0);
	assert_int_equal(used, raw.len);
	assert_int_equal(message_encode(&back, &again, NULL), 0);
	must_equal(&raw, &again);
	assert_int_equal(message_print(m, &text), 0);
	if (message_parse(&g->a, m->dir, (char *)buf_data(&text), text.len,
		&back, &e) != 0)
		fail_msg("%s: %s", e.text, buf_cstr(&text));
	buf_clear(&again);
	assert_int_equal(message_encode(&back, &again, NULL), 0);
	must_equal(&raw, &again);
	pm_scan_init(&scan, m->dir);
	assert_int_equal(
	    pm_scan_feed(&scan, buf_data(&raw), raw.len, &used, NULL), 0);
	assert_int_equal(used, raw.len);
	r = *pm_scan_route(&scan);
	assert_int_equal(r.kind, m->u.client.tag); /* first in both */
	assert_int_equal(r.since, message_since(m));
	assert_true(r.head_known && r.id_known == r.carries_id);
	buf_free(&raw);
	buf_free(&again);
	buf_free(&text);
}

/*
 * One message of `kind`, in which `want` (if it comes up) is its variant i.
 */
static void
make_and_check(enum pm_dir dir, uint32_t kind, const struct pm_type *want,
    uint32_t i, uint32_t seed)
{
	const struct pm_type *top = pm_type_of(dir);
	struct gen g = {.random = seed, .want = want, .variant = i};
	struct message m = {.dir = dir};

	arena_init(&g.a, 0);
	m.u.client.tag = kind; /* the tag is the first member of both */
	fill_fields(&g, top->variants[kind].fields, &m.u);
	check_message(&g, &m);
	arena_free(&g.a);
}

static void
test_every_variant(void **state)
{
	struct seen s = {.n = 0};
	uint32_t seed = 1;

	(void)state;
	visit(&s, &pm_type_ClientMessage);
	visit(&s, &pm_type_DaemonMessage);
	for (size_t t = 0; t < s.n; t++) {
		if (s.v[t]->kind != PM_K_ENUM)
			continue;
		for (uint32_t i = 0; i < s.v[t]->count; i++)
			for (uint32_t k = 0; k < 34; k++, seed++)
				make_and_check(k < 18 ? PM_CLIENT : PM_DAEMON,
				    k < 18 ? k : k - 18, s.v[t], i, seed);
	}
}

static void
test_many(void **state)
{
	(void)state;
	for (uint32_t seed = 0; seed < 20000; seed++)
		make_and_check(seed % 34 < 18 ? PM_CLIENT : PM_DAEMON,
		    seed % 34 < 18 ? seed % 34 : seed % 34 - 18, NULL, 0,
		    seed * 7919);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_counts),
	    cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_every_variant),
	    cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
