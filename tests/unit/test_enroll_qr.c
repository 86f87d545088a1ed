/* SPDX-License-Identifier: ISC */
/* Pictures of keys: what a camera sees is what libqrencode made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <qrencode.h>

#include "../../agent/cli/enroll/enroll_qr.h"

#define URI                                                                    \
	"otpauth://totp/modelgate%20gpu-7:alice"                               \
	"?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=modelgate%20gpu-7"
#define SIDE_MAX 200

/* What the terminal shows: dark or light, one entry a module. */
struct seen {
	bool dark[SIDE_MAX][SIDE_MAX];
	unsigned rows, cols;
};

static size_t
skip_escape(const char *s)
{
	size_t n = 2;

	assert_true(s[0] == '\033' && s[1] == '[');
	while (s[n] != 'm')
		n++;
	return n + 1;
}

/* Reads half blocks, two modules a character. */
static void
look_at_blocks(const char *s, struct seen *see)
{
	unsigned x = 0, y = 0;

	memset(see, 0, sizeof(*see));
	while (*s != '\0') {
		if (*s == '\033') {
			s += skip_escape(s);
		} else if (*s == '\n') {
			see->cols = x;
			x = 0;
			y += 2;
			s++;
		} else if (*s == ' ') {
			x++;
			s++;
		} else {
			see->dark[y][x] = strncmp(s, "\xe2\x96\x80", 3) == 0 ||
					  strncmp(s, "\xe2\x96\x88", 3) == 0;
			see->dark[y + 1][x] =
			    strncmp(s, "\xe2\x96\x84", 3) == 0 ||
			    strncmp(s, "\xe2\x96\x88", 3) == 0;
			assert_true(see->dark[y][x] || see->dark[y + 1][x]);
			x++;
			s += 3;
		}
	}
	see->rows = y;
}

/* Reads cells: two blanks on a colour each. */
static void
look_at_cells(const char *s, struct seen *see)
{
	unsigned x = 0, y = 0;
	bool dark = false;

	memset(see, 0, sizeof(*see));
	while (*s != '\0') {
		if (*s == '\033') {
			dark = strncmp(s, "\033[40m", 5) == 0;
			s += skip_escape(s);
		} else if (*s == '\n') {
			see->cols = x;
			x = 0;
			y++;
			s++;
		} else {
			assert_memory_equal(s, "  ", 2);
			see->dark[y][x++] = dark;
			s += 2;
		}
	}
	see->rows = y;
}

/* Whether it is the code of URI with light all around. */
static void
assert_is_the_code(const struct seen *see)
{
	QRcode *qr = QRcode_encodeString8bit(URI, 0, QR_ECLEVEL_L);
	int x, y, w, quiet, at_x, at_y;
	bool dark;

	assert_non_null(qr);
	w = qr->width;
	quiet = ((int)see->cols - w) / 2;
	assert_in_range(quiet, 1, 4);
	for (y = 0; y < (int)see->rows; y++) {
		for (x = 0; x < (int)see->cols; x++) {
			at_x = x - quiet;
			at_y = y - quiet;
			dark = at_x >= 0 && at_y >= 0 && at_x < w && at_y < w &&
			       (qr->data[at_y * w + at_x] & 1) != 0;
			assert_int_equal(see->dark[y][x], dark);
		}
	}
	QRcode_free(qr);
}

static bool
draw(struct mg_buf *b, unsigned rows, unsigned cols, bool has_blocks,
    unsigned *rp, unsigned *cp)
{
	struct enroll_qr_paper paper = {
	    .rows = rows, .cols = cols, .has_blocks = has_blocks};

	mg_buf_init_secret(b, 262144);
	return enroll_qr_put(b, URI, &paper, rp, cp);
}

static void
half_blocks_show_the_code(void **state)
{
	struct mg_buf b;
	struct seen see;
	unsigned r, c;

	(void)state;
	assert_true(draw(&b, 100, 100, true, &r, &c));
	look_at_blocks(mg_buf_cstr(&b), &see);
	assert_int_equal(see.rows, 2 * r);
	assert_int_equal(see.cols, c);
	assert_is_the_code(&see);
	mg_buf_fini(&b);
}

static void
cells_show_the_code(void **state)
{
	struct mg_buf b;
	struct seen see;
	unsigned r, c;

	(void)state;
	assert_true(draw(&b, 100, 200, false, &r, &c));
	look_at_cells(mg_buf_cstr(&b), &see);
	assert_int_equal(see.rows, r);
	assert_int_equal(2 * see.cols, c);
	assert_is_the_code(&see);
	mg_buf_fini(&b);
}

static void
rule1_every_line_sets_both_colours_and_gives_them_back(void **state)
{
	struct mg_buf b;
	const char *s, *nl;
	unsigned r, c;

	(void)state;
	assert_true(draw(&b, 100, 100, true, &r, &c));
	for (s = mg_buf_cstr(&b); *s != '\0'; s = nl + 1) {
		nl = strchr(s, '\n');
		assert_non_null(nl);
		assert_memory_equal(s, "\033[0;30;47m", 10);
		assert_memory_equal(nl - 4, "\033[0m", 4);
	}
	mg_buf_fini(&b);
}

static void
a_usual_key_fits_a_terminal_of_24_lines(void **state)
{
	struct mg_buf b;
	unsigned r, c;

	(void)state;
	assert_true(draw(&b, 21, 80, true, &r, &c));
	assert_in_range(r, 1, 21);
	mg_buf_fini(&b);
}

static void
on_small_paper_nothing_is_drawn_and_the_need_is_told(void **state)
{
	struct mg_buf b;
	unsigned r, c;

	(void)state;
	assert_false(draw(&b, 10, 80, true, &r, &c));
	assert_int_equal(mg_buf_len(&b), 0);
	assert_in_range(r, 19, 30);
	assert_in_range(c, 38, 60);
	assert_true(draw(&b, r, c, true, &r, &c));
	mg_buf_fini(&b);
	assert_false(draw(&b, r, c - 1, true, &r, &c));
	assert_int_equal(mg_buf_len(&b), 0);
	mg_buf_fini(&b);
}

static void
a_buffer_that_is_too_small_stays_as_it_was(void **state)
{
	struct enroll_qr_paper paper = {
	    .rows = 100, .cols = 100, .has_blocks = true};
	struct mg_buf b;
	unsigned r, c;

	(void)state;
	mg_buf_init_secret(&b, 600);
	assert_int_equal(mg_buf_put_text(&b, "before"), MG_ERR_OK);
	assert_false(enroll_qr_put(&b, URI, &paper, &r, &c));
	assert_string_equal(mg_buf_cstr(&b), "before");
	mg_buf_fini(&b);
}

static void
text_that_no_code_can_hold_is_refused(void **state)
{
	struct enroll_qr_paper paper = {
	    .rows = 1000, .cols = 1000, .has_blocks = true};
	char *big = malloc(5001);
	struct mg_buf b;
	unsigned r, c;

	(void)state;
	assert_non_null(big);
	memset(big, 'x', 5000);
	big[5000] = '\0';
	mg_buf_init_secret(&b, 262144);
	assert_false(enroll_qr_put(&b, big, &paper, &r, &c));
	assert_int_equal(r, 0);
	mg_buf_fini(&b);
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(half_blocks_show_the_code),
	    cmocka_unit_test(cells_show_the_code),
	    cmocka_unit_test(
		rule1_every_line_sets_both_colours_and_gives_them_back),
	    cmocka_unit_test(a_usual_key_fits_a_terminal_of_24_lines),
	    cmocka_unit_test(
		on_small_paper_nothing_is_drawn_and_the_need_is_told),
	    cmocka_unit_test(a_buffer_that_is_too_small_stays_as_it_was),
	    cmocka_unit_test(text_that_no_code_can_hold_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
