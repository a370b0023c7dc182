/* SPDX-License-Identifier: MIT */
/*
 * data_path.h - what a process does that the parent has made to serve (supervise.h).
 *
 * It starts as a copy of the parent: with its estate, and with what a new parent would have to know
 * (handover.h). It lets go of what is the parent's alone, serves, and tells the parent how far it
 * has come. Should the parent die it starts another one from that knowledge, as often as need be:
 * a program of its own, so that it begins with little memory and no threads.
 *
 *     fork() --- PREPARED ----- GO ----- READY --------------- FAREWELL
 *                (a standby)                |  the link ends
 *                                           +--> a new parent, by a new link
 */
#ifndef FUSEBAND_DATA_PATH_H
#define FUSEBAND_DATA_PATH_H

#include "handover.h"

/*
 * In the new process, for the rest of its life. link: to the parent; first: nothing is mounted yet,
 * otherwise it stands by.
 */
_Noreturn void data_path_run(struct handover *state, int link, bool first);

#endif
