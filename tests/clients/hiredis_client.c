/* hiredis: hiredis_client HOST PORT. What it says is told in checks.py.
 * The test that runs it compiles it as well: with -lhiredis. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

static const char *host;
static int port;
static redisContext *c;
static int failed;

static void say(const char *name, bool good)
{
	printf(good ? "ok %s\n" : "not ok %s: %s\n", name, c && c->err ? c->errstr : "a wrong answer");
	fflush(stdout);
	failed += !good;
}

static redisContext *open_connection(void)
{
	struct timeval patience = { 10, 0 };
	redisContext *it = redisConnectWithTimeout(host, port, patience);

	if (it && !it->err)
		redisSetTimeout(it, patience);
	return it;
}

static bool is_text(redisReply *reply, const void *text, size_t len)
{
	bool good = reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) && (size_t)reply->len == len &&
		    memcmp(reply->str, text, len) == 0;

	freeReplyObject(reply);
	return good;
}

static bool is_number(redisReply *reply, long long number)
{
	bool good = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == number;

	freeReplyObject(reply);
	return good;
}

static bool is_nil(redisReply *reply)
{
	bool good = reply && reply->type == REDIS_REPLY_NIL;

	freeReplyObject(reply);
	return good;
}

static bool is_error(redisReply *reply, const char *begin)
{
	bool good = reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, begin, strlen(begin)) == 0;

	freeReplyObject(reply);
	return good;
}

static void large_values(void)
{
	static const size_t sizes[] = { 0, 1, 100, 1400, 1461, 16384, 65536, 300000, 1 << 20 };
	char *bytes = malloc(1 << 20), name[64];

	for (size_t i = 0; i < 1 << 20; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(name, sizeof(name), "value of %zu B", sizes[i]);
		say(name, is_text(redisCommand(c, "SET hiredis:l %b", bytes, sizes[i]), "OK", 2) &&
				  is_text(redisCommand(c, "GET hiredis:l"), bytes, sizes[i]));
	}
	free(bytes);
}

static void pipeline(int count)
{
	redisReply *reply;
	bool good = true;

	for (int i = 0; i < count; i++) {
		redisAppendCommand(c, "SET hiredis:p%d %d", i % 50, i);
		redisAppendCommand(c, "GET hiredis:p%d", i % 50);
	}
	for (int i = 0; i < count; i++) {
		char number[16];
		int len = snprintf(number, sizeof(number), "%d", i);

		good = good && redisGetReply(c, (void **)&reply) == REDIS_OK && is_text(reply, "OK", 2);
		good = good && redisGetReply(c, (void **)&reply) == REDIS_OK && is_text(reply, number, (size_t)len);
	}
	say("pipeline of 2000", good);
}

static void reconnects(void)
{
	bool good = true;

	for (int i = 0; i < 20 && good; i++)
		good = redisReconnect(c) == REDIS_OK && is_text(redisCommand(c, "SET hiredis:again %d", i), "OK", 2);
	say("reconnect", good);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	host = argv[1];
	port = atoi(argv[2]);
	printf("client hiredis %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
	c = open_connection();
	say("connect", c && !c->err);
	if (!c || c->err)
		return 1;
	say("set get del", is_text(redisCommand(c, "SET %s %s", "hiredis:a", "1"), "OK", 2) && is_text(redisCommand(c, "GET hiredis:a"), "1", 1) &&
				   is_number(redisCommand(c, "DEL hiredis:a"), 1) && is_nil(redisCommand(c, "GET hiredis:a")));
	say("keys of any bytes", is_text(redisCommand(c, "SET %b %b", "hiredis:\0\r\n\xff", (size_t)12, "\0\r\n", (size_t)3), "OK", 2) &&
					 is_text(redisCommand(c, "GET %b", "hiredis:\0\r\n\xff", (size_t)12), "\0\r\n", 3));
	say("counters", is_text(redisCommand(c, "SET hiredis:n 41"), "OK", 2) && is_number(redisCommand(c, "INCR hiredis:n"), 42));
	say("expiry", is_text(redisCommand(c, "SET hiredis:e 1 EX 100"), "OK", 2) && is_number(redisCommand(c, "PERSIST hiredis:e"), 1) &&
			      is_number(redisCommand(c, "TTL hiredis:e"), -1));
	say("errors", is_text(redisCommand(c, "SET hiredis:w word"), "OK", 2) && is_error(redisCommand(c, "INCR hiredis:w"), "ERR value is not") &&
			      is_error(redisCommand(c, "NOSUCH"), "ERR unknown command") && is_text(redisCommand(c, "PING"), "PONG", 4));
	large_values();
	pipeline(1000);
	reconnects();
	redisFree(c);
	return failed > 0;
}
