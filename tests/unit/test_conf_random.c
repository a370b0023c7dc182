/* SPDX-License-Identifier: MIT */
/*
 * test_conf_random.c - random mutations of a good configuration: what conf_parse() accepts inih has
 * to find, too; what it refuses it has complaints about. SEED=N repeats a run, ROUNDS=N makes it
 * longer.
 */
#include "tests/sim/sim.h"
#include "tests/unit/conf_rig.h"

#include <ini.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

static struct sim_rng rng;

static const char good_text[] = "; every kind of section\n"
				"[fuseband]\n"
				"workers = 2\n"
				"memory = 64M\n"
				"[device:ssd]\n"
				"policy = cost ; as ever\n"
				"io_throttle = auto\n"
				"read_bps = 500M\n"
				"[group:acme]\n"
				"weight = 300\n"
				"max_iops = 1000\n"
				"burst = 5s\n"
				"[group:web]\n"
				"parent = acme\n"
				"min_iops = 500\n"
				"[vm1.img]\n"
				"path = /dev/sda11\n"
				"weight = 400\n"
				"parent = web\n"
				"mode = 0640\n"
				"[vm2.img]\r\n"
				"path = /srv/vm2.img\r\n"
				"offset = 1M\n"
				"size = 10G\n"
				"device = ssd\n"
				"readonly = yes\n"
				"class = idle\n"
				"min_bps = 1M\n"
				"max_bps = 10M\n";

/* inih alone, on a text that conf_parse() accepted, has to find the same. */
static int compare_pair(void *arg, const char *section, const char *name, const char *value)
{
	const struct conf *conf = arg;

	for (size_t i = 0; i < conf->n_files; i++) {
		const struct conf_file *file = &conf->files[i];

		if (strcmp(file->name, section) != 0)
			continue;
		if (strcmp(name, "path") == 0)
			assert_string_equal(file->path, value);
		if (strcmp(name, "weight") == 0)
			assert_int_equal(file->weight, atoi(value));
		if (strcmp(name, "parent") == 0)
			assert_string_equal(conf->groups[file->parent].name, value);
		if (strcmp(name, "device") == 0)
			assert_string_equal(conf->devices[file->device].name, value);
		return 1;
	}
	assert_true(strcmp(section, "fuseband") == 0 || strchr(section, ':') != NULL);
	return 1;
}

static void check_accepted(struct conf *conf, const char *text)
{
	assert_in_range(conf->n_files, 1, 1000);
	for (size_t i = 0; i < conf->n_files; i++) {
		const struct conf_file *file = &conf->files[i];

		assert_int_equal(file->path[0], '/');
		assert_in_range(file->weight, 1, CONF_WEIGHT_MAX);
		assert_in_range(file->device + 1, 0, conf->n_devices);
		assert_in_range(file->parent + 1, 0, conf->n_groups);
		assert_int_equal(file->size_bytes % 512, 0);
		assert_true(!file->limits.max_bps || file->limits.min_bps <= file->limits.max_bps);
		for (int g = file->parent; g >= 0; g = conf->groups[g].parent)
			assert_true(!conf->groups[g].limits.max_bps ||
				    file->limits.min_bps <= conf->groups[g].limits.max_bps);
		assert_null(strchr(file->name, '/'));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(file->name, conf->files[j].name);
	}
	for (size_t i = 0; i < conf->n_groups; i++) {
		size_t steps = 0, place = 0;

		for (int j = conf->groups[i].parent; j >= 0; j = conf->groups[j].parent)
			assert_in_range(++steps, 1, conf->n_groups);
		while (conf->parents_first[place] != i) /* every group has one */
			assert_in_range(++place, 0, conf->n_groups - 1);
		for (size_t k = place; k < conf->n_groups; k++)
			assert_int_not_equal(conf->groups[i].parent, conf->parents_first[k]);
	}
	assert_int_equal(ini_parse_string(text, compare_pair, conf), 0);
}

/* Messages come in the order of their lines, and none is empty or upsets a terminal. */
static void check_messages(const struct conf_errors *errors)
{
	int last = 0;

	for (size_t i = 0; i < errors->n; i++) {
		const char *text = errors->list[i].text;
		int line = 0;

		assert_int_equal(strncmp(text, "random.ini:", 11), 0);
		if (sscanf(text + 11, "%d", &line) == 1)
			assert_in_range(line, last, 10000);
		last = line;
		for (; *text; text++)
			assert_true((unsigned char)*text >= 0x20 && *text != 0x7f);
	}
}

/* Replace, insert or delete a few bytes; or copy, drop a line. */
static size_t mutate(char *text, size_t len, size_t room)
{
	/* clang-format off */
	static const char *const pieces[] = {
		"\n", "[", "]", "=", ":", ";", " ;", " ", "\t", "\r", "\n[vm3]\n", "\npath=/",
		"weight=1\n", "0", "9", "\xc3", "\xc3\xa9", "\xef\xbb\xbf", "group:", "device:",
		"\n[group:web]\n", "parent = web\n", "parent = acme\n", "K", "T",
		"18446744073709551615", ".", "/", "auto", "min_bps = 2M\n", "max_bps = 1M\n"};
	/* clang-format on */
	size_t at = sim_rng_below(&rng, len + 1), n;
	const char *piece;

	switch (sim_rng_below(&rng, 5)) {
	case 0: /* a random byte */
		if (at < len)
			text[at] = (char)sim_rng_below(&rng, 256);
		return len;
	case 1: /* a piece */
		piece = pieces[sim_rng_below(&rng, sizeof(pieces) / sizeof(pieces[0]))];
		n = strlen(piece);
		if (len + n > room)
			return len;
		memmove(text + at + n, text + at, len - at);
		memcpy(text + at, piece, n);
		return len + n;
	case 2: /* a few bytes less */
		n = sim_rng_below(&rng, 6);
		if (at + n > len)
			return len;
		memmove(text + at, text + at + n, len - at - n);
		return len - n;
	case 3: /* a stretch twice */
		n = sim_rng_below(&rng, 40);
		if (at + n > len || len + n > room)
			return len;
		memmove(text + at + n, text + at, len - at);
		return len + n;
	default: /* a flipped bit */
		if (at < len)
			text[at] = (char)(text[at] ^ 1 << sim_rng_below(&rng, 8));
		return len;
	}
}

static void test_random_mutations(void **state)
{
	const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
	unsigned long n_rounds = rounds ? strtoul(rounds, NULL, 0) : 5000, n_accepted = 0;

	(void)state;
	rng.state = seed ? strtoull(seed, NULL, 0)
			 : (unsigned long long)time(NULL) << 20 | (unsigned)getpid();
	print_message("SEED=%" PRIu64 "\n", rng.state);
	for (unsigned long round = 0; round < n_rounds; round++) {
		char *text = malloc(2048 + 1), *exact;
		size_t len = sizeof(good_text) - 1, n = 1 + sim_rng_below(&rng, 4);
		struct conf_errors errors = {NULL, 0};
		struct conf *conf = NULL;
		struct conf_source source;
		struct conf_text texts;
		int rc;

		assert_non_null(text);
		memcpy(text, good_text, len);
		while (n-- > 0)
			len = mutate(text, len, 2048);
		exact = malloc(len + 1); /* so that a sanitizer sees a step too far */
		assert_non_null(exact);
		memcpy(exact, text, len);
		exact[len] = '\0';
		source = source_of("random.ini", exact, len);
		texts = text_of(&source, 1);
		rc = conf_parse(&texts, &errors, &conf);
		if (rc == 0) {
			assert_int_equal(errors.n, 0);
			check_accepted(conf, exact);
			n_accepted++;
		} else {
			assert_int_equal(rc, -EINVAL);
			assert_in_range(errors.n, 1, CONF_ERRORS_MAX + 1);
			check_messages(&errors);
		}
		conf_errors_free(&errors);
		conf_free(conf);
		free(exact);
		free(text);
	}
	print_message("%lu of %lu accepted\n", n_accepted, n_rounds);
	assert_in_range(n_accepted, n_rounds / 100, n_rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
