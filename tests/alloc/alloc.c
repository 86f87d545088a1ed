/* SPDX-License-Identifier: ISC */
/*
 * Preloaded into unit tests by tests/alloc/run: memory is out at the n-th
 * request of the code under test. What libraries and the test itself ask
 * for (return addresses elsewhere) is always given.
 *
 *	ALLOC_AT=N	the N-th fails; 0: none
 *	ALLOC_TEST	only this test of the program runs
 *	ALLOC_SKIP	ranges of the program that do not count: "1a-2f,30-4c"
 * A crash ends the program with status 98, or 97 when the test itself made
 * the call that crashed: it looked at a result that was not there.
 *
 *	ALLOC_FILE	with ALLOC_AT=0 gets, for each request, 8 bytes that
 *			tell its path of calls; else one byte once it failed
 */
#include <errno.h>
#include <execinfo.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RANGES_MAX 512
#define FRAMES 14

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

/* Where they are there, the sanitizer watches over the memory. */
__attribute__((weak)) void *__interceptor_malloc(size_t n);
__attribute__((weak)) void *__interceptor_calloc(size_t n, size_t size);
__attribute__((weak)) void *__interceptor_realloc(void *p, size_t n);

static struct {
	uintptr_t from, to;
} skip[RANGES_MAX];
static size_t nskip;
static uintptr_t base, end;
static unsigned long at, count;
static int out = -1;
static pid_t owner;
static __thread bool inside;

/* The program's own text: this library's linker symbols are its own. */
static void
find_program(void)
{
	static char line[1024];
	char *p, *nl, *dash;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (fd == -1 || (n = read(fd, line, sizeof(line) - 1)) <= 0)
		_exit(99);
	close(fd);
	line[n] = '\0';
	base = strtoul(line, NULL, 16);
	/* The first lines are the program's; its text is among them. */
	for (p = line; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
		*nl = '\0';
		if (strstr(p, "/test_") == NULL)
			break;
		if ((dash = strchr(p, '-')) != NULL)
			end = strtoul(dash + 1, NULL, 16);
	}
}

static bool
is_test(uintptr_t p)
{
	size_t i;

	for (i = 0; i < nskip; i++)
		if (p >= skip[i].from && p < skip[i].to)
			return true;
	return false;
}

static void
crashed(int sig)
{
	void *v[64];
	int i, n;

	(void)sig;
	inside = true;
	n = backtrace(v, 64);
	for (i = 0; i < n; i++)
		if ((uintptr_t)v[i] >= base && (uintptr_t)v[i] < end)
			_exit(is_test((uintptr_t)v[i]) ? 97 : 98);
	_exit(98);
}

/* cmocka would take a crash for a test that failed. While allocations are
 * only counted none is a finding: a test may make one on purpose. */
int
sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	static int (*real)(int, const struct sigaction *, struct sigaction *);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "sigaction");
	if (at != 0 && out != -1 && act != NULL && act->sa_handler != crashed &&
	    (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL))
		act = NULL;
	return real(sig, act, old);
}

sighandler_t
signal(int sig, sighandler_t fn)
{
	struct sigaction act = {.sa_handler = fn},
			 old = {.sa_handler = SIG_DFL};

	(void)sigaction(sig, &act, &old);
	return old.sa_handler;
}

__attribute__((constructor)) static void
begin(void)
{
	const char *s = getenv("ALLOC_SKIP"), *f = getenv("ALLOC_FILE");
	const char *n = getenv("ALLOC_AT");
	struct sigaction act = {.sa_handler = crashed};
	const char *test = getenv("ALLOC_TEST");
	void (*filter)(const char *pattern);
	void *warm[2];
	char *e;

	if (s == NULL || f == NULL || n == NULL)
		return;
	inside = true;
	find_program();
	while (*s != '\0' && nskip < RANGES_MAX) {
		skip[nskip].from = base + strtoul(s, &e, 16);
		skip[nskip++].to = base + strtoul(e + 1, &e, 16);
		s = *e == ',' ? e + 1 : e;
	}
	(void)backtrace(warm, 2); /* loads what it needs */
	*(void **)&filter = dlsym(RTLD_DEFAULT, "cmocka_set_test_filter");
	if (test != NULL && filter != NULL)
		filter(test);
	at = strtoul(n, NULL, 10);
	out = open(f, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	out = fcntl(out, F_DUPFD_CLOEXEC, 900);
	owner = getpid();
	if (at != 0) {
		(void)sigaction(SIGSEGV, &act, NULL);
		(void)sigaction(SIGBUS, &act, NULL);
	}
	inside = false;
}

static void
tell_path(void)
{
	uint64_t h = 14695981039346656037u;
	void *v[FRAMES];
	int i, n;

	inside = true;
	n = backtrace(v, FRAMES);
	for (i = 2; i < n; i++)
		h = (h ^ (uint64_t)((uintptr_t)v[i] - base)) * 1099511628211u;
	(void)!write(out, &h, sizeof(h));
	inside = false;
}

static bool
fails(const void *from)
{
	uintptr_t p = (uintptr_t)from;

	if (out == -1 || inside || p < base || p >= end || getpid() != owner)
		return false;
	if (is_test(p))
		return false;
	count++;
	if (at == 0)
		tell_path();
	if (count != at)
		return false;
	(void)!write(out, "x", 1);
	errno = ENOMEM;
	return true;
}

#define FAILS fails(__builtin_return_address(0))

static void *
new_memory(size_t n)
{
	return __interceptor_malloc != NULL ? __interceptor_malloc(n)
					    : __libc_malloc(n);
}

static void *
new_zeros(size_t n, size_t size)
{
	return __interceptor_calloc != NULL ? __interceptor_calloc(n, size)
					    : __libc_calloc(n, size);
}

static void *
moved(void *p, size_t n)
{
	return __interceptor_realloc != NULL ? __interceptor_realloc(p, n)
					     : __libc_realloc(p, n);
}

void *
malloc(size_t n)
{
	return FAILS ? NULL : new_memory(n);
}

void *
calloc(size_t n, size_t size)
{
	return FAILS ? NULL : new_zeros(n, size);
}

void *
realloc(void *p, size_t n)
{
	return FAILS ? NULL : moved(p, n);
}

void *
reallocarray(void *p, size_t n, size_t size)
{
	size_t all;

	if (FAILS || __builtin_mul_overflow(n, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	return moved(p, all);
}

char *
strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = FAILS ? NULL : new_memory(len + 1);

	if (p == NULL)
		return NULL;
	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *
strdup(const char *s)
{
	size_t len = strlen(s);
	char *p = FAILS ? NULL : new_memory(len + 1);

	return p == NULL ? NULL : memcpy(p, s, len + 1);
}
