/* SPDX-License-Identifier: ISC */
/* hub.ini; hub_conf.def is the list of what it may say. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hub_conf.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_ini.h"
#include "mg_time.h"

enum kind { LISTEN, NETS, TEXT, PATH, PATH0, TIME, NUMBER };

#define ROW(section, key, kind, m, dflt, min, max)                             \
	{#section, (key), (kind), offsetof(struct hub_conf, m), (dflt), (min), \
	    (max)},

static const struct setting {
	const char *section, *key;
	enum kind kind;
	size_t off;
	const char *dflt;
	uint64_t min, max;
} settings[] = {HUB_CONF_LIST(ROW)};

#define NSETTINGS (sizeof(settings) / sizeof(settings[0]))

_Static_assert(NSETTINGS == HUB_CONF_COUNT, "one origin a setting");

struct loader {
	struct hub_conf *conf;
	struct mg_diags *ds;
};

static bool
set_number(const struct setting *set, const char *s, uint64_t *vp)
{
	uint64_t v = 0;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' || v > set->max)
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*vp = v;
	return v >= set->min && v <= set->max;
}

static bool
set_time(const struct setting *set, const char *s, int64_t *msp)
{
	return mg_duration_parse(s, msp) == MG_ERR_OK &&
	       *msp >= (int64_t)set->min * 1000 &&
	       *msp <= (int64_t)set->max * 1000;
}

/* The next entry of a comma list; false at its end or when it is empty. */
static bool
next_entry(const char **sp, char *out, size_t size, bool *endp)
{
	const char *s = *sp + strspn(*sp, " \t");
	size_t n = strcspn(s, ",");

	*endp = s[n] == '\0';
	*sp = s + n + (*endp ? 0 : 1);
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	if (n == 0 || n >= size)
		return false;
	memcpy(out, s, n);
	out[n] = '\0';
	return true;
}

static bool
set_listen(const char *s, struct hub_listen *l)
{
	char entry[128];
	bool end = false;

	for (l->n = 0; !end; l->n++) {
		if (l->n == HUB_LISTEN_MAX ||
		    !next_entry(&s, entry, sizeof(entry), &end) ||
		    hub_addr_parse(entry, &l->v[l->n]) != MG_ERR_OK)
			return false;
	}
	return true;
}

static bool
set_nets(const char *s, struct hub_exempt *x)
{
	char entry[128];
	bool end = false;

	x->n = 0;
	if (strcmp(s, "none") == 0)
		return true;
	for (; !end; x->n++) {
		if (x->n == HUB_EXEMPT_MAX ||
		    !next_entry(&s, entry, sizeof(entry), &end) ||
		    hub_net_parse(entry, &x->v[x->n]) != MG_ERR_OK)
			return false;
	}
	return true;
}

static bool
set_path(const char *s, char *out)
{
	if (s[0] != '/' || strlen(s) >= HUB_PATH_MAX)
		return false;
	memcpy(out, s, strlen(s) + 1);
	return true;
}

static bool
set_text(const char *s, char *out)
{
	if (strlen(s) >= HUB_NAME_TEXT)
		return false;
	memcpy(out, s, strlen(s) + 1);
	return true;
}

/* Sets one value; what is wrong with it, or NULL. */
static const char *
set_one(struct hub_conf *conf, const struct setting *set, const char *s)
{
	void *p = (char *)conf + set->off;

	switch (set->kind) {
	case LISTEN:
		return set_listen(s, p) ? NULL
					: "not a list of ADDRESS:PORT with "
					  "numeric addresses";
	case NETS:
		return set_nets(s, p) ? NULL
				      : "neither a list of networks such as "
					"10.0.0.0/8 nor 'none'";
	case TEXT:
		return set_text(s, p) ? NULL : "longer than 255 bytes";
	case PATH0:
		if (strcmp(s, "none") == 0) {
			*(char *)p = '\0';
			return NULL;
		}
		return set_path(s, p) ? NULL
				      : "neither an absolute path nor 'none'";
	case PATH:
		return set_path(s, p) ? NULL : "not an absolute path";
	case TIME:
		return set_time(set, s, p) ? NULL
					   : "not a duration in the range that "
					     "modelgate-hub(8) gives";
	case NUMBER:
		return set_number(set, s, p) ? NULL
					     : "not a number in the range that "
					       "modelgate-hub(8) gives";
	}
	return "unknown";
}

static void
take(void *arg, const struct mg_ini_line *line)
{
	struct loader *ld = arg;
	const char *why;
	bool known = false;
	size_t i;

	for (i = 0; i < NSETTINGS; i++) {
		if (strcmp(settings[i].section, line->section) != 0)
			continue;
		known = true;
		if (line->key != NULL &&
		    strcmp(settings[i].key, line->key) == 0)
			break;
	}
	if (!known || line->name[0] != '\0') {
		if (line->key == NULL)
			mg_ini_error(ld->ds, line, 1,
			    "section is not [hub] or [limits]");
		return;
	}
	if (line->key == NULL)
		return;
	if (i == NSETTINGS) {
		mg_ini_error(ld->ds, line, line->key_col, "unknown key");
		return;
	}
	if ((why = set_one(ld->conf, &settings[i], line->value)) != NULL) {
		mg_ini_error(ld->ds, line, line->value_col, "%s", why);
		return;
	}
	ld->conf->origin[i].line = line->line;
	snprintf(ld->conf->origin[i].text, MG_DIAG_SRC_MAX, "%s", line->value);
}

static void
set_defaults(struct hub_conf *conf)
{
	size_t i;

	memset(conf, 0, sizeof(*conf));
	for (i = 0; i < NSETTINGS; i++) {
		if (set_one(conf, &settings[i], settings[i].dflt) != NULL)
			abort(); /* the list is wrong: a unit test runs this */
		snprintf(conf->origin[i].text, MG_DIAG_SRC_MAX, "%s",
		    settings[i].dflt);
	}
}

enum mg_err
hub_conf_parse(struct hub_conf *conf, const char *file, const char *text,
    size_t len, struct mg_diags *ds)
{
	struct loader ld = {.conf = conf, .ds = ds};
	enum mg_err r;

	set_defaults(conf);
	r = mg_ini_parse(file, text, len, take, &ld, ds);
	if (r == MG_ERR_OK && conf->logins_per_source > conf->logins_max)
		mg_diags_add(ds, false, file, 0, 0, NULL,
		    "logins-per-source is more than logins");
	return r == MG_ERR_OK && ds->errors > 0 ? MG_ERR_FORMAT : r;
}

enum mg_err
hub_conf_load(struct hub_conf *conf, const char *path, struct mg_diags *ds)
{
	struct mg_file_rule rule = {.owner = 0};
	char why[256];
	struct mg_buf b;
	enum mg_err r;
	int fd;

	mg_buf_init(&b, HUB_CONF_MAX);
	r = mg_file_open(path, 0, &rule, &fd, why, sizeof(why));
	if (r != MG_ERR_OK) {
		mg_diags_add(ds, false, path, 0, 0, NULL, "%s", why);
		return r;
	}
	r = mg_file_read(fd, &b);
	close(fd);
	if (r == MG_ERR_OK)
		r = hub_conf_parse(conf, path, (const char *)mg_buf_ptr(&b),
		    mg_buf_len(&b), ds);
	else
		mg_diags_add(ds, false, path, 0, 0, NULL, "cannot be read: %s",
		    mg_err_str(r));
	mg_buf_fini(&b);
	return r;
}

void
hub_conf_print(const struct hub_conf *conf, FILE *out)
{
	const char *section = "";
	size_t i;

	for (i = 0; i < NSETTINGS; i++) {
		if (strcmp(section, settings[i].section) != 0) {
			section = settings[i].section;
			fprintf(out, "[%s]\n", section);
		}
		if (conf->origin[i].line == 0)
			fprintf(out, "; default\n");
		else
			fprintf(out, "; line %u\n", conf->origin[i].line);
		fprintf(
		    out, "%s = %s\n", settings[i].key, conf->origin[i].text);
	}
}
