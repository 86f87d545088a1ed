/* SPDX-License-Identifier: ISC */
#ifndef CMD_LOG_H
#define CMD_LOG_H

#include <stdbool.h>

#include "mg_rec.h"

/* What cmd_log.c and its formats share. */

enum mg_log_format {
	MG_LOG_FORMAT_TEXT = 0,
	MG_LOG_FORMAT_JSON,
	MG_LOG_FORMAT_CSV,
	MG_LOG_FORMAT_CEF,
	MG_LOG_FORMAT_OCSF,
};

/* "text", "json", "csv", "cef", "ocsf". */
bool mg_log_format_parse(const char *word, enum mg_log_format *fp);

/* What stands before the first record; and one record (CSV, CEF, OCSF),
 * which is also in line as JSON. */
void mg_log_format_head(enum mg_log_format format);
void mg_log_format_line(enum mg_log_format format, const struct mg_rec *rec,
    const char *line, const char *host);

#endif
