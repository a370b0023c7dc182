/* SPDX-License-Identifier: MIT */
/* settings.c - see settings.h. */
#include "settings.h"
#include "partitions.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#define WORKERS_AUTO_MAX 2L
#define MEMORY_UNKNOWN_BYTES (UINT64_C(256) << 20) /* where nobody says how much there is */

int settings_read(const char *config, const char *mountpoint, struct conf_errors *errors,
		  struct conf_errors *notes, struct conf_text *ret_text, struct conf **ret_conf)
{
	struct conf_text text = {0};
	struct conf *conf = NULL;
	int r = conf_read(config, errors, &text);

	if (r)
		return r;
	r = conf_parse(&text, errors, &conf);
	if (!r)
		r = partitions_read(conf, mountpoint, &text, errors, notes);
	if (!r)
		r = conf_expand(conf, &text, errors, notes);
	if (r) {
		conf_free(conf);
		conf_text_free(&text);
		return r;
	}
	*ret_text = text;
	*ret_conf = conf;
	return 0;
}

enum log_level settings_log_level(const struct conf_main *conf, bool debug)
{
	static const enum log_level levels[] = {
		[CONF_LEVEL_ERROR] = LOG_LEVEL_ERROR,
		[CONF_LEVEL_WARNING] = LOG_LEVEL_WARNING,
		[CONF_LEVEL_INFO] = LOG_LEVEL_INFO,
		[CONF_LEVEL_DEBUG] = LOG_LEVEL_DEBUG,
	};

	return debug ? LOG_LEVEL_DEBUG : levels[conf->log_level];
}

uint64_t settings_memory_bytes(const struct conf_main *conf)
{
	struct sysinfo info;

	if (conf->memory_bytes)
		return conf->memory_bytes;
	if (sysinfo(&info))
		return MEMORY_UNKNOWN_BYTES;
	return (uint64_t)info.totalram * info.mem_unit / 4;
}

unsigned settings_workers(const struct conf_main *conf)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (conf->workers)
		return conf->workers;
	return cpus < 1 ? 1 : (unsigned)(cpus < WORKERS_AUTO_MAX ? cpus : WORKERS_AUTO_MAX);
}
