/* SPDX-License-Identifier: MIT */
/*
 * sched.c - what the scheduler library costs: fbs_push(), fbs_next(), fbs_done(), and the
 * fbs_next() that says no, in nanoseconds for each request.
 *
 *     bench-sched [-r ROUNDS] [-s PLOT.svg] [-p PART OF A ROW'S NAME] > TABLE.md
 *
 * The loads are made so that the library is all there is: time is a number that is counted up, the
 * disk answers in the order in which it was asked. Rounds go through all rows one after the other,
 * so that whatever else the machine does falls on all alike; a cell is the median of processor
 * time, with the quartiles beside it. Exit status 1: memory was allocated on the way, or a target
 * is missed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "sched.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REQUESTS 40000U /* measured at a time */
/* A disk of 100,000 IO/s, and 32 of them at a time. */
#define STEP_NS 10000U
#define LATENCY_NS 320000U
#define IN_FLIGHT 32U
#define ROUNDS_MOST 99

static const unsigned leaves[] = {1, 10, 100, 1000, 10000};
#define SIZES COUNT(leaves)

enum load {
	BACKLOGGED, /* every leaf has two requests queued all the time */
	ONE,	    /* one request at a time: in, out, done */
	SYNC,	    /* every leaf has one request outstanding, and the next after its answer */
};

enum limits { NONE, CAPS, TIGHT_CAPS, PROMISES };

struct row {
	const char *name;
	enum load load;
	bool tree; /* depth 3, else flat */
	enum limits limits;
	enum fbs_policy policy;
	unsigned io_throttle;
	bool strict;
};

#define ROW(text, ...)                    \
	{                                 \
		.name = text, __VA_ARGS__ \
	}

static const struct row rows[] = {
	ROW("all have requests queued"),
	ROW("one in, one out", .load = ONE),
	ROW("queued, tree", .tree = true),
	ROW("one in, one out, tree", .load = ONE, .tree = true),
	ROW("queued, io_throttle = 32", .io_throttle = IN_FLIGHT),
	ROW("queued, policy weight", .policy = FBS_POLICY_WEIGHT),
	ROW("queued, weight, io_throttle = 32", .policy = FBS_POLICY_WEIGHT,
	    .io_throttle = IN_FLIGHT),
	ROW("queued, all six caps", .limits = CAPS),
	ROW("one in, one out, all six caps", .load = ONE, .limits = CAPS),
	ROW("queued, caps that hold", .limits = TIGHT_CAPS),
	ROW("queued, caps, tree", .limits = CAPS, .tree = true),
	ROW("queued, reservations", .limits = PROMISES),
	ROW("one in, one out, reservations", .load = ONE, .limits = PROMISES),
	ROW("queued, reservations, tree", .limits = PROMISES, .tree = true),
	ROW("one each, kept free for", .load = SYNC, .io_throttle = 1, .strict = true),
	ROW("one each, kept free for, tree", .load = SYNC, .io_throttle = 1, .tree = true,
	    .strict = true),
};
#define ROWS COUNT(rows)

/* ns for a request; of the rows that all are measured against */
#define TARGET_10 300
#define TARGET_10000 600

/* ---- allocations ---- */

static unsigned long allocations;

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	allocations++;
	return __real_realloc(old, size);
}

/* ---- a load ---- */

struct bench {
	const struct row *row;
	unsigned n;
	struct fbs *fbs;
	struct fbs_node **leaf;
	struct fbs_req *reqs; /* two for each leaf */
	uint64_t now_ns;
	struct {
		struct fbs_slice slice;
		uint64_t at_ns;
	} out[4096]; /* a ring: the disk answers in order */
	unsigned first, nout;
	uint64_t last_ns; /* when the last of them will be done */
	unsigned long issued;
	unsigned at; /* leaf of ONE */
};

static void *checked(void *memory)
{
	if (!memory) {
		fprintf(stderr, "bench-sched: no memory\n");
		exit(1);
	}
	return memory;
}

static void push(struct bench *b, unsigned leaf, struct fbs_req *req)
{
	req->op = leaf % 4 ? FBS_READ : FBS_WRITE;
	req->pos_bytes = 0;
	req->end_bytes = 4096;
	fbs_push(b->fbs, b->leaf[leaf], req, b->now_ns);
}

static void push_again(struct bench *b, struct fbs_req *req)
{
	push(b, (unsigned)(req - b->reqs) / 2, req);
}

static void limit(struct bench *b, struct fbs_node *node)
{
	uint64_t iops = 1000000000U / STEP_NS / b->n;
	struct fbs_max max = {100000000, 1000000000000, 100000000, 1000000000000,
			      100000000, 1000000000000, 4096,	   1000000000};
	struct fbs_cap *cap;

	if (b->row->limits == NONE)
		return;
	if (b->row->limits == PROMISES) {
		fbs_set_min(b->fbs, node, &(struct fbs_min){.iops = iops / 2 + 1});
		return;
	}
	if (b->row->limits == TIGHT_CAPS)
		max = (struct fbs_max){.iops = iops / 2 + 1};
	cap = checked(fbs_cap_create(&max));
	fbs_set_cap(b->fbs, node, cap);
	fbs_cap_unref(cap);
}

/* Flat: leaves below the root. Else groups of groups of leaves, about the cube root of n each. */
static void grow(struct bench *b)
{
	struct fbs_node *parent = fbs_root(b->fbs), *outer = parent;
	unsigned fan = 1;

	while (fan * fan * fan < b->n)
		fan++;
	for (unsigned i = 0; i < b->n; i++) {
		if (b->row->tree && i % (fan * fan) == 0)
			outer = checked(fbs_add_group(b->fbs, fbs_root(b->fbs), 100));
		if (b->row->tree && i % fan == 0)
			parent = checked(fbs_add_group(b->fbs, outer, 100));
		b->leaf[i] = checked(fbs_add_leaf(b->fbs, parent, 1 + i % 100));
		limit(b, b->leaf[i]);
	}
}

static void begin(struct bench *b, const struct row *row, unsigned n)
{
	struct fbs_params params = {.policy = row->policy,
				    .io_throttle = row->io_throttle,
				    .isolation = row->strict ? FBS_ISOLATION_STRICT
							     : FBS_ISOLATION_THROUGHPUT};

	*b = (struct bench){.row = row, .n = n, .now_ns = 1000000000};
	b->fbs = checked(fbs_create(&params));
	b->leaf = checked(calloc(n, sizeof(struct fbs_node *)));
	b->reqs = checked(calloc(2 * (size_t)n, sizeof(*b->reqs)));
	grow(b);
	for (unsigned i = 0; i < 2 * n && row->load != ONE; i += row->load == SYNC ? 2 : 1)
		push(b, i / 2, &b->reqs[i]);
}

static void end(struct bench *b)
{
	for (; b->nout; b->nout--, b->first++)
		fbs_done(b->fbs, &b->out[b->first % COUNT(b->out)].slice, b->now_ns);
	fbs_destroy(b->fbs);
	free(b->leaf);
	free(b->reqs);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Whatever may go goes. */
static void issue(struct bench *b)
{
	struct fbs_slice slice;

	while (fbs_next(b->fbs, b->now_ns, &slice)) {
		unsigned i = (b->first + b->nout++) % COUNT(b->out);

		if (b->nout > COUNT(b->out)) {
			fprintf(stderr, "bench-sched: no end of what is in flight\n");
			exit(1);
		}
		b->last_ns = later(b->last_ns + STEP_NS, b->now_ns + LATENCY_NS);
		b->out[i].slice = slice;
		b->out[i].at_ns = b->last_ns;
		b->issued++;
		if (b->row->load == BACKLOGGED)
			push_again(b, slice.req);
	}
}

static void step(struct bench *b)
{
	unsigned i = b->first % COUNT(b->out);

	if (b->row->load == ONE) {
		b->at = (b->at + 7919) % b->n;
		push(b, b->at, &b->reqs[2 * b->at]);
	}
	issue(b);
	if (!b->nout) { /* caps hold all of them */
		b->now_ns = fbs_wakeup(b->fbs);
		return;
	}
	b->first++;
	b->nout--;
	b->now_ns = later(b->now_ns, b->out[i].at_ns);
	fbs_done(b->fbs, &b->out[i].slice, b->now_ns);
	if (b->row->load == SYNC) {
		issue(b); /* nothing: it is kept free for the next one of the same */
		push_again(b, b->out[i].slice.req);
	}
}

static void run(struct bench *b, unsigned long requests)
{
	unsigned long until = b->issued + requests;

	while (b->issued < until)
		step(b);
}

/* Of our own: whatever else runs takes caches, but not time. */
static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ns for a request */
static double measure(const struct row *row, unsigned n)
{
	static struct bench b;
	unsigned long before;
	uint64_t start_ns, took_ns;

	begin(&b, row, n);
	run(&b, 4 * (n > 1000 ? n : 1000)); /* to get in step, and into the caches what fits */
	before = allocations;
	start_ns = cpu_ns();
	run(&b, REQUESTS);
	took_ns = cpu_ns() - start_ns;
	if (allocations != before) {
		fprintf(stderr, "bench-sched: %s, %u leaves: memory was allocated\n", row->name, n);
		exit(1);
	}
	end(&b);
	return (double)took_ns / REQUESTS;
}

/* ---- results ---- */

static unsigned rounds = 9;
static double took_ns[ROWS][SIZES][ROUNDS_MOST]; /* sorted in the end */
static bool wanted[ROWS];

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(size_t row, size_t size, double part)
{
	return took_ns[row][size][(unsigned)(part * (rounds - 1) + 0.5)];
}

static void print_machine(void)
{
	struct utsname name;
	char line[256], model[200] = "unknown";
	FILE *cpus = fopen("/proc/cpuinfo", "r");

	while (cpus && fgets(line, sizeof(line), cpus))
		if (sscanf(line, "model name : %199[^\n]", model) == 1)
			break;
	if (cpus)
		fclose(cpus);
	uname(&name);
	name.release[strcspn(name.release, "-")] = 0;
	printf("fbs_push(), fbs_next(), fbs_done() and the fbs_next() that says no: ns for a "
	       "request, "
	       "median and quartiles of %u rounds of %u requests. %s, %ld cores, Linux %s, gcc %s. "
	       "Made by bench-sched; what the rows mean is in bench/sched.c.\n\n",
	       rounds, REQUESTS, model, sysconf(_SC_NPROCESSORS_ONLN), name.release, __VERSION__);
}

static void print_table(void)
{
	printf("| leaves |");
	for (size_t s = 0; s < SIZES; s++)
		printf(" %u |", leaves[s]);
	printf("\n|---|");
	for (size_t s = 0; s < SIZES; s++)
		printf("--:|");
	printf("\n");
	for (size_t r = 0; r < ROWS; r++) {
		if (!wanted[r])
			continue;
		printf("| %s |", rows[r].name);
		for (size_t s = 0; s < SIZES; s++)
			printf(" **%.0f** %.0f-%.0f |", quantile(r, s, 0.5), quantile(r, s, 0.25),
			       quantile(r, s, 0.75));
		printf("\n");
	}
}

/* The targets are for the first two rows. */
static bool print_targets(void)
{
	bool met = true;

	printf("\n");
	for (size_t r = 0; r < 2; r++) {
		double ten = quantile(r, 1, 0.5), all = quantile(r, 4, 0.5);

		if (!wanted[r])
			continue;
		printf("%s: %.0f ns of %d with 10 leaves, %.0f ns of %d with 10,000%s.  \n",
		       rows[r].name, ten, TARGET_10, all, TARGET_10000,
		       ten <= TARGET_10 && all <= TARGET_10000 ? "" : ": MISSED");
		met = met && ten <= TARGET_10 && all <= TARGET_10000;
	}
	printf("Nothing was allocated. What 10,000 leaves touch does not fit into the caches of a "
	       "core: those figures are also of what else shares the last one.\n");
	return met;
}

/* Leaves to the right, a factor of ten each; ns upwards, 100 for 40 pixels. */
static void plot(const char *path)
{
	static const char *const colours[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7",
					      "#d55e00", "#56b4e9", "#999999", "#000000"};
	FILE *svg = fopen(path, "w");

	if (!svg) {
		perror(path);
		exit(1);
	}
	fprintf(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"480\" "
		     "font-family=\"sans-serif\" font-size=\"12\">\n"
		     "<rect width=\"860\" height=\"480\" fill=\"white\"/>\n"
		     "<text x=\"10\" y=\"20\">ns for a request, by the number of leaves</text>\n");
	for (unsigned y = 0; y <= 10; y++)
		fprintf(svg,
			"<path d=\"M50 %u h520\" stroke=\"#dddddd\"/>"
			"<text x=\"10\" y=\"%u\">%u</text>\n",
			440 - 40 * y, 444 - 40 * y, 100 * y);
	for (size_t s = 0; s < SIZES; s++)
		fprintf(svg, "<text x=\"%zu\" y=\"460\">%u</text>\n", 60 + 120 * s, leaves[s]);
	for (size_t r = 0; r < ROWS; r++) {
		const char *colour = colours[r % COUNT(colours)];

		if (!wanted[r])
			continue;
		fprintf(svg, "<polyline fill=\"none\" stroke=\"%s\"%s points=\"", colour,
			r < COUNT(colours) ? "" : " stroke-dasharray=\"6 3\"");
		for (size_t s = 0; s < SIZES; s++)
			fprintf(svg, "%zu,%.1f ", 65 + 120 * s, 440 - 0.4 * quantile(r, s, 0.5));
		fprintf(svg, "\"/>\n<text x=\"600\" y=\"%zu\" fill=\"%s\">%s%s</text>\n",
			60 + 24 * r, colour, r < COUNT(colours) ? "" : "- ", rows[r].name);
	}
	fprintf(svg, "</svg>\n");
	if (fclose(svg)) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const char *svg = NULL, *part = "";
	bool met;

	for (int option; (option = getopt(argc, argv, "r:s:p:")) != -1;) {
		switch (option) {
		case 'r':
			rounds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			svg = optarg;
			break;
		case 'p':
			part = optarg;
			break;
		default:
			return 2;
		}
	}
	if (rounds < 1 || rounds > ROUNDS_MOST || optind != argc) {
		fprintf(stderr, "bench-sched: 1 to %d rounds\n", ROUNDS_MOST);
		return 2;
	}
	for (unsigned round = 0; round < rounds; round++)
		for (size_t s = 0; s < SIZES; s++)
			for (size_t r = 0; r < ROWS; r++)
				if ((wanted[r] = strstr(rows[r].name, part)))
					took_ns[r][s][round] = measure(&rows[r], leaves[s]);
	for (size_t r = 0; r < ROWS; r++)
		for (size_t s = 0; s < SIZES; s++)
			qsort(took_ns[r][s], rounds, sizeof(double), by_value);
	print_machine();
	print_table();
	met = print_targets();
	if (svg)
		plot(svg);
	return met ? 0 : 1;
}
