#include "iscsi-echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOGIN_RESPONSE 0x23
#define TEXT_BYTES_MAX 2048

struct answer {
	char text[TEXT_BYTES_MAX];
	size_t length;
};

static void say(struct answer *answer, const char *key, const char *value)
{
	int room = (int)(TEXT_BYTES_MAX - answer->length);
	int written = snprintf(answer->text + answer->length, (size_t)room, "%s=%s", key, value);
	if (written < room)
		answer->length += (size_t)written + 1;
}

/* RFC 7143 section 13: digests are declined, our own segment size is declared, the rest is taken as offered. */
static void negotiate(struct session *s, struct answer *answer, const char *key, const char *value)
{
	static const char *const TOLD[] = {"InitiatorName", "InitiatorAlias", "TargetName", "SessionType"};
	for (size_t i = 0; i < sizeof TOLD / sizeof *TOLD; i++)
		if (strcmp(key, TOLD[i]) == 0)
			return;
	if (strcmp(key, "MaxBurstLength") == 0)
		s->burst_bytes = (uint32_t)strtoul(value, NULL, 10);
	if (strcmp(key, "MaxRecvDataSegmentLength") == 0) {
		s->their_data_segment_bytes = (uint32_t)strtoul(value, NULL, 10);
		char ours[16];
		snprintf(ours, sizeof ours, "%u", OUR_DATA_SEGMENT_BYTES);
		say(answer, key, ours);
		return;
	}
	bool declined = strcmp(key, "HeaderDigest") == 0 || strcmp(key, "DataDigest") == 0 || strcmp(key, "AuthMethod") == 0;
	say(answer, key, declined ? "None" : value);
}

void login(struct echo_connection *c, const unsigned char *request, const unsigned char *text, uint32_t length)
{
	struct session *s = c->state;
	struct answer answer = {.length = 0};
	char copy[TEXT_BYTES_MAX + 1] = {0};
	memcpy(copy, text, length < TEXT_BYTES_MAX ? length : TEXT_BYTES_MAX);
	for (char *pair = copy; *pair; pair += strlen(pair) + 1) {
		char *equals = strchr(pair, '=');
		if (!equals)
			continue;
		*equals = 0;
		negotiate(s, &answer, pair, equals + 1);
		pair = equals + 1;
	}
	if (s->stat_sn == 0)
		say(&answer, "TargetPortalGroupTag", "1");
	s->exp_cmd_sn = (uint32_t)get_be(request + 24, 4);
	unsigned char reply[BHS_BYTES + TEXT_BYTES_MAX + 4] = {0};
	reply_header(s, reply, LOGIN_RESPONSE, request[1], request, (uint32_t)answer.length, true);
	memcpy(reply + 8, request + 8, 6);
	put_be(reply + 14, 2, 1);
	memcpy(reply + BHS_BYTES, answer.text, answer.length);
	echo_reply(c, reply, BHS_BYTES + (answer.length + 3) / 4 * 4);
}
