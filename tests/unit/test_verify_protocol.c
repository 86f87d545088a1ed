/* SPDX-License-Identifier: ISC */
/* The examples of PROTOCOL.md, "Signatures", against the code. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_text.h"
#include "mg_file.h"
#include "sshsig_recipe.h"
#include "verify/mg_approval.h"

static char *page;

static int
set_up(void **state)
{
	struct mg_buf b;
	int fd = open("agent/PROTOCOL.md", O_RDONLY);

	(void)state;
	mg_buf_init(&b, 1 << 20);
	if (fd == -1 || mg_file_read(fd, &b) != MG_ERR_OK ||
	    mg_buf_cstr(&b) == NULL)
		return -1;
	close(fd);
	page = strdup((const char *)mg_buf_ptr(&b));
	mg_buf_fini(&b);
	return page == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	free(page);
	return 0;
}

/* The text of the first block of that kind in the section. */
static char *
block(const char *kind)
{
	char mark[32], *s, *e;

	snprintf(mark, sizeof(mark), "\n```%s\n", kind);
	s = strstr(page, "\n## Signatures\n");
	assert_non_null(s);
	s = strstr(s, mark);
	assert_non_null(s);
	s += strlen(mark);
	e = strstr(s, "```\n");
	assert_non_null(e);
	return strndup(s, (size_t)(e - s));
}

static void
the_example_of_a_signature_verifies(void **state)
{
	char *text = block("text"), *sig = block("sig");
	char *signers = block("signers"), why[256];
	struct mg_approval_key key;
	struct mg_approval a = {
	    .ns = MG_TEXT_NAMESPACE,
	    .principal = "alice",
	    .now_ms = 1795352400000,
	    .signers = (const uint8_t *)signers,
	    .signers_len = strlen(signers),
	    .text = (const uint8_t *)text,
	    .text_len = strlen(text),
	    .sig = (const uint8_t *)sig,
	    .sig_len = strlen(sig),
	};

	(void)state;
	assert_int_equal(
	    mg_approval_check(&a, &key, why, sizeof(why)), MG_ERR_OK);
	assert_int_equal(mg_approval_keygen(&a, why, sizeof(why)), MG_ERR_OK);
	free(text);
	free(sig);
	free(signers);
}

static void
the_blob_and_the_armour_of_the_example_are_the_same(void **state)
{
	char *sig = block("sig"), *hex = block("hex"), digits[3] = "";
	struct mg_sshsig s;
	const char *why;
	size_t i, n = 0;

	(void)state;
	assert_int_equal(
	    mg_sshsig_parse(&s, sig, strlen(sig), &why), MG_ERR_OK);
	for (i = 0; hex[i] != '\0'; i++) {
		if (hex[i] == '\n')
			continue;
		digits[0] = hex[i++];
		digits[1] = hex[i];
		assert_true(n < mg_buf_len(&s.blob));
		assert_int_equal(
		    strtoul(digits, NULL, 16), mg_buf_ptr(&s.blob)[n++]);
	}
	assert_int_equal(n, mg_buf_len(&s.blob));
	mg_sshsig_fini(&s);
	free(sig);
	free(hex);
}

/* The key of the example is the one whose seed the page names. */
static void
the_example_can_be_made_again(void **state)
{
	struct recipe r = {.is_sk = false};
	char *sig = block("sig");
	struct mg_buf b;

	(void)state;
	make(&r, &b);
	assert_string_equal(mg_buf_cstr(&b), sig);
	mg_buf_fini(&b);
	free(sig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_example_of_a_signature_verifies),
	    cmocka_unit_test(
		the_blob_and_the_armour_of_the_example_are_the_same),
	    cmocka_unit_test(the_example_can_be_made_again),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
