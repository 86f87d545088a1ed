/* SPDX-License-Identifier: ISC */
#ifndef MG_BUG_H
#define MG_BUG_H

/*
 * A broken invariant of our own was met: never the input's doing. Ends the
 * process. The PAM module is a guest in sshd and sudo and puts a function
 * in its place that returns; so whoever calls this must go on in a way that
 * stays within memory and reads as failure.
 */
void mg_bug(void);

#endif
