/* clusters: which clusters are in, said to the user. */
#ifndef CLIENT_CLUSTERS_H
#define CLIENT_CLUSTERS_H

#include "client/api.h"

/* One event about the clusters of api->object, if it has several. */
void cli_clusters_known(const struct cli_api *api);

struct cli_clusters {
	struct cli_api *api;
	uint64_t session_id;
	struct cli_call *call; /* under way, or NULL */
};

/* Asks the operator in which clusters the session is, and says so. */
void cli_clusters_ask(
    struct cli_clusters *c, struct cli_api *api, uint64_t session_id);
void cli_clusters_free(struct cli_clusters *c);
/* "east, west" of that session in an operator object; false: not in it. */
bool cli_clusters_of(
    const cJSON *operator, uint64_t session_id, struct buf *out);

#endif
