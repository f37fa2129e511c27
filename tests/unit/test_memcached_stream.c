/* memcached's text protocol over a connection: the same bytes in any portions give the same replies. */
#include "tests/support/pass_driver.h"

struct exchange {
	const char *name, *sent, *answered;
	bool closes;
};

#define K250 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" \
	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

/* What memcached 1.6.18 answers over TCP. */
static const struct exchange exchanges[] = {
	{ "set and get", "set a 5 0 3\r\nabc\r\nget a\r\n", "STORED\r\nVALUE a 5 3\r\nabc\r\nEND\r\n", false },
	{ "noreply and get in one segment", "set a 0 0 1 noreply\r\nx\r\nget a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n", false },
	{ "bare LF, blanks", "set a 0 0 1 \nx\r\n  get  a b  \n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n", false },
	{ "data with CRLF", "set a 0 0 7\r\nx\r\nEND\n\r\nget a\r\n", "STORED\r\nVALUE a 0 7\r\nx\r\nEND\n\r\nEND\r\n", false },
	{ "one byte too many", "set k 0 0 3\r\nabcd\r\nget k\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nEND\r\n", false },
	{ "many too many", "set k 0 0 3\r\nabcdefgh\r\nmn\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nMN\r\n", false },
	{ "bad length is no data", "set k 0 0 -1\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n", false },
	{ "arithmetic", "set n 0 0 2\r\n10\r\nincr n 5\r\ndecr n 7\r\nincr none 1\r\ndecr n 1 noreply\r\nget n\r\n",
	    "STORED\r\n15\r\n8\r\nNOT_FOUND\r\nVALUE n 0 2\r\n7 \r\nEND\r\n", false },
	{ "delete, touch", "set a 0 0 1\r\nx\r\ntouch a 100\r\ndelete a\r\ndelete a\r\ntouch a 1\r\n",
	    "STORED\r\nTOUCHED\r\nDELETED\r\nNOT_FOUND\r\nNOT_FOUND\r\n", false },
	{ "quit", "mn\r\nquit\r\nmn\r\n", "MN\r\n", true },
	{ "http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", true },
	{ "unknown", "what\r\n\r\n\n", "ERROR\r\nERROR\r\nERROR\r\n", false },
	{ "shutdown is refused", "shutdown\r\n", "ERROR: shutdown not enabled\r\n", false },
	{ "meta", "ms a 2 T0 F5 O1 k\r\nhi\r\nmg a s v f t k Oq q\r\nmg none v q\r\nmd a q\r\nmn\r\n",
	    "HD O1 ka\r\nVA 2 s2 f5 t-1 ka Oq\r\nhi\r\nMN\r\n", false },
	{ "a number made, counted, bounded", "ma n\r\nma n N0 J13 v q\r\nma n v t\r\nma n D10 MD v\r\nma n M- D100 v O1 k\r\nma n q\r\nma n MX\r\nma n v\r\n",
	    "NF\r\nVA 2\r\n13\r\nVA 2 t-1\r\n14\r\nVA 1\r\n4\r\nVA 1 O1 kn\r\n0\r\nCLIENT_ERROR invalid mode for ma M token\r\nVA 1\r\n2\r\n", false },
	{ "base64 keys", "ms YWJj 2 b k\r\nhi\r\nmg YWJj b v k Oq\r\nmg abc k v\r\nmg YWJ b\r\nmg eHl6 k b\r\nmd YWJj b k\r\nmg abc\r\nme YWJ b\r\n",
	    "HD kYWJj b\r\nVA 2 kYWJj b Oq\r\nhi\r\nVA 2 kabc\r\nhi\r\nCLIENT_ERROR error decoding key\r\nEN keHl6 b\r\nHD kYWJj b\r\nEN\r\n"
	    "CLIENT_ERROR bad command line format\r\n", false },
	{ "one reader fills what is missing", "mg a N30 t v\r\nmg a N30 v\r\nmg a\r\nms a 1\r\nx\r\nmg a N30 v t\r\n",
	    "VA 0 t30 W\r\n\r\nVA 0 Z\r\n\r\nHD Z\r\nHD\r\nVA 1 t-1\r\nx\r\n", false },
	{ "one reader refills what ends soon", "ms a 1 T30\r\nx\r\nmg a R30\r\nmg a R31\r\nmg a R31\r\nmg a T100 R60 t\r\n",
	    "HD\r\nHD\r\nHD W\r\nHD Z\r\nHD t100 Z\r\n", false },
	{ "stale, and the token again", "ms a 1\r\nx\r\nmd a I T30\r\nmg a v t\r\nmg a v\r\nmd a I\r\nmg a s t\r\ntouch a 50\r\nmg a t\r\nms a 1\r\ny\r\nmg a v\r\n",
	    "HD\r\nHD\r\nVA 1 t30 X W\r\nx\r\nVA 1 Z X\r\nx\r\nHD\r\nHD s1 t30 X W\r\nTOUCHED\r\nHD t50 Z X\r\nHD\r\nVA 1\r\ny\r\n", false },
	{ "a CAS value too old stores what is stale", "ms a 1 T40\r\nx\r\nms a 1 C1 I T99 F3\r\ny\r\nmg a v t f\r\nms a 1 C18446744073709551615 I\r\nz\r\nms a 1 C1\r\nz\r\nmg a v\r\n",
	    "HD\r\nHD\r\nVA 1 t40 f3 X W\r\ny\r\nEX\r\nEX\r\nVA 1 Z X\r\ny\r\n", false },
	{ "read before", "ms a 1\r\nx\r\nmg a h l\r\nmg a h u\r\nmg a h\r\nget a\r\nms a 1\r\ny\r\nmg a u v\r\nmg a h\r\n",
	    "HD\r\nHD h0 l0\r\nHD h1\r\nHD h1\r\nVALUE a 0 1\r\nx\r\nEND\r\nHD\r\nVA 1\r\ny\r\nHD h0\r\n", false },
	{ "errors in the flags swallow the data", "ms a 2 !\r\nhi\r\nms a 2 O1 MX\r\nhi\r\nmn\r\n",
	    "CLIENT_ERROR invalid flag\r\nCLIENT_ERROR invalid mode for ms M token\r\nMN\r\n", false },
	{ "key too long", "get a " K250 "k\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n", false },
	{ "set of a key too long", "set " K250 "k 0 0 2\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n", false },
};

static char *
text_of(struct pass_driver *d)
{
	char *text = malloc(d->out.len + 1);

	outq_check(&d->out);
	outq_read(&d->out, 0, (uint8_t *)text, d->out.len);
	text[d->out.len] = '\0';
	return text;
}

/* Portions of at most `most` bytes; 0: all at once. */
static char *
answer(const char *sent, uint32_t len, uint32_t most, struct prng *prng, bool *closed)
{
	struct pass_driver d;
	char *text;

	rig_start(1, NULL);
	driver_open(&d, &memcached_stream_protocol);
	for (uint32_t at = 0; at < len && !d.closed;) {
		uint32_t part = most == 0 ? len : 1 + (uint32_t)prng_below(prng, most);

		if (part > len - at)
			part = len - at;
		driver_feed(&d, sent + at, part, false);
		at += part;
	}
	*closed = d.closed;
	text = text_of(&d);
	driver_close(&d);
	rig_stop();
	return text;
}

/* Asks in portions; the same whatever they are. */
static void
expect(const char *name, const char *sent, uint32_t len, const char *answered, bool closes)
{
	static const uint32_t most[] = { 0, 3, 100, 2000, 70000 };
	struct prng prng = { 6 };

	for (uint32_t i = len > 100000 ? 3 : 0; i < 5; i++) {
		bool closed;
		char *text = answer(sent, len, most[i], &prng, &closed);

		if (strcmp(text, answered) != 0 || closed != closes)
			fail_msg("%s, in portions of %u: %.300s%s", name, most[i], text, closed ? "(closed)" : "");
		free(text);
	}
}

static void
a_get_of_any_number_of_keys(void **state)
{
	enum { KEYS = 1000, SIZE = 1 << 16 };
	char *sent = malloc(SIZE), *answered = malloc(SIZE);
	uint32_t at = 0, end = 0;

	(void)state;
	for (uint32_t i = 0; i < KEYS; i += 3) {
		at += (uint32_t)sprintf(sent + at, "set key%u %u 0 1 noreply\r\n%u\r\n", i, i, i % 10);
		end += (uint32_t)sprintf(answered + end, "VALUE key%u %u 1\r\n%u\r\n", i, i, i % 10);
	}
	at += (uint32_t)sprintf(sent + at, "get ");
	for (uint32_t i = 0; i < KEYS; i++)
		at += (uint32_t)sprintf(sent + at, " key%u%s", i, i % 7 ? "" : "  ");
	at += (uint32_t)sprintf(sent + at, "   \r\nmn\r\n");
	end += (uint32_t)sprintf(answered + end, "END\r\nMN\r\n");
	expect("a get of 1000 keys", sent, at, answered, false);
	at = (uint32_t)sprintf(sent, "get");
	for (uint32_t i = 0; i < 200; i++)
		at += (uint32_t)sprintf(sent + at, " %s", i == 150 ? K250 "k" : "a");
	at += (uint32_t)sprintf(sent + at, "\r\nmn\r\n");
	expect("one key of many is too long", sent, at, "CLIENT_ERROR bad command line format\r\nMN\r\n", false);
	for (uint32_t keys = 62; keys < 68; keys++) {
		at = (uint32_t)sprintf(sent, "mn\r\nget");
		for (uint32_t i = 0; i < keys; i++)
			at += (uint32_t)sprintf(sent + at, " a");
		at += (uint32_t)sprintf(sent + at, "\r\nmn\r\n");
		expect("where a pass ends", sent, at, "MN\r\nEND\r\nMN\r\n", false);
	}
	free(sent);
	free(answered);
}

/* A storage command with a value of `len` bytes, and what stands behind them. Returns its length. */
static uint32_t
large(char *out, const char *format, uint32_t len, const char *behind)
{
	uint32_t at = (uint32_t)sprintf(out, format, len);

	for (uint32_t i = 0; i < len; i++)
		out[at + i] = (char)('a' + i % 23);
	at += len;
	return at + (uint32_t)sprintf(out + at, "%s", behind);
}

static void
large_values(void **state)
{
	static const uint32_t lens[] = { 1023, 1024, 1025, 5000, 65536, 1 << 20 };
	enum { SIZE = 4 << 20 };
	char *sent = malloc(SIZE), *answered = malloc(SIZE);

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		uint32_t at = large(sent, "mn\r\nset a 0 0 1\r\nx\r\nset a 7 0 %u\r\n", lens[i], "\r\nget a b\r\nmn\r\n");

		strcpy(answered, "MN\r\nSTORED\r\nSTORED\r\n");
		large(answered + strlen(answered), "VALUE a 7 %u\r\n", lens[i], "\r\nEND\r\nMN\r\n");
		expect("set", sent, at, answered, false);
		at = large(sent, "ms a %u F3 Oxyz k q\r\n", lens[i], "\r\nmg a s f Oq\r\n");
		sprintf(answered, "HD s%u f3 Oq\r\n", lens[i]);
		expect("ms, quiet", sent, at, answered, false);
		at = large(sent, "ms a %u F3 Oxyz k\r\n", lens[i], "\r\nmg a s f Oq\r\nmg b k O7\r\n");
		sprintf(answered, "HD Oxyz ka\r\nHD s%u f3 Oq\r\nEN kb O7\r\n", lens[i]);
		expect("ms", sent, at, answered, false);
		at = large(sent, "set a 0 0 1 noreply\r\nx\r\nset a 0 0 %u\r\n", lens[i], "yz\r\nget a\r\n");
		expect("bad chunk", sent, at, "CLIENT_ERROR bad data chunk\r\nERROR\r\nVALUE a 0 1\r\nx\r\nEND\r\n", false);
		at = large(sent, "set a 0 0 %u noreply\r\n", lens[i], "yzmn\r\n");
		expect("bad chunk, quiet", sent, at, "MN\r\n", false);
	}
	free(sent);
	free(answered);
}

static void
values_that_are_too_large(void **state)
{
	static const uint32_t lens[] = { (1 << 20) + 1, 3 << 20 };
	char *sent = malloc(4 << 20);

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		uint32_t at = large(sent, "set a 0 0 1 noreply\r\nx\r\nset a 0 0 %u\r\n", lens[i], "\r\nget a\r\nmn\r\n");

		expect("set", sent, at, "SERVER_ERROR object too large for cache\r\nEND\r\nMN\r\n", false);
		at = large(sent, "add a 0 0 %u noreply\r\n", lens[i], "\r\nmn\r\n");
		expect("add, quiet", sent, at, "MN\r\n", false);
		at = large(sent, "ms a %u q Oabc\r\n", lens[i], "\r\nmn\r\n");
		expect("ms", sent, at, "SERVER_ERROR object too large for cache\r\nMN\r\n", false);
		at = large(sent, "ms a %u MX\r\n", lens[i], "\r\nmn\r\n");
		expect("ms of a bad mode", sent, at, "CLIENT_ERROR invalid mode for ms M token\r\nMN\r\n", false);
	}
	free(sent);
}

static void
lines_that_are_too_long(void **state)
{
	enum { SIZE = 3 << 20 };
	char *sent = malloc(SIZE);

	(void)state;
	memset(sent, 'x', SIZE);
	memcpy(sent, "mn\r\n", 4);
	expect("no end in sight", sent, 4 + 2049, "MN\r\n", true);
	expect("almost too long", sent, 4 + 2048, "MN\r\n", false);
	sent[4 + 2048] = '\n';
	expect("as long as can be", sent, 4 + 2049, "MN\r\nERROR\r\n", false);
	sent[4 + 2048] = 'x';
	memcpy(sent, "get ", 4);
	expect("a get without end", sent, 1 << 20, "", false);
	sent[1 << 20] = 'x';
	expect("a get of more than there may be", sent, (1 << 20) + 1, "", true);
	memset(sent, ' ', 200);
	memcpy(sent + 101, "get ", 4);
	expect("many blanks before a get", sent, 3000, "", true);
	memcpy(sent + 100, "get ", 4);
	sent[3000] = '\n';
	expect("less of them", sent, 3001, "CLIENT_ERROR bad command line format\r\n", false);
	free(sent);
}

static void
exchanges_in_portions(void **state)
{
	struct prng prng = { 5 };

	(void)state;
	for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges; i++) {
		const struct exchange *e = &exchanges[i];

		for (uint32_t most = 0; most < 12; most++) {
			bool closed;
			char *text = answer(e->sent, (uint32_t)strlen(e->sent), most, &prng, &closed);

			if (strcmp(text, e->answered) != 0 || closed != e->closes)
				fail_msg("%s, in portions of %u: %s%s", e->name, most, text, closed ? "(closed)" : "");
			free(text);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exchanges_in_portions),
		cmocka_unit_test(a_get_of_any_number_of_keys),
		cmocka_unit_test(large_values),
		cmocka_unit_test(values_that_are_too_large),
		cmocka_unit_test(lines_that_are_too_long),
	};

	return cmocka_run_group_tests_name("memcached stream", tests, NULL, NULL);
}
