/* SPDX-License-Identifier: ISC */
/* Whether what is served is what the ledger says is. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doc.h"
#include "mg_client.h"
#include "mg_msg.h"
#include "mg_rec.h"

#define CONNECT_MS 5000
#define ANSWER_MS 3600000 /* every live model is read */

struct served {
	unsigned live, drifted;
	char first[300];
};

static void
take_row(struct served *s, const struct mg_rec *rec)
{
	if (mg_rec_str(rec, "version", "")[0] == '\0')
		return;
	s->live++;
	if (mg_rec_bool(rec, "drifted") && s->drifted++ == 0)
		snprintf(s->first, sizeof(s->first), "%.96s@%.96s",
		    mg_rec_str(rec, "model", ""),
		    mg_rec_str(rec, "version", ""));
}

static enum mg_err
read_rows(struct mg_chan *ch, struct served *s)
{
	struct mg_list_req q = {.what = MG_LIST_CHECK, .id = ""};
	struct mg_item item;
	struct mg_frame f;
	struct mg_rec rec;
	enum mg_err r;

	memset(&f, 0, sizeof(f));
	mg_rec_init(&rec);
	r = mg_chan_send(ch, 1, MG_MSG_LIST_REQ, &q);
	while (r == MG_ERR_OK &&
	       (r = mg_chan_wait(ch, ANSWER_MS, &f)) == MG_ERR_OK) {
		if (f.op == MG_MSG_DONE)
			break;
		if (f.op != MG_MSG_ITEM)
			r = MG_ERR_PERM; /* it refused */
		else if ((r = mg_frame_decode(&f, &item, sizeof(item))) ==
			     MG_ERR_OK &&
			 (r = mg_rec_parse(
			      &rec, item.json, strlen(item.json))) == MG_ERR_OK)
			take_row(s, &rec);
	}
	mg_rec_fini(&rec);
	return r;
}

void
doc_models(struct doc *d)
{
	struct served s = {0};
	struct mg_chan *ch;
	enum mg_err r;

	/* Not everybody may have everything read; and without an agent
	 * there is nobody to ask, which "agent" has said. */
	if (getuid() != 0 ||
	    mg_client_connect(MG_CLIENT_SOCKET, CONNECT_MS, &ch) != MG_ERR_OK)
		return;
	r = read_rows(ch, &s);
	mg_chan_free(ch);
	if (r != MG_ERR_OK)
		doc_say(d, DOC_WARN, "models", "", "cannot be looked at: %s",
		    mg_err_str(r));
	else if (s.drifted > 0)
		doc_say(d, DOC_BAD, "models",
		    "modelgate models MODEL says what was found; deploy it "
		    "again, and find out who changed it",
		    "%u of %u serve other bytes than are on record: %s",
		    s.drifted, s.live, s.first);
	else
		doc_say(d, DOC_GOOD, "models", "",
		    "%u live, and served as they are on record", s.live);
}
