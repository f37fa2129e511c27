/*
 * race.h - what the thread sanitizer cannot see: order made inside a library.
 *
 * Purpose: rte_hash and liburcu are not compiled with the sanitizer, so it misses
 *   that their stores and loads order ours. A leaf says so with these; in every
 *   other build they are nothing. They may stand only where the library gives
 *   that order, or they hide real races.
 * Threads: any. Memory: none.
 */
#ifndef BASE_RACE_H
#define BASE_RACE_H

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BASE_RACE_TSAN 1
#endif
#endif

#include <stdint.h>

#ifdef BASE_RACE_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define RACE_RELEASE(address) __tsan_release((void *)(uintptr_t)(address))
#define RACE_ACQUIRE(address) __tsan_acquire((void *)(uintptr_t)(address))
/* A function that a library calls inside its own order. */
#define RACE_UNSEEN __attribute__((no_sanitize("thread")))
#else
#define RACE_UNSEEN
#define RACE_RELEASE(address) ((void)(address))
#define RACE_ACQUIRE(address) ((void)(address))
#endif

#endif
