/* SPDX-License-Identifier: ISC */
/* Text of others, made fit for the question and for the person. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pam_ask.h"
#include "pam_say.h"

static void
cleaned(const char *in, size_t max, const char *want)
{
	char *out = pam_ask_clean_text(in, max);

	assert_non_null(out);
	assert_string_equal(out, want);
	assert_true(mg_msg_class_check(MG_CLASS_TEXT, out));
	free(out);
}

static void
clean_text_stays_as_it_is(void **state)
{
	(void)state;
	cleaned("", 10, "");
	cleaned("publickey ssh-ed25519 AAAA\n", 100,
	    "publickey ssh-ed25519 AAAA\n");
	cleaned("0123456789", 10, "0123456789");
	cleaned("gr\xc3\xbc\xc3\x9f", 7, "gr\xc3\xbc\xc3\x9f");
}

static void
bytes_that_are_not_utf8_become_question_marks(void **state)
{
	(void)state;
	cleaned("a\xff\xc3", 10, "a??");
	cleaned("\xc0\xaf\xed\xa0\x80", 10, "?????");
	cleaned("\xff\xff\xff", 2, "??");
}

static void
long_text_ends_with_its_last_whole_line(void **state)
{
	(void)state;
	cleaned("one\ntwo\nthree", 10, "one\ntwo\n");
	cleaned("one\ntwo\n", 8, "one\ntwo\n");
	cleaned("one\ntwo\n", 7, "one\n");
	cleaned("onlyoneline", 4, "only");
	cleaned("ab\xc3\xbc", 3, "ab");
	cleaned("abc", 0, "");
}

static void
the_longest_text_fits_the_message(void **state)
{
	char *in = malloc(100001), *out;
	struct mg_pam_req m = {
	    .service = "sshd", .user = "alice", .operation = "login"};
	struct mg_buf b;
	size_t i;

	(void)state;
	assert_non_null(in);
	for (i = 0; i < 100000; i++)
		in[i] = (char)(i % 251 + 1);
	in[100000] = '\0';
	out = pam_ask_clean_text(in, PAM_ASK_INFO_MAX);
	m.auth_info = out;
	mg_buf_init(&b, 65536);
	assert_int_equal(
	    mg_msg_encode(&b, 1, MG_MSG_PAM_ACCT_REQ, &m, NULL), MG_ERR_OK);
	mg_buf_fini(&b);
	free(out);
	free(in);
}

static void
a_line_is_cut_between_two_characters(void **state)
{
	char s[16] = "ab\xc3\xbc"
		     "c";

	(void)state;
	pam_say_cut(s, 5);
	assert_string_equal(s, "ab\xc3\xbc"
			       "c");
	pam_say_cut(s, 4);
	assert_string_equal(s, "ab\xc3\xbc");
	pam_say_cut(s, 3);
	assert_string_equal(s, "ab");
	pam_say_cut(s, 0);
	assert_string_equal(s, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clean_text_stays_as_it_is),
	    cmocka_unit_test(bytes_that_are_not_utf8_become_question_marks),
	    cmocka_unit_test(long_text_ends_with_its_last_whole_line),
	    cmocka_unit_test(the_longest_text_fits_the_message),
	    cmocka_unit_test(a_line_is_cut_between_two_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
