/*
 * value.h - the types a configuration value may have, and their text.
 *
 * Purpose: one parser and one printer a type, so that a YAML file, the
 *   environment, a flag and --print-config agree. Every printer's text is
 *   accepted by its parser and yields the same value.
 * Threads: any. Memory: fixed sizes, by value.
 * Invariants: 1. A parser writes its result only when it returns true. 2. When
 *   it returns false, why->text says what is wrong with the text, for a person.
 */
#ifndef SLIPRINGD_VALUE_H
#define SLIPRINGD_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

enum {
	VALUE_TEXT_SIZE = 160,    /* of a text field, NUL included */
	VALUE_NAME_SIZE = 32,     /* of a name: node, profile */
	VALUE_ITEM_SIZE = 64,     /* of a text in a list */
	VALUE_LIST_MAX = WORKER_MAX,
	VALUE_WHY_SIZE = 200,
};

struct numbers {
	uint32_t count;
	uint32_t values[VALUE_LIST_MAX];
};

struct texts {
	uint32_t count;
	char values[VALUE_LIST_MAX][VALUE_ITEM_SIZE];
};

/* An address in its network; len 0 means none was given. */
struct ipv4_prefix {
	uint8_t address[4];
	uint8_t len;
};

struct ipv6_prefix {
	uint8_t address[16];
	uint8_t len;
};

/* A network; IPv4 is mapped, so 10.0.0.0/8 has len 104. */
struct prefix {
	uint8_t ip[16];
	uint8_t len;
};

struct prefixes {
	uint32_t count;
	struct prefix values[VALUE_LIST_MAX];
};

struct why {
	char text[VALUE_WHY_SIZE];
};

/* Fills *why and returns false. */
bool value_refuse(struct why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Digits only, decimal. */
bool value_number_parse(const char *text, uint64_t *number, struct why *why);
/* Bytes: 4096, 64K, 64M, 2G, 1T (powers of 1024; 64MB and 64MiB mean the same). */
bool value_size_parse(const char *text, uint64_t *bytes, struct why *why);
/* Nanoseconds: a number and ns, us, ms, s, m or h. */
bool value_duration_parse(const char *text, uint64_t *ns, struct why *why);
/* true, yes, on, false, no, off. */
bool value_bool_parse(const char *text, bool *flag, struct why *why);
/* Letters, digits, '.', '_' and '-', at most VALUE_NAME_SIZE - 1. */
bool value_name_parse(const char *text, char name[VALUE_NAME_SIZE], struct why *why);
/* A host address with its prefix length: 10.9.0.1/24. */
bool value_ipv4_prefix_parse(const char *text, struct ipv4_prefix *prefix, struct why *why);
/* The same of IPv6: fd09::1/64. No link-local one: that follows from the MAC. */
bool value_ipv6_prefix_parse(const char *text, struct ipv6_prefix *prefix, struct why *why);
/* A network of IPv4 and the router that leads there: 10.20.0.0/16@10.9.0.253. */
bool value_route_parse(const char *text, struct ipv4_prefix *network, uint8_t router[4], struct why *why);
/* A network, IPv4 or IPv6, no bits beyond its length; a bare address is one host. */
bool value_prefix_parse(const char *text, struct prefix *prefix, struct why *why);
/* A unicast MAC address: 02:00:00:00:09:01. */
bool value_mac_parse(const char *text, uint8_t mac[6], struct why *why);

/* Printers write at most size bytes, NUL included. */
void value_size_print(uint64_t bytes, char *text, size_t size);
void value_duration_print(uint64_t ns, char *text, size_t size);
void value_ipv4_prefix_print(const struct ipv4_prefix *prefix, char *text, size_t size);
void value_prefix_print(const struct prefix *prefix, char *text, size_t size);
void value_mac_print(const uint8_t mac[6], char *text, size_t size);

#endif
