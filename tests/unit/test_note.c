/* SPDX-License-Identifier: ISC */
/* Signed checkpoints: agent/ledger/mg_note.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "mg_file.h"
#include "mg_note.h"

static struct mg_note_key host, hub;
static uint8_t seed[MG_ED25519], hub_seed[MG_ED25519];

static void
make_key(uint8_t fill, uint8_t out_seed[MG_ED25519], struct mg_note_key *key,
    enum mg_note_kind kind, const char *name)
{
	size_t n = MG_ED25519;
	EVP_PKEY *k;

	memset(out_seed, fill, MG_ED25519);
	k = EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, out_seed, MG_ED25519);
	assert_non_null(k);
	assert_int_equal(EVP_PKEY_get_raw_public_key(k, key->pub, &n), 1);
	EVP_PKEY_free(k);
	key->kind = kind;
	snprintf(key->name, sizeof(key->name), "%s", name);
}

static int
setup(void **state)
{
	(void)state;
	make_key(7, seed, &host, MG_NOTE_LOG, "gpu7/modelgate-ledger");
	make_key(9, hub_seed, &hub, MG_NOTE_WITNESS, "hub.example");
	return 0;
}

static void
make(struct mg_note *note)
{
	uint8_t root[MG_MERKLE_HASH];

	memset(root, 0x5a, sizeof(root));
	assert_int_equal(mg_note_make(note, host.name, 4711, root), MG_ERR_OK);
	assert_int_equal(mg_note_sign(note, &host, seed, 0), MG_ERR_OK);
	assert_int_equal(
	    mg_note_sign(note, &hub, hub_seed, 1795000000), MG_ERR_OK);
}

static void
what_is_made_is_read_and_verified(void **state)
{
	struct mg_note note, back;
	const char *why;
	int64_t t = 0;

	(void)state;
	make(&note);
	assert_int_equal(
	    mg_note_parse(&back, note.text, note.len, &why), MG_ERR_OK);
	assert_string_equal(back.origin, host.name);
	assert_int_equal(back.size, 4711);
	assert_memory_equal(back.root, note.root, sizeof(back.root));
	assert_int_equal(back.nsigs, 2);
	assert_int_equal(mg_note_verify(&back, &host, NULL), MG_ERR_OK);
	assert_int_equal(mg_note_verify(&back, &hub, &t), MG_ERR_OK);
	assert_int_equal(t, 1795000000);
}

/* Whether both still say yes to a text. */
static bool
passes(const char *text, size_t n)
{
	struct mg_note note;

	return mg_note_parse(&note, text, n, NULL) == MG_ERR_OK &&
	       mg_note_verify(&note, &host, NULL) == MG_ERR_OK &&
	       mg_note_verify(&note, &hub, NULL) == MG_ERR_OK;
}

static void
no_changed_byte_passes(void **state)
{
	struct mg_note note;
	size_t i, bit;

	(void)state;
	make(&note);
	assert_true(passes(note.text, note.len));
	for (i = 0; i < note.len; i++) {
		for (bit = 0; bit < 8; bit++) {
			note.text[i] ^= (char)(1 << bit);
			assert_false(passes(note.text, note.len));
			note.text[i] ^= (char)(1 << bit);
		}
		assert_false(passes(note.text, i)); /* cut there */
	}
}

static void
no_lost_or_added_byte_passes(void **state)
{
	char text[MG_NOTE_MAX + 2];
	struct mg_note note;
	size_t i;

	(void)state;
	make(&note);
	for (i = 0; i < note.len; i++) {
		memcpy(text, note.text, i);
		memcpy(text + i, note.text + i + 1, note.len - i - 1);
		assert_false(passes(text, note.len - 1));
		memcpy(text + i + 1, note.text + i, note.len - i);
		text[i] = '\n';
		assert_false(passes(text, note.len + 1));
		text[i] = 'A';
		assert_false(passes(text, note.len + 1));
	}
}

static void
another_key_name_or_kind_is_not_there(void **state)
{
	struct mg_note_key k = host;
	struct mg_note note;

	(void)state;
	make(&note);
	k.pub[0] ^= 1;
	assert_int_equal(mg_note_verify(&note, &k, NULL), MG_ERR_NOENT);
	k = host;
	k.name[0] = 'G';
	assert_int_equal(mg_note_verify(&note, &k, NULL), MG_ERR_NOENT);
	k = host;
	k.kind = MG_NOTE_WITNESS; /* Rule 2 */
	assert_int_equal(mg_note_verify(&note, &k, NULL), MG_ERR_NOENT);
	k = hub;
	k.kind = MG_NOTE_LOG;
	assert_int_equal(mg_note_verify(&note, &k, NULL), MG_ERR_NOENT);
}

static void
rule3_one_wrong_signature_of_a_key_is_enough(void **state)
{
	struct mg_note note, other, back;
	uint8_t root[MG_MERKLE_HASH] = {0};
	char text[MG_NOTE_MAX];
	size_t n;

	(void)state;
	assert_int_equal(mg_note_make(&other, host.name, 1, root), MG_ERR_OK);
	assert_int_equal(mg_note_sign(&other, &host, seed, 0), MG_ERR_OK);
	make(&note);
	memcpy(text, note.text, note.len);
	n = other.len - other.body_len - 1;
	memcpy(text + note.len, other.text + other.body_len + 1, n);
	assert_int_equal(
	    mg_note_parse(&back, text, note.len + n, NULL), MG_ERR_OK);
	assert_int_equal(mg_note_verify(&back, &host, NULL), MG_ERR_BADSIG);
}

static void
each_fault_has_words_of_its_own(void **state)
{
	static const struct {
		const char *text, *why;
	} v[] = {
	    {"", "the origin is no name"},
	    {"a b\n1\n", "the origin is no name"},
	    {"a\n01\n", "the size is no number"},
	    {"a\n-1\n", "the size is no number"},
	    {"a\n99999999999999999999\n", "the size is no number"},
	    {"a\n1\nAAAA\n\n", "the root is no SHA-256 in base64"},
	    {"a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nx\n",
		"an empty line is missing after the root"},
	    {"a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n",
		"nobody has signed it"},
	    {"a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n- a A\n",
		"a signature line does not begin with a dash"},
	    {"a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n"
	     "\xe2\x80\x94 a\n",
		"a signature has no name"},
	    {"a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n"
	     "\xe2\x80\x94 a AAAA\n",
		"a signature is not Ed25519 in base64"},
	    {"a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n"
	     "\xe2\x80\x94 a AAAA",
		"its last line ends early"},
	};
	struct mg_note note;
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(
		    mg_note_parse(&note, v[i].text, strlen(v[i].text), &why),
		    MG_ERR_FORMAT);
		assert_string_equal(why, v[i].why);
	}
}

/* A file that ssh-keygen made, and what must not be taken for one. */
static void
the_key_of_ssh_keygen_is_read(void **state)
{
	uint8_t s[MG_ED25519], pub[MG_ED25519], sig[64];
	char dir[] = "/tmp/note.XXXXXX", cmd[128];
	FILE *f;
	char pem[4096];
	size_t n, i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(cmd, sizeof(cmd),
	    "ssh-keygen -q -t ed25519 -N '' -C 'a comment' -f %s/k", dir);
	assert_int_equal(system(cmd), 0);
	snprintf(cmd, sizeof(cmd), "%s/k", dir);
	f = fopen(cmd, "r");
	assert_non_null(f);
	n = fread(pem, 1, sizeof(pem), f);
	fclose(f);
	assert_int_equal(mg_ed25519_from_openssh(pem, n, s, pub), MG_ERR_OK);
	assert_int_equal(mg_ed25519_sign(s, "x", 1, sig), MG_ERR_OK);
	assert_true(mg_ed25519_verify(pub, "x", 1, sig));
	for (i = 0; i < n; i++)
		assert_int_not_equal(
		    mg_ed25519_from_openssh(pem, i, s, pub), MG_ERR_OK);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	assert_int_equal(system(cmd), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_made_is_read_and_verified),
	    cmocka_unit_test(no_changed_byte_passes),
	    cmocka_unit_test(no_lost_or_added_byte_passes),
	    cmocka_unit_test(another_key_name_or_kind_is_not_there),
	    cmocka_unit_test(rule3_one_wrong_signature_of_a_key_is_enough),
	    cmocka_unit_test(each_fault_has_words_of_its_own),
	    cmocka_unit_test(the_key_of_ssh_keygen_is_read),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
