/* SPDX-License-Identifier: ISC */
/* allowed_signers and hosts: what is taken, and where the rest goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mg_b64.h"
#include "mg_signers.h"
#include "mg_time.h"

/* clang-format off */
#define ED1 \
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HX" \
	"DdGOdLwJln5NYwm6UNXx3chmQSVTG4"
#define ED2 \
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAV3Ed/wRhWbRp" \
	"1Fy46GBR3R06iipR1W8c9PU4ceEi6V"
#define EC \
	"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNT" \
	"YAAAAIbmlzdHAyNTYAAABBBOg66QIv4Eup00C2a1ToPrnPEig3" \
	"hJRm+aPD62EPHcz4mhKKYjHe7yHboX0ZaxvNJgN5qFNKqM4gbD" \
	"+RJVM01mo="

#define SK \
	"sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t" \
	"AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4AAAABHNzaDo="
#define NS "namespaces=\"modelgate-approval\""
/* clang-format on */

static struct mg_diags ds;

static struct mg_signers *
parse(enum mg_signers_kind kind, const char *text)
{
	struct mg_signers *s;
	enum mg_err r;

	mg_diags_init(&ds);
	r = mg_signers_parse(kind, "f", text, strlen(text), &s, &ds);
	assert_int_equal(r == MG_ERR_OK, s != NULL);
	assert_int_equal(s == NULL, ds.errors > 0);
	return s;
}

static struct mg_signers *
approvers(const char *text)
{
	return parse(MG_SIGNERS_APPROVERS, text);
}

static void
assert_refused(enum mg_signers_kind kind, const char *text, const char *first)
{
	char line[512];

	assert_null(parse(kind, text));
	mg_diags_first(&ds, line, sizeof(line));
	assert_string_equal(line, first);
}

static void
names_keys_options_and_comments_are_read(void **state)
{
	const struct mg_signer *v;
	struct mg_signers *s;
	int64_t t;

	(void)state;
	s = approvers("# people\n\n"
		      "alice " NS " " ED1 " alice@laptop, the old one\n"
		      "alice " NS ",valid-after=\"20260101Z\","
		      "valid-before=\"202612312359Z\" " SK "\n"
		      "bob\tvalid-before=\"20261231235930Z\"," NS "\t" EC);
	assert_int_equal(mg_signers_count(s), 3);
	v = mg_signers_at(s, 0);
	assert_string_equal(v->name, "alice");
	assert_int_equal(v->type, MG_SSHKEY_ED25519);
	assert_int_equal(v->line, 3);
	assert_int_equal(v->after_ms, 0);
	assert_int_equal(v->before_ms, 0);
	v = mg_signers_at(s, 1);
	assert_int_equal(v->type, MG_SSHKEY_SK_ED25519);
	assert_int_equal(mg_time_parse("2026-01-01", 0, &t), MG_ERR_OK);
	assert_int_equal(v->after_ms, t);
	assert_int_equal(
	    mg_time_parse("2026-12-31T23:59:00Z", 0, &t), MG_ERR_OK);
	assert_int_equal(v->before_ms, t);
	v = mg_signers_at(s, 2);
	assert_string_equal(v->name, "bob");
	assert_int_equal(
	    mg_time_parse("2026-12-31T23:59:30Z", 0, &t), MG_ERR_OK);
	assert_int_equal(v->before_ms, t);
	assert_null(mg_signers_at(s, 3));
	mg_signers_free(s);
}

static void
a_key_is_found_by_its_blob_and_only_by_all_of_it(void **state)
{
	const struct mg_signer *v;
	struct mg_signers *s;
	size_t i;

	(void)state;
	s = approvers("a " NS " " ED1 "\nb " NS " " EC "\nc " NS " " ED2 "\n");
	for (i = 0; i < 3; i++) {
		v = mg_signers_at(s, i);
		assert_ptr_equal(mg_signers_find(s, v->blob, v->blob_len), v);
		assert_null(mg_signers_find(s, v->blob, v->blob_len - 1));
		assert_true(mg_signers_has_name(s, v->name));
		v->blob[v->blob_len - 1] ^= 1;
		assert_ptr_equal(mg_signers_find(s, v->blob, v->blob_len), v);
		v->blob[v->blob_len - 1] ^= 1;
	}
	assert_null(mg_signers_find(s, "", 0));
	assert_false(mg_signers_has_name(s, "d"));
	assert_false(mg_signers_has_name(s, ""));
	mg_signers_free(s);
}

static void
an_entry_holds_from_its_first_until_just_before_its_last_moment(void **state)
{
	struct mg_signer v = {.after_ms = 1000, .before_ms = 2000};

	(void)state;
	assert_false(mg_signer_is_valid(&v, 999));
	assert_true(mg_signer_is_valid(&v, 1000));
	assert_true(mg_signer_is_valid(&v, 1999));
	assert_false(mg_signer_is_valid(&v, 2000));
	v.after_ms = 0;
	assert_true(mg_signer_is_valid(&v, 0));
	v.before_ms = 0;
	assert_true(mg_signer_is_valid(&v, INT64_MAX));
}

static void
an_empty_file_is_nobody(void **state)
{
	struct mg_signers *s = approvers("");

	(void)state;
	assert_int_equal(mg_signers_count(s), 0);
	assert_null(mg_signers_find(s, "x", 1));
	assert_false(mg_signers_has_name(s, "x"));
	mg_signers_free(s);
}

static void
hosts_take_no_options(void **state)
{
	struct mg_signers *s;

	(void)state;
	s = parse(MG_SIGNERS_HOSTS, "web-1 " ED1 "\nweb-2 " EC " rack 4\n");
	assert_int_equal(mg_signers_count(s), 2);
	assert_string_equal(mg_signers_at(s, 1)->name, "web-2");
	mg_signers_free(s);
	assert_refused(MG_SIGNERS_HOSTS, "web-1 " NS " " ED1 "\n",
	    "f:1:7: key is of a type that is not taken");
}

static const struct {
	const char *text, *first;
} wrong[] = {
    /* Rule 2: one exact name */
    {"* " NS " " ED1, "f:1:1: not one exact name: it contains a "
		      "character other than letters, digits, '.', '_' and '-'"},
    {"ali?e " NS " " ED1, NULL},
    {"!alice " NS " " ED1, NULL},
    {"alice,bob " NS " " ED1, NULL},
    {"\"alice\" " NS " " ED1, NULL},
    {"alice@example.org " NS " " ED1, NULL},
    {"-alice " NS " " ED1, NULL},
    {".. " NS " " ED1, NULL},
    {" alice " NS " " ED1, "f:1:1: line is indented"},
    {" # comment", "f:1:1: line is indented"},
    /* Rule 3: our namespace */
    {"alice " ED1, "f:1:7: namespaces=\"modelgate-approval\" is missing"},
    {"alice valid-before=\"20300101Z\" " ED1,
	"f:1:7: namespaces=\"modelgate-approval\" is missing"},
    {"alice namespaces=\"*\" " ED1,
	"f:1:19: namespace is not exactly 'modelgate-approval', "
	"'modelgate-policy' or both"},
    {"alice namespaces=\"modelgate-approval,git\" " ED1, NULL},
    {"alice namespaces=\"modelgate-approval-v1\" " ED1, NULL},
    {"alice namespaces=\"\" " ED1, NULL},
    {"alice namespaces=modelgate-approval " ED1, NULL},
    {"alice NAMESPACES=\"modelgate-approval\" " ED1, NULL},
    {"alice " NS "," NS " " ED1, "f:1:39: option is given twice"},
    /* Rule 4: times end in Z and exist */
    {"alice " NS ",valid-after=\"20260101\" " ED1,
	"f:1:52: time is not YYYYMMDDZ, YYYYMMDDHHMMZ or YYYYMMDDHHMMSSZ"},
    {"alice " NS ",valid-after=\"2026-01-01Z\" " ED1, NULL},
    {"alice " NS ",valid-after=\"20260230Z\" " ED1, NULL},
    {"alice " NS ",valid-after=\"20261301Z\" " ED1, NULL},
    {"alice " NS ",valid-after=\"202601012460Z\" " ED1, NULL},
    {"alice " NS ",valid-after=\"2026010110Z\" " ED1, NULL},
    {"alice " NS ",valid-after=\"20260101ZZ\" " ED1, NULL},
    {"alice " NS ",valid-after=\"19700101Z\" " ED1, NULL},
    {"alice " NS ",valid-after=\"Z\" " ED1, NULL},
    {"alice " NS ",valid-after=\"20260101Z\",valid-after=\"20260101Z\" " ED1,
	NULL},
    {"alice " NS ",valid-after=\"20270101Z\",valid-before=\"20260101Z\" " ED1,
	"f:1:7: the key is never valid"},
    {"alice " NS ",valid-after=\"20270101Z\",valid-before=\"20270101Z\" " ED1,
	NULL},
    /* options */
    {"alice cert-authority," NS " " ED1, "f:1:7: certificates are not taken"},
    {"alice cert-authority " ED1, NULL},
    {"alice " NS ",cert-authority " ED1, NULL},
    {"alice " NS ",no-touch-required " ED1, NULL},
    {"alice " NS ", " ED1, NULL},
    {"alice " NS ",,valid-after=\"20260101Z\" " ED1, NULL},
    {"alice ," NS " " ED1, NULL},
    {"alice " NS "x " ED1, "f:1:38: text after an option"},
    {"alice namespaces=\"modelgate-approval " ED1,
	"f:1:19: quote is not closed"},
    {"alice namespaces=\"modelgate\\-approval\" " ED1, NULL},
    {"alice " NS, "f:1:38: text after an option"},
    {"alice " NS " ", "f:1:39: key is missing"},
    /* keys */
    {"alice", NULL},
    {"alice " NS " ssh-ed25519", "f:1:50: key is missing"},
    {"alice " NS " ssh-dss AAAA", "f:1:39: key is of a type that is not taken"},
    {"alice " NS " ssh-ed25519-cert-v01@openssh.com AAAA", NULL},
    {"alice " NS " ssh-ed25519 AAAA!AAA", "f:1:55: key is not base64"},
    {"alice " NS " ssh-ed25519 AAAA", NULL},
    {"alice " NS " ssh-rsa "
     "AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+"
     "HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
	"f:1:47: key is of another type than the word before it"},
    /* bytes */
    {"alice " NS " " ED1 "\r\n", NULL},
    {"alice " NS " " ED1 " \xff", NULL},
    {"alice " NS " " ED1 " \xe2\x80\xae", NULL},
    {"\xef\xbb\xbf"
     "alice " NS " " ED1,
	NULL},
    {"# \x1b[2J", NULL},
};

static void
every_bad_line_refuses_the_whole_file_and_says_where(void **state)
{
	char text[2048], line[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (wrong[i].first != NULL)
			assert_refused(MG_SIGNERS_APPROVERS, wrong[i].text,
			    wrong[i].first);
		/* Rule 1: also below a good line, with its own number. */
		snprintf(text, sizeof(text), "bob " NS " " ED2 "\n%s\n",
		    wrong[i].text);
		assert_null(approvers(text));
		mg_diags_first(&ds, line, sizeof(line));
		assert_memory_equal(line, "f:2:", 4);
	}
}

static void
rule5_a_key_under_two_names_is_refused(void **state)
{
	(void)state;
	assert_refused(MG_SIGNERS_APPROVERS,
	    "alice " NS " " ED1 "\nbob " NS " " ED2 "\ncarol " NS " " ED1 "\n",
	    "f:3: key stands in line 1 already, as the key of alice");
}

static void
rule5_the_same_line_twice_is_refused(void **state)
{
	(void)state;
	assert_refused(MG_SIGNERS_APPROVERS,
	    "alice " NS " " ED1 "\nalice " NS " " ED1 " again\n",
	    "f:2: key stands in line 1 already");
	assert_refused(MG_SIGNERS_HOSTS, "a " ED1 "\nb " ED1 "\n",
	    "f:2: key stands in line 1 already, as the key of a");
}

static void
all_bad_lines_are_named_not_only_the_first(void **state)
{
	(void)state;
	assert_null(approvers("* x\nalice " NS " " ED1 "\n? y\n"));
	assert_int_equal(ds.errors, 2);
	assert_int_equal(ds.v[0].line, 1);
	assert_int_equal(ds.v[1].line, 3);
}

static void
a_nul_byte_is_refused(void **state)
{
	static const char text[] = "alice " NS " " ED1 "\0\nx";
	struct mg_signers *s;

	(void)state;
	mg_diags_init(&ds);
	assert_int_equal(mg_signers_parse(MG_SIGNERS_APPROVERS, "f", text,
			     sizeof(text) - 1, &s, &ds),
	    MG_ERR_FORMAT);
	assert_null(s);
}

static void
lines_and_files_over_their_limits_are_refused(void **state)
{
	static char text[MG_SIGNERS_FILE_MAX + 1];
	struct mg_signers *s;

	(void)state;
	memset(text, '#', sizeof(text));
	mg_diags_init(&ds);
	assert_int_equal(mg_signers_parse(MG_SIGNERS_APPROVERS, "f", text,
			     MG_SIGNERS_LINE_MAX, &s, &ds),
	    MG_ERR_OK);
	mg_signers_free(s);
	assert_int_equal(mg_signers_parse(MG_SIGNERS_APPROVERS, "f", text,
			     MG_SIGNERS_LINE_MAX + 1, &s, &ds),
	    MG_ERR_FORMAT);
	assert_int_equal(mg_signers_parse(MG_SIGNERS_APPROVERS, "f", text,
			     sizeof(text), &s, &ds),
	    MG_ERR_LIMIT);
}

/* A made-up ed25519 key line for the number i. */
static void
put_numbered(struct mg_buf *b, unsigned i)
{
	uint8_t blob[51] = {0, 0, 0, 11, 's', 's', 'h', '-', 'e', 'd', '2', '5',
	    '5', '1', '9', 0, 0, 0, 32};

	blob[19] = (uint8_t)(i >> 8);
	blob[20] = (uint8_t)i;
	assert_int_equal(mg_buf_putf(b, "h%u ssh-ed25519 ", i), MG_ERR_OK);
	assert_int_equal(mg_b64_put(b, blob, sizeof(blob)), MG_ERR_OK);
	assert_int_equal(mg_buf_put_text(b, "\n"), MG_ERR_OK);
}

static void
many_keys_are_found_and_one_too_many_is_refused(void **state)
{
	struct mg_buf b;
	struct mg_signers *s;
	const struct mg_signer *v;
	unsigned i, n = MG_SIGNERS_MAX;
	const char *text;

	(void)state;
	mg_buf_init(&b, 1 << 20);
	for (i = 0; i < n; i++)
		put_numbered(&b, i);
	assert_true(mg_buf_len(&b) < MG_SIGNERS_FILE_MAX);
	assert_non_null(text = mg_buf_cstr(&b));
	s = parse(MG_SIGNERS_HOSTS, text);
	assert_int_equal(mg_signers_count(s), n);
	for (i = 0; i < n; i++) {
		v = mg_signers_at(s, i);
		assert_ptr_equal(mg_signers_find(s, v->blob, v->blob_len), v);
	}
	mg_signers_free(s);
	put_numbered(&b, n);
	assert_non_null(text = mg_buf_cstr(&b));
	mg_diags_init(&ds);
	assert_int_equal(mg_signers_parse(MG_SIGNERS_HOSTS, "f", text,
			     mg_buf_len(&b), &s, &ds),
	    MG_ERR_LIMIT);
	assert_null(s);
	mg_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_keys_options_and_comments_are_read),
	    cmocka_unit_test(a_key_is_found_by_its_blob_and_only_by_all_of_it),
	    cmocka_unit_test(
		an_entry_holds_from_its_first_until_just_before_its_last_moment),
	    cmocka_unit_test(an_empty_file_is_nobody),
	    cmocka_unit_test(hosts_take_no_options),
	    cmocka_unit_test(
		every_bad_line_refuses_the_whole_file_and_says_where),
	    cmocka_unit_test(rule5_a_key_under_two_names_is_refused),
	    cmocka_unit_test(rule5_the_same_line_twice_is_refused),
	    cmocka_unit_test(all_bad_lines_are_named_not_only_the_first),
	    cmocka_unit_test(a_nul_byte_is_refused),
	    cmocka_unit_test(lines_and_files_over_their_limits_are_refused),
	    cmocka_unit_test(many_keys_are_found_and_one_too_many_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
