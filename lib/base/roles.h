/*
 * roles.h - which thread may call a function, checked at compile time.
 *
 * Purpose: a function that belongs to one kind of thread says so in its
 *   declaration; `make roles` (clang's thread-safety analysis) refuses a caller that
 *   does not have the role. There are three: the worker role, of an lcore in its
 *   poll loop (owner of its shard, port and mailbox), and the main role, of the
 *   thread that starts and stops things. Functions without a role are for any thread.
 * How: a role is a capability that nobody ever locks. A thread's first function
 *   takes it on with role_worker_begin(), role_core_begin() or role_main_begin(); callees demand it.
 * Bounds: calls through function pointers are not followed, and two workers have
 *   the same role: that one does not touch another's shard is the headers' word
 *   and `make race`'s subject.
 * Source: clang, "Thread Safety Analysis".
 */
#ifndef BASE_ROLES_H
#define BASE_ROLES_H

#ifdef __clang__
struct __attribute__((capability("role"))) role {
	char unused;
};
extern struct role role_worker, role_core, role_main; /* only named in attributes: never defined */
#define ON_WORKER __attribute__((requires_capability(role_worker)))
#define ON_CORE __attribute__((requires_capability(role_core)))
#define ON_MAIN __attribute__((requires_capability(role_main)))
static inline void role_worker_begin(void) __attribute__((assert_capability(role_worker)));
static inline void role_core_begin(void) __attribute__((assert_capability(role_core)));
static inline void role_main_begin(void) __attribute__((assert_capability(role_main)));
#else
#define ON_WORKER
#define ON_CORE
#define ON_MAIN
#endif

/* First thing in a worker's loop function. */
static inline void
role_worker_begin(void)
{
}

/* First thing in the control core's loop function. */
static inline void
role_core_begin(void)
{
}

/* First thing in main(). */
static inline void
role_main_begin(void)
{
}

#endif
