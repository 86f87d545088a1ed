/* SPDX-License-Identifier: ISC */
/*
 * One codec for all messages, driven by the tables that mg_msg.def becomes.
 *
 * Rules
 * 1. The class of every text is checked on encode and on decode, so that
 *    neither a careless sender nor a hostile one gets other text through.
 * 2. A struct is all zero unless it decoded as a whole.
 */
#include <string.h>

#include "mg_esc.h"
#include "mg_id.h"
#include "mg_msg.h"
#include "mg_name.h"

#define OFF2_U8(s, n) 0
#define OFF2_U16(s, n) 0
#define OFF2_U32(s, n) 0
#define OFF2_U64(s, n) 0
#define OFF2_I64(s, n) 0
#define OFF2_BOOL(s, n) 0
#define OFF2_STR(s, n) 0
#define OFF2_BYTES(s, n) offsetof(s, n##_len)
#define OFF2_STRV(s, n) offsetof(s, n##_n)

/* fields_run_req[] and so on: one row per field. */
#define ROW(S, kind, name, limit, class)                                       \
	{#name, MG_KIND_##kind, offsetof(S, name), OFF2_##kind(S, name),       \
	    (limit), MG_CLASS_##class},
#define TABLE(name)                                                            \
	static const struct mg_msg_field fields_##name[] = {                   \
	    MG_FIELDS_##name(ROW, struct mg_##name)};
MG_STRUCT_LIST(TABLE)

/* The roles of a row, given as "A" or "A | B". */
enum {
	CLIENT = MG_ROLE_CLIENT,
	AGENT = MG_ROLE_AGENT,
	MONITOR = MG_ROLE_MONITOR,
	FRONT = MG_ROLE_FRONT,
	AUTH = MG_ROLE_AUTH,
	RUN = MG_ROLE_RUN,
	VERIFY = MG_ROLE_VERIFY,
	AUDIT = MG_ROLE_AUDIT,
	IDENT = MG_ROLE_IDENT,
	QUERY = MG_ROLE_QUERY,
	LINK = MG_ROLE_LINK,
	HOST = MG_ROLE_HOST,
	HUB = MG_ROLE_HUB,
	CONN = MG_ROLE_CONN,
	STORE = MG_ROLE_STORE,
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TYPE(NAME, s, op, from, to, max, fds)                                  \
	{MG_MSG_##NAME, #NAME, (from), (to), (max), (fds),                     \
	    sizeof(struct mg_##s), fields_##s, COUNT(fields_##s)},

static const struct mg_msg_type types[] = {MG_MSG_LIST(TYPE)};

const struct mg_msg_type *
mg_msg_types(size_t *np)
{
	*np = COUNT(types);
	return types;
}

const struct mg_msg_type *
mg_msg_type(unsigned op)
{
	size_t i;

	for (i = 0; i < COUNT(types); i++)
		if ((unsigned)types[i].op == op)
			return &types[i];
	return NULL;
}

const char *
mg_msg_name(unsigned op)
{
	const struct mg_msg_type *t = mg_msg_type(op);

	return t == NULL ? "unknown" : t->name;
}

static bool
only(const char *s, const char *extra)
{
	for (; *s != '\0'; s++) {
		if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		    (*s >= '0' && *s <= '9'))
			continue;
		if (strchr(extra, *s) == NULL)
			return false;
	}
	return true;
}

bool
mg_msg_class_check(enum mg_msg_class class, const char *s)
{
	struct mg_uuid u;

	switch (class) {
	case MG_CLASS_NONE:
		return false;
	case MG_CLASS_NAME:
		return mg_name_is_valid(s);
	case MG_CLASS_NAME0:
		return s[0] == '\0' || mg_name_is_valid(s);
	case MG_CLASS_LINE:
	case MG_CLASS_ARG:
		return mg_esc_is_clean(s);
	case MG_CLASS_TEXT:
		return mg_utf8_is_valid(s, strlen(s));
	case MG_CLASS_CODE0:
		return only(s, "-");
	case MG_CLASS_UUID:
		return mg_uuid_parse(s, &u) == MG_ERR_OK;
	case MG_CLASS_TERM:
		return only(s, "._+-");
	case MG_CLASS_PATH:
		return s[0] == '/' && mg_esc_is_clean(s);
	}
	return false;
}

static enum mg_err
check_text(const struct mg_msg_field *f, const char *s, size_t limit)
{
	if (strlen(s) > limit)
		return MG_ERR_LIMIT;
	return mg_msg_class_check(f->class, s) ? MG_ERR_OK : MG_ERR_FORMAT;
}

/* ---- encode ---- */

static enum mg_err
put_text(
    struct mg_buf *b, const struct mg_msg_field *f, const char *s, size_t limit)
{
	enum mg_err r;

	if (s == NULL)
		s = "";
	if ((r = check_text(f, s, limit)) != MG_ERR_OK) /* Rule 1 */
		return r;
	return mg_buf_put_str(b, s);
}

static enum mg_err
put_strv(struct mg_buf *b, const struct mg_msg_field *f, const char *const *v,
    size_t n)
{
	enum mg_err r;
	size_t i;

	if (n > f->limit)
		return MG_ERR_LIMIT;
	r = mg_buf_put_u32(b, (uint32_t)n);
	for (i = 0; i < n && r == MG_ERR_OK; i++)
		r = put_text(b, f, v[i], MG_MSG_STRV_BYTES);
	return r;
}

static enum mg_err
put_field(struct mg_buf *b, const struct mg_msg_field *f, const char *base)
{
	const void *p = base + f->off;
	size_t n = f->off2 == 0 ? 0 : *(const size_t *)(base + f->off2);

	switch (f->kind) {
	case MG_KIND_U8:
		return mg_buf_put_u8(b, *(const uint8_t *)p);
	case MG_KIND_U16:
		return mg_buf_put_u16(b, *(const uint16_t *)p);
	case MG_KIND_U32:
		return mg_buf_put_u32(b, *(const uint32_t *)p);
	case MG_KIND_U64:
		return mg_buf_put_u64(b, *(const uint64_t *)p);
	case MG_KIND_I64:
		return mg_buf_put_u64(b, (uint64_t) * (const int64_t *)p);
	case MG_KIND_BOOL:
		return mg_buf_put_u8(b, *(const bool *)p ? 1 : 0);
	case MG_KIND_STR:
		return put_text(b, f, *(const char *const *)p, f->limit);
	case MG_KIND_BYTES:
		if (n > f->limit)
			return MG_ERR_LIMIT;
		return mg_buf_put_bytes(b, *(const uint8_t *const *)p, n);
	case MG_KIND_STRV:
		return put_strv(b, f, (const char *const *)p, n);
	}
	return MG_ERR_INTERNAL;
}

/* The first four bytes of the frame, once its end is known. */
static void
set_length(struct mg_buf *b, size_t start)
{
	uint8_t *p = b->d + b->off + start;
	size_t n = mg_buf_len(b) - start - 4;

	p[0] = (uint8_t)(n >> 24);
	p[1] = (uint8_t)(n >> 16);
	p[2] = (uint8_t)(n >> 8);
	p[3] = (uint8_t)n;
}

enum mg_err
mg_msg_encode(struct mg_buf *b, uint32_t id, enum mg_msg_op op, const void *msg,
    const char **fieldp)
{
	const struct mg_msg_type *t = mg_msg_type(op);
	size_t start = mg_buf_len(b), i;
	enum mg_err r;

	if (fieldp != NULL)
		*fieldp = NULL;
	if (t == NULL)
		return MG_ERR_INTERNAL;
	if ((r = mg_buf_put_u32(b, 0)) == MG_ERR_OK &&
	    (r = mg_buf_put_u16(b, (uint16_t)op)) == MG_ERR_OK &&
	    (r = mg_buf_put_u16(b, MG_MSG_VERSION)) == MG_ERR_OK)
		r = mg_buf_put_u32(b, id);
	for (i = 0; i < t->nfields && r == MG_ERR_OK; i++) {
		r = put_field(b, &t->fields[i], msg);
		if (r != MG_ERR_OK && fieldp != NULL)
			*fieldp = t->fields[i].name;
	}
	if (r == MG_ERR_OK &&
	    mg_buf_len(b) - start > t->max_bytes + MG_MSG_HEADER)
		r = MG_ERR_LIMIT;
	if (r == MG_ERR_OK)
		set_length(b, start);
	else
		b->len = b->off + start;
	return r;
}

/* ---- decode ---- */

static uint32_t
be32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) |
	       ((uint32_t)p[2] << 8) | p[3];
}

static const char *
judge_header(
    const uint8_t *p, unsigned from, unsigned to, struct mg_msg_header *h)
{
	unsigned op = ((unsigned)p[4] << 8) | p[5];
	unsigned version = ((unsigned)p[6] << 8) | p[7];
	uint32_t len = be32(p);
	const struct mg_msg_type *t = mg_msg_type(op);

	if (version != MG_MSG_VERSION)
		return "unknown protocol version";
	if (t == NULL)
		return "unknown message";
	if ((t->from & from) == 0 || (t->to & to) == 0)
		return "message not for this direction";
	if (len < MG_MSG_HEADER - 4 || len - (MG_MSG_HEADER - 4) > t->max_bytes)
		return "length outside of the message's limit";
	h->type = t;
	h->id = be32(p + 8);
	h->len = len - (MG_MSG_HEADER - 4);
	return NULL;
}

enum mg_err
mg_msg_header_get(const uint8_t *p, unsigned from, unsigned to,
    struct mg_msg_header *h, const char **whyp)
{
	const char *why;

	memset(h, 0, sizeof(*h));
	why = judge_header(p, from, to, h);
	if (whyp != NULL)
		*whyp = why == NULL ? "" : why;
	return why == NULL ? MG_ERR_OK : MG_ERR_PROTO;
}

static enum mg_err
get_text(struct mg_buf *b, const struct mg_msg_field *f, const char **sp,
    size_t limit)
{
	enum mg_err r;

	if ((r = mg_buf_get_str(b, limit, sp)) != MG_ERR_OK)
		return r;
	if ((r = check_text(f, *sp, limit)) != MG_ERR_OK) /* Rule 1 */
		*sp = NULL;
	return r;
}

static enum mg_err
get_strv(
    struct mg_buf *b, const struct mg_msg_field *f, const char **v, size_t *np)
{
	uint32_t n, i;
	enum mg_err r;

	if ((r = mg_buf_get_u32(b, &n)) != MG_ERR_OK)
		return r;
	if (n > f->limit)
		return MG_ERR_LIMIT;
	for (i = 0; i < n && r == MG_ERR_OK; i++)
		r = get_text(b, f, &v[i], MG_MSG_STRV_BYTES);
	*np = n;
	return r;
}

static enum mg_err
get_bool(struct mg_buf *b, bool *vp)
{
	uint8_t v;
	enum mg_err r;

	if ((r = mg_buf_get_u8(b, &v)) != MG_ERR_OK)
		return r;
	*vp = v == 1;
	return v > 1 ? MG_ERR_FORMAT : MG_ERR_OK;
}

static enum mg_err
get_i64(struct mg_buf *b, int64_t *vp)
{
	uint64_t v;
	enum mg_err r = mg_buf_get_u64(b, &v);

	*vp = (int64_t)v;
	return r;
}

static enum mg_err
get_field(struct mg_buf *b, const struct mg_msg_field *f, char *base)
{
	void *p = base + f->off;
	size_t *np = (size_t *)(void *)(base + f->off2);

	switch (f->kind) {
	case MG_KIND_U8:
		return mg_buf_get_u8(b, p);
	case MG_KIND_U16:
		return mg_buf_get_u16(b, p);
	case MG_KIND_U32:
		return mg_buf_get_u32(b, p);
	case MG_KIND_U64:
		return mg_buf_get_u64(b, p);
	case MG_KIND_I64:
		return get_i64(b, p);
	case MG_KIND_BOOL:
		return get_bool(b, p);
	case MG_KIND_STR:
		return get_text(b, f, p, f->limit);
	case MG_KIND_BYTES:
		return mg_buf_get_bytes(b, f->limit, p, np);
	case MG_KIND_STRV:
		return get_strv(b, f, p, np);
	}
	return MG_ERR_INTERNAL;
}

enum mg_err
mg_msg_decode(enum mg_msg_op op, const void *payload, size_t len, void *msg,
    size_t size, const char **fieldp)
{
	const struct mg_msg_type *t = mg_msg_type(op);
	struct mg_buf b;
	enum mg_err r = MG_ERR_OK;
	size_t i;

	if (fieldp != NULL)
		*fieldp = NULL;
	memset(msg, 0, size);
	if (t == NULL || t->size != size)
		return MG_ERR_INTERNAL;
	if (len > t->max_bytes)
		return MG_ERR_LIMIT;
	mg_buf_init_read(&b, payload, len);
	for (i = 0; i < t->nfields && r == MG_ERR_OK; i++) {
		r = get_field(&b, &t->fields[i], msg);
		if (r != MG_ERR_OK && fieldp != NULL)
			*fieldp = t->fields[i].name;
	}
	if (r == MG_ERR_OK)
		r = mg_buf_get_end(&b);
	if (r != MG_ERR_OK)
		memset(msg, 0, size); /* Rule 2 */
	return r;
}
