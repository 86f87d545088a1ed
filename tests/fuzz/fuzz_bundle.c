/* SPDX-License-Identifier: ISC */
/*
 * What somebody may offer as a model's signature. The first byte chooses:
 * 'P', the rest is a statement that was signed well; 'C', a bundle that is
 * judged by a certificate; else one that is judged by a key.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "verify/mg_oms.h"

#define NOW_MS 1795352400000
#define KEY                                                                    \
	"-----BEGIN PUBLIC KEY-----\n"                                         \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJApwoot6iH2PzSV+3f1LNv+0CES8\n"   \
	"SX3Wzkrn0QbsSxHVawbPoLzjZVdRJc4ybWjMzMaTjljzlOBKDKHeu6qt/w==\n"       \
	"-----END PUBLIC KEY-----\n"
#define CA                                                                     \
	"-----BEGIN CERTIFICATE-----\n"                                        \
	"MIIBdDCCARugAwIBAgIUC/UmUf8BanYs7EiDIqeLUD02VVYwCgYIKoZIzj0EAwIw\n"   \
	"DzENMAsGA1UEAwwEcm9vdDAgFw0yNjExMjIxNDQ5MzBaGA8yMTI2MTAyOTE0NDkz\n"   \
	"MFowDzENMAsGA1UEAwwEcm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGW6\n"   \
	"60jzX5KQotbne43ix27+yHe595R5D+6ru9EQeTZE4WZqqxW81RiCQe8S6rWA+ook\n"   \
	"DgnfdTeuKMvrxdeteRKjUzBRMB0GA1UdDgQWBBR9wt9tCGjkKh1CRgy7jriO9g6f\n"   \
	"6zAfBgNVHSMEGDAWgBR9wt9tCGjkKh1CRgy7jriO9g6f6zAPBgNVHRMBAf8EBTAD\n"   \
	"AQH/MAoGCCqGSM49BAMCA0cAMEQCIFC14HRZB3su/mjBAoKXwCV+dwK8XjdapCA6\n"   \
	"73NFxT5hAiAXeU8DiN185CenzcLudO4qMVqDjaFhEfmiC9pF+QQrHA==\n"           \
	"-----END CERTIFICATE-----\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* A failure says why; success says nothing. */
static void
check_fail(enum mg_err r, const struct mg_oms_fail *fail)
{
	must((r == MG_ERR_OK) == (fail->why == MG_OMS_NONE));
	must((r == MG_ERR_OK) == (fail->text[0] == '\0'));
	must(memchr(fail->text, '\0', sizeof(fail->text)) != NULL);
}

static void
check_path(const char *s)
{
	must(s[0] != '\0' && s[0] != '/' && strstr(s, "//") == NULL);
	must(strcmp(s, "..") != 0 && strncmp(s, "../", 3) != 0);
	must(strstr(s, "/../") == NULL && strchr(s, '\n') == NULL);
}

static void
judge_statement(const void *p, size_t n)
{
	const struct mg_oms_resource *a, *b;
	struct mg_oms_statement st;
	struct mg_oms_fail fail;
	enum mg_err r;
	size_t i;

	r = mg_oms_statement_parse(&st, p, n, &fail);
	check_fail(r, &fail);
	for (i = 0; i < st.nignore; i++)
		check_path(st.ignore[i]);
	for (i = 0; i < st.nresources; i++) {
		a = &st.resources[i];
		check_path(a->path);
		must(st.shard_size == 0 ? a->end == 0 : a->start < a->end);
		if (i == 0)
			continue;
		b = a - 1;
		must(strcmp(b->path, a->path) < 0 ||
		     (strcmp(b->path, a->path) == 0 && b->start < a->start));
	}
	mg_oms_statement_fini(&st);
}

/* Made once: reading keys is slow and is not what is looked at. */
static const struct mg_oms_trust *
trust(bool by_ca)
{
	static struct mg_oms_trust *key, *ca;
	struct mg_oms_fail fail;

	if (key == NULL) {
		key = mg_oms_trust_key(KEY, strlen(KEY), &fail);
		ca = mg_oms_trust_ca(
		    CA, strlen(CA), NULL, 0, "CN=fraud-team,O=Acme", &fail);
		must(key != NULL && ca != NULL);
	}
	return by_ca ? ca : key;
}

static void
judge_bundle(const void *p, size_t n, bool by_ca)
{
	struct mg_oms_bundle b;
	struct mg_oms_signer who;
	struct mg_oms_fail fail;
	enum mg_err r;

	r = mg_oms_bundle_parse(&b, p, n, &fail);
	check_fail(r, &fail);
	if (r == MG_ERR_OK) {
		must(b.method != MG_OMS_METHOD_NONE);
		must(mg_buf_len(&b.payload) > 0 && mg_buf_len(&b.sig) > 0);
		r = mg_oms_bundle_verify(&b, trust(by_ca), NOW_MS, &who, &fail);
		check_fail(r, &fail);
		must((r == MG_ERR_OK) == (who.fp[0] != '\0'));
		judge_statement(mg_buf_ptr(&b.payload), mg_buf_len(&b.payload));
	}
	mg_oms_bundle_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 'P')
		judge_statement(data + 1, size - 1);
	else
		judge_bundle(data + 1, size - 1, data[0] == 'C');
	return 0;
}
