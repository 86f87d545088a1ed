/* SPDX-License-Identifier: ISC */
#ifndef LED_H
#define LED_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ledger.h"
#include "mg_follow.h"
#include "mg_lines.h"
#include "mg_note.h"

/* What the subcommands of modelgate-ledger share. */

/* Exit statuses. */
#define LED_NO 1 /* it is not what it is said to be */
#define LED_USAGE 2
#define LED_FAILED 125 /* that could not be found out */

#define LED_DIR "/var/lib/modelgate/ledger"
#define LED_HOST_KEY "/var/lib/modelgate/host_key.pub"
#define LED_KEYS_MAX 16
#define LED_FILE_MAX ((size_t)1 << 28)

struct led {
	bool json, quiet;
	const char *dir;
	const char *checkpoints, *leaves; /* files of the hub's; or NULL */
	const char *hub;		  /* ssh destination to get them from */
	const char *out;
	const char *since, *until; /* of a report */
	bool html;
	struct mg_note_key host; /* kind 0: not known */
	char host_pub[512];	 /* "ssh-ed25519 BASE64" */
	struct mg_note_key hubs[LED_KEYS_MAX];
	size_t nhubs;
	struct mg_sha *sha;
};

int led_verify(struct led *led, const char *what);
int led_bundle_verify(struct led *led, const char *path);
int led_export(struct led *led, const char *request);
int led_discard(struct led *led, const char *what);
int led_report(struct led *led, const char *what);

/* "modelgate: TEXT" on standard error, or as JSON; returns LED_FAILED. */
int led_fail(const struct led *led, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads a whole file into b (initialised). False when told about it. */
bool led_read(const struct led *led, const char *path, struct mg_buf *b);

/*
 * The key in a .pub file ("ssh-ed25519 BASE64 ..."). False: it is none, or
 * (path is missing) there is none; nothing is said.
 */
bool led_read_key(
    const char *path, struct mg_note_key *key, char *text, size_t text_size);
bool led_parse_key(const char *text, struct mg_note_key *key);

/* Whether that is the name of a file of the policy; for scandir(3). */
int led_is_ini(const struct dirent *de);

/*
 * Appends the policy that the record of a request names by its digest.
 * False: it is not here any more, and b is to be thrown away.
 */
bool led_put_policy(struct mg_buf *b, const struct mg_rec *rec);
/* Whether that is the record's policy. */
bool led_check_policy(const struct mg_rec *rec, const void *p, size_t n);
/* Says the lines of a rule, "NAME (FILE:LINE)", out of it. */
void led_quote_rule(const void *policy, size_t n, const char *rule,
    void (*say)(const char *text, size_t len));

/* One checkpoint that somebody signed. */
struct led_note {
	struct mg_note note;
	bool witnessed; /* a hub's countersignature verifies */
	int64_t time_s; /* of it */
	const char *file;
	unsigned nth; /* in the file, from 1 */
};

struct led_notes {
	struct led_note *v;
	size_t n;
};

/*
 * Adds the notes of a file. Those that do not verify end it: LED_NO, told.
 * A file that is not there adds none.
 */
int led_notes_add(
    struct led *led, struct led_notes *notes, const char *path, bool must);
void led_notes_free(struct led_notes *notes);

/* A line for people or, with --json, an object, on standard output. */
struct led_report {
	bool ok;
	enum mg_flaw_kind flaw;
	const char *file;
	uint64_t line, record, records, witnessed, checkpoints;
	const char *text;
	const char *const *discards; /* who discarded what */
	size_t ndiscards;
	double seconds;
};
void led_print_report(const struct led *led, const struct led_report *rep);

/* SHA256:... of a raw Ed25519 key, as ssh-keygen -l prints it. */
void led_fingerprint(const uint8_t pub[MG_ED25519], char out[64]);

#endif
