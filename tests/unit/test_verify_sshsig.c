/* SPDX-License-Identifier: ISC */
/* Signatures made here, well and badly, against the strict parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sshsig_recipe.h"
#include "verify/mg_sshsig.h"

static enum mg_err
judge(const void *p, size_t n, const char **whyp)
{
	struct mg_sshsig sig;
	enum mg_err r;

	r = mg_sshsig_parse(&sig, p, n, whyp);
	if (r == MG_ERR_OK)
		r = mg_sshsig_verify(&sig, TEXT, strlen(TEXT), whyp);
	mg_sshsig_fini(&sig);
	return r;
}

static void
accept(const struct recipe *r)
{
	struct mg_buf b;
	const char *why;

	make(r, &b);
	assert_int_equal(
	    judge(mg_buf_ptr(&b), mg_buf_len(&b), &why), MG_ERR_OK);
	assert_string_equal(why, "");
	mg_buf_fini(&b);
}

static void
refuse_text(const char *text, size_t n, const char *want)
{
	const char *why;

	assert_int_not_equal(judge(text, n, &why), MG_ERR_OK);
	if (strstr(why, want) == NULL)
		fail_msg("'%s' does not say '%s'", why, want);
}

static void
refuse(const struct recipe *r, const char *want)
{
	struct mg_buf b;

	make(r, &b);
	refuse_text((const char *)mg_buf_ptr(&b), mg_buf_len(&b), want);
	mg_buf_fini(&b);
}

#define REFUSE(want, ...) refuse(&(struct recipe){__VA_ARGS__}, want)

static void
a_good_signature_is_read_and_verifies(void **state)
{
	(void)state;
	accept(&(struct recipe){.hash = "sha512"});
	accept(&(struct recipe){.hash = "sha256"});
	accept(&(struct recipe){.is_sk = true});
	accept(&(struct recipe){.is_sk = true, .flags = 0x05});
}

static void
another_text_does_not_verify(void **state)
{
	struct recipe r = {.is_sk = false};
	struct mg_sshsig sig;
	struct mg_buf b;
	const char *why;

	(void)state;
	make(&r, &b);
	assert_int_equal(
	    mg_sshsig_parse(&sig, mg_buf_ptr(&b), mg_buf_len(&b), &why),
	    MG_ERR_OK);
	assert_int_equal(
	    mg_sshsig_verify(&sig, TEXT "x", strlen(TEXT "x"), &why),
	    MG_ERR_BADSIG);
	assert_non_null(strstr(why, "does not verify"));
	mg_sshsig_fini(&sig);
	mg_buf_fini(&b);
}

/* ---- the armour ---- */

/* Makes a good one, puts before and after around it, and expects a no. */
static void
refuse_around(const char *before, const char *after, const char *want)
{
	struct recipe r = {.is_sk = false};
	struct mg_buf good, b;

	make(&r, &good);
	mg_buf_init(&b, 65536);
	put_raw(&b, before, strlen(before));
	put_raw(&b, mg_buf_ptr(&good), mg_buf_len(&good));
	put_raw(&b, after, strlen(after));
	refuse_text((const char *)mg_buf_ptr(&b), mg_buf_len(&b), want);
	mg_buf_fini(&good);
	mg_buf_fini(&b);
}

static void
rule1_nothing_stands_around_the_armour(void **state)
{
	struct recipe r = {.is_sk = false};
	struct mg_buf b;

	(void)state;
	refuse_around("hello\n", "", "first line");
	refuse_around("\n", "", "first line");
	refuse_around("", "\n", "text after");
	refuse_around("", "x", "text after");
	refuse_around("", " \n", "text after");
	make(&r, &b);
	assert_non_null(mg_buf_cstr(&b));
	refuse_around("", (const char *)mg_buf_ptr(&b), "text after");
	mg_buf_fini(&b);
}

static void
the_last_newline_may_be_missing(void **state)
{
	struct recipe r = {.is_sk = false};
	struct mg_buf b;
	const char *why;

	(void)state;
	make(&r, &b);
	assert_int_equal(
	    judge(mg_buf_ptr(&b), mg_buf_len(&b) - 1, &why), MG_ERR_OK);
	mg_buf_fini(&b);
}

static void
refuse_width(size_t width, bool ok)
{
	struct recipe r = {.is_sk = false};
	struct mg_buf blob, b;
	const char *why;

	make_blob(&r, &blob);
	mg_buf_init(&b, 65536);
	put_armour(&b, mg_buf_ptr(&blob), mg_buf_len(&blob), width);
	if (ok)
		assert_int_equal(
		    judge(mg_buf_ptr(&b), mg_buf_len(&b), &why), MG_ERR_OK);
	else
		refuse_text((const char *)mg_buf_ptr(&b), mg_buf_len(&b),
		    "line of the wrong length");
	mg_buf_fini(&blob);
	mg_buf_fini(&b);
}

static void
rule1_lines_are_of_one_length_up_to_76(void **state)
{
	(void)state;
	refuse_width(64, true);
	refuse_width(76, true);
	refuse_width(77, false);
	refuse_width(4000, false);
}

/* Replaces the n bytes at off of a good armour by s. */
static void
refuse_edit(size_t off, size_t n, const char *s, const char *want)
{
	struct recipe r = {.is_sk = false};
	struct mg_buf good, b;

	make(&r, &good);
	mg_buf_init(&b, 65536);
	put_raw(&b, mg_buf_ptr(&good), off);
	put_raw(&b, s, strlen(s));
	put_raw(&b, mg_buf_ptr(&good) + off + n, mg_buf_len(&good) - off - n);
	refuse_text((const char *)mg_buf_ptr(&b), mg_buf_len(&b), want);
	mg_buf_fini(&good);
	mg_buf_fini(&b);
}

static void
rule1_the_base64_has_one_form(void **state)
{
	(void)state;
	refuse_edit(29, 1, "\r\n", "first line");
	refuse_edit(30, 0, "\n", "wrong length");
	refuse_edit(30, 0, "x", "different lengths");
	refuse_edit(100, 1, "\r\n", "different lengths");
	refuse_edit(30, 1, " ", "not base64");
	refuse_edit(30, 1, "-", "not base64");
	refuse_edit(30, 4, "=AAA", "not base64");
	refuse_edit(100, 1, "", "wrong length");
	refuse_edit(0, 30, "-----BEGIN PGP SIGNATURE-----\n", "first line");
}

static void
every_cut_of_the_armour_is_refused(void **state)
{
	struct recipe r = {.is_sk = true};
	struct mg_buf b;
	const char *why;
	size_t n;

	(void)state;
	make(&r, &b);
	/* The last byte is the newline that may be missing. */
	for (n = 0; n < mg_buf_len(&b) - 1; n++)
		assert_int_not_equal(judge(mg_buf_ptr(&b), n, &why), MG_ERR_OK);
	mg_buf_fini(&b);
}

static void
an_armour_over_the_limit_is_refused(void **state)
{
	char *s = malloc(MG_SSHSIG_ARMOUR_MAX + 1);

	(void)state;
	assert_non_null(s);
	memset(s, 'A', MG_SSHSIG_ARMOUR_MAX + 1);
	memcpy(s, "-----BEGIN SSH SIGNATURE-----\n", 30);
	refuse_text(s, MG_SSHSIG_ARMOUR_MAX + 1, "too long");
	free(s);
}

/* ---- the blob ---- */

static void
rule2_only_version_1(void **state)
{
	(void)state;
	REFUSE("version", .version_0 = true);
	REFUSE("version", .version = 2);
	REFUSE("is not an SSHSIG", .magic = "SSHSIH");
}

static void
rule2_the_reserved_field_is_empty(void **state)
{
	(void)state;
	REFUSE("reserved", .reserved = "x");
}

static void
rule3_the_namespace_is_exactly_ours(void **state)
{
	(void)state;
	REFUSE("namespace", .ns = "git");
	REFUSE("namespace", .ns = "file");
	REFUSE("namespace", .ns = "");
	REFUSE("namespace", .ns = NS "-v1");
	REFUSE("namespace", .ns = "modelgate-approva");
	REFUSE("namespace", .ns = "Modelgate-approval");
}

static void
rule4_other_types_are_refused(void **state)
{
	(void)state;
	REFUSE("not taken", .key_type = "ssh-dss");
	REFUSE("not taken", .key_type = "ssh-ed25519-cert-v01@openssh.com");
	REFUSE("not taken", .is_sk = true,
	    .key_type = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com");
	REFUSE("not taken", .sig_type = "ssh-rsa");
	REFUSE("not taken", .sig_type = "sk-ssh-ed25519@openssh.com");
	REFUSE("not taken", .is_sk = true, .sig_type = "ssh-ed25519");
	REFUSE("not taken", .sig_type = "");
}

static void
rule4_other_hashes_are_refused(void **state)
{
	(void)state;
	REFUSE("hash", .hash = "sha1");
	REFUSE("hash", .hash = "SHA512");
	REFUSE("hash", .hash = "md5");
	REFUSE("hash", .hash = "");
}

static void
rule5_bytes_too_many_or_too_few_are_refused(void **state)
{
	(void)state;
	REFUSE("bytes after its end", .tail = "x");
	REFUSE("bytes after the signature proper", .sig_tail = "x");
	REFUSE(
	    "bytes after the signature proper", .is_sk = true, .sig_tail = "x");
	REFUSE("key is malformed", .key_tail = "x");
	REFUSE("64 bytes", .sig_len = 63);
}

static void
rule6_a_security_key_was_touched(void **state)
{
	(void)state;
	REFUSE("not touched", .is_sk = true, .untouched = true);
	REFUSE("not touched", .is_sk = true, .untouched = true, .flags = 0x04);
}

static void
rule6_attested_data_extensions_and_unknown_flags_are_refused(void **state)
{
	(void)state;
	REFUSE("attested", .is_sk = true, .flags = 0x41);
	REFUSE("extensions", .is_sk = true, .flags = 0x81);
	REFUSE("unknown flags", .is_sk = true, .flags = 0x03);
	REFUSE("unknown flags", .is_sk = true, .flags = 0x21);
}

static void
flip_all(bool is_sk)
{
	struct recipe r = {.is_sk = is_sk};
	struct mg_buf blob, b;
	const char *why;
	size_t i, bit;

	make_blob(&r, &blob);
	for (i = 0; i < mg_buf_len(&blob); i++)
		for (bit = 0; bit < 8; bit++) {
			blob.d[blob.off + i] ^= (uint8_t)(1u << bit);
			mg_buf_init(&b, 16384);
			put_armour(
			    &b, mg_buf_ptr(&blob), mg_buf_len(&blob), 70);
			if (judge(mg_buf_ptr(&b), mg_buf_len(&b), &why) ==
			    MG_ERR_OK)
				fail_msg("byte %zu bit %zu", i, bit);
			mg_buf_fini(&b);
			blob.d[blob.off + i] ^= (uint8_t)(1u << bit);
		}
	mg_buf_fini(&blob);
}

static void
every_flipped_bit_is_refused(void **state)
{
	(void)state;
	flip_all(false);
	flip_all(true);
}

static void
every_cut_of_the_blob_is_refused(void **state)
{
	struct recipe r = {.is_sk = true};
	struct mg_buf blob, b;
	const char *why;
	size_t n;

	(void)state;
	make_blob(&r, &blob);
	for (n = 1; n < mg_buf_len(&blob); n++) {
		mg_buf_init(&b, 16384);
		put_armour(&b, mg_buf_ptr(&blob), n, 70);
		assert_int_not_equal(
		    judge(mg_buf_ptr(&b), mg_buf_len(&b), &why), MG_ERR_OK);
		mg_buf_fini(&b);
	}
	mg_buf_fini(&blob);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_good_signature_is_read_and_verifies),
	    cmocka_unit_test(another_text_does_not_verify),
	    cmocka_unit_test(rule1_nothing_stands_around_the_armour),
	    cmocka_unit_test(the_last_newline_may_be_missing),
	    cmocka_unit_test(rule1_lines_are_of_one_length_up_to_76),
	    cmocka_unit_test(rule1_the_base64_has_one_form),
	    cmocka_unit_test(every_cut_of_the_armour_is_refused),
	    cmocka_unit_test(an_armour_over_the_limit_is_refused),
	    cmocka_unit_test(rule2_only_version_1),
	    cmocka_unit_test(rule2_the_reserved_field_is_empty),
	    cmocka_unit_test(rule3_the_namespace_is_exactly_ours),
	    cmocka_unit_test(rule4_other_types_are_refused),
	    cmocka_unit_test(rule4_other_hashes_are_refused),
	    cmocka_unit_test(rule5_bytes_too_many_or_too_few_are_refused),
	    cmocka_unit_test(rule6_a_security_key_was_touched),
	    cmocka_unit_test(
		rule6_attested_data_extensions_and_unknown_flags_are_refused),
	    cmocka_unit_test(every_flipped_bit_is_refused),
	    cmocka_unit_test(every_cut_of_the_blob_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
