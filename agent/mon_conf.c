/* SPDX-License-Identifier: ISC */
/* agent.ini: settings[] is the list of what it may say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mg_ini.h"
#include "mg_name.h"
#include "mg_time.h"
#include "mon.h"

#define CONF_MAX 65536
#define KEEP_DAYS_MIN 183 /* six months, which the AI Act asks for */
#define DOWN_AFTER_MIN_MS 1000
#define DOWN_AFTER_MAX_MS 3600000

enum kind { TEXT_HOST, LABELS, HUB_ADDRESS, PINS, DOWN, AUDIT, NUMBER, SIZE };

static const struct {
	const char *section, *key;
	enum kind kind;
	size_t off;
	uint64_t min, max;
} settings[] = {
    {"host", "name", TEXT_HOST, 0, 0, 0},
    {"host", "labels", LABELS, 0, 0, 0},
    {"hub", "address", HUB_ADDRESS, 0, 0, 0},
    {"hub", "keys", PINS, 0, 0, 0},
    {"hub", "down-after", DOWN, 0, 0, 0},
    {"audit", "mode", AUDIT, 0, 0, 0},
    {"limits", "clients", NUMBER, offsetof(struct mon_conf, clients_max), 8,
	4096},
    {"limits", "clients-per-user", NUMBER,
	offsetof(struct mon_conf, clients_per_user), 2, 4096},
    {"limits", "pending", NUMBER, offsetof(struct mon_conf, pending_max), 1,
	MG_PENDING_MAX},
    {"limits", "pending-per-user", NUMBER,
	offsetof(struct mon_conf, pending_per_user), 1, MG_PENDING_MAX},
    {"limits", "refusals-per-minute", NUMBER,
	offsetof(struct mon_conf, refusals_per_minute), 1, 6000},
    {"models", "check-minutes", NUMBER,
	offsetof(struct mon_conf, check_minutes), 1, 525600},
    {"models", "keep-versions", NUMBER,
	offsetof(struct mon_conf, keep_versions), 0, MG_MODEL_BACK_MAX},
    {"ledger", "hot-days", NUMBER, offsetof(struct mon_conf, hot_days), 0,
	36500},
    {"ledger", "keep-days", NUMBER, offsetof(struct mon_conf, keep_days),
	KEEP_DAYS_MIN, 36500},
    {"limits", "artifact-gib", SIZE, offsetof(struct mon_conf, artifact_max), 1,
	1048576},
};

#define NSETTINGS (sizeof(settings) / sizeof(settings[0]))

struct loader {
	struct mon_conf *conf;
	struct mg_diags *ds;
};

static bool
number(const char *s, uint64_t min, uint64_t max, uint64_t *vp)
{
	uint64_t v = 0;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' || v > max)
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*vp = v;
	return v >= min && v <= max;
}

/* "env:production": two identifiers. */
static bool
is_label(const char *s)
{
	char part[MG_NAME_MAX + 1];
	const char *colon = strchr(s, ':');
	size_t n;

	if (colon == NULL || (n = (size_t)(colon - s)) > MG_NAME_MAX)
		return false;
	memcpy(part, s, n);
	part[n] = '\0';
	return mg_name_is_valid(part) && mg_name_is_valid(colon + 1);
}

static bool
is_pin(const char *s)
{
	return strncmp(s, "ssh-ed25519 ", 12) == 0 ||
	       strncmp(s, "ecdsa-sha2-nistp", 16) == 0 ||
	       strncmp(s, "ssh-rsa ", 8) == 0;
}

/* Cuts a list at commas; every entry must pass is_ok. */
static void
take_list(struct loader *ld, const struct mg_ini_line *l, char **v, size_t *np,
    size_t max, bool (*is_ok)(const char *), const char *what)
{
	char copy[MG_INI_LINE_MAX + 1], *p, *next;
	size_t n;

	memcpy(copy, l->value, strlen(l->value) + 1);
	for (p = copy; p != NULL; p = next) {
		if ((next = strchr(p, ',')) != NULL)
			*next++ = '\0';
		p += strspn(p, " \t");
		n = strlen(p);
		while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
			p[--n] = '\0';
		if (!is_ok(p)) {
			mg_ini_error(ld->ds, l,
			    l->value_col + (unsigned)(p - copy),
			    "'%s' is not %s", p, what);
			return;
		}
		if (*np == max || (v[*np] = strdup(p)) == NULL) {
			mg_ini_error(ld->ds, l, l->value_col,
			    "more than %zu entries", max);
			return;
		}
		(*np)++;
	}
}

static void
take_address(struct loader *ld, const struct mg_ini_line *l)
{
	struct mon_conf *c = ld->conf;
	const char *colon = strrchr(l->value, ':');
	uint64_t port = 7022;
	size_t n = strlen(l->value);

	/* "host", "host:port", "[v6]:port"; a bare v6 address has no port. */
	if (colon != NULL &&
	    (strchr(l->value, ':') == colon || colon[-1] == ']')) {
		if (!number(colon + 1, 1, 65535, &port)) {
			mg_ini_error(ld->ds, l, l->value_col,
			    "port is not a number from 1 to 65535");
			return;
		}
		n = (size_t)(colon - l->value);
	}
	if (n > 2 && l->value[0] == '[' && l->value[n - 1] == ']')
		snprintf(c->hub_address, sizeof(c->hub_address), "%.*s",
		    (int)(n - 2), l->value + 1);
	else
		snprintf(c->hub_address, sizeof(c->hub_address), "%.*s", (int)n,
		    l->value);
	c->hub_port = (uint16_t)port;
}

static void
take_down_after(struct loader *ld, const struct mg_ini_line *l)
{
	int64_t ms;

	if (mg_duration_parse(l->value, &ms) != MG_ERR_OK ||
	    ms < DOWN_AFTER_MIN_MS || ms > DOWN_AFTER_MAX_MS)
		mg_ini_error(ld->ds, l, l->value_col,
		    "'%s' is not a time from 1s to 1h", l->value);
	else
		ld->conf->hub_down_after_ms = ms;
}

static void
take_audit(struct loader *ld, const struct mg_ini_line *l)
{
	if (strcmp(l->value, "required") == 0)
		ld->conf->audit_optional = false;
	else if (strcmp(l->value, "optional") == 0)
		ld->conf->audit_optional = true;
	else
		mg_ini_error(ld->ds, l, l->value_col,
		    "'%s' is neither 'required' nor 'optional'", l->value);
}

static void
take_host(struct loader *ld, const struct mg_ini_line *l)
{
	if (!mg_name_is_valid(l->value))
		mg_ini_error(ld->ds, l, l->value_col, "'%s' %s", l->value,
		    mg_name_why(l->value));
	else
		snprintf(
		    ld->conf->host, sizeof(ld->conf->host), "%s", l->value);
}

static void
take_number(struct loader *ld, const struct mg_ini_line *l, size_t i)
{
	char *base = (char *)ld->conf + settings[i].off;
	uint64_t v;

	if (!number(l->value, settings[i].min, settings[i].max, &v)) {
		mg_ini_error(ld->ds, l, l->value_col,
		    "'%s' is not a number from %llu to %llu", l->value,
		    (unsigned long long)settings[i].min,
		    (unsigned long long)settings[i].max);
		return;
	}
	if (settings[i].kind == SIZE)
		*(uint64_t *)(void *)base = v << 30;
	else
		*(unsigned *)(void *)base = (unsigned)v;
}

static void
take(struct loader *ld, const struct mg_ini_line *l, size_t i)
{
	struct mon_conf *c = ld->conf;

	switch (settings[i].kind) {
	case TEXT_HOST:
		take_host(ld, l);
		break;
	case LABELS:
		take_list(ld, l, c->labels, &c->nlabels, MON_LABELS_MAX,
		    is_label, "a label such as env:production");
		break;
	case HUB_ADDRESS:
		take_address(ld, l);
		break;
	case PINS:
		take_list(ld, l, c->pins, &c->npins, MON_PINS_MAX, is_pin,
		    "a host key such as 'ssh-ed25519 AAAA...'");
		break;
	case DOWN:
		take_down_after(ld, l);
		break;
	case AUDIT:
		take_audit(ld, l);
		break;
	case NUMBER:
	case SIZE:
		take_number(ld, l, i);
		break;
	}
}

static void
on_line(void *arg, const struct mg_ini_line *l)
{
	struct loader *ld = arg;
	bool section = false;
	size_t i;

	for (i = 0; i < NSETTINGS; i++) {
		if (strcmp(settings[i].section, l->section) != 0)
			continue;
		section = true;
		if (l->key == NULL || strcmp(settings[i].key, l->key) != 0)
			continue;
		take(ld, l, i);
		return;
	}
	if (!section && l->key == NULL)
		mg_ini_error(ld->ds, l, 2, "unknown section '%s'", l->section);
	else if (section && l->key == NULL && l->name[0] != '\0')
		mg_ini_error(ld->ds, l, l->name_col,
		    "section '%s' takes no name", l->section);
	else if (section && l->key != NULL)
		mg_ini_error(ld->ds, l, l->key_col, "unknown key '%s' in [%s]",
		    l->key, l->section);
}

static void
set_defaults(struct mon_conf *c)
{
	memset(c, 0, sizeof(*c));
	if (gethostname(c->host, sizeof(c->host) - 1) != 0 ||
	    !mg_name_is_valid(c->host))
		c->host[0] = '\0';
	c->hub_port = 7022;
	c->hub_down_after_ms = 60000;
	c->clients_max = 1024;
	c->clients_per_user = 64;
	c->pending_max = MG_PENDING_MAX;
	c->pending_per_user = 200;
	c->refusals_per_minute = 60;
	c->check_minutes = 1440;
	c->keep_versions = 4;
	c->hot_days = 90;
	c->keep_days = 2557;
	c->artifact_max = (uint64_t)4096 << 30;
}

static void
check(const struct mon_conf *c, const char *path, struct mg_diags *ds)
{
	if (c->host[0] == '\0')
		mg_diags_add(ds, false, path, 0, 0, NULL,
		    "[host] name is missing, and this host's own name is "
		    "not an identifier");
	if (c->hub_address[0] != '\0' && c->npins == 0)
		mg_diags_add(ds, false, path, 0, 0, NULL,
		    "[hub] keys is missing: the hub must be known by key");
}

enum mg_err
mon_conf_load(const char *path, struct mon_conf *conf, struct mg_diags *ds)
{
	static const struct mg_file_rule rule = {.owner = 0};
	struct mon_conf fresh;
	struct loader ld = {.conf = &fresh, .ds = ds};
	struct mg_buf b;
	char why[512];
	enum mg_err r;
	int fd;

	set_defaults(&fresh);
	mg_buf_init(&b, CONF_MAX);
	r = mg_file_open(path, 0, &rule, &fd, why, sizeof(why));
	if (r != MG_ERR_OK) {
		mg_diags_add(ds, false, path, 0, 0, NULL, "%s", why);
		return r;
	}
	if ((r = mg_file_read(fd, &b)) != MG_ERR_OK)
		mg_diags_add(ds, false, path, 0, 0, NULL, "cannot read: %s",
		    mg_err_str(r));
	else
		r = mg_ini_parse(path, (const char *)mg_buf_ptr(&b),
		    mg_buf_len(&b), on_line, &ld, ds);
	if (r == MG_ERR_OK)
		check(&fresh, path, ds);
	close(fd);
	mg_buf_fini(&b);
	if (r == MG_ERR_OK && ds->errors > 0)
		r = MG_ERR_FORMAT;
	if (r != MG_ERR_OK) {
		mon_conf_fini(&fresh);
		return r;
	}
	mon_conf_fini(conf);
	*conf = fresh;
	return MG_ERR_OK;
}

void
mon_conf_fini(struct mon_conf *conf)
{
	while (conf->nlabels > 0)
		free(conf->labels[--conf->nlabels]);
	while (conf->npins > 0)
		free(conf->pins[--conf->npins]);
}

static void
print_list(FILE *out, const char *key, char *const *v, size_t n)
{
	size_t i;

	if (n == 0)
		return;
	fprintf(out, "%s = ", key);
	for (i = 0; i < n; i++)
		fprintf(out, "%s%s", i > 0 ? ", " : "", v[i]);
	fputc('\n', out);
}

void
mon_conf_print(const struct mon_conf *c, FILE *out)
{
	bool v6 = strchr(c->hub_address, ':') != NULL;

	fprintf(out, "[host]\nname = %s\n", c->host);
	print_list(out, "labels", c->labels, c->nlabels);
	if (c->hub_address[0] != '\0') {
		fprintf(out, "\n[hub]\naddress = %s%s%s:%u\n", v6 ? "[" : "",
		    c->hub_address, v6 ? "]" : "", c->hub_port);
		print_list(out, "keys", c->pins, c->npins);
		fprintf(out, "down-after = %llds\n",
		    (long long)(c->hub_down_after_ms / 1000));
	}
	fprintf(out, "\n[audit]\nmode = %s\n",
	    c->audit_optional ? "optional" : "required");
	fprintf(out, "\n[models]\ncheck-minutes = %u\nkeep-versions = %u\n",
	    c->check_minutes, c->keep_versions);
	fprintf(out, "\n[ledger]\nhot-days = %u\nkeep-days = %u\n", c->hot_days,
	    c->keep_days);
	fprintf(out,
	    "\n[limits]\nclients = %u\nclients-per-user = %u\n"
	    "pending = %u\npending-per-user = %u\n"
	    "refusals-per-minute = %u\nartifact-gib = %llu\n",
	    c->clients_max, c->clients_per_user, c->pending_max,
	    c->pending_per_user, c->refusals_per_minute,
	    (unsigned long long)(c->artifact_max >> 30));
}
