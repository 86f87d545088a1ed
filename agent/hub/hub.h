/* SPDX-License-Identifier: ISC */
#ifndef HUB_H
#define HUB_H

#include "hub_conf.h"
#include "hub_notify.h"
#include "hub_source.h"
#include "hub_store.h"
#include "hub_tree.h"
#include "mg_chan.h"
#include "mg_loop.h"
#include "mg_signers.h"
#include "mg_spawn.h"

/*
 * modelgate-hub: one process, one struct hub, one loop.
 *
 *	hub.c		start, signals, the log of the children
 *	hub_keys.c	who is known: approvers, hosts, the own host key
 *	hub_accept.c	connections until somebody speaks, and their limits
 *	hub_peer.c	one connection process: what it may say, its life
 *	hub_host.c	what a host says
 *	hub_approver.c	what an approver says
 */

#define HUB_CONN_PATH MG_LIBEXECDIR "/mg-hub-conn"
#define HUB_KEY_CREDENTIAL "hub_host_key"
#define HUB_QUEUE_MAX ((size_t)1 << 20) /* bytes to one connection process */

enum hub_peer_state {
	HUB_PEER_WAITING,    /* has not said a word; no process yet */
	HUB_PEER_LOGIN,	     /* a process talks ssh to it */
	HUB_PEER_APPROVER,   /* has proved an approver's key */
	HUB_PEER_HOST,	     /* has proved a host's key */
	HUB_PEER_HOST_READY, /* and has opened its channel */
	HUB_PEER_ENDING,     /* the process was told to end */
	HUB_PEER_NSTATES
};

struct hub;

struct hub_peer {
	struct hub *hub;
	struct hub_peer *next, *prev; /* oldest first */
	enum hub_peer_state state;
	char addr[HUB_ADDR_TEXT];
	uint8_t source[16];
	bool exempt; /* from penalties */
	bool narrow; /* its source is under one */
	bool queued; /* has spoken, and waits for a turn */
	int sock;    /* while waiting; -1 */
	struct mg_watch *sock_watch;
	struct mg_chan *chan;
	struct mg_watch *chan_watch;
	struct mg_child child;
	struct mg_watch *child_watch;
	struct mg_timer timer; /* the end of the time to log in */
	int64_t begun_ms;      /* its login */
	bool is_known;	       /* has shown a key that is somebody's */
	bool killed;	       /* by us: its end tells nothing */
	char name[97];	       /* whose key */
	uint8_t *key;
	size_t key_len;
	/* An inbox on its way: what is left of it. */
	struct mg_uuid *list;
	size_t list_n, list_at;
	uint32_t list_id;
	bool watches, told; /* wants CHANGED; was sent one */
	/* A decision that waits for its verdict. */
	char waits_for[MG_UUID_STR];
	uint32_t waits_id;
};

struct hub {
	struct mg_loop *loop;
	struct hub_conf conf;
	const char *conf_path;
	struct mg_signers *approvers, *hosts;
	struct mg_buf host_key; /* secret */
	/* Where that came from: the credential HUB_KEY_CREDENTIAL, where the
	 * service manager hands one out, else the file of hub.ini. */
	char host_key_path[HUB_PATH_MAX];
	struct hub_store store;
	struct hub_notify *notify;
	struct hub_trees *trees; /* of hosts' ledgers */
	struct hub_sources sources;
	struct hub_peer *first, *last;
	size_t count[HUB_PEER_NSTATES];
	size_t nqueued;	       /* who wait for a turn */
	struct mg_timer turns; /* when they are looked at */
	bool is_ending;
	struct mg_watch *listen_watch[HUB_LISTEN_MAX];
	int listen_fd[HUB_LISTEN_MAX];
	size_t nlisten;
	bool is_deaf; /* there was no descriptor for who came last */
	struct mg_timer listen_timer;
	int log_fd[2]; /* what children write comes out of [0] */
	struct mg_watch *log_watch;
	struct mg_buf log_in;
	int signal_fd;
	struct mg_watch *signal_watch;
	struct mg_timer tidy;
	int64_t wall_ms, boot_ms; /* both clocks at start */
};

/* The hub's time: the wall clock when it started, steady since. */
int64_t hub_now(const struct hub *hub);

/* ---- hub_keys.c ---- */

/*
 * Loads approvers, hosts and host key (with where it was). On failure nothing
 * changes and ds says why.
 */
enum mg_err hub_keys_load(struct hub *hub, const struct hub_conf *conf,
    struct mg_diags *ds) MG_MUST_CHECK;
void hub_keys_free(struct hub *hub);

/* Who owns the key now; *namep lives until keys are loaded again. */
enum mg_hub_who hub_keys_find(
    const struct hub *hub, const void *key, size_t len, const char **namep);

/*
 * Starts a connection process without a connection, to see that it starts
 * and can use the host key. why says what is wrong.
 */
enum mg_err hub_keys_try(
    struct hub *hub, char *why, size_t why_size) MG_MUST_CHECK;

/* ---- hub_accept.c ---- */

enum mg_err hub_listen(
    struct hub *hub, char *why, size_t why_size) MG_MUST_CHECK;
void hub_listen_end(struct hub *hub);

/* Somebody who logged in goes or has a name: who waits may be next, but not
 * before this event is over. */
void hub_door_opens(struct hub *hub);

/* How long p may take to log in, in ms. */
int64_t hub_grace_ms(const struct hub_peer *p);

/* ---- hub_peer.c ---- */

/* A peer that waits on sock, which it owns; NULL: no memory (sock closed). */
struct hub_peer *hub_peer_new(
    struct hub *hub, int sock, const struct sockaddr_storage *sa);

/* Ends it at once. Its process, if any, is collected later. */
void hub_peer_end(struct hub_peer *p);

/* Starts its process; ends the peer when that fails. */
void hub_peer_start(struct hub_peer *p, size_t crowd);

/* Sends; ends the peer when that fails. */
void hub_peer_send(
    struct hub_peer *p, uint32_t id, enum mg_msg_op op, const void *msg);
void hub_peer_done(struct hub_peer *p, uint32_t id, bool ok, const char *text);

/* Logs what it did wrong and ends it. */
void hub_peer_violation(struct hub_peer *p, const char *what);

/* Polls for writing while something waits to be sent. */
void hub_peer_update_watch(struct hub_peer *p);

void hub_peer_set_state(struct hub_peer *p, enum hub_peer_state state);

/* Ends every session whose key is no longer what it was. */
void hub_peers_recheck(struct hub *hub);
void hub_peers_end(struct hub *hub);

/* ---- hub_host.c ---- */

/* The host whose channel is open; NULL: it is not connected. */
struct hub_peer *hub_host_of(const struct hub *hub, const char *name);

/* Sends it what waits for it, as far as its queue takes it. */
void hub_host_deliver(struct hub_peer *p);

/* It went away: what it did not judge will be sent again. */
void hub_host_gone(struct hub_peer *p);

void hub_on_host_req(struct hub_peer *p);
void hub_on_put(struct hub_peer *p, uint32_t id, const struct mg_hub_put *m);
void hub_on_state(struct hub_peer *p, const struct mg_hub_state *m);
void hub_on_verdict(struct hub_peer *p, const struct mg_hub_verdict *m);
void hub_on_tree(struct hub_peer *p, uint32_t id, const struct mg_hub_tree *m);

/* ---- hub_approver.c ---- */

void hub_on_list(
    struct hub_peer *p, uint32_t id, const struct mg_conn_list_req *m);
void hub_on_show(
    struct hub_peer *p, uint32_t id, const struct mg_conn_show_req *m);
void hub_on_submit(
    struct hub_peer *p, uint32_t id, const struct mg_conn_submit_req *m);

void hub_on_tree_req(
    struct hub_peer *p, uint32_t id, const struct mg_conn_tree_req *m);

/* Sends more of an inbox, as far as the queue takes it. */
void hub_list_more(struct hub_peer *p);

/* Something that inboxes show has changed. */
void hub_changed(struct hub *hub);

/* A verdict is known: tells the approver if it waits. */
void hub_tell_verdict(struct hub *hub, const struct hub_request *req,
    const struct hub_decision *d);

#endif
