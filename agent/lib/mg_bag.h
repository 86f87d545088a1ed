/* SPDX-License-Identifier: ISC */
#ifndef MG_BAG_H
#define MG_BAG_H

#include <stddef.h>

#include "mg_err.h"

/*
 * Several descriptors in one: a socket in which they wait. Who hands a bag
 * on never has what is in it, and never closes it: closing a file can wait
 * for its file system (FUSE, network) as long as that likes.
 */

/*
 * Packs copies of n descriptors (MG_BAG_MAX at most); the caller's stay open.
 * The bag is the caller's to close. MG_ERR_SYS.
 */
#define MG_BAG_MAX 8
enum mg_err mg_bag_pack(const int *fds, size_t n, int *bagp) MG_MUST_CHECK;

/*
 * Takes all that is in the bag, which has to be n descriptors: they are
 * close-on-exec, and the caller's. The bag stays open. MG_ERR_FORMAT: it is
 * no bag, or other descriptors are in it; then fds are all -1.
 */
enum mg_err mg_bag_unpack(int bag, int *fds, size_t n) MG_MUST_CHECK;

#endif
