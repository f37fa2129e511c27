/*
 * exposition.h - Prometheus' text format, version 0.0.4.
 *
 * Purpose: families of samples as text: HELP and TYPE once a family, labels escaped,
 *   names by Prometheus' conventions (base units, counters end in _total).
 * Threads: any, on the caller's struct. Memory: one growing text.
 * Invariants: 1. a family's samples stand together. 2. after memory ran out, nothing
 *   more is written and exposition_text is NULL.
 * Source: Prometheus, "Exposition formats" and "Metric and label naming".
 */
#ifndef CONTROL_EXPOSITION_H
#define CONTROL_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct exposition {
	FILE *out;
	char *text;
	size_t len;
	const char *family;
};

/* False: no memory. */
_Bool exposition_open(struct exposition *e);
/* Begins a family; type is "counter" or "gauge"; name and help are the caller's until the next. */
void exposition_family(struct exposition *e, const char *name, const char *type, const char *help);
/* One sample; labels are name and value in turn, ended by NULL. */
void exposition_integer(struct exposition *e, uint64_t value, const char *const *labels);
void exposition_real(struct exposition *e, double value, const char *const *labels);
/* The whole text (to be freed) and its length; NULL when memory ran out. Ends the struct. */
char *exposition_close(struct exposition *e, size_t *len);

#endif
