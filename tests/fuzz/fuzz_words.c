/* SPDX-License-Identifier: ISC */
/* Names, codes, times, durations, escapes: small words from people. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_b64.h"
#include "mg_esc.h"
#include "mg_id.h"
#include "mg_name.h"
#include "mg_time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
names(const char *s)
{
	char model[MG_NAME_MAX + 1], version[MG_NAME_MAX + 1];
	bool valid = mg_name_is_valid(s);

	if (valid != (strcmp(mg_name_why(s), "is valid") == 0) ||
	    (valid &&
		(!mg_name_matches(s, s) || !mg_name_matches(s, "*") ||
		    strchr(s, '/') != NULL || s[0] == '-' || s[0] == '.')))
		abort();
	if (mg_name_split_ref(s, model, version)) {
		if (!mg_name_is_valid(model) ||
		    (version[0] != '\0' && !mg_name_is_valid(version)))
			abort();
	} else if (model[0] != '\0' || version[0] != '\0') {
		abort();
	}
}

static void
ids(const char *s)
{
	char text[MG_UUID_STR], code[MG_CODE_STR], again[MG_CODE_STR];
	struct mg_uuid u, v;

	if (mg_uuid_parse(s, &u) == MG_ERR_OK) {
		mg_uuid_format(&u, text);
		if (mg_uuid_parse(text, &v) != MG_ERR_OK ||
		    !mg_uuid_equal(&u, &v))
			abort();
	}
	if (mg_code_parse(s, code) == MG_ERR_OK &&
	    (mg_code_parse(code, again) != MG_ERR_OK ||
		strcmp(code, again) != 0))
		abort();
}

static void
times(const char *s)
{
	char text[MG_DURATION_STR], at[MG_TIME_STR];
	int64_t ms, again;

	if (mg_time_parse(s, 1795000000000, &ms) == MG_ERR_OK) {
		mg_time_format(ms, at);
		if (mg_time_parse(at, 0, &again) != MG_ERR_OK || again != ms)
			abort();
	}
	if (mg_duration_parse(s, &ms) == MG_ERR_OK) {
		mg_duration_format(ms, text);
		if (ms < 0 || mg_duration_parse(text, &again) != MG_ERR_OK ||
		    again > ms)
			abort();
	}
}

static void
escapes(const char *s, size_t n)
{
	char line[64];
	struct mg_buf b, back;

	mg_esc_line(s, line, sizeof(line));
	if (!mg_esc_is_clean(line))
		abort();
	mg_buf_init(&b, 16 * n + 64);
	mg_buf_init(&back, 16 * n + 64);
	if (mg_esc_put(&b, s, n, " \"") != MG_ERR_OK ||
	    mg_esc_check((const char *)mg_buf_ptr(&b), mg_buf_len(&b), " \"") !=
		MG_ERR_OK ||
	    mg_esc_undo(&back, (const char *)mg_buf_ptr(&b), mg_buf_len(&b)) !=
		MG_ERR_OK ||
	    mg_buf_len(&back) != n ||
	    (n > 0 && memcmp(mg_buf_ptr(&back), s, n) != 0))
		abort();
	mg_buf_reset(&b);
	(void)!mg_b64_get(&b, s, n, NULL);
	mg_buf_fini(&back);
	mg_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s;

	if (size > 4096)
		return 0;
	if ((s = malloc(size + 1)) == NULL)
		abort();
	memcpy(s, data, size);
	s[size] = '\0';
	names(s);
	ids(s);
	times(s);
	escapes(s, strlen(s));
	free(s);
	return 0;
}
