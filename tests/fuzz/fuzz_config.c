/*
 * Fuzzes the YAML reader with the configuration's and the profile's tables.
 * Whatever the bytes: no crash, every problem one line, and what was accepted
 * without a problem prints to a text that is accepted again.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "app/slipringd/config.h"
#include "app/slipringd/profile.h"
#include "base/check.h"

static void
check_problems(const struct problems *problems)
{
	CHECK(problems->count <= PROBLEMS_MAX);
	for (uint32_t i = 0; i < problems->count; i++)
		CHECK(problems->list[i].text[0] && !strpbrk(problems->list[i].text, "\n\r\t"));
}

static void
read_back(const struct config *config)
{
	static char text[1 << 16];
	static struct config again;
	struct problems problems = { 0 };
	const struct schema schema = config_schema(1ull << 33);
	FILE *out = fmemopen(text, sizeof text, "w");

	CHECK(out);
	config_print(config, out);
	fclose(out);
	memset(&again, 0, sizeof again);
	schema_defaults(&schema, &again);
	schema_read_yaml(&schema, "again", text, strlen(text), &again, again.origins, &problems);
	CHECK(problems.count == 0);
	for (uint32_t i = 0; i < schema.count; i++)
		CHECK(memcmp((const char *)config + schema.keys[i].offset,
		    (const char *)&again + schema.keys[i].offset, schema.keys[i].size) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	struct io_profile profile;
	struct problems problems = { 0 }, profile_problems = { 0 };
	const struct schema schema = config_schema(1ull << 33);

	memset(&config, 0, sizeof config);
	schema_defaults(&schema, &config);
	schema_read_yaml(&schema, "fuzz", data, size, &config, config.origins, &problems);
	check_problems(&problems);
	if (problems.count == 0)
		read_back(&config);
	profile_read(&profile, "fuzz", "fuzz", data, size, &profile_problems);
	check_problems(&profile_problems);
	return 0;
}
