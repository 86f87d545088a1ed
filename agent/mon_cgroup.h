/* SPDX-License-Identifier: ISC */
#ifndef MON_CGROUP_H
#define MON_CGROUP_H

#include <sys/types.h>

#include "mon.h"

/*
 * Groups of processes, one a run; the kernel keeps in them whatever their
 * processes start. A group is named by its folder below the agent's own; ""
 * is no group (a host without cgroup v2). mon_cgroup_init() is in mon.h.
 */

#define MON_CGROUP_NAME 64 /* with NUL */

/* A new group for a run of the request with that code; "": none. */
void mon_cgroup_make(
    struct mon *m, const char *code, char group[MON_CGROUP_NAME]);
/* Moves a process there; what it starts later is there too. False: it is not
 * there. */
bool mon_cgroup_add(struct mon *m, const char *group, pid_t pid) MG_MUST_CHECK;
/* Descriptors, the caller's to close: its folder, and the file that reports
 * EPOLLPRI when it becomes empty or is not any more. -1: none. */
int mon_cgroup_folder(struct mon *m, const char *group);
int mon_cgroup_events(struct mon *m, const char *group);
/* Whether any process is in the group; a group that is gone has none. */
bool mon_cgroup_is_populated(struct mon *m, const char *group);
/* Ends every process of the group at once, where the kernel can. */
void mon_cgroup_kill(struct mon *m, const char *group);
/* Removes the group, when its last process has ended; it is about to. */
void mon_cgroup_remove(struct mon *m, const char *group);
/* Groups whose agent is gone: nothing in them may go on. */
void mon_cgroup_clear(struct mon *m);

#endif
