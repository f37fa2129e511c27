#include "proto/request.h"

const char *
op_status_name(enum op_status status)
{
	switch (status) {
#define OP_STATUS(suffix, number, name, text) case OP_STATUS_##suffix: return name;
#include "proto/op_status.def"
#undef OP_STATUS
	}
	return "unknown";
}

const char *
op_status_text(enum op_status status)
{
	switch (status) {
#define OP_STATUS(suffix, number, name, text) case OP_STATUS_##suffix: return text;
#include "proto/op_status.def"
#undef OP_STATUS
	}
	return "a status this version does not know";
}

const char *
op_name(enum op op)
{
	static const char *const names[OP_COUNT] = {
		[OP_NONE] = "none", [OP_GET] = "get", [OP_SET] = "set", [OP_DELETE] = "delete",
		[OP_TOUCH] = "touch", [OP_GAT] = "gat", [OP_INCR] = "incr", [OP_DECR] = "decr",
		[OP_APPEND] = "append", [OP_PREPEND] = "prepend", [OP_META] = "meta",
		[OP_PING] = "ping", [OP_TOPOLOGY] = "topology", [OP_STATS] = "stats",
		[OP_UPLOAD_BEGIN] = "upload_begin", [OP_UPLOAD_CHUNK] = "upload_chunk",
		[OP_UPLOAD_COMMIT] = "upload_commit", [OP_UPLOAD_ABORT] = "upload_abort",
		[OP_FLUSH] = "flush", [OP_KEYS] = "keys", [OP_EVICT] = "evict", [OP_EXPIRE] = "expire",
	};

	return (unsigned)op < OP_COUNT ? names[op] : "unknown";
}
