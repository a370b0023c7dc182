/* SPDX-License-Identifier: MIT */
/* restart.c - see restart.h. */
#include "restart.h"

#define SEC_NS UINT64_C(1000000000)
#define SHORT_LIFE_NS (SEC_NS / 10) /* of one that was killed */
#define SHORT_CRASH_NS SEC_NS
#define PAUSE_NS (SEC_NS / 100) /* for each that is counted beyond RESTART_AT_ONCE */
#define SAME_SIGNAL_NS SEC_NS

void restart_begin(struct restart *restart, uint64_t now_ns)
{
	restart->began_ns = now_ns;
}

bool restart_again(struct restart *restart, bool crashed, uint64_t now_ns, uint64_t *ret_pause_ns)
{
	bool is_short = now_ns - restart->began_ns < (crashed ? SHORT_CRASH_NS : SHORT_LIFE_NS);

	if (!is_short)
		restart->short_lives = 0;
	else
		restart->short_lives += crashed ? RESTART_CRASH_COUNTS : 1;
	if (restart->short_lives >= RESTART_MOST)
		return false;
	*ret_pause_ns = restart->short_lives > RESTART_AT_ONCE
				? (restart->short_lives - RESTART_AT_ONCE) * PAUSE_NS
				: 0;
	return true;
}

void restart_pulse_begin(struct restart_pulse *pulse, uint64_t now_ns)
{
	pulse->since_ns = now_ns;
}

bool restart_is_silent(struct restart_pulse *pulse, uint64_t beats, uint64_t silent_ns,
		       uint64_t now_ns)
{
	bool silent = beats == pulse->beats;

	if (silent && now_ns - pulse->since_ns <= silent_ns)
		return false;
	*pulse = (struct restart_pulse){.beats = beats, .since_ns = now_ns};
	return silent;
}

bool restart_is_new_signal(struct restart_signals *signals, int signo, bool at_data_path,
			   uint64_t now_ns)
{
	struct restart_signal *signal;

	if (signo <= 0 || signo >= NSIG)
		return false;
	signal = &signals->of[signo];
	if (now_ns - signal->last_ns > SAME_SIGNAL_NS)
		*signal = (struct restart_signal){0};
	signal->last_ns = now_ns;
	if (++signal->times[at_data_path] <= signal->acted)
		return false;
	signal->acted++;
	return true;
}
