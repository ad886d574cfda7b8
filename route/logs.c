/*
 * logs: what the developer is told. Nothing before ReadyForLogs; lines of
 * other children than the default begin with their name; standing conditions
 * (a missing cluster) are told again after each ReadyForLogs.
 */
#include "config.h"

#include "lib/log.h"
#include "lib/str.h"
#include "route/route_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
rt_name_of(const struct route *r, int slot)
{
	const struct child *c = rt_child_at(r, slot);

	return c == NULL || c->name[0] == '\0' ? "a child" : c->name;
}

/* An older client cannot decode Info (spec/protocol.md 12). */
static uint32_t
level_for(const struct route *r, uint32_t level)
{
	if (level == PM_LogLevel_Info &&
	    !pm_text_at_least(pm_str(r->version), PM_SINCE_LOG_INFO))
		return PM_LogLevel_Warn;
	return level;
}

static void
send_log(struct route *r, uint32_t level, struct pm_str text)
{
	struct buf b;

	if (r->cut_slot >= 0 && r->pend.len > OWN_PEND_LOGS) {
		r->stats.dropped_logs++;
		return;
	}
	buf_init(&b, ROUTE_WHOLE_MAX + 256);
	if (pm_put_log(&b, level_for(r, level), text) == 0)
		rt_own_to_client(r, buf_span(&b));
	else
		r->stats.dropped_logs++;
	buf_free(&b);
}

/* Others' words may be in it: text that is no UTF-8 would be no message. */
static void
make_utf8(char *s)
{
	if (str_utf8_valid((const uint8_t *)s, strlen(s)))
		return;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			*s = '?';
}

void
rt_tell(struct route *r, uint32_t level, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_utf8(text);
	log_info("told session=%llx: %s", (unsigned long long)r->cfg.session_id,
	    text);
	if (r->ready_for_logs)
		send_log(r, level, pm_str(text));
}

void
rt_ready_to_child(struct route *r, int slot)
{
	static const uint8_t msg[1] = {PM_ClientMessage_ReadyForLogs};
	const struct child *c = r->child[slot];

	if (pm_text_at_least(pm_str(c->version), PM_SINCE_READY_FOR_LOGS))
		rt_own_to_child(r, slot, (struct span){msg, sizeof(msg)});
}

void
rt_on_ready_for_logs(
    struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	(void)slot;
	(void)m;
	(void)raw;
	r->ready_for_logs = true;
	FOR_EACH_LIVE(r, s)
	rt_ready_to_child(r, s);
	for (int s = 0; s < r->cfg.n_slots; s++) {
		const struct child *c = r->child[s];

		if (c != NULL && c->condition != NULL)
			send_log(r, PM_LogLevel_Warn, pm_str(c->condition));
	}
}

static void
log_prefixed(
    struct route *r, int slot, uint32_t level, struct span text, bool prefix)
{
	struct buf b;
	int rc = 0;

	buf_init(&b, ROUTE_WHOLE_MAX + 128);
	if (prefix)
		rc = buf_printf(&b, "[%s] ", rt_name_of(r, slot));
	if (rc == 0 && buf_append(&b, text.p, text.n) == 0)
		send_log(r, level,
		    (struct pm_str){(const char *)buf_data(&b), b.len});
	buf_free(&b);
}

void
rt_on_log(struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	struct span text = rt_text_of(raw);
	bool prefix = r->cfg.prefix_logs && slot != r->cfg.default_slot;
	size_t at = (size_t)(text.p - raw.p) + text.n;
	uint64_t level;

	(void)m;
	if (!r->ready_for_logs || text.p == NULL ||
	    pm_get_varint(raw.p + at, raw.n - at, &level) < 0) {
		r->stats.dropped_logs++;
		return;
	}
	log_prefixed(r, slot, (uint32_t)level, text, prefix);
}

void
rt_condition_keep(struct route *r, int slot, const char *text)
{
	struct child *c = rt_child_get(r, slot);
	char line[CONDITION_MAX];

	if (c == NULL)
		return;
	free(c->condition);
	c->condition = NULL;
	if (text == NULL)
		return;
	snprintf(line, sizeof(line), "%s", text);
	make_utf8(line);
	c->condition = strdup(line);
}

void
route_condition_set(struct route *r, int slot, const char *text)
{
	if (r->dead || r->gone)
		return;
	rt_condition_keep(r, slot, text);
	if (text != NULL && slot >= 0 && slot < r->cfg.n_slots)
		rt_tell(r, PM_LogLevel_Warn, "%s", text);
}
