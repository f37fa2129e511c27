#include "slipringd/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/endpoint.h"
#include "base/now.h"

struct resolver {
	struct resolver_config config; /* names' addresses: the thread's */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* under the mutex, and so are calls of the config's functions but lookup */
	bool stop, ended, orphan; /* orphan: whoever stopped it did not wait, and its thread frees it */
};

int
resolver_ask(const char *host, struct peer_address *address)
{
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM };
	struct addrinfo *found = NULL;
	int failed = getaddrinfo(host, NULL, &hints, &found);

	if (failed)
		return failed;
	endpoint_map_ipv4(address->ip, &((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr);
	freeaddrinfo(found);
	return 0;
}

bool
resolver_lookup(const char *host, struct peer_address *address)
{
	return resolver_ask(host, address) == 0;
}

static void
in_ms(struct timespec *at, uint32_t ms)
{
	clock_gettime(CLOCK_MONOTONIC, at);
	at->tv_nsec += (long)(ms % 1000) * 1000000;
	at->tv_sec += (time_t)(ms / 1000) + at->tv_nsec / (long)NS_PER_SEC;
	at->tv_nsec %= (long)NS_PER_SEC;
}

/* False: stop. */
static bool
sleep_step(struct resolver *r)
{
	struct timespec until;
	bool stop;

	in_ms(&until, r->config.step_ms);
	pthread_mutex_lock(&r->mutex);
	while (!r->stop && pthread_cond_timedwait(&r->changed, &r->mutex, &until) == 0)
		;
	stop = r->stop;
	pthread_mutex_unlock(&r->mutex);
	return !stop;
}

/* Which names to look up; none when it is time to stop. */
static uint32_t
absent(struct resolver *r)
{
	uint32_t bits;

	pthread_mutex_lock(&r->mutex);
	bits = r->stop ? 0 : r->config.absent(r->config.context);
	pthread_mutex_unlock(&r->mutex);
	return bits;
}

static void
look_up(struct resolver *r, uint32_t i)
{
	struct resolver_name *name = &r->config.names[i];
	struct peer_address address = name->address;

	if (!*name->host || !r->config.lookup(name->host, &address) || peer_address_equal(&address, &name->address))
		return;
	name->address = address;
	pthread_mutex_lock(&r->mutex);
	if (!r->stop)
		r->config.tell(r->config.context, i, name);
	pthread_mutex_unlock(&r->mutex);
}

static void
resolver_free(struct resolver *r)
{
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->mutex);
	free(r);
}

static void *
resolver_main(void *argument)
{
	struct resolver *r = argument;
	bool orphan;

	pthread_setname_np(pthread_self(), "resolver");
	while (sleep_step(r))
		for (uint32_t i = 0, bits = absent(r); i < r->config.count; i++)
			if (bits >> i & 1)
				look_up(r, i);
	pthread_mutex_lock(&r->mutex);
	r->ended = true;
	pthread_cond_broadcast(&r->changed);
	orphan = r->orphan;
	pthread_mutex_unlock(&r->mutex);
	if (orphan)
		resolver_free(r);
	return NULL;
}

static bool
any_name(const struct resolver_config *config)
{
	for (uint32_t i = 0; i < config->count; i++)
		if (*config->names[i].host)
			return true;
	return false;
}

static struct resolver *
resolver_create(const struct resolver_config *config)
{
	struct resolver *r = calloc(1, sizeof *r);
	pthread_condattr_t attributes;

	if (!r)
		return NULL;
	r->config = *config;
	pthread_mutex_init(&r->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return r;
}

enum status
resolver_start(const struct resolver_config *config, struct resolver **resolver, struct error *error)
{
	struct resolver *r;

	*resolver = NULL;
	if (!any_name(config))
		return STATUS_OK;
	r = resolver_create(config);
	int failed = r ? pthread_create(&r->thread, NULL, resolver_main, r) : ENOMEM;
	if (!failed) {
		*resolver = r;
		return STATUS_OK;
	}
	if (r)
		resolver_free(r);
	return error_set(error, STATUS_UNAVAILABLE, "cannot start the thread that looks up seeds: %s", strerror(failed));
}

void
resolver_stop(struct resolver *r)
{
	struct timespec until;
	pthread_t thread;
	bool orphan;

	if (!r)
		return;
	thread = r->thread;
	in_ms(&until, RESOLVER_STOP_MS);
	pthread_mutex_lock(&r->mutex);
	r->stop = true;
	pthread_cond_broadcast(&r->changed);
	while (!r->ended && pthread_cond_timedwait(&r->changed, &r->mutex, &until) == 0)
		;
	orphan = r->orphan = !r->ended;
	pthread_mutex_unlock(&r->mutex);
	if (orphan) {
		pthread_detach(thread);
		return;
	}
	pthread_join(thread, NULL);
	resolver_free(r);
}
