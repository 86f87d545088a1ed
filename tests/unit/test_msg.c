/* SPDX-License-Identifier: ISC */
/*
 * Every message of mg_msg.def, by the tables that it becomes: what fits
 * goes through, what does not is refused and leaves nothing. Payloads that
 * no encoder of ours would write are written here by hand (raw_put).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_msg.h"
#include "mg_name.h"
#include "protocol_page.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define UUID "3e02fa34-5d3b-4a64-9c0e-0123456789ab"
#define ALL_ROLES 0x7fffU

/* A struct of any message, and the memory that its texts point into. */
struct sample {
	const struct mg_msg_type *t;
	char *msg;
	char *texts[64];
	size_t ntexts;
};

static void
sample_init(struct sample *s, const struct mg_msg_type *t)
{
	s->t = t;
	s->ntexts = 0;
	assert_non_null(s->msg = calloc(1, t->size));
}

static void
sample_fini(struct sample *s)
{
	while (s->ntexts > 0)
		free(s->texts[--s->ntexts]);
	free(s->msg);
}

static bool
is_text(const struct mg_msg_field *f)
{
	return f->kind == MG_KIND_STR || f->kind == MG_KIND_STRV;
}

/* A text of the class that is n bytes long, or as long as the class goes. */
static char *
text_of(struct sample *s, enum mg_msg_class class, size_t n)
{
	char *p;

	assert_true(s->ntexts < N(s->texts));
	assert_non_null(p = malloc(n + 37));
	s->texts[s->ntexts++] = p;
	memset(p, 'x', n);
	p[n] = '\0';
	if (class == MG_CLASS_UUID)
		memcpy(p, UUID, sizeof(UUID));
	if (class == MG_CLASS_TEXT && n > 0)
		p[n / 2] = '\n';
	if (class == MG_CLASS_PATH)
		p[0] = '/';
	return p;
}

static size_t
payload_of_field(const struct mg_msg_field *f, size_t each)
{
	switch (f->kind) {
	case MG_KIND_U8:
	case MG_KIND_BOOL:
		return 1;
	case MG_KIND_U16:
		return 2;
	case MG_KIND_U32:
		return 4;
	case MG_KIND_U64:
	case MG_KIND_I64:
		return 8;
	case MG_KIND_STR:
		return 4 + f->limit + 1;
	case MG_KIND_BYTES:
		return 4 + f->limit;
	case MG_KIND_STRV:
		return 4 + f->limit * (4 + each + 1);
	}
	return 0;
}

/* How long every entry of every list may be so that all fits the row. */
static size_t
entry_bytes(const struct mg_msg_type *t)
{
	size_t i, fixed = 0, entries = 0, each;

	for (i = 0; i < t->nfields; i++) {
		if (t->fields[i].kind == MG_KIND_STRV) {
			entries += t->fields[i].limit;
			fixed += 4;
		} else {
			fixed += payload_of_field(&t->fields[i], 0);
		}
	}
	if (fixed > t->max_bytes)
		fail_msg("%s: fields at their limits are %zu bytes, the row "
			 "allows %zu",
		    t->name, fixed, t->max_bytes);
	if (entries == 0)
		return 0;
	each = (t->max_bytes - fixed) / entries;
	assert_true(each > 5 + 16); /* else the row's limit is a mistake */
	each -= 5;
	return each > MG_MSG_STRV_BYTES ? MG_MSG_STRV_BYTES : each;
}

static void
set_number(char *p, const struct mg_msg_field *f, bool max)
{
	switch (f->kind) {
	case MG_KIND_U8:
		*(uint8_t *)(void *)p = max ? UINT8_MAX : 0;
		break;
	case MG_KIND_U16:
		*(uint16_t *)(void *)p = max ? UINT16_MAX : 0;
		break;
	case MG_KIND_U32:
		*(uint32_t *)(void *)p = max ? UINT32_MAX : 0;
		break;
	case MG_KIND_U64:
		*(uint64_t *)(void *)p = max ? UINT64_MAX : 0;
		break;
	case MG_KIND_I64:
		*(int64_t *)(void *)p = max ? INT64_MIN : INT64_MAX;
		break;
	case MG_KIND_BOOL:
		*(bool *)(void *)p = max;
		break;
	case MG_KIND_STR:
	case MG_KIND_BYTES:
	case MG_KIND_STRV:
		break;
	}
}

static size_t *
count_of(struct sample *s, const struct mg_msg_field *f)
{
	return (size_t *)(void *)(s->msg + f->off2);
}

/* bytes of text in every field, or all that its limit allows. */
static void
fill(struct sample *s, size_t bytes)
{
	size_t i, j, each = entry_bytes(s->t), n;
	const struct mg_msg_field *f;
	const char *text;
	char *p;

	for (i = 0; i < s->t->nfields; i++) {
		f = &s->t->fields[i];
		p = s->msg + f->off;
		n = f->limit < bytes ? f->limit : bytes;
		set_number(p, f, bytes > 100);
		if (f->kind == MG_KIND_STR) {
			*(const char **)(void *)p = text_of(s, f->class, n);
		} else if (f->kind == MG_KIND_BYTES) {
			*(const char **)(void *)p =
			    text_of(s, MG_CLASS_NONE, n);
			*count_of(s, f) = n;
		} else if (f->kind == MG_KIND_STRV) {
			text =
			    text_of(s, f->class, each < bytes ? each : bytes);
			n = f->limit < bytes ? f->limit : bytes;
			for (j = 0; j < n; j++)
				((const char **)(void *)p)[j] = text;
			*count_of(s, f) = n;
		}
	}
}

static void
encode(struct sample *s, struct mg_buf *b)
{
	const char *field;
	enum mg_err r;

	mg_buf_init(b, 2 * MG_MSG_PAYLOAD_MAX);
	r = mg_msg_encode(b, 77, s->t->op, s->msg, &field);
	if (r != MG_ERR_OK)
		fail_msg("%s.%s: %s", s->t->name,
		    field == NULL ? "(all)" : field, mg_err_str(r));
}

static bool
same_texts(const char *const *a, const char *const *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static bool
same_field(const struct mg_msg_field *f, const char *a, const char *b)
{
	const char *pa = a + f->off, *pb = b + f->off;
	size_t na = 0, nb = 0;

	if (f->off2 != 0) {
		na = *(const size_t *)(const void *)(a + f->off2);
		nb = *(const size_t *)(const void *)(b + f->off2);
	}
	if (na != nb)
		return false;
	switch (f->kind) {
	case MG_KIND_U8:
	case MG_KIND_BOOL:
		return memcmp(pa, pb, 1) == 0;
	case MG_KIND_U16:
		return memcmp(pa, pb, 2) == 0;
	case MG_KIND_U32:
		return memcmp(pa, pb, 4) == 0;
	case MG_KIND_U64:
	case MG_KIND_I64:
		return memcmp(pa, pb, 8) == 0;
	case MG_KIND_STR:
		return same_texts((const char *const *)(const void *)pa,
		    (const char *const *)(const void *)pb, 1);
	case MG_KIND_BYTES:
		return memcmp(*(const char *const *)(const void *)pa,
			   *(const char *const *)(const void *)pb, na) == 0;
	case MG_KIND_STRV:
		return same_texts((const char *const *)(const void *)pa,
		    (const char *const *)(const void *)pb, na);
	}
	return false;
}

static void
assert_round_trip(struct sample *s)
{
	struct mg_msg_header h;
	struct mg_buf b, again;
	const uint8_t *p;
	char *got;
	size_t i;

	encode(s, &b);
	p = mg_buf_ptr(&b);
	assert_int_equal(
	    mg_msg_header_get(p, s->t->from, s->t->to, &h, NULL), MG_ERR_OK);
	assert_ptr_equal(h.type, s->t);
	assert_int_equal(h.id, 77);
	assert_int_equal(h.len, mg_buf_len(&b) - MG_MSG_HEADER);
	assert_non_null(got = malloc(s->t->size));
	memset(got, 0xee, s->t->size);
	assert_int_equal(mg_msg_decode(s->t->op, p + MG_MSG_HEADER, h.len, got,
			     s->t->size, NULL),
	    MG_ERR_OK);
	for (i = 0; i < s->t->nfields; i++)
		if (!same_field(&s->t->fields[i], s->msg, got))
			fail_msg("%s.%s changed on its way", s->t->name,
			    s->t->fields[i].name);
	mg_buf_init(&again, 2 * MG_MSG_PAYLOAD_MAX);
	assert_int_equal(
	    mg_msg_encode(&again, 77, s->t->op, got, NULL), MG_ERR_OK);
	assert_int_equal(mg_buf_len(&again), mg_buf_len(&b));
	assert_memory_equal(mg_buf_ptr(&again), p, mg_buf_len(&b));
	mg_buf_fini(&again);
	mg_buf_fini(&b);
	free(got);
}

/* Refused, by name of the field if one is given, and nothing is left. */
static void
assert_refused(const struct mg_msg_type *t, const void *payload, size_t n,
    const char *field, enum mg_err expected)
{
	const char *at;
	uint8_t *exact;
	char *got;
	enum mg_err r;
	size_t i;

	assert_non_null(exact = malloc(n + 1)); /* n bytes, for ASan */
	assert_non_null(exact = realloc(exact, n == 0 ? 1 : n));
	if (n > 0)
		memcpy(exact, payload, n);
	assert_non_null(got = malloc(t->size));
	memset(got, 0xee, t->size);
	r = mg_msg_decode(t->op, exact, n, got, t->size, &at);
	if (r != expected)
		fail_msg("%s.%s: %s, not %s", t->name,
		    field == NULL ? "(all)" : field, mg_err_str(r),
		    mg_err_str(expected));
	if (field != NULL)
		assert_string_equal(at, field);
	for (i = 0; i < t->size; i++)
		if (got[i] != 0)
			fail_msg("%s: byte %zu is left", t->name, i);
	free(got);
	free(exact);
}

/* What stands in the field `at`, or in its first entry, instead. */
struct instead {
	size_t at;
	const char *text; /* with its NUL counted in len */
	size_t len;
	const uint32_t *entries; /* of a list: claimed, else as they are */
};

static void
raw_text(struct mg_buf *b, const char *s, size_t len)
{
	assert_int_equal(mg_buf_put_bytes(b, s, len), MG_ERR_OK);
}

static void
raw_list(struct mg_buf *b, const struct mg_msg_field *f, const struct sample *s,
    const struct instead *in)
{
	const char *const *v = (const char *const *)(void *)(s->msg + f->off);
	size_t n = *(const size_t *)(const void *)(s->msg + f->off2), i = 0;
	uint32_t claimed = (uint32_t)n;

	if (in != NULL && in->entries != NULL)
		claimed = *in->entries;
	if (in != NULL && in->text != NULL && n == 0)
		claimed = 1;
	assert_int_equal(mg_buf_put_u32(b, claimed), MG_ERR_OK);
	if (in != NULL && in->text != NULL) {
		raw_text(b, in->text, in->len);
		i = 1;
	}
	for (; i < n; i++)
		raw_text(b, v[i], strlen(v[i]) + 1);
}

static void
raw_field(struct mg_buf *b, const struct mg_msg_field *f,
    const struct sample *s, const struct instead *in)
{
	const char *p = s->msg + f->off, *text;
	size_t n;
	enum mg_err r = MG_ERR_OK;

	switch (f->kind) {
	case MG_KIND_U8:
	case MG_KIND_BOOL:
		r = mg_buf_put_u8(
		    b, in == NULL ? *(const uint8_t *)p : (uint8_t)in->text[0]);
		break;
	case MG_KIND_U16:
		r = mg_buf_put_u16(b, *(const uint16_t *)(const void *)p);
		break;
	case MG_KIND_U32:
		r = mg_buf_put_u32(b, *(const uint32_t *)(const void *)p);
		break;
	case MG_KIND_U64:
	case MG_KIND_I64:
		r = mg_buf_put_u64(b, *(const uint64_t *)(const void *)p);
		break;
	case MG_KIND_STR:
		text = *(const char *const *)(const void *)p;
		raw_text(b, in == NULL ? text : in->text,
		    in == NULL ? strlen(text) + 1 : in->len);
		break;
	case MG_KIND_BYTES:
		n = *(const size_t *)(const void *)(s->msg + f->off2);
		text = *(const char *const *)(const void *)p;
		raw_text(
		    b, in == NULL ? text : in->text, in == NULL ? n : in->len);
		break;
	case MG_KIND_STRV:
		raw_list(b, f, s, in);
		break;
	}
	assert_int_equal(r, MG_ERR_OK);
}

static void
raw_put(struct mg_buf *b, const struct sample *s, const struct instead *in)
{
	size_t i;

	mg_buf_init(b, 4 * MG_MSG_PAYLOAD_MAX);
	for (i = 0; i < s->t->nfields; i++)
		raw_field(b, &s->t->fields[i], s,
		    in != NULL && in->at == i ? in : NULL);
}

static void
for_every_message(void (*fn)(struct sample *s), size_t bytes)
{
	const struct mg_msg_type *t;
	struct sample s;
	size_t n, i;

	t = mg_msg_types(&n);
	assert_true(n > 50);
	for (i = 0; i < n; i++) {
		sample_init(&s, &t[i]);
		fill(&s, bytes);
		fn(&s);
		sample_fini(&s);
	}
}

/* ---- the list itself ---- */

static void
the_list_is_sound(void **state)
{
	const struct mg_msg_type *t;
	size_t n, i, j, largest = 0;

	(void)state;
	t = mg_msg_types(&n);
	for (i = 0; i < n; i++) {
		assert_ptr_equal(mg_msg_type((unsigned)t[i].op), &t[i]);
		assert_string_equal(mg_msg_name((unsigned)t[i].op), t[i].name);
		assert_true(t[i].from != 0 && (t[i].from & ~ALL_ROLES) == 0);
		assert_true(t[i].to != 0 && (t[i].to & ~ALL_ROLES) == 0);
		assert_true(t[i].max_bytes <= MG_MSG_PAYLOAD_MAX);
		assert_true(t[i].max_fds <= MG_MSG_FDS_MAX);
		assert_true(t[i].nfields > 0);
		if (t[i].max_bytes > largest)
			largest = t[i].max_bytes;
		for (j = 0; j < t[i].nfields; j++) {
			if (t[i].fields[j].kind == MG_KIND_STRV)
				assert_true(
				    t[i].fields[j].limit <= MG_MSG_STRV_MAX);
			assert_int_equal(is_text(&t[i].fields[j]),
			    t[i].fields[j].class != MG_CLASS_NONE);
		}
	}
	assert_int_equal(largest, MG_MSG_PAYLOAD_MAX);
	assert_null(mg_msg_type(0));
	assert_string_equal(mg_msg_name(0), "unknown");
	assert_string_equal(mg_msg_name(65535), "unknown");
}

static void
a_header_is_permitted_in_its_row_s_directions_only(void **state)
{
	uint8_t p[MG_MSG_HEADER] = {0, 0, 0, 8, 0, 0, 0, MG_MSG_VERSION};
	const struct mg_msg_type *t;
	struct mg_msg_header h;
	unsigned op, from, to;
	bool permitted;

	(void)state;
	for (op = 0; op < 300; op++) {
		t = mg_msg_type(op);
		p[4] = (uint8_t)(op >> 8);
		p[5] = (uint8_t)op;
		for (from = 1; from < ALL_ROLES; from <<= 1) {
			for (to = 1; to < ALL_ROLES; to <<= 1) {
				permitted = t != NULL && (t->from & from) &&
					    (t->to & to);
				assert_int_equal(
				    mg_msg_header_get(p, from, to, &h, NULL),
				    permitted ? MG_ERR_OK : MG_ERR_PROTO);
				if (!permitted)
					assert_null(h.type);
			}
		}
	}
}

static void
a_length_beyond_the_row_is_refused_from_the_header(void **state)
{
	static const uint32_t more[] = {1, 2, 1000, 0x10000, 0x7fffffff};
	uint8_t p[MG_MSG_HEADER] = {0, 0, 0, 0, 0, 0, 0, MG_MSG_VERSION};
	const struct mg_msg_type *t;
	struct mg_msg_header h;
	size_t n, i, j;
	uint32_t len;

	(void)state;
	t = mg_msg_types(&n);
	for (i = 0; i < n; i++) {
		p[5] = (uint8_t)t[i].op;
		for (j = 0; j < N(more); j++) {
			len = (uint32_t)t[i].max_bytes + 8 + more[j];
			p[0] = (uint8_t)(len >> 24);
			p[1] = (uint8_t)(len >> 16);
			p[2] = (uint8_t)(len >> 8);
			p[3] = (uint8_t)len;
			assert_int_equal(
			    mg_msg_header_get(p, t[i].from, t[i].to, &h, NULL),
			    MG_ERR_PROTO);
		}
		/* Shorter than its own header. */
		memset(p, 0, 4);
		for (; p[3] < 8; p[3]++)
			assert_int_equal(
			    mg_msg_header_get(p, t[i].from, t[i].to, &h, NULL),
			    MG_ERR_PROTO);
		assert_int_equal(
		    mg_msg_header_get(p, t[i].from, t[i].to, &h, NULL),
		    MG_ERR_OK);
		assert_int_equal(h.len, 0);
	}
}

/* ---- every message ---- */

static void
every_message_round_trips_with_all_fields_at_their_limits(void **state)
{
	(void)state;
	for_every_message(assert_round_trip, SIZE_MAX / 2);
}

static void
every_message_round_trips_with_short_fields(void **state)
{
	(void)state;
	for_every_message(assert_round_trip, 1);
	for_every_message(assert_round_trip, 2);
}

static void
cut_everywhere(struct sample *s)
{
	struct mg_buf b;
	size_t n;

	encode(s, &b);
	for (n = 0; n + MG_MSG_HEADER < mg_buf_len(&b); n++)
		assert_refused(s->t, mg_buf_ptr(&b) + MG_MSG_HEADER, n, NULL,
		    MG_ERR_TRUNC);
	mg_buf_fini(&b);
}

static void
every_message_cut_at_any_byte_is_refused(void **state)
{
	(void)state;
	for_every_message(cut_everywhere, 3);
}

static void
trail_everywhere(struct sample *s)
{
	struct mg_buf b;

	raw_put(&b, s, NULL);
	assert_int_equal(mg_buf_put_u8(&b, 0), MG_ERR_OK);
	assert_refused(
	    s->t, mg_buf_ptr(&b), mg_buf_len(&b), NULL, MG_ERR_TRAIL);
	mg_buf_fini(&b);
}

static void
every_message_with_a_byte_behind_it_is_refused(void **state)
{
	(void)state;
	for_every_message(trail_everywhere, 1);
}

static void
assert_raw_refused(
    const struct sample *s, const struct instead *in, enum mg_err expected)
{
	struct mg_buf b;

	raw_put(&b, s, in);
	if (mg_buf_len(&b) <= s->t->max_bytes)
		assert_refused(s->t, mg_buf_ptr(&b), mg_buf_len(&b),
		    s->t->fields[in->at].name, expected);
	else /* the whole is over its row before any field is looked at */
		assert_refused(
		    s->t, mg_buf_ptr(&b), mg_buf_len(&b), NULL, MG_ERR_LIMIT);
	mg_buf_fini(&b);
}

/* The same by the encoder, which must leave its buffer alone. */
static void
assert_not_encoded(struct sample *s, const struct mg_msg_field *f, char *text,
    enum mg_err expected)
{
	const char **p = (const char **)(void *)(s->msg + f->off);
	const char *was = *p, *at;
	struct mg_buf b;

	*p = text;
	mg_buf_init(&b, 4 * MG_MSG_PAYLOAD_MAX);
	assert_int_equal(mg_buf_put_text(&b, "before"), MG_ERR_OK);
	assert_int_equal(mg_msg_encode(&b, 1, s->t->op, s->msg, &at), expected);
	assert_string_equal(at, f->name);
	assert_int_equal(mg_buf_len(&b), 6);
	mg_buf_fini(&b);
	*p = was;
}

static void
one_byte_more(struct sample *s)
{
	struct instead in = {0};
	const struct mg_msg_field *f;
	size_t limit;
	char *text;

	for (in.at = 0; in.at < s->t->nfields; in.at++) {
		f = &s->t->fields[in.at];
		limit = f->kind == MG_KIND_STRV ? MG_MSG_STRV_BYTES : f->limit;
		if (!is_text(f) && f->kind != MG_KIND_BYTES)
			continue;
		text = text_of(s, MG_CLASS_NONE, limit + 1);
		if (f->class == MG_CLASS_PATH)
			text[0] = '/';
		in.text = text;
		in.len = limit + (is_text(f) ? 2 : 1);
		assert_raw_refused(s, &in, MG_ERR_LIMIT);
		if (is_text(f))
			assert_not_encoded(s, f, text, MG_ERR_LIMIT);
	}
}

static void
every_text_one_byte_over_its_limit_is_refused(void **state)
{
	(void)state;
	for_every_message(one_byte_more, 1);
}

static void
bytes_over_limit(struct sample *s)
{
	const struct mg_msg_field *f;
	const char *at;
	struct mg_buf b;
	size_t i, was;

	for (i = 0; i < s->t->nfields; i++) {
		f = &s->t->fields[i];
		if (f->off2 == 0)
			continue;
		was = *count_of(s, f);
		*count_of(s, f) = f->limit + 1;
		mg_buf_init(&b, 4 * MG_MSG_PAYLOAD_MAX);
		assert_int_equal(
		    mg_msg_encode(&b, 1, s->t->op, s->msg, &at), MG_ERR_LIMIT);
		assert_string_equal(at, f->name);
		assert_int_equal(mg_buf_len(&b), 0);
		mg_buf_fini(&b);
		*count_of(s, f) = was;
	}
}

static void
no_count_over_its_limit_is_sent(void **state)
{
	(void)state;
	for_every_message(bytes_over_limit, 1);
}

static void
too_many_entries(struct sample *s)
{
	struct instead in = {0};
	uint32_t counts[3];
	size_t i;

	for (in.at = 0; in.at < s->t->nfields; in.at++) {
		if (s->t->fields[in.at].kind != MG_KIND_STRV)
			continue;
		counts[0] = (uint32_t)s->t->fields[in.at].limit + 1;
		counts[1] = 0x40000000; /* times 4 or 8 it wraps */
		counts[2] = UINT32_MAX;
		for (i = 0; i < N(counts); i++) {
			in.entries = &counts[i];
			assert_raw_refused(s, &in, MG_ERR_LIMIT);
		}
	}
}

static void
every_list_with_too_many_entries_is_refused(void **state)
{
	(void)state;
	for_every_message(too_many_entries, 1);
}

static void
not_of_its_class(struct sample *s)
{
	static const struct {
		unsigned classes; /* that must refuse it */
		const char *text;
	} bad[] = {
#define C(x) (1U << MG_CLASS_##x)
#define NAMES (C(NAME) | C(NAME0))
#define LINES (C(LINE) | C(ARG) | C(PATH))
	    {C(NAME) | C(UUID) | C(PATH), ""},
	    {NAMES | C(UUID) | C(PATH), "-r"}, {NAMES | C(UUID) | C(PATH), "."},
	    {NAMES | C(UUID) | C(PATH) | C(CODE0), "a..b"},
	    {NAMES | C(UUID) | C(CODE0) | C(TERM), "/b"},
	    {NAMES | C(UUID) | C(PATH) | C(CODE0) | C(TERM), "a b"},
	    {NAMES | C(UUID) | C(PATH) | C(CODE0) | C(TERM), "a_b;"},
	    {C(CODE0) | C(UUID) | C(PATH), "a_b"}, {~C(TEXT), "/\n"},
	    {~C(TEXT), "/\r"}, {~C(TEXT), "/\x1b[m"}, {~C(TEXT), "/\x7f"},
	    {~C(TEXT), "/\xc2\x9b"},	     /* C1 */
	    {~C(TEXT), "/\xe2\x80\xae"},     /* right-to-left override */
	    {~C(TEXT), "/\xe2\x80\x8b"},     /* zero width */
	    {~C(TEXT), "/\xf3\xa0\x81\x81"}, /* tag */
	    {~0U, "/\xff"}, {~0U, "/\xc3"},  /* cut short */
	    {~0U, "/\xc0\xaf"},		     /* overlong */
	    {~0U, "/\xed\xa0\x80"},	     /* surrogate */
	    {~0U, "\xf4\x90\x80\x80"},	     /* beyond Unicode */
#undef C
#undef NAMES
#undef LINES
	};
	struct instead in = {0};
	const struct mg_msg_field *f;
	size_t i;

	for (in.at = 0; in.at < s->t->nfields; in.at++) {
		f = &s->t->fields[in.at];
		for (i = 0; i < N(bad) && is_text(f); i++) {
			if ((bad[i].classes & 1U << f->class) == 0 ||
			    strlen(bad[i].text) > f->limit)
				continue; /* too long is another error */
			in.text = bad[i].text;
			in.len = strlen(in.text) + 1;
			assert_raw_refused(s, &in, MG_ERR_FORMAT);
		}
	}
}

static void
every_text_that_is_not_of_its_class_is_refused(void **state)
{
	(void)state;
	for_every_message(not_of_its_class, 2);
}

static void
nul_inside(struct sample *s)
{
	struct instead in = {.text = "a\0", .len = 3};

	for (in.at = 0; in.at < s->t->nfields; in.at++)
		if (is_text(&s->t->fields[in.at]))
			assert_raw_refused(s, &in, MG_ERR_FORMAT);
}

static void
every_text_with_a_nul_inside_is_refused(void **state)
{
	(void)state;
	for_every_message(nul_inside, 2);
}

static void
odd_bools(struct sample *s)
{
	struct instead in = {.len = 1};
	char v;

	in.text = &v;
	for (in.at = 0; in.at < s->t->nfields; in.at++) {
		if (s->t->fields[in.at].kind != MG_KIND_BOOL)
			continue;
		v = 2;
		assert_raw_refused(s, &in, MG_ERR_FORMAT);
		v = (char)0xff;
		assert_raw_refused(s, &in, MG_ERR_FORMAT);
	}
}

static void
a_truth_value_is_0_or_1(void **state)
{
	(void)state;
	for_every_message(odd_bools, 1);
}

static void
null_texts(struct sample *s)
{
	const struct mg_msg_field *f;
	const char **p, *was;
	struct mg_buf b;
	size_t i;
	bool empty_ok;

	for (i = 0; i < s->t->nfields; i++) {
		f = &s->t->fields[i];
		if (f->kind != MG_KIND_STR)
			continue;
		p = (const char **)(void *)(s->msg + f->off);
		was = *p;
		*p = NULL;
		empty_ok = f->class != MG_CLASS_NAME &&
			   f->class != MG_CLASS_UUID &&
			   f->class != MG_CLASS_PATH;
		mg_buf_init(&b, MG_MSG_PAYLOAD_MAX);
		assert_int_equal(mg_msg_encode(&b, 1, s->t->op, s->msg, NULL),
		    empty_ok ? MG_ERR_OK : MG_ERR_FORMAT);
		mg_buf_fini(&b);
		*p = was;
	}
}

static void
a_text_that_is_not_there_is_sent_as_empty_or_not_at_all(void **state)
{
	(void)state;
	for_every_message(null_texts, 1);
}

static void
wrong_sizes(struct sample *s)
{
	char *other;
	struct mg_buf b;

	assert_non_null(other = calloc(1, s->t->size + 1));

	raw_put(&b, s, NULL);
	assert_int_equal(mg_msg_decode(s->t->op, mg_buf_ptr(&b), mg_buf_len(&b),
			     other, s->t->size + 1, NULL),
	    MG_ERR_INTERNAL);
	mg_buf_fini(&b);
	free(other);
}

static void
a_struct_of_another_message_is_not_written_to(void **state)
{
	struct mg_run_req req;

	(void)state;
	for_every_message(wrong_sizes, 1);
	assert_int_equal(
	    mg_msg_decode((enum mg_msg_op)999, "", 0, &req, sizeof(req), NULL),
	    MG_ERR_INTERNAL);
}

static void
a_message_that_does_not_fit_its_row_or_its_buffer_is_not_sent(void **state)
{
	static char big[MG_MSG_STRV_BYTES + 1];
	struct mg_run_req req = {.operation = "deploy"};
	struct mg_hub_ping ping = {.token = 1};
	struct mg_buf b;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	for (req.args_n = 0; req.args_n < 32; req.args_n++)
		req.args[req.args_n] = big;
	mg_buf_init(&b, 2 * MG_MSG_PAYLOAD_MAX);
	assert_int_equal(
	    mg_msg_encode(&b, 1, MG_MSG_RUN_REQ, &req, NULL), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_len(&b), 0);
	mg_buf_fini(&b);
	mg_buf_init(&b, MG_MSG_HEADER + 7);
	assert_int_equal(
	    mg_msg_encode(&b, 1, MG_MSG_HUB_PING, &ping, NULL), MG_ERR_LIMIT);
	assert_int_equal(mg_buf_len(&b), 0);
	mg_buf_fini(&b);
}

static void
the_example_of_protocol_md_is_what_the_code_makes(void **state)
{
	struct mg_list_req q = {.what = MG_LIST_REQUESTS, .everyone = false};
	char *page = page_block("Messages", "frame"), hex[64] = "", *p = hex;
	struct mg_buf b;
	size_t i;

	(void)state;
	mg_buf_init(&b, 1024);
	assert_int_equal(
	    mg_msg_encode(&b, 1, MG_MSG_LIST_REQ, &q, NULL), MG_ERR_OK);
	assert_true(mg_buf_len(&b) < sizeof(hex) / 2);
	for (i = 0; i < mg_buf_len(&b); i++)
		p += snprintf(p, 3, "%02x", mg_buf_ptr(&b)[i]);
	for (i = 0, p = page; *p != '\0'; p++) /* the page has blanks */
		if (*p != ' ' && *p != '\n')
			page[i++] = *p;
	page[i] = '\0';
	assert_string_equal(page, hex);
	free(page);
	mg_buf_fini(&b);
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
	    T(the_list_is_sound),
	    T(the_example_of_protocol_md_is_what_the_code_makes),
	    T(a_header_is_permitted_in_its_row_s_directions_only),
	    T(a_length_beyond_the_row_is_refused_from_the_header),
	    T(every_message_round_trips_with_all_fields_at_their_limits),
	    T(every_message_round_trips_with_short_fields),
	    T(every_message_cut_at_any_byte_is_refused),
	    T(every_message_with_a_byte_behind_it_is_refused),
	    T(every_text_one_byte_over_its_limit_is_refused),
	    T(no_count_over_its_limit_is_sent),
	    T(every_list_with_too_many_entries_is_refused),
	    T(every_text_that_is_not_of_its_class_is_refused),
	    T(every_text_with_a_nul_inside_is_refused),
	    T(a_truth_value_is_0_or_1),
	    T(a_text_that_is_not_there_is_sent_as_empty_or_not_at_all),
	    T(a_struct_of_another_message_is_not_written_to),
	    T(a_message_that_does_not_fit_its_row_or_its_buffer_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
