/* SPDX-License-Identifier: ISC */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

/*
 * Every system call of a durable path fails in turn, until a run makes
 * none. The makefile links tests/unit/test_fault_*.c with --wrap, so that
 * the calls of the code under test (and no other) come through fault.c.
 *
 * A disk is kept beside the real one: what fsync, fdatasync and syncfs made
 * durable, and nothing else. When the power goes, at a call or at the end
 * of the scenario, a folder is made as the disk would be found then.
 */

/* What becomes of the n-th call. */
enum fault_how {
	FAULT_ONCE,  /* it fails, the next do not */
	FAULT_STAYS, /* it fails and all later ones that write */
	FAULT_SHORT, /* it writes half; what cannot be halved succeeds */
	FAULT_CUT,   /* the power goes before it */
	FAULT_TORN,  /* the power goes in the middle of it */
};

/* What a cut leaves of that which nobody synced. */
enum fault_disk {
	FAULT_ALL,   /* everything: the process alone was killed */
	FAULT_NONE,  /* nothing */
	FAULT_NAMES, /* the names, but no bytes */
	FAULT_BYTES, /* the bytes, but no names */
	FAULT_HALF,  /* the names, and half of the bytes */
	FAULT_GHOSTS /* everything, and names that had been removed */
};

/* Shared with the child that plays the scenario. */
struct fault_seen {
	unsigned calls;		   /* that could fail */
	bool hit;		   /* the n-th came */
	char call[32];		   /* which one it was */
	unsigned long begun, done; /* for the scenario's own use */
	unsigned char lost[4096];  /* fault_lose() */
};

struct fault_test {
	/* Fills the new folder dirfd before anything can fail. May be NULL. */
	void (*prepare)(int dirfd);
	/* In a child; calls may fail from here on. */
	void (*play)(int dirfd, struct fault_seen *seen);
	/* Is what is found sound? In a child without faults, with the
	 * folder that a cut left; fails by assertion. */
	void (*check)(int dirfd, const struct fault_seen *seen);
	int may_exit; /* a status, besides 0, with which play may end */
};

/*
 * Plays t with every call failing in turn, in a third of the ways; with
 * FAULTS=all in the environment in every way. Asserts.
 */
void fault_every(const struct fault_test *t);

/*
 * The i-th change was refused: nothing of it must be found; or, when that
 * could not be made sure of, may be.
 */
void fault_lose(struct fault_seen *seen, unsigned long i, bool sure);
bool fault_may_lack(const struct fault_seen *seen, unsigned long i);
bool fault_has_gone(const struct fault_seen *seen, unsigned long i);

#endif
