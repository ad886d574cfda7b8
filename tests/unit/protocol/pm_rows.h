/*
 * pm_rows: the rows of tests/vectors/protocol.jsonl, and the codec's calls
 * with the direction as a value, for tables that mix both.
 */
#ifndef TESTS_PM_ROWS_H
#define TESTS_PM_ROWS_H

#include "protocol/pm_scan.h"

struct row {
	char *line; /* owned; json points into it */
	struct pm_str name, note;
	struct pm_str json; /* the raw text of the member */
	enum pm_dir dir;
	bool valid, odd;
	struct buf hex;       /* the bytes of "hex" */
	struct buf canonical; /* of "canonical_hex", else of the message */
	size_t consumed;
};

struct rows {
	size_t n;
	struct row *v;
	struct arena arena; /* names and notes */
};

/* Loads PM_VECTORS; fails the running test when it cannot. */
void rows_load(struct rows *rows);
void rows_free(struct rows *rows);

struct message {
	enum pm_dir dir;
	union {
		struct pm_ClientMessage client;
		struct pm_DaemonMessage daemon;
	} u;
};

int message_decode(struct arena *a, enum pm_dir dir, const uint8_t *p, size_t n,
    size_t *used_r, struct message *out, struct err *e);
int message_encode(const struct message *m, struct buf *out, struct err *e);
int message_print(const struct message *m, struct buf *out);
int message_parse(struct arena *a, enum pm_dir dir, const char *s, size_t n,
    struct message *out, struct err *e);
uint32_t message_since(const struct message *m);

/*
 * JSON without white space, its strings with as few escapes as pm_print uses,
 * so that equal trees in equal order are equal text. False for no JSON.
 */
bool json_plain(const char *s, size_t n, struct buf *out);

/* Hex text to bytes; fails the running test when it is none. */
void unhex(const char *hex, size_t n, struct buf *out);

#endif
