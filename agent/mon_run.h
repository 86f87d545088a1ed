/* SPDX-License-Identifier: ISC */
#ifndef MON_RUN_H
#define MON_RUN_H

#include <sys/types.h>

#include "mon_cgroup.h"
#include "mon_job.h"

/*
 * One run, for mon_run*.c alone; what others may do with it is in mon.h.
 */

struct mon_run {
	struct mon *m;
	struct mg_req *req;	   /* NULL: forgotten by the state */
	struct mon_job *job;	   /* until the client was told that it runs */
	struct mon_client *client; /* then this one, until the exit */
	struct mon_proc proc;
	struct mon_proc sweep; /* when mg-run is gone before its processes */
	uint32_t number;       /* within the grant; 0: not on record yet */
	uint32_t ses;
	int pty; /* master, on its way to the client */
	int go;	 /* a byte into it starts the command; -1: none */
	char group[MON_CGROUP_NAME]; /* "": none */
	int group_events;
	struct mg_watch *group_watch;
	unsigned busy; /* callbacks to come that hold this run */
	bool going;    /* mg-run was told to start the command */
	bool exited;   /* "exit" is written */
	bool alone;    /* the command left no process behind */
	bool adopted;  /* what PAM let in: there is no mg-run */
	pid_t pid;     /* of it, which PAM asked for */
	uint64_t start;
	bool emptied;	      /* "empty" is written */
	bool doomed;	      /* free it when nothing holds it any more */
	enum mg_why kill_why; /* NONE: not killed */
	int64_t killed_us;
	struct mg_timer timer;
	struct mon_run *next;
};

/* ---- mon_run.c ---- */

/* A run of nobody's yet; one of a request's. */
struct mon_run *mon_run_alloc(struct mon *m);
struct mon_run *mon_run_new(struct mon *m, struct mg_req *req);
void mon_run_attach(struct mon_run *run, struct mg_req *req);
/* Frees the run once no callback holds it. */
void mon_run_release(struct mon_run *run);
/* A callback came: false when the run was only waiting for it to go. */
bool mon_run_resume(struct mon_run *run);
/* Ends a run that never began: the client is told, nothing ran. */
void mon_run_give_up(struct mon_run *run, enum mg_why why, const char *text);
/* What mg-run says, and its end (on_frame, on_end of run->proc). */
void mon_run_frame(void *arg, struct mg_frame *f);
void mon_run_ended(void *arg, int status);
/* The command has returned, or is lost; left: processes that it leaves. */
void mon_run_write_exit(
    struct mon_run *run, const char *how, int64_t value, uint32_t left);
/* No process of the run is left. */
void mon_run_finish(struct mon_run *run, uint32_t killed, uint64_t took_us);

/* ---- mon_run_start.c ---- */

/* MG_WHY_NONE when the grant can be used now. */
enum mg_why mon_run_usable(struct mon *m, const struct mg_req *req);

/* ---- mon_run_kill.c ---- */

/* It is being ended, from now on; how long that has taken, 0: it is not. */
void mon_run_mark_killed(struct mon_run *run, enum mg_why why);
uint64_t mon_run_took_us(const struct mon_run *run);
/* A process of ours that ends whatever is left of the run, and finishes it. */
void mon_run_start_sweep(struct mon_run *run);

#endif
