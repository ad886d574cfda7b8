/*
 * phases: the life of a session as a table of phases x events.
 *
 *   Initializing --asked--> Pending --up--> Ready
 *        |                     |              |
 *        +---- fail, deadline, expire, end ---+--> Terminating --empty--> gone
 *   Stored (found at start) --open--> Pending; --expire, end--> Terminating
 *
 * A session whose TTL ran out and whose children are being removed can be
 * wanted again under the same id: Terminating --open--> Pending, and the
 * slots turn round. One that was ended by a person, a limit or a policy
 * cannot: 410 ReconnectNotPossible.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/local.h"
#include "workers/own/own.h"

static const char *const phase_names[OWN_N_PHASES] = {
    [OWN_INITIALIZING] = "Initializing",
    [OWN_PENDING] = "Pending",
    [OWN_READY] = "Ready",
    [OWN_STORED] = "Stored",
    [OWN_TERMINATING] = "Terminating",
};
static const char *const event_names[OWN_N_EVENTS] = {
    [OWN_EV_OPEN] = "open",
    [OWN_EV_ASKED] = "asked",
    [OWN_EV_UP] = "up",
    [OWN_EV_FAIL] = "fail",
    [OWN_EV_DEADLINE] = "deadline",
    [OWN_EV_EXPIRE] = "expire",
    [OWN_EV_END] = "end",
    [OWN_EV_EMPTY] = "empty",
};

const char *
own_phase_name(enum own_phase p)
{
	return phase_names[p];
}

int
own_phase_parse(const char *name)
{
	for (int i = 0; i < OWN_N_PHASES; i++) {
		if (strcmp(name, phase_names[i]) == 0)
			return i;
	}
	return -1;
}

/* ---- answers ---- */

enum { CONDITIONS_MAX = 12000 };

static void
join_text(struct buf *b, int i, const char *text)
{
	size_t at;

	(void)buf_printf(b, "%s%s", i == 0 ? "" : "\n", text);
	/* an item is a line */
	at = b->len - strlen(text);
	for (uint8_t *p = buf_data(b); at < b->len; at++)
		p[at] = p[at] == '\n' ? ' ' : p[at];
}

static void
send_opened(struct own_session *s, const struct own_waiter *w)
{
	struct buf slots, workers, ready, conditions;
	buf_init(&slots, 0);
	buf_init(&workers, 0);
	buf_init(&ready, 0);
	buf_init(&conditions, 0);
	for (int i = 0; i < s->n_slots; i++) {
		const struct own_slot *slot = &s->slots[i];
		bool up = slot->state == OWN_SLOT_UP;
		char number[16];
		(void)str_fmt(number, sizeof(number), "%u", slot->worker);
		join_text(&slots, i, slot->cluster);
		join_text(&workers, i, slot->own ? "own" : number);
		/* the message holds so much for all of them */
		join_text(&conditions, i,
		    up || conditions.len > CONDITIONS_MAX ? "" : slot->error);
		(void)buf_append_u8(&ready, up ? '1' : '0');
	}
	struct ipc_session_opened m = {
	    .request = w->request,
	    .session_id = s->id,
	    .default_slot = (uint32_t)s->default_slot,
	    .slots = buf_cstr(&slots),
	    .workers = buf_cstr(&workers),
	    .ready = buf_cstr(&ready),
	    .conditions = buf_cstr(&conditions),
	    .settled = s->settled,
	};
	(void)ipc_send(w->fe, IPC_SESSION_OPENED, 0, s->handle, 0, &m, NULL, 0);
	buf_free(&slots);
	buf_free(&workers);
	buf_free(&ready);
	buf_free(&conditions);
}

static void
send_refused(const struct own_waiter *w, const struct own_refusal *r)
{
	struct ipc_session_refused m = {
	    .request = w->request,
	    .code = r->code,
	    .reason = r->reason,
	    .message = r->message,
	};
	(void)ipc_send(w->fe, IPC_SESSION_REFUSED, 0, 0, 0, &m, NULL, 0);
}

/* ---- actions: what a row of the table does ---- */

typedef void action_fn(struct own_session *s);

static void
do_nothing(struct own_session *s)
{
	(void)s;
}

static void
do_save(struct own_session *s)
{
	(void)own_session_save(s);
}

static void do_connect(struct own_session *s);

/*
 * Ready and asked again: served when the default is up (what is missing is
 * named), set up once more when it is not.
 */
static void
do_join(struct own_session *s)
{
	if (list_empty(&s->waiters))
		return;
	if (own_slots_can_serve(s)) {
		own_answer_waiters(s);
		own_slots_step(s);
		return;
	}
	s->phase = OWN_PENDING;
	do_connect(s);
}

static void
do_connect(struct own_session *s)
{
	s->setup_at_ms = clock_mono_ms();
	s->stamp_us = clock_wall_us();
	for (int i = 0; i < s->n_slots; i++) {
		s->slots[i].failing_since_ms = 0;
		s->slots[i].retry_at_ms = 0;
	}
	(void)own_session_save(s);
	own_grant_sf(s);
	own_slots_step(s);
	if (own_slots_all_up(s))
		own_event(s, OWN_EV_UP);
}

static void
do_ready(struct own_session *s)
{
	(void)own_session_save(s);
	log_info("Session Start session=%s user=%s target=%s namespace=%s "
		 "clusters=%d ms=%llu",
	    s->name, s->user, s->alias, s->ns, s->n_slots,
	    (unsigned long long)(clock_mono_ms() - s->setup_at_ms));
	own_answer_waiters(s);
}

static void
refuse_waiters(struct own_session *s, const struct own_refusal *r)
{
	LIST_FOR_EACH_SAFE (n, &s->waiters) {
		struct own_waiter *w = LIST_ENTRY(n, struct own_waiter, node);
		send_refused(w, r);
		list_remove(n);
		free(w);
	}
}

/* The removal begins: stored first, so that a crash does not forget it. */
static void
do_remove(struct own_session *s)
{
	s->removing_since_ms = clock_mono_ms();
	(void)own_session_save(s);
	own_local_end(s->local, s->ended ? s->close_text : "session over");
	own_slots_step(s);
	own_revoke(s, own_sf(s->own), "the session is over");
	s->sf_granted = s->sf_asked = false;
	if (own_slots_all_gone(s))
		own_event(s, OWN_EV_EMPTY);
}

static void
do_fail(struct own_session *s)
{
	log_warn("session=%s cannot start code=%u why=%s", s->name,
	    s->failure.code, s->failure.message);
	refuse_waiters(s, &s->failure);
	do_remove(s);
}

static void
do_deadline(struct own_session *s)
{
	struct buf b;
	buf_init(&b, 0);
	for (int i = 0; i < s->n_slots; i++) {
		const struct own_slot *slot = &s->slots[i];
		if (slot->state != OWN_SLOT_UP)
			(void)buf_printf(&b, "%s%s%s%s", b.len ? "; " : "",
			    slot->cluster, slot->error[0] ? ": " : "",
			    slot->error);
	}
	if (b.len == 0)
		(void)buf_printf(&b, "the daemon's own workers");
	own_refuse(&s->failure, 500, "SetupDeadlineExceeded",
	    "the session was not ready after %lld s (waiting for %s): try "
	    "again, or see the operator's log",
	    (long long)s->own->cfg.setup_s, buf_cstr(&b));
	buf_free(&b);
	do_fail(s);
}

static void
do_expire(struct own_session *s)
{
	log_info("Session End session=%s why=%s", s->name,
	    s->deleted ? "its primary removed it" : "nobody came back");
	own_refuse(&s->failure, 500, "Unused",
	    "the session ran out while it was being set up: try again");
	refuse_waiters(s, &s->failure);
	do_remove(s);
}

static void
do_end(struct own_session *s)
{
	struct plat_closed c;
	struct err e = {0};
	log_info("Session End session=%s reason=%s why=%s", s->name,
	    s->close_reason, s->close_text);
	(void)str_fmt(c.reason, sizeof(c.reason), "%s", s->close_reason);
	(void)str_fmt(c.message, sizeof(c.message), "%s", s->close_text);
	if (plat_closed_add(s->own->store, s->name, &c, clock_wall_s(), &e) !=
	    0)
		log_error("session=%s its end cannot be stored why=%s", s->name,
		    e.text);
	own_refuse(
	    &s->failure, 410, "ReconnectNotPossible", "%s", s->close_text);
	refuse_waiters(s, &s->failure);
	own_sockets_end(s, true, s->close_text);
	do_remove(s);
}

static void
do_refuse_gone(struct own_session *s)
{
	struct own_refusal r;
	own_refuse(&r, 410, "ReconnectNotPossible", "%s", s->close_text);
	refuse_waiters(s, &r);
}

/* The id is wanted again while its last session is being removed. */
static void
do_revive(struct own_session *s)
{
	if (s->ended) {
		s->phase = OWN_TERMINATING;
		do_refuse_gone(s);
		return;
	}
	do_connect(s);
}

static void
do_free(struct own_session *s)
{
	struct err e = {0};
	refuse_waiters(s, &s->failure);
	own_sockets_end(s, false, "the session is over");
	if (plat_store_remove(s->own->store, s->name, &e) != 0)
		log_error("session=%s record stays why=%s", s->name, e.text);
	s->own->version++;
	if (s->kind == OWN_CHILD)
		own_watch_changed(s, "DELETED");
	log_info("session=%s is gone", s->name);
	own_session_free(s);
}

/* ---- the table ---- */

struct row {
	enum own_phase next;
	action_fn *action; /* NULL: the event means nothing here */
};

#define I OWN_INITIALIZING
#define P OWN_PENDING
#define R OWN_READY
#define S OWN_STORED
#define T OWN_TERMINATING
/* clang-format off */
static const struct row table[OWN_N_PHASES][OWN_N_EVENTS] = {
/*                    open             asked         up             fail          deadline          expire          end                empty */
[OWN_INITIALIZING] = {{I, do_nothing}, {P, do_save}, {R, do_ready}, {T, do_fail}, {T, do_deadline}, {T, do_expire}, {T, do_end},       {I, NULL}},
[OWN_PENDING]      = {{P, do_nothing}, {P, NULL},    {R, do_ready}, {T, do_fail}, {T, do_deadline}, {T, do_expire}, {T, do_end},       {P, NULL}},
[OWN_READY]        = {{R, do_join},    {R, NULL},    {R, do_join},  {R, NULL},    {R, NULL},        {T, do_expire}, {T, do_end},       {R, NULL}},
[OWN_STORED]       = {{P, do_connect}, {S, NULL},    {S, NULL},     {S, NULL},    {S, NULL},        {T, do_expire}, {T, do_end},       {S, NULL}},
[OWN_TERMINATING]  = {{P, do_revive},  {T, NULL},    {T, NULL},     {T, NULL},    {T, NULL},        {T, NULL},      {T, NULL},         {T, do_free}},
};
/* clang-format on */
#undef I
#undef P
#undef R
#undef S
#undef T

/* May free s (empty): callers must not use it afterwards without a look. */
void
own_event(struct own_session *s, enum own_event ev)
{
	const struct row *row = &table[s->phase][ev];
	if (row->action == NULL) {
		log_debug("session=%s phase=%s ignores event=%s", s->name,
		    phase_names[s->phase], event_names[ev]);
		return;
	}
	if (row->next != s->phase)
		log_debug("session=%s phase=%s event=%s next=%s", s->name,
		    phase_names[s->phase], event_names[ev],
		    phase_names[row->next]);
	s->phase = row->next;
	row->action(s);
}

void
own_answer_waiters(struct own_session *s)
{
	LIST_FOR_EACH_SAFE (n, &s->waiters) {
		struct own_waiter *w = LIST_ENTRY(n, struct own_waiter, node);
		send_opened(s, w);
		list_remove(n);
		free(w);
	}
}

void
own_session_end(struct own_session *s, const char *reason, const char *text)
{
	if (s->phase == OWN_TERMINATING)
		return;
	s->ended = true;
	(void)str_fmt(s->close_reason, sizeof(s->close_reason), "%s", reason);
	(void)str_fmt(s->close_text, sizeof(s->close_text), "%s", text);
	own_event(s, OWN_EV_END);
}
