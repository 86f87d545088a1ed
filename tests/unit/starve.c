/* SPDX-License-Identifier: ISC */
/* Requests that fail when they are told to: starve.h. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "open_fds.h"
#include "starve.h"

#define LIVE_MAX 65536
#define REQUESTS_MAX 100000

/* ---- the plan ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of it all */
static bool armed, resting, stays, hit;
static unsigned want;
static unsigned long at, count;
static int error;
static const char *what; /* failed first */

static bool
lacks(unsigned kind, const char *name)
{
	bool fails = false;

	pthread_mutex_lock(&lock);
	if (armed && !resting && (want & kind) != 0) {
		count++;
		fails = count == at || (stays && count > at);
		if (fails && !hit)
			what = name;
		hit = hit || fails;
	}
	pthread_mutex_unlock(&lock);
	if (fails)
		errno = (kind & (STARVE_MEMORY | STARVE_JSON)) != 0 ? ENOMEM
								    : error;
	return fails;
}

bool
starve_has_hit(void)
{
	return hit;
}

void
starve_rest(void)
{
	resting = true;
}

/* ---- what is left ---- */

static void *live[LIVE_MAX];
static size_t nlive;

static void *
keep(void *p)
{
	pthread_mutex_lock(&lock);
	if (armed && p != NULL && nlive < LIVE_MAX)
		live[nlive++] = p;
	pthread_mutex_unlock(&lock);
	return p;
}

/* The last come is the first gone. */
static void
drop(const void *p)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = nlive; p != NULL && i > 0; i--)
		if (live[i - 1] == p) {
			live[i - 1] = live[--nlive];
			break;
		}
	pthread_mutex_unlock(&lock);
}

/* ---- requests ---- */

#define WRAP(type, name, ...)                                                  \
	type __real_##name(__VA_ARGS__);                                       \
	type __wrap_##name(__VA_ARGS__);                                       \
	type __wrap_##name(__VA_ARGS__)

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
WRAP(void *, malloc, size_t n)
{
	return lacks(STARVE_MEMORY, "malloc") ? NULL : keep(__real_malloc(n));
}

WRAP(void *, calloc, size_t n, size_t size)
{
	return lacks(STARVE_MEMORY, "calloc") ? NULL
					      : keep(__real_calloc(n, size));
}

static void *
moved(void *old, void *new)
{
	if (new == NULL)
		return NULL;
	drop(old);
	return keep(new);
}

WRAP(void *, realloc, void *p, size_t n)
{
	return lacks(STARVE_MEMORY, "realloc") ? NULL
					       : moved(p, __real_realloc(p, n));
}

WRAP(void *, reallocarray, void *p, size_t n, size_t size)
{
	return lacks(STARVE_MEMORY, "reallocarray")
		   ? NULL
		   : moved(p, __real_reallocarray(p, n, size));
}

WRAP(char *, strdup, const char *s)
{
	return lacks(STARVE_MEMORY, "strdup") ? NULL : keep(__real_strdup(s));
}

WRAP(char *, strndup, const char *s, size_t n)
{
	return lacks(STARVE_MEMORY, "strndup") ? NULL
					       : keep(__real_strndup(s, n));
}

WRAP(void, free, void *p)
{
	drop(p);
	__real_free(p);
}

static void *
json_malloc(size_t n)
{
	return lacks(STARVE_JSON, "jansson") ? NULL : keep(__real_malloc(n));
}

/* The n-th request of a kind answers no; anything else is as ever. */
#define CRYPTO(no, name, ...)                                                  \
	return lacks(STARVE_CRYPTO, #name) ? (no) : __real_##name(__VA_ARGS__)
#define CALL(no, name, ...)                                                    \
	return lacks(STARVE_CALLS, #name) ? (no) : __real_##name(__VA_ARGS__)

WRAP(EVP_MD_CTX *, EVP_MD_CTX_new, void)
{
	CRYPTO(NULL, EVP_MD_CTX_new);
}

WRAP(EVP_MD *, EVP_MD_fetch, OSSL_LIB_CTX *lib, const char *a, const char *p)
{
	CRYPTO(NULL, EVP_MD_fetch, lib, a, p);
}

WRAP(int, EVP_DigestInit_ex, EVP_MD_CTX *c, const EVP_MD *md, ENGINE *e)
{
	CRYPTO(0, EVP_DigestInit_ex, c, md, e);
}

WRAP(int, EVP_DigestInit_ex2, EVP_MD_CTX *c, const EVP_MD *md,
    const OSSL_PARAM *p)
{
	CRYPTO(0, EVP_DigestInit_ex2, c, md, p);
}

WRAP(int, EVP_DigestUpdate, EVP_MD_CTX *c, const void *p, size_t n)
{
	CRYPTO(0, EVP_DigestUpdate, c, p, n);
}

WRAP(int, EVP_DigestFinal_ex, EVP_MD_CTX *c, unsigned char *out, unsigned *n)
{
	CRYPTO(0, EVP_DigestFinal_ex, c, out, n);
}

WRAP(int, EVP_Digest, const void *p, size_t n, unsigned char *out,
    unsigned *len, const EVP_MD *md, ENGINE *e)
{
	CRYPTO(0, EVP_Digest, p, n, out, len, md, e);
}

WRAP(int, EVP_DigestVerifyInit, EVP_MD_CTX *c, EVP_PKEY_CTX **pc,
    const EVP_MD *md, ENGINE *e, EVP_PKEY *k)
{
	CRYPTO(0, EVP_DigestVerifyInit, c, pc, md, e, k);
}

WRAP(int, EVP_DigestVerify, EVP_MD_CTX *c, const unsigned char *sig, size_t n,
    const unsigned char *p, size_t len)
{
	CRYPTO(-1, EVP_DigestVerify, c, sig, n, p, len);
}

WRAP(int, EVP_DigestSignInit, EVP_MD_CTX *c, EVP_PKEY_CTX **pc,
    const EVP_MD *md, ENGINE *e, EVP_PKEY *k)
{
	CRYPTO(0, EVP_DigestSignInit, c, pc, md, e, k);
}

WRAP(int, EVP_DigestSign, EVP_MD_CTX *c, unsigned char *sig, size_t *n,
    const unsigned char *p, size_t len)
{
	CRYPTO(0, EVP_DigestSign, c, sig, n, p, len);
}

WRAP(EVP_PKEY *, EVP_PKEY_dup, EVP_PKEY *k)
{
	CRYPTO(NULL, EVP_PKEY_dup, k);
}

WRAP(int, EVP_PKEY_set_utf8_string_param, EVP_PKEY *k, const char *name,
    const char *s)
{
	CRYPTO(0, EVP_PKEY_set_utf8_string_param, k, name, s);
}

WRAP(int, EVP_PKEY_get_group_name, const EVP_PKEY *k, char *out, size_t size,
    size_t *n)
{
	CRYPTO(0, EVP_PKEY_get_group_name, k, out, size, n);
}

WRAP(int, EVP_PKEY_get_int_param, const EVP_PKEY *k, const char *name, int *v)
{
	CRYPTO(0, EVP_PKEY_get_int_param, k, name, v);
}

WRAP(int, EVP_PKEY_eq, const EVP_PKEY *a, const EVP_PKEY *b)
{
	CRYPTO(-2, EVP_PKEY_eq, a, b);
}

WRAP(EVP_PKEY *, EVP_PKEY_new_raw_public_key, int type, ENGINE *e,
    const unsigned char *p, size_t n)
{
	CRYPTO(NULL, EVP_PKEY_new_raw_public_key, type, e, p, n);
}

WRAP(EVP_PKEY_CTX *, EVP_PKEY_CTX_new_from_name, OSSL_LIB_CTX *lib,
    const char *name, const char *q)
{
	CRYPTO(NULL, EVP_PKEY_CTX_new_from_name, lib, name, q);
}

WRAP(int, EVP_PKEY_fromdata_init, EVP_PKEY_CTX *c)
{
	CRYPTO(0, EVP_PKEY_fromdata_init, c);
}

WRAP(int, EVP_PKEY_fromdata, EVP_PKEY_CTX *c, EVP_PKEY **kp, int sel,
    OSSL_PARAM *p)
{
	CRYPTO(0, EVP_PKEY_fromdata, c, kp, sel, p);
}

WRAP(BIGNUM *, BN_bin2bn, const unsigned char *p, int n, BIGNUM *b)
{
	CRYPTO(NULL, BN_bin2bn, p, n, b);
}

WRAP(ECDSA_SIG *, ECDSA_SIG_new, void)
{
	CRYPTO(NULL, ECDSA_SIG_new);
}

WRAP(int, i2d_ECDSA_SIG, const ECDSA_SIG *s, unsigned char **pp)
{
	CRYPTO(-1, i2d_ECDSA_SIG, s, pp);
}

WRAP(OSSL_PARAM_BLD *, OSSL_PARAM_BLD_new, void)
{
	CRYPTO(NULL, OSSL_PARAM_BLD_new);
}

WRAP(int, OSSL_PARAM_BLD_push_BN, OSSL_PARAM_BLD *b, const char *name,
    const BIGNUM *n)
{
	CRYPTO(0, OSSL_PARAM_BLD_push_BN, b, name, n);
}

WRAP(OSSL_PARAM *, OSSL_PARAM_BLD_to_param, OSSL_PARAM_BLD *b)
{
	CRYPTO(NULL, OSSL_PARAM_BLD_to_param, b);
}

WRAP(BIO *, BIO_new, const BIO_METHOD *m)
{
	CRYPTO(NULL, BIO_new, m);
}

WRAP(BIO *, BIO_new_mem_buf, const void *p, int n)
{
	CRYPTO(NULL, BIO_new_mem_buf, p, n);
}

WRAP(long, BIO_ctrl, BIO *b, int cmd, long n, void *p)
{
	CRYPTO(0, BIO_ctrl, b, cmd, n, p);
}

WRAP(int, PEM_write_bio_PUBKEY, BIO *b, const EVP_PKEY *k)
{
	CRYPTO(0, PEM_write_bio_PUBKEY, b, k);
}

WRAP(EVP_PKEY *, PEM_read_bio_PUBKEY, BIO *b, EVP_PKEY **k, pem_password_cb *cb,
    void *u)
{
	CRYPTO(NULL, PEM_read_bio_PUBKEY, b, k, cb, u);
}

WRAP(EVP_PKEY *, PEM_read_bio_PrivateKey, BIO *b, EVP_PKEY **k,
    pem_password_cb *cb, void *u)
{
	CRYPTO(NULL, PEM_read_bio_PrivateKey, b, k, cb, u);
}

WRAP(X509 *, PEM_read_bio_X509, BIO *b, X509 **c, pem_password_cb *cb, void *u)
{
	CRYPTO(NULL, PEM_read_bio_X509, b, c, cb, u);
}

WRAP(STACK_OF(X509_INFO) *, PEM_X509_INFO_read_bio, BIO *b,
    STACK_OF(X509_INFO) * s, pem_password_cb *cb, void *u)
{
	CRYPTO(NULL, PEM_X509_INFO_read_bio, b, s, cb, u);
}

WRAP(X509 *, d2i_X509, X509 **c, const unsigned char **pp, long n)
{
	CRYPTO(NULL, d2i_X509, c, pp, n);
}

WRAP(int, i2d_X509, const X509 *c, unsigned char **pp)
{
	CRYPTO(-1, i2d_X509, c, pp);
}

WRAP(int, X509_digest, const X509 *c, const EVP_MD *md, unsigned char *out,
    unsigned *n)
{
	CRYPTO(0, X509_digest, c, md, out, n);
}

WRAP(EVP_PKEY *, X509_get0_pubkey, const X509 *c)
{
	CRYPTO(NULL, X509_get0_pubkey, c);
}

WRAP(int, X509_NAME_print_ex, BIO *b, const X509_NAME *n, int indent,
    unsigned long flags)
{
	CRYPTO(-1, X509_NAME_print_ex, b, n, indent, flags);
}

WRAP(X509_STORE *, X509_STORE_new, void)
{
	CRYPTO(NULL, X509_STORE_new);
}

WRAP(int, X509_STORE_add_cert, X509_STORE *s, X509 *c)
{
	CRYPTO(0, X509_STORE_add_cert, s, c);
}

WRAP(int, X509_STORE_add_crl, X509_STORE *s, X509_CRL *c)
{
	CRYPTO(0, X509_STORE_add_crl, s, c);
}

WRAP(X509_STORE_CTX *, X509_STORE_CTX_new, void)
{
	CRYPTO(NULL, X509_STORE_CTX_new);
}

WRAP(int, X509_STORE_CTX_init, X509_STORE_CTX *c, X509_STORE *s, X509 *leaf,
    STACK_OF(X509) * chain)
{
	CRYPTO(0, X509_STORE_CTX_init, c, s, leaf, chain);
}

WRAP(int, X509_VERIFY_PARAM_set_flags, X509_VERIFY_PARAM *p, unsigned long f)
{
	CRYPTO(0, X509_VERIFY_PARAM_set_flags, p, f);
}

WRAP(int, X509_verify_cert, X509_STORE_CTX *c)
{
	CRYPTO(-1, X509_verify_cert, c);
}

WRAP(OPENSSL_STACK *, OPENSSL_sk_new_null, void)
{
	CRYPTO(NULL, OPENSSL_sk_new_null);
}

WRAP(int, OPENSSL_sk_push, OPENSSL_STACK *s, const void *p)
{
	CRYPTO(0, OPENSSL_sk_push, s, p);
}

WRAP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, void)
{
	CRYPTO(NULL, EVP_CIPHER_CTX_new);
}

WRAP(int, EVP_CipherInit_ex, EVP_CIPHER_CTX *c, const EVP_CIPHER *t, ENGINE *e,
    const unsigned char *key, const unsigned char *iv, int enc)
{
	CRYPTO(0, EVP_CipherInit_ex, c, t, e, key, iv, enc);
}

WRAP(int, EVP_CipherUpdate, EVP_CIPHER_CTX *c, unsigned char *out, int *n,
    const unsigned char *in, int len)
{
	CRYPTO(0, EVP_CipherUpdate, c, out, n, in, len);
}

WRAP(int, EVP_CipherFinal_ex, EVP_CIPHER_CTX *c, unsigned char *out, int *n)
{
	CRYPTO(0, EVP_CipherFinal_ex, c, out, n);
}

WRAP(int, EVP_CIPHER_CTX_ctrl, EVP_CIPHER_CTX *c, int type, int n, void *p)
{
	CRYPTO(0, EVP_CIPHER_CTX_ctrl, c, type, n, p);
}

/* ---- system calls ---- */

WRAP(int, fstat, int fd, struct stat *st)
{
	CALL(-1, fstat, fd, st);
}

WRAP(int, fstatat, int fd, const char *name, struct stat *st, int flags)
{
	CALL(-1, fstatat, fd, name, st, flags);
}

WRAP(ssize_t, read, int fd, void *p, size_t n)
{
	CALL(-1, read, fd, p, n);
}

WRAP(ssize_t, pread, int fd, void *p, size_t n, off_t off)
{
	CALL(-1, pread, fd, p, n, off);
}

WRAP(ssize_t, write, int fd, const void *p, size_t n)
{
	CALL(-1, write, fd, p, n);
}

WRAP(off_t, lseek, int fd, off_t off, int whence)
{
	CALL(-1, lseek, fd, off, whence);
}

WRAP(int, memfd_create, const char *name, unsigned flags)
{
	CALL(-1, memfd_create, name, flags);
}

WRAP(ssize_t, getrandom, void *p, size_t n, unsigned flags)
{
	CALL(-1, getrandom, p, n, flags);
}

WRAP(int, poll, struct pollfd *p, nfds_t n, int ms)
{
	CALL(-1, poll, p, n, ms);
}

WRAP(void *, mmap, void *p, size_t n, int prot, int flags, int fd, off_t off)
{
	CALL(MAP_FAILED, mmap, p, n, prot, flags, fd, off);
}

WRAP(DIR *, fdopendir, int fd)
{
	CALL(NULL, fdopendir, fd);
}

WRAP(struct dirent *, readdir, DIR *d)
{
	CALL(NULL, readdir, d);
}

WRAP(
    int, sigaction, int sig, const struct sigaction *act, struct sigaction *old)
{
	CALL(-1, sigaction, sig, act, old);
}

WRAP(int, sched_getaffinity, pid_t pid, size_t n, cpu_set_t *set)
{
	CALL(-1, sched_getaffinity, pid, n, set);
}

WRAP(int, pthread_create, pthread_t *t, const pthread_attr_t *attr,
    void *(*fn)(void *), void *arg)
{
	CALL(EAGAIN, pthread_create, t, attr, fn, arg);
}

WRAP(int, pthread_attr_init, pthread_attr_t *a)
{
	CALL(ENOMEM, pthread_attr_init, a);
}

WRAP(int, pthread_mutex_init, pthread_mutex_t *m, const pthread_mutexattr_t *a)
{
	CALL(ENOMEM, pthread_mutex_init, m, a);
}

WRAP(int, pthread_condattr_init, pthread_condattr_t *a)
{
	CALL(ENOMEM, pthread_condattr_init, a);
}

WRAP(int, pthread_cond_init, pthread_cond_t *c, const pthread_condattr_t *a)
{
	CALL(ENOMEM, pthread_cond_init, c, a);
}

/* Each takes a last argument that may be missing; it is passed on. */
WRAP(int, fcntl, int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	CALL(-1, fcntl, fd, cmd, arg);
}

WRAP(int, openat, int fd, const char *name, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	CALL(-1, openat, fd, name, flags, mode);
}

WRAP(ssize_t, pwrite, int fd, const void *p, size_t n, off_t off)
{
	CALL(-1, pwrite, fd, p, n, off);
}

WRAP(int, fsync, int fd)
{
	CALL(-1, fsync, fd);
}

WRAP(int, fdatasync, int fd)
{
	CALL(-1, fdatasync, fd);
}

WRAP(int, ftruncate, int fd, off_t n)
{
	CALL(-1, ftruncate, fd, n);
}

WRAP(int, renameat, int a, const char *from, int b, const char *to)
{
	CALL(-1, renameat, a, from, b, to);
}

WRAP(int, unlinkat, int fd, const char *name, int flags)
{
	CALL(-1, unlinkat, fd, name, flags);
}

/* As libc does, it takes six whether or not so many were passed. */
__attribute__((no_sanitize("address"))) long __wrap_syscall(long, ...);

WRAP(long, syscall, long n, ...)
{
	long a[6];
	va_list ap;
	int i;

	va_start(ap, n);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	CALL(-1, syscall, n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- every request in turn ---- */

void
starve_begin(void)
{
	json_set_alloc_funcs(json_malloc, __wrap_free);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* False: the n-th request did not come. */
static bool
one(const char *(*play)(const void *arg), const void *arg)
{
	unsigned fds = open_fds();
	const char *wrong;

	nlive = 0;
	count = 0;
	hit = resting = false;
	what = "nothing";
	armed = true;
	wrong = play(arg);
	armed = false;
	if (wrong == NULL && nlive > 0)
		wrong = "memory is left";
	if (wrong == NULL && open_fds() != fds)
		wrong = "a descriptor is left";
	if (wrong != NULL)
		fail_msg("request %lu (%s) fails (%s)%s: %s", at, what,
		    strerror(error), stays ? " and all after it" : "", wrong);
	return hit;
}

struct plan {
	unsigned kinds;
	bool stays;
	int error;
};

void
starve_every(
    unsigned kinds, const char *(*play)(const void *arg), const void *arg)
{
	static const struct plan plans[] = {
	    {STARVE_ALL, false, EIO},
	    /* Not EINTR: who is interrupted tries again, and again. */
	    {STARVE_ALL & ~STARVE_JSON, true, EAGAIN},
	    {STARVE_CALLS, false, EINTR},
	    {STARVE_CALLS, false, EACCES},
	    {STARVE_CALLS, false, EINVAL},
	};
	unsigned long runs = 0;
	size_t i;

	at = 0;
	want = kinds;
	(void)one(play, arg); /* what is kept for ever is made here */
	assert_true(count > 0);
	for (i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		want = kinds & plans[i].kinds;
		stays = plans[i].stays;
		error = plans[i].error;
		for (at = 1; one(play, arg); at++)
			assert_true(at < REQUESTS_MAX);
		runs += at - 1;
	}
	at = 0;
	print_message(
	    "# %lu runs, each with another request that failed\n", runs);
}
