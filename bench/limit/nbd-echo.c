/* NBD answered from memory: fixed newstyle, with structured replies to the reads of who asks for them. */
#include "echo-server.h"

#include <string.h>

/* The document's own names, without NBD_. */
#define INIT_MAGIC 0x4e42444d41474943ull
#define OPTION_MAGIC 0x49484156454f5054ull
#define OPTION_REPLY_MAGIC 0x3e889045565a9ull
#define REQUEST_MAGIC 0x25609513u
#define SIMPLE_REPLY_MAGIC 0x67446698u
#define STRUCTURED_REPLY_MAGIC 0x668e33efu
#define REPLY_FLAG_DONE 1
#define REPLY_TYPE_OFFSET_DATA 1
#define SERVER_FLAGS 3 /* fixed newstyle, no zeroes */
#define TRANSMISSION_FLAGS (1 | 1 << 2 | 1 << 3 | 1 << 8) /* has flags, flush, FUA, many connections */
#define OPTION_BYTES_MAX 4096
#define VOLUME_BYTES (1ull << 30)
enum { OPT_ABORT = 2, OPT_INFO = 6, OPT_GO = 7, OPT_STRUCTURED_REPLY = 8 };
enum { REP_ACK = 1, REP_INFO = 3 };
#define REP_ERR_UNSUP (1u << 31 | 1)
enum { CMD_READ = 0, CMD_WRITE = 1, CMD_DISC = 2 };

struct client {
	enum { FLAGS, OPTIONS, TRANSMISSION } phase;
	bool structured;
	unsigned char waiting[16]; /* the reply to the WRITE whose payload is being dropped */
};

static void greet(struct echo_connection *c)
{
	unsigned char greeting[18];
	put_be(greeting, 8, INIT_MAGIC);
	put_be(greeting + 8, 8, OPTION_MAGIC);
	put_be(greeting + 16, 2, SERVER_FLAGS);
	echo_reply(c, greeting, sizeof greeting);
}

static void option_reply(struct echo_connection *c, uint32_t option, uint32_t type, const void *payload, uint32_t length)
{
	unsigned char reply[20 + 12];
	put_be(reply, 8, OPTION_REPLY_MAGIC);
	put_be(reply + 8, 4, option);
	put_be(reply + 12, 4, type);
	put_be(reply + 16, 4, length);
	memcpy(reply + 20, payload, length);
	echo_reply(c, reply, 20 + length);
}

static size_t take_option(struct echo_connection *c, const unsigned char *at, size_t there)
{
	struct client *client = c->state;
	if (there < 16)
		return 0;
	uint32_t option = (uint32_t)get_be(at + 8, 4), length = (uint32_t)get_be(at + 12, 4);
	c->closing = get_be(at, 8) != OPTION_MAGIC || length > OPTION_BYTES_MAX || option == OPT_ABORT;
	if (there < 16 + length)
		return 0;
	if (option == OPT_STRUCTURED_REPLY) {
		client->structured = true;
		option_reply(c, option, REP_ACK, "", 0);
		return 16 + length;
	}
	if (option != OPT_GO && option != OPT_INFO) {
		option_reply(c, option, REP_ERR_UNSUP, "", 0);
		return 16 + length;
	}
	unsigned char info[12] = {0};
	put_be(info + 2, 8, VOLUME_BYTES);
	put_be(info + 10, 2, TRANSMISSION_FLAGS);
	option_reply(c, option, REP_INFO, info, sizeof info);
	option_reply(c, option, REP_ACK, "", 0);
	if (option == OPT_GO)
		client->phase = TRANSMISSION;
	return 16 + length;
}

/* One chunk with all of it. */
static void send_chunk(struct echo_connection *c, const unsigned char *request, uint32_t length)
{
	unsigned char reply[28];
	put_be(reply, 4, STRUCTURED_REPLY_MAGIC);
	put_be(reply + 4, 2, REPLY_FLAG_DONE);
	put_be(reply + 6, 2, REPLY_TYPE_OFFSET_DATA);
	memcpy(reply + 8, request + 8, 8);
	put_be(reply + 16, 4, 8 + (uint64_t)length);
	memcpy(reply + 20, request + 16, 8);
	echo_reply(c, reply, sizeof reply);
	echo_data(c, length);
}

static size_t take_request(struct echo_connection *c, const unsigned char *at, size_t there)
{
	struct client *client = c->state;
	if (there < 28)
		return 0;
	int command = (int)get_be(at + 6, 2);
	uint32_t length = (uint32_t)get_be(at + 24, 4);
	c->closing = get_be(at, 4) != REQUEST_MAGIC || command == CMD_DISC;
	put_be(client->waiting, 4, SIMPLE_REPLY_MAGIC);
	put_be(client->waiting + 4, 4, 0);
	memcpy(client->waiting + 8, at + 8, 8);
	if (command == CMD_WRITE && length > 0) {
		c->skip = length;
		return 28;
	}
	if (command == CMD_READ && client->structured) {
		send_chunk(c, at, length);
		return 28;
	}
	echo_reply(c, client->waiting, sizeof client->waiting);
	if (command == CMD_READ)
		echo_data(c, length);
	return 28;
}

static size_t take(struct echo_connection *c, const unsigned char *at, size_t there)
{
	struct client *client = c->state;
	if (client->phase == TRANSMISSION)
		return take_request(c, at, there);
	if (client->phase == OPTIONS)
		return take_option(c, at, there);
	if (there < 4)
		return 0;
	client->phase = OPTIONS;
	return 4;
}

static void skipped(struct echo_connection *c)
{
	struct client *client = c->state;
	echo_reply(c, client->waiting, sizeof client->waiting);
}

int main(int argc, char **argv)
{
	static const struct echo_protocol NBD = {
		.state_bytes = sizeof(struct client),
		.pieces_max = 2,
		.greet = greet,
		.take = take,
		.skipped = skipped,
	};
	if (argc != 2)
		return 2;
	echo_serve(argv[1], &NBD);
}
