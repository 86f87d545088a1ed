/* SPDX-License-Identifier: ISC */
#ifndef HUB_CONF_H
#define HUB_CONF_H

#include <stdio.h>

#include "hub_conf.def"
#include "hub_net.h"
#include "mg_diag.h"

/* hub.ini; modelgate-hub(8) describes every key. */

#define HUB_CONF_FILE MG_CONFDIR "/hub.ini"
#define HUB_CONF_MAX 65536
#define HUB_LISTEN_MAX 8
#define HUB_EXEMPT_MAX 32
#define HUB_PATH_MAX 512
#define HUB_NAME_TEXT 256

struct hub_listen {
	struct hub_addr v[HUB_LISTEN_MAX];
	size_t n;
};

struct hub_exempt {
	struct hub_net v[HUB_EXEMPT_MAX];
	size_t n;
};

#define HUB_DECL_LISTEN(m) struct hub_listen m;
#define HUB_DECL_NETS(m) struct hub_exempt m;
#define HUB_DECL_TEXT(m) char m[HUB_NAME_TEXT];
#define HUB_DECL_PATH(m) char m[HUB_PATH_MAX];
#define HUB_DECL_PATH0(m) char m[HUB_PATH_MAX]; /* "" for "none" */
#define HUB_DECL_TIME(m) int64_t m;
#define HUB_DECL_NUMBER(m) uint64_t m;
#define HUB_DECL(section, key, kind, m, dflt, min, max) HUB_DECL_##kind(m)

#define HUB_CONF_COUNT_ONE(section, key, kind, m, dflt, min, max) +1
#define HUB_CONF_COUNT (0 HUB_CONF_LIST(HUB_CONF_COUNT_ONE))

struct hub_conf {
	HUB_CONF_LIST(HUB_DECL)
	struct {
		char text[MG_DIAG_SRC_MAX]; /* as written */
		unsigned line;		    /* 0: the default */
	} origin[HUB_CONF_COUNT];
};

/*
 * Reads len bytes that came from file. On any error conf is undefined, ds
 * says what and where, and MG_ERR_FORMAT is returned; MG_ERR_NOMEM.
 */
enum mg_err hub_conf_parse(struct hub_conf *conf, const char *file,
    const char *text, size_t len, struct mg_diags *ds) MG_MUST_CHECK;

/* As above, from the file at path, which nobody but root may change. */
enum mg_err hub_conf_load(
    struct hub_conf *conf, const char *path, struct mg_diags *ds) MG_MUST_CHECK;

/* Writes every setting with where it came from; reads back to the same. */
void hub_conf_print(const struct hub_conf *conf, FILE *out);

#endif
