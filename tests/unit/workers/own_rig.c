#include "config.h"

/* The worker's clock runs ahead of the real one by own_rig_skip_ms. */
#define clock_mono_ms own_real_mono_ms
#define clock_mono_us own_real_mono_us
#define clock_wall_s own_real_wall_s
#define clock_wall_us own_real_wall_us
#include "lib/clock.c"
#undef clock_mono_ms
#undef clock_mono_us
#undef clock_wall_s
#undef clock_wall_us

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json.h"
#include "tests/unit/workers/own_rig.h"

int64_t own_rig_skip_ms;

uint64_t clock_mono_ms(void);
uint64_t
clock_mono_ms(void)
{
	return own_real_mono_ms() + (uint64_t)own_rig_skip_ms;
}
uint64_t clock_mono_us(void);
uint64_t
clock_mono_us(void)
{
	return own_real_mono_us() + (uint64_t)own_rig_skip_ms * 1000;
}
int64_t clock_wall_s(void);
int64_t
clock_wall_s(void)
{
	return own_real_wall_s() + own_rig_skip_ms / 1000;
}
int64_t clock_wall_us(void);
int64_t
clock_wall_us(void)
{
	return own_real_wall_us() + own_rig_skip_ms * 1000;
}

static const char *const modes[] = {
    [OWN_RIG_SINGLE] = "\"multiCluster\":null,\"clusterName\":\"t\"",
    [OWN_RIG_HUB] =
	"\"clusterName\":\"hub\",\"multiCluster\":{\"clusterName\":\"hub\","
	"\"defaultCluster\":\"east\",\"managementOnly\":true},"
	"\"clusters\":[{\"name\":\"east\",\"worker\":0},"
	"{\"name\":\"west\",\"worker\":1}]",
    [OWN_RIG_PWD] =
	"\"clusterName\":\"hub\",\"multiCluster\":{\"clusterName\":\"hub\","
	"\"defaultCluster\":\"hub\",\"managementOnly\":false},"
	"\"clusters\":[{\"name\":\"east\",\"worker\":0},"
	"{\"name\":\"west\",\"worker\":1}]",
};

#define TARGETS                                                             \
	"[{\"kind\":\"deployment\",\"namespace\":\"default\",\"name\":"     \
	"\"shop\",\"container\":\"app\",\"ports\":[8080],\"labels\":"       \
	"{\"app\":\"shop\"},\"replicas\":[{\"name\":\"shop-1\"},"           \
	"{\"name\":\"shop-2\"}]},"                                          \
	"{\"kind\":\"job\",\"namespace\":\"default\",\"name\":\"migrate\"," \
	"\"container\":\"\",\"labels\":{},\"ports\":[],\"replicas\":[]},"   \
	"{\"kind\":\"cronjob\",\"name\":\"nightly\",\"replicas\":[]},"      \
	"{\"kind\":\"statefulset\",\"name\":\"db\",\"replicas\":[]},"       \
	"{\"kind\":\"service\",\"name\":\"shop\",\"ports\":[80],"           \
	"\"labels\":{\"app\":\"shop\"},\"replicas\":[]},"                   \
	"{\"kind\":\"replicaset\",\"name\":\"shop-7d\",\"replicas\":[]}]"

static void
up(struct own_rig *t, int mode)
{
	char config[4096];
	snprintf(config, sizeof(config),
	    "{\"instance\":\"t\",\"runDir\":\"%s/run\",\"stateDir\":\"%s/"
	    "state\",%s,\"agent\":{\"idleSecs\":30},\"targets\":%s}",
	    t->root, t->root, modes[mode],
	    mode == OWN_RIG_HUB ? "[]" : TARGETS);
	rig_init(&t->r, &own_ops, config);
	t->sup = rig_attach(&t->r, IPC_SUP, 0, "supervisor");
	t->sf = rig_attach(&t->r, IPC_SF, 0, "");
	t->fe = rig_attach(&t->r, IPC_FE, 0, "");
	t->fe2 = rig_attach(&t->r, IPC_FE, 1, "");
	if (mode != OWN_RIG_SINGLE) {
		t->east = rig_attach(&t->r, IPC_CLU, 0, "east");
		t->west = rig_attach(&t->r, IPC_CLU, 1, "west");
	}
	if (mode != OWN_RIG_HUB) {
		own_rig_replica(t, "shop-1", 1);
		own_rig_replica(t, "shop-2", 1);
	}
	rig_settle(&t->r);
}

void
own_rig_init(struct own_rig *t, int mode)
{
	memset(t, 0, sizeof(*t));
	own_rig_skip_ms = 0;
	strcpy(t->root, "/tmp/trib-own-XXXXXX");
	assert_non_null(mkdtemp(t->root));
	up(t, mode);
}

void
own_rig_restart(struct own_rig *t, int mode)
{
	rig_deinit(&t->r);
	up(t, mode);
}

static void
remove_tree(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *de; d != NULL && (de = readdir(d)) != NULL;) {
		char sub[512];
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, de->d_name);
		if (unlink(sub) != 0)
			remove_tree(sub);
	}
	if (d != NULL)
		closedir(d);
	(void)rmdir(path);
}

void
own_rig_deinit(struct own_rig *t)
{
	rig_deinit(&t->r);
	remove_tree(t->root);
}

struct own *
own_rig_own(struct own_rig *t)
{
	return t->r.w.state;
}

void
own_rig_skip(struct own_rig *t, int64_t ms)
{
	own_rig_skip_ms += ms;
	own_tick(own_rig_own(t));
	rig_settle(&t->r);
}

void
own_rig_open(
    struct own_rig *t, struct rig_peer *fe, const struct own_rig_open *o)
{
#define OR(a, b) ((a) != NULL ? (a) : (b))
	const char *params = OR(o->params, "connect=true&key=k1");
	struct ipc_session_open m = {
	    .request = ++t->request,
	    .session_id = o->id,
	    .peer = o->peer,
	    .user = OR(o->user, "dev"),
	    .groups = "devs",
	    .key_id = OR(o->key_id, "a2V5"),
	    .namespace = OR(o->ns, "default"),
	    .target = OR(o->target, "deployment.shop"),
	    .child = OR(o->child, ""),
	    .params = {(const uint8_t *)params, strlen(params)},
	    .client_name = "Dev",
	    .client_hostname = "laptop",
	    .cli_version = "3.250.0",
	    .client_der = "REVS",
	};
#undef OR
	rig_send(fe, IPC_SESSION_OPEN, 0, 0, 0, &m);
}

void
own_rig_grant_sf(struct own_rig *t)
{
	struct rig_msg *m = rig_expect(t->sf, IPC_GRANT);
	struct ipc_granted g = {0};
	rig_send(t->sf, IPC_GRANTED, 0, m->header.session, 0, &g);
	rig_msg_free(&m);
	rig_settle(&t->r);
}

uint64_t
own_rig_number(const struct rig_msg *m, const char *field)
{
	char key[64];
	snprintf(key, sizeof(key), " %s=", field);
	const char *at = strstr(m->text, key);
	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 0);
}

static void
text_of(const struct rig_msg *m, const char *field, char *out, size_t cap)
{
	char key[64];
	snprintf(key, sizeof(key), " %s=\"", field);
	const char *at = strstr(m->text, key);
	assert_non_null(at);
	at += strlen(key);
	size_t n = strcspn(at, "\"");
	assert_true(n < cap);
	memcpy(out, at, n);
	out[n] = '\0';
}

int
own_rig_agent(struct own_rig *t, const char *error)
{
	static uint32_t number = 100;
	char target[600], replica[256];
	struct rig_msg *m = rig_expect(t->sup, IPC_AGENT_START);
	struct ipc_agent_started s = {
	    .request = (uint32_t)own_rig_number(m, "request"),
	    .agent = ++number,
	    .target = target,
	    .replica = replica,
	    .error = error,
	};
	int pair[2];
	text_of(m, "target", target, sizeof(target));
	text_of(m, "replica", replica, sizeof(replica));
	rig_msg_free(&m);
	if (error != NULL) {
		rig_send(t->sup, IPC_AGENT_STARTED, 0, 0, 0, &s);
		rig_settle(&t->r);
		return -1;
	}
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	rig_send_fd(t->sup, IPC_AGENT_STARTED, &s, pair[1]);
	close(pair[1]);
	rig_settle(&t->r);
	return pair[0];
}

int
own_rig_stream_fd(struct own_rig *t, int control_fd)
{
	char byte = 0;
	struct iovec iov = {&byte, 1};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} c;
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = c.bytes,
	    .msg_controllen = sizeof(c.bytes)};
	int fd = -1;
	for (int i = 0; i < 1000 && fd < 0; i++) {
		ssize_t n =
		    recvmsg(control_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		struct cmsghdr *h = n == 1 ? CMSG_FIRSTHDR(&msg) : NULL;
		if (h != NULL)
			memcpy(&fd, CMSG_DATA(h), sizeof(fd));
		else
			ev_loop_turn(t->r.w.loop, false);
	}
	assert_true(fd >= 0);
	assert_int_equal(byte, 'C');
	return fd;
}

void
own_rig_replica(struct own_rig *t, const char *name, int state)
{
	struct ipc_replica m = {.target = "deployment/default/shop",
	    .replica = name,
	    .state = (uint8_t)state,
	    .address = state ? "10.90.0.7" : ""};
	rig_send(t->sup, IPC_REPLICA, 0, 0, 0, &m);
	rig_settle(&t->r);
}

uint32_t
own_rig_expect_opened(struct own_rig *t, struct rig_peer *fe)
{
	struct rig_msg *m = rig_expect(fe, IPC_SESSION_OPENED);
	uint32_t handle = m->header.session;
	(void)t;
	rig_msg_free(&m);
	return handle;
}

void
own_rig_expect_refused(struct own_rig *t, struct rig_peer *fe, int code,
    const char *reason, const char *part)
{
	struct rig_msg *m = rig_expect(fe, IPC_SESSION_REFUSED);
	char key[128];
	(void)t;
	assert_int_equal((int)own_rig_number(m, "code"), code);
	snprintf(key, sizeof(key), "reason=\"%s%s", reason,
	    reason[0] != '\0' ? "\"" : ""); /* "": any */
	if (strstr(m->text, key) == NULL || strstr(m->text, part) == NULL)
		fail_msg("%s", m->text);
	rig_msg_free(&m);
}

uint32_t
own_rig_single(struct own_rig *t, uint64_t id, int controls[2])
{
	struct own_rig_open o = {.id = id};
	own_rig_open(t, t->fe, &o);
	for (int i = 0; i < 2; i++) {
		int fd = own_rig_agent(t, NULL);
		if (controls != NULL)
			controls[i] = fd;
	}
	own_rig_grant_sf(t);
	return own_rig_expect_opened(t, t->fe);
}

cJSON *
own_rig_api(struct own_rig *t, uint8_t peer, const char *user,
    const char *method, const char *path, const char *query, const char *body,
    int *code)
{
	struct ipc_api_request m = {
	    .request = ++t->request,
	    .peer = peer,
	    .user = user,
	    .key_id = "a2V5",
	    .method = method,
	    .path = path,
	    .query = query,
	    .body = {(const uint8_t *)body, body == NULL ? 0 : strlen(body)},
	};
	struct err e;
	rig_send(t->fe, IPC_API_REQUEST, 0, 0, 0, &m);
	struct rig_msg *got = rig_expect(t->fe, IPC_API_REPLY);
	*code = (int)own_rig_number(got, "code");
	cJSON *o = json_parse(buf_data(&got->data), got->data.len, &e);
	assert_non_null(o);
	rig_msg_free(&got);
	return o;
}

bool
own_rig_record(struct own_rig *t, const char *name)
{
	char path[256];
	snprintf(
	    path, sizeof(path), "%s/run/t/sessions/%s.json", t->root, name);
	return access(path, F_OK) == 0;
}

int
own_rig_files(struct own_rig *t, const char *dir)
{
	char path[256];
	int n = 0;
	snprintf(path, sizeof(path), "%s/%s", t->root, dir);
	DIR *d = opendir(path);
	for (struct dirent *de; d != NULL && (de = readdir(d)) != NULL;)
		n += de->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}
