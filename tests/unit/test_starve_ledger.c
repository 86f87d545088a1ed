/* SPDX-License-Identifier: ISC */
/* The ledger's files while memory and system calls fail in turn: what was
 * said to be durable is there, what is there opens, nothing is left open. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger.h"
#include "starve.h"

#define STATE "{\"type\":\"x\"}\n"
#define SEGMENTS 6

static char top[] = "/dev/shm/mg-starve-XXXXXX";

static enum mg_err
pass(void *arg, const struct mg_rec *rec)
{
	uint64_t *np = arg;

	*np += mg_rec_has(rec, "i");
	return MG_ERR_OK;
}

static int
remove_one(const char *p, const struct stat *sb, int flag, struct FTW *f)
{
	(void)sb;
	(void)flag;
	return f->level == 0 ? 0 : remove(p);
}

/* Whether the line is durable. */
static bool
put(struct mg_ledger *l, const char *type, uint64_t last)
{
	struct mg_rec rec;
	struct mg_json j;
	enum mg_err r;

	mg_rec_init(&rec);
	mg_ledger_begin(l, &j, type);
	mg_json_bool(&j, "ok", true);
	mg_json_int(&j, "first", 1);
	mg_json_int(&j, "last", (int64_t)last);
	mg_json_int(&j, "i", 1);
	r = mg_ledger_end(l, &j, &rec);
	mg_rec_fini(&rec);
	if (r == MG_ERR_OK)
		r = mg_ledger_sync(l);
	if (r != MG_ERR_OK && mg_ledger_is_dead(l))
		(void)!mg_ledger_revive(l);
	return r == MG_ERR_OK;
}

static void
fold(struct mg_ledger *l)
{
	struct mg_ledger_fold f;

	mg_ledger_fold_init(&f, 3);
	while (mg_ledger_fold(l, &f, 4) == MG_ERR_AGAIN)
		continue;
}

/* All that an agent does with its ledger; how many lines are durable. */
static uint64_t
use(struct mg_ledger *l)
{
	uint8_t v[8][MG_MERKLE_HASH];
	struct mg_ledger_file *files;
	uint64_t done = 0, need;
	size_t n, i;
	int fd, old;

	for (i = 0; i < SEGMENTS; i++) {
		done += put(l, "note", 0);
		done += put(l, "note", 0);
		(void)!mg_ledger_add_note(l, "a\nb\n", 4);
		(void)!mg_ledger_rotate(l, STATE, strlen(STATE));
		if (mg_ledger_is_dead(l))
			(void)!mg_ledger_revive(l);
	}
	(void)!mg_ledger_leaves(l, 0, v, 8, &n);
	if (mg_ledger_list(mg_ledger_dir(l), &files, &n) == MG_ERR_OK) {
		if (n > 1 && mg_ledger_pack_new(l, &files[1], &fd) == MG_ERR_OK)
			close(fd); /* and it dies */
		if (n > 1 && put(l, "discard", files[1].first - 1)) {
			done++;
			(void)!mg_ledger_discard(l);
		}
		free(files);
	}
	fold(l);
	mg_ledger_leaves_lose(l);
	if (mg_ledger_leaves_begin(l, true, &fd, &old, &need) == MG_ERR_OK &&
	    old != -1)
		close(old);
	done += put(l, "note", 0);
	return done;
}

static const char *
play(const void *arg)
{
	static char wrong[640];
	struct mg_ledger_report rep;
	uint64_t done = 0, found = 0, gone;
	struct mg_ledger *l;
	enum mg_err r;
	int dir;

	(void)arg;
	(void)nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = mg_ledger_open(dir, NULL, pass, pass, &found, &l, &rep);
	if (r == MG_ERR_OK) {
		done = use(l);
		mg_ledger_free(l);
		/* Again, with what there is to read. */
		r = mg_ledger_open(dir, NULL, pass, pass, &found, &l, &rep);
		if (r == MG_ERR_OK)
			done += put(l, "note", 0);
		mg_ledger_free(l);
	}
	starve_rest();
	if (r != MG_ERR_OK && !starve_has_hit()) {
		close(dir);
		return "it does not open, without a reason";
	}
	r = mg_ledger_open(dir, NULL, pass, pass, &found, &l, &rep);
	snprintf(wrong, sizeof(wrong), "%s:%llu: %s", rep.file,
	    (unsigned long long)rep.line, rep.flaw.text);
	gone = r == MG_ERR_OK ? mg_ledger_size(l) : 0;
	mg_ledger_free(l);
	close(dir);
	if (r != MG_ERR_OK)
		return wrong;
	return gone >= done ? NULL : "what was durable is not there";
}

static void
what_is_durable_stays_and_what_is_there_opens(void **state)
{
	(void)state;
	starve_every(STARVE_MEMORY | STARVE_CALLS, play, NULL);
}

/* ---- checkpoints ---- */

static const uint8_t seed[MG_ED25519] = {7};
static const char pub[] =
    "\xa2\xfa\x2f\x4a\x35\x5b\xa2\xe9\x07\xa5\x30\x09\xe9\xe3\x7c\xad"
    "\xdf\x7a\xc7\xe6\x6a\x08\xba\x07\x63\x1f\x55\x30\x72\xb3\xf2\x4c";

static const char *
play_note(const void *arg)
{
	static const uint8_t root[MG_MERKLE_HASH] = {1};
	struct mg_note_key key = {.kind = MG_NOTE_WITNESS, .name = "hub"};
	struct mg_note note, back;
	const bool *forged = arg;
	const char *why;
	int64_t time_s;
	enum mg_err r;

	memcpy(key.pub, pub, sizeof(key.pub));
	if ((r = mg_note_make(&note, "host/log", 5, root)) == MG_ERR_OK)
		r = mg_note_sign(&note, &key, seed, 1000);
	if (r == MG_ERR_OK && *forged)
		note.text[10] ^= 1; /* the size that was signed: 5 */
	if (r == MG_ERR_OK) {
		r = mg_note_parse(&back, note.text, note.len, &why);
		if (r != MG_ERR_OK && !*forged)
			return "what is well formed is not read";
	}
	if (r == MG_ERR_OK)
		r = mg_note_verify(&back, &key, &time_s);
	starve_rest();
	if (*forged)
		return r == MG_ERR_OK ? "a forged one verifies" : NULL;
	if (r != MG_ERR_OK)
		return starve_has_hit() ? NULL : "no without a reason";
	return back.size == 5 && time_s == 1000 ? NULL : "another one";
}

static void
a_checkpoint_that_nobody_signed_never_verifies(void **state)
{
	bool forged = false;

	(void)state;
	starve_every(STARVE_MEMORY | STARVE_CRYPTO, play_note, &forged);
	forged = true;
	starve_every(STARVE_MEMORY | STARVE_CRYPTO, play_note, &forged);
}

static int
begin(void **state)
{
	(void)state;
	return mkdtemp(top) == NULL;
}

static int
end(void **state)
{
	(void)state;
	(void)nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return rmdir(top);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_durable_stays_and_what_is_there_opens),
	    cmocka_unit_test(a_checkpoint_that_nobody_signed_never_verifies),
	};

	starve_begin();
	return cmocka_run_group_tests_name("ledger", tests, begin, end);
}
