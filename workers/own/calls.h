/*
 * calls: API requests under way: what was asked, how to answer, questions to
 * the members that an answer needs, and watches.
 */
#ifndef WORKERS_OWN_CALLS_H
#define WORKERS_OWN_CALLS_H

#include "workers/own/own.h"

enum { OWN_FAN_OUT_MS = 3000, OWN_MAX_CALLS = 1024 };

/* What a query asks of a list (all owned, "" = not given). */
struct own_query {
	char *labels, *fields, *resume;
	size_t limit; /* 0 = none */
	bool watch;
};

struct own_api {
	struct list node; /* in own.calls while it waits */
	struct own *own;
	struct ipc_peer *fe;
	uint32_t request;
	uint8_t peer; /* OWN_PEER_... */
	char user[256], key_id[128];
	char ns[PLAT_NAME_MAX]; /* of the path, "" = all */
	char name[PLAT_NAME_MAX], plural[64], group[128], version[32];
	struct own_query q;
	struct span body; /* valid in the handler only */
	/* a fan-out under way */
	void (*done)(struct own_api *a);
	struct own_answer *answers; /* owned, one per cluster asked */
	size_t n_answers;
	struct ev_timer *timer;
};

/* What one member answered; body NULL: nothing in time. */
struct own_answer {
	char cluster[254];
	uint32_t worker, request;
	bool over;
	cJSON *body; /* owned */
};

typedef void own_api_fn(struct own_api *a);

/* Each of these answers and frees a. */
void own_api_json(struct own_api *a, uint16_t code, cJSON *body); /* taken */
void own_api_status(struct own_api *a, uint16_t code, const char *reason,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void own_api_success(struct own_api *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void own_api_free(struct own_api *a);

/*
 * Asks every member (what: as in PEER_QUERY) and calls done once: when all
 * have answered or after OWN_FAN_OUT_MS, with what there is. done answers.
 */
void own_fan_out(
    struct own_api *a, uint8_t what, void (*done)(struct own_api *a));
/* Names the clusters that did not answer in a list's metadata. */
void own_put_silent(const struct own_api *a, cJSON *list);

void own_calls_fe_gone(struct own *own, const struct ipc_peer *fe);
void own_calls_clu_gone(struct own *own, uint32_t worker);
void own_calls_free(struct own *own);

/* A watch of child sessions; keeps a. */
void own_watch_start(struct own_api *a);
void own_watch_send(
    struct own_api *a, const struct own_session *s, const char *type);

/* handlers, by api_table.def */
#define API(method, pattern, fn) own_api_fn fn;
#include "workers/own/api_table.def"
#undef API

#endif
