/* SPDX-License-Identifier: ISC */
#ifndef HUB_TREE_H
#define HUB_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "mg_msg.h"
#include "mg_note.h"

/*
 * What the hub keeps of each host's ledger, so that a host cannot shorten
 * or rewrite it unseen: the hash of every line, and checkpoints that both
 * have signed. In the hub's folder, for each host
 *
 *	ledger-HOST.leaves	32 bytes a line
 *	ledger-HOST.notes	checkpoints, an empty line behind each
 *	ledger-HOST.tree	the newest one, and the tree's subtrees
 *	ledger-HOST.alarms	what did not fit, one JSON line each
 */

#define HUB_TREE_NAME "modelgate-hub" /* under which the hub countersigns */

struct hub_trees;

/* Works in the folder dirfd, which stays the caller's. NULL: no memory. */
struct hub_trees *hub_trees_new(int dirfd) MG_MUST_CHECK;
void hub_trees_free(struct hub_trees *all);

/*
 * Takes what a host says. host_key is its raw public key, seed and pub the
 * hub's own; time_s the time of a countersignature. ans is filled in; its
 * texts live until the next call. *alarmp: something is wrong with that
 * ledger, ans->text says what.
 */
void hub_trees_take(struct hub_trees *all, const char *host,
    const uint8_t host_key[MG_ED25519], const struct mg_hub_tree *m,
    const uint8_t seed[MG_ED25519], const uint8_t pub[MG_ED25519],
    int64_t time_s, struct mg_hub_witness *ans, bool *alarmp);

/* Up to max bytes of one of its files from offset on, into out. -1: there
 * is no such file. */
ssize_t hub_trees_read(struct hub_trees *all, enum mg_hub_tree_part part,
    const char *host, uint64_t offset, void *out, size_t max);

/* The hosts, one JSON line each, into b. */
enum mg_err hub_trees_list(
    struct hub_trees *all, struct mg_buf *b) MG_MUST_CHECK;

#endif
