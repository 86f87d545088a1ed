/* SPDX-License-Identifier: ISC */
/* The signed text: mg_text.c, and the example that PROTOCOL.md shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_esc.h"
#include "mg_text.h"
#include "mg_time.h"
#include "protocol_page.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define SECTION "The signed text"

static const char *const argv[] = {"/usr/libexec/modelgate/ops/symlink",
    "deploy", "receipt-ocr", "2", "say \"hi\""};

static struct mg_text_body
example(void)
{
	struct mg_text_body t = {
	    .uuid = "c1e7711f-a06d-4b2f-9d3a-5e8f0c7b6a91",
	    .code = "R7KQ27X0DN",
	    .host = "serve-01",
	    .host_key = "SHA256:uNiVztksCsDhcc0u9e8BgrJXVGZ2h1vGEBaLvLZ3o9A",
	    .requester = "alice",
	    .uid = 1001,
	    .session = 17,
	    .origin = "10.1.2.3",
	    .operation = "deploy",
	    .model = "receipt-ocr",
	    .version = "2",
	    .artifact = "sha256:51500aeda8086accac2f51352f54230912f5710e6aa49e3"
			"e985a0f369b6232a5",
	    .argv = argv,
	    .argc = N(argv),
	    .run_as = "mlserve",
	    .lasts_ms = 1800000,
	    .reason = "fixes the totals:\n7 and 1 no longer swapped",
	    .ticket = "",
	    .policy = "sha256:2e6c42423d4d169698602297e961d0b709095f3d5ca17ee48"
		      "184e2e93690af40",
	    .requested_ms = 1795352400123,
	    .nonce = "00112233445566778899aabbccddeeff",
	};

	return t;
}

static char *
render(const struct mg_text_body *t, size_t *np)
{
	struct mg_buf b;
	char *s;

	mg_buf_init(&b, MG_TEXT_MAX);
	assert_int_equal(mg_text_put_body(&b, t), MG_ERR_OK);
	*np = mg_buf_len(&b);
	assert_non_null(s = strdup(mg_buf_cstr(&b)));
	assert_int_equal(strlen(s), *np);
	mg_buf_fini(&b);
	return s;
}

static size_t
lines(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

static void
assert_line(const char *text, const char *key, const char *expected)
{
	struct mg_buf b;

	mg_buf_init(&b, MG_TEXT_MAX);
	assert_int_equal(mg_text_get(&b, text, strlen(text), key), MG_ERR_OK);
	assert_string_equal(mg_buf_cstr(&b), expected);
	mg_buf_fini(&b);
}

/* ---- the example ---- */

static void
the_example_of_protocol_md_is_what_the_code_renders(void **state)
{
	char *page = page_block(SECTION, "text"), *body;
	struct mg_text_body t = example();
	struct mg_buf b;
	size_t n;

	(void)state;
	body = render(&t, &n);
	mg_buf_init(&b, MG_TEXT_MAX);
	assert_int_equal(
	    mg_text_put(&b, "approve", "bob", "checked drift", body, n),
	    MG_ERR_OK);
	assert_string_equal(page, mg_buf_cstr(&b));
	assert_int_equal(mg_text_check_body(body, n), MG_ERR_OK);
	mg_buf_fini(&b);
	free(body);
	free(page);
}

static void
the_hex_of_protocol_md_is_the_line_that_it_says(void **state)
{
	char *page = page_block(SECTION, "hex"), line[512], digits[3] = "";
	struct mg_text_body t = example();
	size_t n, i, len = 0;
	char *body = render(&t, &n), *reason;

	(void)state;
	for (i = 0; page[i] != '\0'; i++) {
		if (page[i] == '\n' || page[i] == ' ')
			continue;
		assert_true(len + 1 < sizeof(line));
		digits[0] = page[i++];
		digits[1] = page[i];
		line[len++] = (char)strtoul(digits, NULL, 16);
	}
	line[len] = '\0';
	assert_non_null(reason = strstr(body, "\nreason: "));
	assert_memory_equal(reason + 1, line, len);
	assert_int_equal(line[len - 1], '\n');
	assert_string_equal(line, "reason: fixes the totals:\\n7 and 1 no "
				  "longer swapped\n");
	free(body);
	free(page);
}

static void
every_value_is_read_back(void **state)
{
	struct mg_text_body t = example();
	struct mg_buf b;
	size_t n;
	char *body = render(&t, &n);

	(void)state;
	assert_line(body, "reason", t.reason);
	assert_line(body, "ticket", "");
	assert_line(body, "model", "receipt-ocr");
	assert_line(body, "lasts", "30m");
	assert_line(body, "requested-at", "2026-11-22T13:00:00.123Z");
	mg_buf_init(&b, 100);
	assert_int_equal(mg_text_get(&b, body, n, "decision"), MG_ERR_NOENT);
	assert_int_equal(mg_text_get(&b, body, n, "mode"), MG_ERR_NOENT);
	assert_int_equal(mg_text_get(&b, body, n, ""), MG_ERR_NOENT);
	mg_buf_fini(&b);
	free(body);
}

/* ---- rule 1 ---- */

static void
rule1_no_value_becomes_a_line_of_its_own(void **state)
{
	static const char evil[] = "x\noperation: retire\r\nmodel: other\x0b"
				   "\xe2\x80\xa8nonce: 1\xc2\x85policy: p";
	const char *const args[] = {evil, evil};
	struct mg_text_body t = example();
	const char **all[] = {&t.uuid, &t.code, &t.host, &t.host_key,
	    &t.requester, &t.origin, &t.operation, &t.model, &t.version,
	    &t.artifact, &t.run_as, &t.reason, &t.ticket, &t.policy, &t.nonce};
	struct mg_buf b;
	size_t i, n;
	char *body;

	(void)state;
	for (i = 0; i < N(all); i++)
		*all[i] = evil;
	t.argv = args;
	t.argc = 2;
	body = render(&t, &n);
	assert_int_equal(lines(body), 15);
	assert_int_equal(mg_text_check_body(body, n), MG_ERR_OK);
	assert_line(body, "reason", evil);
	mg_buf_init(&b, MG_TEXT_MAX);
	assert_int_equal(
	    mg_text_put(&b, "approve", evil, evil, body, n), MG_ERR_OK);
	assert_int_equal(lines(mg_buf_cstr(&b)), 19);
	assert_line(mg_buf_cstr(&b), "note", evil);
	assert_line(mg_buf_cstr(&b), "operation", evil);
	mg_buf_fini(&b);
	free(body);
}

/* ---- rule 2 ---- */

static const char *const values[] = {"", "-", "--", " ", "a", "b", "a b",
    "a  b", "a\nb", "\\n", "a\\nb", "\\u{2d}", "\\\\u{2d}", "\"", "\" \"",
    "a\" \"b", "\xff", "\\x{ff}", "uid=1", "x uid=7 session=7 origin=y",
    "\xe2\x80\xae", "\xc3\xa9", "e\xcc\x81"};

/* All texts that differ in the member at p from t must differ as a whole. */
static void
assert_injective(struct mg_text_body *t, const char **p)
{
	char *seen[N(values)];
	const char *was = *p;
	size_t i, j, n;

	for (i = 0; i < N(values); i++) {
		*p = values[i];
		seen[i] = render(t, &n);
		assert_int_equal(mg_text_check_body(seen[i], n), MG_ERR_OK);
		for (j = 0; j < i; j++)
			if (strcmp(seen[i], seen[j]) == 0)
				fail_msg("'%s' and '%s' look the same",
				    values[i], values[j]);
	}
	for (i = 0; i < N(values); i++)
		free(seen[i]);
	*p = was;
}

static void
rule2_no_two_values_of_a_line_look_the_same(void **state)
{
	struct mg_text_body t = example();
	const char **all[] = {&t.uuid, &t.code, &t.host, &t.host_key,
	    &t.requester, &t.origin, &t.operation, &t.model, &t.version,
	    &t.artifact, &t.run_as, &t.reason, &t.ticket, &t.policy, &t.nonce};
	size_t i;

	(void)state;
	for (i = 0; i < N(all); i++)
		assert_injective(&t, all[i]);
}

/* Renders a with b behind it in one line, by member. */
static void
rule2_neighbours_on_one_line_cannot_trade_bytes(void **state)
{
	struct mg_text_body t = example();
	const char **pairs[][2] = {{&t.uuid, &t.code}, {&t.host, &t.host_key},
	    {&t.requester, &t.origin}};
	static char *seen[N(values) * N(values)];
	size_t k, i, j, n, count;

	(void)state;
	for (k = 0; k < N(pairs); k++) {
		count = 0;
		for (i = 0; i < N(values); i++) {
			for (j = 0; j < N(values); j++) {
				*pairs[k][0] = values[i];
				*pairs[k][1] = values[j];
				seen[count++] = render(&t, &n);
				assert_int_equal(
				    mg_text_check_body(seen[count - 1], n),
				    MG_ERR_OK);
			}
		}
		for (i = 0; i < count; i++)
			for (j = 0; j < i; j++)
				assert_string_not_equal(seen[i], seen[j]);
		while (count > 0)
			free(seen[--count]);
		t = example();
	}
}

static void
rule2_arguments_cannot_be_joined_or_split(void **state)
{
	static const char *const lists[][4] = {{NULL}, {"", NULL}, {"-", NULL},
	    {"", "", NULL}, {"a b", NULL}, {"a", "b", NULL}, {"a\" \"b", NULL},
	    {"\"a\"", NULL}, {"a", "", NULL}, {"", "a", NULL}, {"a ", NULL},
	    {" a", NULL}, {"a\\", "b", NULL}, {"a\\\" \\\"b", NULL},
	    {"a\n", NULL}, {"a\\n", NULL}, {"a", "b", "c", NULL}};
	struct mg_text_body t = example();
	char *seen[N(lists)];
	size_t i, j, n;

	(void)state;
	for (i = 0; i < N(lists); i++) {
		t.argv = lists[i];
		for (t.argc = 0; lists[i][t.argc] != NULL;)
			t.argc++;
		seen[i] = render(&t, &n);
		assert_int_equal(mg_text_check_body(seen[i], n), MG_ERR_OK);
		for (j = 0; j < i; j++)
			assert_string_not_equal(seen[i], seen[j]);
	}
	for (i = 0; i < N(lists); i++)
		free(seen[i]);
}

static void
rule2_no_two_numbers_look_the_same(void **state)
{
	static const uint32_t ids[] = {0, 1, 10, 4294967294U, UINT32_MAX};
	static const int64_t spans[] = {
	    0, 1000, 59000, 60000, 3600000, 86400000, MG_DURATION_MAX_MS};
	static const int64_t times[] = {
	    0, 1, 999, 1000, 1795352400123, 253402300799999};
	struct mg_text_body t = example();
	char *seen[64];
	size_t i, j, n, count = 0;

	(void)state;
	for (i = 0; i < N(ids); i++) {
		t.uid = ids[i];
		seen[count++] = render(&t, &n);
		t.uid = 5;
		t.session = ids[i];
		seen[count++] = render(&t, &n);
		t = example();
	}
	for (i = 0; i < N(spans); i++) {
		t.lasts_ms = spans[i];
		seen[count++] = render(&t, &n);
	}
	t = example();
	for (i = 0; i + 1 < N(times); i++) {
		t.requested_ms = times[i];
		t.lasts_ms = 7000;
		seen[count++] = render(&t, &n);
	}
	for (i = 0; i < count; i++) {
		assert_int_equal(
		    mg_text_check_body(seen[i], strlen(seen[i])), MG_ERR_OK);
		for (j = 0; j < i; j++)
			assert_string_not_equal(seen[i], seen[j]);
	}
	while (count > 0)
		free(seen[--count]);
}

static void
rule2_a_time_or_duration_that_cannot_be_shown_exactly_is_not_shown(void **state)
{
	static const int64_t spans[] = {-1, -1000, 1, 999, 1500, 1800001,
	    MG_DURATION_MAX_MS + 1000, INT64_MAX, INT64_MIN};
	static const int64_t times[] = {
	    -1, INT64_MIN, 253402300800000, INT64_MAX};
	struct mg_text_body t = example();
	struct mg_buf b;
	size_t i;

	(void)state;
	mg_buf_init(&b, MG_TEXT_MAX);
	for (i = 0; i < N(spans); i++) {
		t.lasts_ms = spans[i];
		assert_int_equal(mg_text_put_body(&b, &t), MG_ERR_FORMAT);
	}
	t = example();
	for (i = 0; i < N(times); i++) {
		t.requested_ms = times[i];
		assert_int_equal(mg_text_put_body(&b, &t), MG_ERR_FORMAT);
	}
	mg_buf_fini(&b);
}

/* ---- the check ---- */

/* The example with the first `from` turned into `to`. */
static char *
changed(const char *from, const char *to, size_t *np)
{
	struct mg_text_body t = example();
	size_t n;
	char *body = render(&t, &n), *at = strstr(body, from), *out;

	if (at == NULL)
		fail_msg("'%s' is not in the example", from);
	assert_non_null(out = malloc(n + strlen(to) + 1));
	*at = '\0';
	*np = (size_t)sprintf(out, "%s%s%s", body, to, at + strlen(from));
	free(body);
	return out;
}

static const struct {
	const char *from, *to;
} other_forms[] = {
    /* another escape of the same value */
    {"reason: fixes", "reason: \\u{66}ixes"},
    {"totals:\\n7", "totals:\\u{a}7"},
    {"totals:\\n7", "totals:\\u{00000a}7"},
    {"reason: fixes", "reason: \\x{c3}\\x{a9}"},
    {"reason: fixes", "reason: \\u{e9}"},
    {"say \\u{22}hi", "say \\u{0022}hi"},
    {"say \\u{22}hi", "say \\u{20}hi"},
    /* none, or not one */
    {"reason: fixes", "reason: \\q"},
    {"reason: fixes", "reason: \x1b[m"},
    {"reason: fixes", "reason: \xff"},
    {"reason: fixes", "reason: \xe2\x80\xae"},
    {"ticket: -", "ticket: "},
    {"ticket: -", "ticket:-"},
    {"ticket: -", "ticket: -\r"},
    {"ticket: -\n", "ticket: -"},
    {"ticket: -\n", "ticket: -\n\n"},
    {"ticket: -\n", ""},
    {"ticket: -\n", "ticket: -\nticket: -\n"},
    {"ticket", "Ticket"},
    {"model: receipt-ocr\nversion: 2", "version: 2\nmodel: a"},
    /* pairs */
    {" R7KQ27X0DN", ""},
    {" R7KQ27X0DN", "  R7KQ27X0DN"},
    {" R7KQ27X0DN", " R7KQ27X0DN "},
    {" R7KQ27X0DN", "\\u{20}R7KQ27X0DN"},
    /* the requester */
    {"alice uid", "al ice uid"},
    {"alice uid", "alice  uid"},
    {"uid=1001", "uid=01001"},
    {"uid=1001", "uid=+1001"},
    {"uid=1001", "uid="},
    {"uid=1001", "uid=-"},
    {"uid=1001", "uid=4294967296"},
    {"uid=1001", "uid=99999999999999999999"},
    {"session=17", "session=4294967295"},
    {"session=17", "session=017"},
    {"session=17", "session="},
    {" session=17", ""},
    {"origin=10.1.2.3", "origin="},
    {"origin=10.1.2.3", "origin"},
    /* arguments */
    {"argv: \"/", "argv: /"},
    {"argv: \"/", "argv: - \"/"},
    {"argv: \"/", "argv:  \"/"},
    {"\" \"deploy", "\"  \"deploy"},
    {"\" \"deploy", "\"\"deploy"},
    {"hi\\u{22}\"\n", "hi\\u{22}\n"},
    {"hi\\u{22}\"\n", "hi\\u{22}\" \n"},
    {"say \\u{22}", "say \\\""},
    /* time */
    {"lasts: 30m", "lasts: 1800s"},
    {"lasts: 30m", "lasts: 0h30m"},
    {"lasts: 30m", "lasts: 30m0s"},
    {"lasts: 30m", "lasts: 367d"},
    {"lasts: 30m", "lasts: 1500"},
    {"lasts: 30m", "lasts: -"},
    {"T13:00:00.123Z", "T13:00:00.123"},
    {"T13:00:00.123Z", "T13:00Z"},
    {"2026-11-22T13:00:00.123Z", "2h"},
    {"2026-11-22T13:00:00.123Z", "2026-02-30T13:00:00.123Z"},
    {"2026-11-22T13:00:00.123Z", "invalid"},
    /* around it */
    {"request: ", "note: x\nrequest: "},
    {"nonce: 0", "nonce: 0\nnonce: 1"},
};

static void
a_body_in_any_other_form_than_the_one_is_refused(void **state)
{
	size_t i, n;
	char *body;

	(void)state;
	for (i = 0; i < N(other_forms); i++) {
		body = changed(other_forms[i].from, other_forms[i].to, &n);
		if (mg_text_check_body(body, n) == MG_ERR_OK)
			fail_msg("accepted: '%s' as '%s'", other_forms[i].from,
			    other_forms[i].to);
		free(body);
	}
}

static void
a_nul_in_a_body_is_refused_wherever_it_stands(void **state)
{
	struct mg_text_body t = example();
	size_t n, i;
	char *body = render(&t, &n), was;

	(void)state;
	for (i = 0; i < n; i++) {
		was = body[i];
		body[i] = '\0';
		assert_int_not_equal(mg_text_check_body(body, n), MG_ERR_OK);
		body[i] = was;
	}
	assert_int_equal(mg_text_check_body(body, n), MG_ERR_OK);
	free(body);
}

static void
a_body_cut_at_any_byte_is_refused(void **state)
{
	struct mg_text_body t = example();
	char *body, *exact;
	size_t n, i;

	(void)state;
	body = render(&t, &n);
	for (i = 0; i < n; i++) {
		assert_non_null(exact = malloc(i + 1));
		assert_non_null(exact = realloc(exact, i == 0 ? 1 : i));
		memcpy(exact, body, i);
		assert_int_equal(mg_text_check_body(exact, i), MG_ERR_FORMAT);
		/* And where the line ends there: a shorter nonce is one. */
		if (i > 0 && body + i <= strstr(body, "nonce: ") + 7) {
			exact[i - 1] = '\n';
			assert_int_equal(
			    mg_text_check_body(exact, i), MG_ERR_FORMAT);
		}
		free(exact);
	}
	free(body);
}

static void
what_cannot_be_shown_whole_is_not_rendered(void **state)
{
	static char big[MG_TEXT_BODY_MAX];
	struct mg_text_body t = example();
	struct mg_buf b;
	size_t n, room;
	char *body;

	(void)state;
	t.reason = "";
	body = render(&t, &n);
	free(body);
	room = MG_TEXT_BODY_MAX - n + 1; /* "-" makes place too */
	memset(big, 'x', sizeof(big));
	big[room] = '\0';
	t.reason = big;
	body = render(&t, &n);
	assert_int_equal(n, MG_TEXT_BODY_MAX);
	assert_int_equal(mg_text_check_body(body, n), MG_ERR_OK);
	free(body);
	big[room] = 'x';
	big[room + 1] = '\0';
	mg_buf_init(&b, 2 * MG_TEXT_BODY_MAX);
	assert_int_equal(mg_text_put_body(&b, &t), MG_ERR_LIMIT);
	assert_int_equal(
	    mg_text_check_body((const char *)mg_buf_ptr(&b), mg_buf_len(&b)),
	    MG_ERR_LIMIT);
	mg_buf_fini(&b);
}

static void
a_note_of_minus_is_not_an_empty_one(void **state)
{
	struct mg_buf a, b;

	(void)state;
	mg_buf_init(&a, 1000);
	mg_buf_init(&b, 1000);
	assert_int_equal(mg_text_put(&a, "deny", "bob", "-", "", 0), MG_ERR_OK);
	assert_int_equal(mg_text_put(&b, "deny", "bob", "", "", 0), MG_ERR_OK);
	assert_string_not_equal(mg_buf_cstr(&a), mg_buf_cstr(&b));
	assert_line(mg_buf_cstr(&a), "note", "-");
	assert_line(mg_buf_cstr(&b), "note", "");
	mg_buf_fini(&a);
	mg_buf_fini(&b);
}

/* ---- the number ---- */

static char *
asking(size_t *np)
{
	struct mg_text_body t = example();

	t.asks_number = true;
	return render(&t, np);
}

static void
a_number_is_asked_in_the_last_line_and_comes_from_who_signs(void **state)
{
	struct mg_text_body t = example();
	size_t n, plain_n;
	char *body = asking(&n), *plain = render(&t, &plain_n);
	struct mg_buf text, whole;

	(void)state;
	assert_true(mg_text_asks_number(body, n));
	assert_false(mg_text_asks_number(plain, plain_n));
	assert_int_equal(mg_text_check_body(body, n), MG_ERR_OK);
	mg_buf_init(&text, MG_TEXT_MAX);
	mg_buf_init(&whole, MG_TEXT_MAX);
	assert_int_equal(
	    mg_text_put(&text, "approve", "bob", "", body, n), MG_ERR_OK);
	assert_int_equal(mg_text_put_number(&whole, mg_buf_cstr(&text),
			     mg_buf_len(&text), "07"),
	    MG_ERR_OK);
	assert_line(mg_buf_cstr(&whole), "confirm", "07");
	assert_int_equal(mg_buf_len(&whole), mg_buf_len(&text));
	assert_memory_equal(
	    mg_buf_ptr(&whole), mg_buf_ptr(&text), mg_buf_len(&text) - 3);
	assert_int_equal(
	    mg_text_put_number(&whole, plain, plain_n, "07"), MG_ERR_NOENT);
	mg_buf_fini(&text);
	mg_buf_fini(&whole);
	free(body);
	free(plain);
}

static void
only_two_digits_are_a_number(void **state)
{
	static const char *const bad[] = {
	    "", "1", "123", "0x", " 1", "-1", "1 ", "??", "\xd9\xa1"};
	struct mg_buf b;
	size_t n, i;
	char *body = asking(&n);

	(void)state;
	mg_buf_init(&b, MG_TEXT_MAX);
	for (i = 0; i < N(bad); i++) {
		assert_false(mg_text_is_number(bad[i]));
		assert_int_equal(
		    mg_text_put_number(&b, body, n, bad[i]), MG_ERR_FORMAT);
	}
	assert_true(mg_text_is_number("00"));
	assert_true(mg_text_is_number("99"));
	mg_buf_fini(&b);
	free(body);
}

/* A hub that knows it must not spare the approver the asking. */
static void
a_body_that_comes_with_the_number_is_refused(void **state)
{
	size_t n;
	char *body = asking(&n);

	(void)state;
	body[n - 3] = '4';
	body[n - 2] = '7';
	assert_false(mg_text_asks_number(body, n));
	assert_int_equal(mg_text_check_body(body, n), MG_ERR_TRAIL);
	free(body);
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
	    T(the_example_of_protocol_md_is_what_the_code_renders),
	    T(the_hex_of_protocol_md_is_the_line_that_it_says),
	    T(every_value_is_read_back),
	    T(rule1_no_value_becomes_a_line_of_its_own),
	    T(rule2_no_two_values_of_a_line_look_the_same),
	    T(rule2_neighbours_on_one_line_cannot_trade_bytes),
	    T(rule2_arguments_cannot_be_joined_or_split),
	    T(rule2_no_two_numbers_look_the_same),
	    T(rule2_a_time_or_duration_that_cannot_be_shown_exactly_is_not_shown),
	    T(a_body_in_any_other_form_than_the_one_is_refused),
	    T(a_nul_in_a_body_is_refused_wherever_it_stands),
	    T(a_body_cut_at_any_byte_is_refused),
	    T(what_cannot_be_shown_whole_is_not_rendered),
	    T(a_note_of_minus_is_not_an_empty_one),
	    T(a_number_is_asked_in_the_last_line_and_comes_from_who_signs),
	    T(only_two_digits_are_a_number),
	    T(a_body_that_comes_with_the_number_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
