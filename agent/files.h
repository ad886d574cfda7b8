/*
 * files: the file requests of one client (spec/agent.md B.4). The queue keeps
 * the answers in the order of the requests; the calls themselves run on
 * threads. Normally one call of a client runs at a time; when it hangs (a
 * FIFO, a dead server) a few later ones may overtake it, so that a program
 * can open both ends of a FIFO, and their answers wait for its answer.
 */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include <stdbool.h>

#include "agent/agent.h"
#include "lib/buf.h"

struct files;
struct pm_FileRequest;

struct files *files_new(struct agent_client *c);
/*
 * raw is the whole message that m was decoded from; it is copied. 0, or
 * negative when the client cannot be served any more.
 */
int files_request(
    struct files *f, const struct pm_FileRequest *m, struct span raw);
/* So much waits that no more should be read from the client for now. */
bool files_full(const struct files *f);
/* Ends everything; what hangs is interrupted and freed later. */
void files_free(struct files **f);

#endif
