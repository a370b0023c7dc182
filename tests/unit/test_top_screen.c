/* SPDX-License-Identifier: MIT */
/*
 * test_top_screen.c - unit tests of what fuseband-top shows: keys, rows, words, columns, cells and
 * bars, and whole screens of any size. How they look is in tests/top (e2e/top.sh).
 */
#include "tests/unit/top_rig.h"

#include <locale.h>
#include <math.h>

#include "top_columns.h"
#include "top_rate.h"
#include "top_rows.h"
#include "top_screen.h"

/* ---- keys ---- */

static void press(struct top_view *view, const char *keys)
{
	for (; *keys; keys++)
		assert_true(top_view_key(view, (unsigned char)*keys));
}

static void test_keys(void **state)
{
	struct top_view view = {.n_devices = 2};

	(void)state;
	press(&view, "ddd");
	assert_int_equal(view.device, 0);
	press(&view, "dta");
	assert_true(view.device == 1 && view.flat && view.busy_only);
	press(&view, "D");
	assert_true(view.devices_only && !view.flat && !view.device);
	press(&view, "m");
	assert_int_equal(view.sort, TOP_BY_BPS);
	press(&view, "rS");
	assert_true(view.sort == TOP_BY_IOPS && !view.reverse);
	for (unsigned i = 0; i < TOP_SORTS; i++)
		press(&view, "s");
	assert_int_equal(view.sort, TOP_BY_IOPS);
	press(&view, "?");
	assert_true(view.help);
	press(&view, "s"); /* only closes the help */
	assert_true(!view.help && view.sort == TOP_BY_IOPS);
	press(&view, " ");
	assert_true(view.paused);
	assert_false(top_view_key(&view, 'q'));
}

static void test_filter(void **state)
{
	struct top_view view = {0};

	(void)state;
	press(&view, "/vmq");
	top_view_key(&view, 0xfc); /* u with dots, in two bytes */
	assert_string_equal(view.filter, "vmq\xc3\xbc");
	top_view_key(&view, TOP_KEY_BACKSPACE);
	top_view_key(&view, TOP_KEY_BACKSPACE);
	top_view_key(&view, TOP_KEY_ENTER);
	assert_true(!view.editing && !strcmp(view.filter, "vm"));
	press(&view, "/xyz");
	top_view_key(&view, TOP_KEY_ESCAPE);
	assert_string_equal(view.filter, "vm");
	press(&view, "/");
	for (unsigned i = 0; i < 2 * TOP_FILTER_BYTES; i++)
		top_view_key(&view, 0x1f4be);
	assert_true(strlen(view.filter) < TOP_FILTER_BYTES);
	for (unsigned i = 0; i < 2 * TOP_FILTER_BYTES; i++)
		top_view_key(&view, TOP_KEY_BACKSPACE);
	assert_string_equal(view.filter, "");
	top_view_key(&view, TOP_KEY_ENTER);
	press(&view, "d");
	view.device = 1;
	strcpy(view.filter, "x");
	view.details = true;
	top_view_key(&view, TOP_KEY_ESCAPE);
	assert_true(!view.details && view.filter[0] && view.device);
	top_view_key(&view, TOP_KEY_ESCAPE);
	assert_true(!view.filter[0] && view.device);
	top_view_key(&view, TOP_KEY_ESCAPE);
	assert_false(view.device);
}

static void test_cursor(void **state)
{
	struct top_view view = {0};

	(void)state;
	top_view_fit(&view, 100, 10);
	top_view_key(&view, TOP_KEY_UP);
	assert_int_equal(view.cursor, 0);
	top_view_key(&view, TOP_KEY_PAGE_DOWN);
	top_view_fit(&view, 100, 10);
	assert_true(view.cursor == 9 && view.first == 0);
	top_view_key(&view, TOP_KEY_DOWN);
	top_view_fit(&view, 100, 10);
	assert_true(view.cursor == 10 && view.first == 1);
	top_view_key(&view, TOP_KEY_END);
	top_view_fit(&view, 100, 10);
	assert_true(view.cursor == 99 && view.first == 90);
	top_view_fit(&view, 100, 40); /* a larger screen */
	assert_int_equal(view.first, 60);
	top_view_fit(&view, 20, 10); /* fewer rows */
	assert_true(view.cursor == 19 && view.first == 10);
	top_view_fit(&view, 0, 10);
	top_view_key(&view, TOP_KEY_DOWN);
	top_view_key(&view, TOP_KEY_END);
	assert_true(view.cursor == 0 && view.first == 0);
	top_view_fit(&view, 5, 0);
}

/* ---- rows ---- */

static struct top_status *rated(const char *of)
{
	char name[64];
	struct top_status *before, *now;

	snprintf(name, sizeof(name), "%s-1.json", of);
	before = recorded(name);
	snprintf(name, sizeof(name), "%s-2.json", of);
	now = recorded(name);
	assert_int_equal(top_rate(now, before), TOP_RATE_NEW);
	top_status_free(before);
	return now;
}

/* Names in their order, with a dot for each level. */
static void shows(const struct top_view *view, const char *wanted)
{
	struct top_status *status = rated("small");
	struct text text = {0};
	size_t *rows, n;

	assert_int_equal(top_rows(status, view, &rows, &n), 0);
	text_printf(&text, "%s", "");
	for (size_t i = 0; i < n; i++) {
		const struct top_node *node = &status->nodes[rows[i]];

		text_printf(&text, "%s%.*s%s", i ? " " : "", (int)node->depth, "......",
			    node->name);
	}
	assert_string_equal(text.data, wanted);
	text_free(&text);
	free(rows);
	top_status_free(status);
}

static void test_rows(void **state)
{
	(void)state;
	shows(&(struct top_view){0}, "nvme0n1 .acme ..db.img ..web.img .vm1.img .vm2.img .ci.img "
				     "sda .archive.img .mail.img .backup.img .spare.img usb.img");
	shows(&(struct top_view){.sort = TOP_BY_WEIGHT},
	      "nvme0n1 .acme ..db.img ..web.img .ci.img .vm1.img .vm2.img "
	      "sda .mail.img .archive.img .backup.img .spare.img usb.img");
	shows(&(struct top_view){.sort = TOP_BY_NAME, .reverse = true, .device = 2},
	      "sda .spare.img .mail.img .backup.img .archive.img");
	shows(&(struct top_view){.sort = TOP_BY_IOPS, .flat = true},
	      "..web.img ..db.img .mail.img .vm1.img .archive.img .vm2.img .ci.img .backup.img "
	      ".spare.img usb.img");
	shows(&(struct top_view){.busy_only = true},
	      "nvme0n1 .acme ..db.img ..web.img .vm1.img .vm2.img sda .archive.img .mail.img "
	      ".backup.img");
	shows(&(struct top_view){.devices_only = true}, "nvme0n1 sda");
	shows(&(struct top_view){.filter = "WEB"}, "nvme0n1 .acme ..web.img");
	shows(&(struct top_view){.filter = "acme"}, "nvme0n1 .acme ..db.img ..web.img");
	shows(&(struct top_view){.filter = "vg_sda/m"}, "sda .mail.img");
	shows(&(struct top_view){.filter = "nothing"}, "");
	shows(&(struct top_view){.filter = "v", .flat = true, .device = 2, .sort = TOP_BY_NAME},
	      ".archive.img .backup.img .mail.img .spare.img");
}

/* ---- words ---- */

static void reads(void (*put)(char to[TOP_WORD_BYTES], double), double value, const char *wanted)
{
	char got[TOP_WORD_BYTES];

	put(got, value);
	assert_string_equal(got, wanted);
}

static void test_words(void **state)
{
	static const char *const reasons[] = {"share", "cap", "window", "anticipation", "none"};
	char size[TOP_WORD_BYTES];

	(void)state;
	reads(top_count, 0, "0");
	reads(top_count, 99999.4, "99999");
	reads(top_count, 99999.5, "100k");
	reads(top_count, 999499, "999k");
	reads(top_count, 999500, "1.0M");
	reads(top_count, 99.94e6, "99.9M");
	reads(top_count, 99.96e6, "100M");
	reads(top_megabytes, 0, "0");
	reads(top_megabytes, 40960, "0.04");
	reads(top_megabytes, 9994999, "9.99");
	reads(top_megabytes, 9996000, "10.0");
	reads(top_megabytes, 1.24e9, "1240");
	reads(top_ms, 84, "0.08");
	reads(top_ms, 99949, "99.9");
	reads(top_ms, 99960, "100");
	reads(top_ms, 7812000, "7812");
	reads(top_ms, NAN, "");
	reads(top_pct, 0, "0%");
	reads(top_pct, 0.04, "0.0%");
	reads(top_pct, 100, "100.0%");
	reads(top_duration, 59.9, "00:00:59");
	reads(top_duration, 86399, "23:59:59");
	reads(top_duration, 274305, "3 d 04:11");
	top_size(size, UINT64_C(16) << 30);
	assert_string_equal(size, "16 GiB");
	top_size(size, UINT64_C(3) << 29);
	assert_string_equal(size, "1.5 GiB");
	top_size(size, 17);
	assert_string_equal(size, "17 B");
	for (unsigned i = 0; i < STATUS_WAITS; i++)
		assert_string_equal(reasons[i], status_wait_name(i));
	for (size_t i = 0; i < 5; i++) {
		assert_true(strlen(top_reason(reasons[i])) <= 8);
		assert_true(strlen(top_reason_long(reasons[i])) <= 27);
	}
	assert_string_equal(top_reason("later"), "later"); /* a reason of another version */
	for (unsigned i = 0; i < STATUS_ALARMS; i++)
		assert_string_not_equal(top_alarm(status_alarm_name(i)), status_alarm_name(i));
	assert_string_equal(top_alarm("later"), "later");
}

/* ---- columns ---- */

static void test_columns(void **state)
{
	struct top_columns columns, times;
	bool all_before = false;

	(void)state;
	for (int width = 60; width < 300; width++) {
		struct top_view view = {.flat = width % 2};
		int end = 0;

		top_columns_choose(&view, width, 30, &columns);
		for (unsigned i = 0; i < TOP_COLUMNS; i++) {
			if (!columns.width[i])
				continue;
			assert_true(columns.at[i] > end || i == TOP_COLUMN_NAME);
			end = columns.at[i] + columns.width[i];
		}
		assert_true(end <= width);
		assert_true(columns.width[TOP_COLUMN_NAME] && columns.width[TOP_COLUMN_REASON]);
		view.times = true;
		top_columns_choose(&view, width, 30, &times);
		assert_int_equal(columns.all, times.all);
		if (columns.all)
			assert_memory_equal(&columns, &times, sizeof(columns));
		assert_true(columns.all || !all_before);
		all_before = columns.all;
	}
	top_columns_choose(&(struct top_view){0}, 80, 16, &columns);
	assert_true(columns.width[TOP_COLUMN_BAR] && columns.width[TOP_COLUMN_BPS]);
	top_columns_choose(&(struct top_view){.times = true}, 80, 16, &columns);
	assert_true(columns.width[TOP_COLUMN_WAIT_P50] && columns.width[TOP_COLUMN_SERVICE_P99] &&
		    columns.width[TOP_COLUMN_IN_FLIGHT]);
	top_columns_choose(&(struct top_view){0}, 200, 16, &columns);
	assert_true(columns.width[TOP_COLUMN_WRITE_BPS] && columns.width[TOP_COLUMN_ERRORS] &&
		    columns.width[TOP_COLUMN_REASON] == 27);
}

/* ---- cells ---- */

static void row_is(struct top_grid *grid, int row, const wchar_t *wanted)
{
	for (int i = 0; i < grid->width; i++) {
		wchar_t c = top_grid_at(grid, row, i)->c;

		if (c != wanted[i])
			fail_msg("column %d: U+%04x, not U+%04x", i, (unsigned)c,
				 (unsigned)wanted[i]);
	}
}

static void test_text(void **state)
{
	struct top_grid grid = {.utf8 = true};

	(void)state;
	assert_int_equal(top_grid_resize(&grid, 10, 4), 0);
	assert_int_equal(top_grid_put(&grid, 0, 1, 5, TOP_PLAIN, "abcdefg"), 5);
	top_grid_put_right(&grid, 0, 6, 4, TOP_PLAIN, "xy");
	row_is(&grid, 0, L" abcd\u2026  xy");
	/* what a terminal would obey, and what is no UTF-8; wide; combining */
	top_grid_put(&grid, 1, 0, 10, TOP_PLAIN, "\x1b[0m\xffz\xc2\x9b");
	row_is(&grid, 1, L"?[0m?z?   ");
	assert_int_equal(top_grid_put(&grid, 2, 0, 4, TOP_PLAIN,
				      "\xe7\xa3\x81\xe7\x9b\x98"
				      "e\xcc\x81x"),
			 3);
	row_is(&grid, 2,
	       (const wchar_t[]){0x78c1, 0, L'\u2026', L' ', L' ', L' ', L' ', L' ', L' ', L' '});
	top_grid_put(&grid, 3, 8, 10, TOP_PLAIN, "outside");
	top_grid_put_right(&grid, 3, -5, 4, TOP_PLAIN, "left");
	top_grid_put(&grid, 9, 0, 10, TOP_PLAIN, "below");
	row_is(&grid, 3, L"        o\u2026");
	grid.utf8 = false;
	top_grid_clear(&grid);
	top_grid_put(&grid, 0, 0, 6, TOP_PLAIN, "gr\xc3\xbc\xc3\x9f abc");
	row_is(&grid, 0, L"gr?? ~    ");
	top_grid_free(&grid);
}

static void test_bars(void **state)
{
	struct top_grid grid = {.utf8 = true};

	(void)state;
	assert_int_equal(top_grid_resize(&grid, 10, 8), 0);
	top_grid_bar(&grid, 0, 0, 10, TOP_BAR, TOP_MARK, 55, 80, 100);
	row_is(&grid, 0, L"\u2588\u2588\u2588\u2588\u2588\u258c  \u2502 ");
	top_grid_bar(&grid, 1, 0, 10, TOP_BAR, TOP_MARK, 80, 80, 100); /* the mark closes it */
	row_is(&grid, 1, L"\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2502 ");
	top_grid_bar(&grid, 2, 0, 10, TOP_BAR, TOP_MARK, 100, 20, 100);
	row_is(&grid, 2, L"\u2588\u2588\u2502\u2588\u2588\u2588\u2588\u2588\u2588\u2588");
	top_grid_bar(&grid, 3, 0, 10, TOP_BAR, TOP_MARK, 0.01, 0, 100); /* not nothing */
	row_is(&grid, 3, L"\u258f         ");
	top_grid_bar(&grid, 4, 0, 10, TOP_BAR, TOP_MARK, 300, 300,
		     100); /* never beyond its field */
	row_is(&grid, 4, L"\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2502");
	top_grid_bar(&grid, 5, 0, 10, TOP_BAR, TOP_MARK, 0, 0, 100);
	row_is(&grid, 5, L"          ");
	grid.utf8 = false;
	top_grid_bar(&grid, 6, 0, 10, TOP_BAR, TOP_MARK, 55, 80, 100);
	row_is(&grid, 6, L"=====-  | ");
	top_grid_bar(&grid, 7, 0, 10, TOP_BAR, TOP_MARK, 53, 0, 100);
	row_is(&grid, 7, L"=====     ");
	top_grid_free(&grid);
}

/* ---- screens ---- */

static void row_has(struct top_grid *grid, int row, const char *text)
{
	char line[512];
	int n = 0;

	for (int i = 0; i < grid->width && n < (int)sizeof(line) - 1; i++)
		line[n++] = (char)top_grid_at(grid, row, i)->c;
	line[n] = '\0';
	if (!strstr(line, text))
		fail_msg("no \"%s\" in \"%s\"", text, line);
}

static void test_any_size(void **state)
{
	struct top_status *status = rated("large");
	const struct top_about about = {.mount = "/mnt/ioband", .every_s = 1, .trouble = "trouble"};
	struct top_grid grid = {0};

	(void)state;
	for (int width = 1; width < 260; width += 7) {
		for (int height = 1; height < 70; height += 3) {
			struct top_view view = {.cursor = 1000, .details = height % 2};

			assert_int_equal(top_grid_resize(&grid, width, height), 0);
			for (unsigned help = 0; help < 2; help++) {
				view.help = help;
				assert_int_equal(top_screen_draw(&grid, status, &view, &about), 0);
			}
		}
	}
	top_grid_free(&grid);
	top_status_free(status);
}

static void test_what_is_wrong(void **state)
{
	struct top_status *status = rated("large");
	struct top_about about = {.mount = "/mnt/ioband", .every_s = 1};
	struct top_view view = {0};
	struct top_grid grid = {0};

	(void)state;
	assert_int_equal(top_grid_resize(&grid, 100, 24), 0);
	assert_int_equal(top_screen_draw(&grid, status, &view, &about), 0);
	row_has(&grid, 0, "/mnt/ioband");
	row_has(&grid, 2, "! the last reload was refused: ioband.ini:12: [vm1.img]");
	row_has(&grid, 3, "! nvme0n1: the disk is slower than its latency_target");
	row_has(&grid, 4, "! coral-vm4.img: got less than 0.8");
	assert_int_equal(top_grid_at(&grid, 4, 0)->style, TOP_ALARM);
	about.trouble = "the mount is gone";
	about.waiting_s = 7.2;
	status->alarms = "memory";
	status->upgrade_error = "it cannot start";
	assert_int_equal(top_screen_draw(&grid, status, &view, &about), 0);
	row_has(&grid, 2, "! the mount is gone");
	row_has(&grid, 3, "! no answer for 7 s");
	row_has(&grid, 4, "and 4 more");
	about.trouble = NULL;
	about.waiting_s = 0;
	status->last_error = status->upgrade_error = NULL;
	status->alarms = "weight, kernel";
	assert_int_equal(top_screen_draw(&grid, status, &view, &about), 0);
	row_has(&grid, 2, "! its weight has no effect");
	assert_int_equal(top_grid_at(&grid, 2, 0)->style, TOP_WARNING);
	row_has(&grid, 3, "! a setting of the kernel is in the way");
	assert_int_equal(top_grid_at(&grid, 3, 0)->style, TOP_ALARM);
	view.filter[0] = '*';
	view.paused = true;
	assert_int_equal(top_screen_draw(&grid, status, &view, &about), 0);
	row_has(&grid, 0, "PAUSED");
	row_has(&grid, 7, "nothing has a name like that");
	top_grid_free(&grid);
	top_status_free(status);
}

static void test_thousands(void **state)
{
	const struct top_about about = {.mount = "/mnt", .every_s = 1};
	struct top_view view = {.sort = TOP_BY_NAME, .reverse = true};
	struct top_grid grid = {0};
	struct top_status *status;
	struct text text;
	char name[16];

	(void)state;
	begin(&text, 1, 1);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "vm%04u.img", i);
		add_file(&text, name, "\"acme\"", i);
	}
	status = end(&text);
	assert_int_equal(top_grid_resize(&grid, 80, 24), 0);
	assert_int_equal(top_screen_draw(&grid, status, &view, &about), 0);
	row_has(&grid, 6, "vm4999.img");
	row_has(&grid, 23, "1-19 of 5002");
	top_view_key(&view, TOP_KEY_END);
	assert_int_equal(top_screen_draw(&grid, status, &view, &about), 0);
	row_has(&grid, 22, "vm0000.img");
	row_has(&grid, 23, "4984-5002 of 5002");
	top_grid_free(&grid);
	top_status_free(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),	  cmocka_unit_test(test_filter),
		cmocka_unit_test(test_cursor),	  cmocka_unit_test(test_rows),
		cmocka_unit_test(test_words),	  cmocka_unit_test(test_columns),
		cmocka_unit_test(test_text),	  cmocka_unit_test(test_bars),
		cmocka_unit_test(test_any_size),  cmocka_unit_test(test_what_is_wrong),
		cmocka_unit_test(test_thousands),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8")) {
		fprintf(stderr, "[  SKIPPED ] no locale C.UTF-8\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
