/*
 * Debian's libnats, as it comes, against the server given: prints `ok NAME` a
 * check. With CA, CERT and KEY in its environment, which are files, over TLS.
 * cc libnats.c -lnats
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <nats/nats.h>

#define TRY(call) do {								\
	natsStatus s_ = (call);							\
	if (s_ != NATS_OK) {							\
		fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call,	\
		    natsStatus_GetText(s_));					\
		exit(1);							\
	}									\
} while (0)
#define MUST(what) do {								\
	if (!(what)) {								\
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);	\
		exit(1);							\
	}									\
} while (0)

static const char *url;

static natsConnection *
connection(void)
{
	natsConnection *nc;
	natsOptions *options;

	TRY(natsOptions_Create(&options));
	TRY(natsOptions_SetURL(options, url));
	if (getenv("CA") != NULL) {
		TRY(natsOptions_SetSecure(options, true));
		TRY(natsOptions_LoadCATrustedCertificates(options, getenv("CA")));
		TRY(natsOptions_LoadCertificatesChain(options, getenv("CERT"), getenv("KEY")));
	}
	TRY(natsConnection_Connect(&nc, options));
	natsOptions_Destroy(options);
	return nc;
}

static void
publish_subscribe(void)
{
	natsConnection *a = connection(), *b = connection();
	natsSubscription *sub;
	natsMsg *msg;
	char text[16];

	TRY(natsConnection_SubscribeSync(&sub, b, "orders.*"));
	TRY(natsConnection_Flush(b));
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		TRY(natsConnection_PublishString(a, "orders.eu", text));
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		TRY(natsSubscription_NextMsg(&msg, sub, 10000));
		MUST(strcmp(natsMsg_GetData(msg), text) == 0);
		natsMsg_Destroy(msg);
	}
	natsSubscription_Destroy(sub);
	natsConnection_Destroy(a);
	natsConnection_Destroy(b);
}

static void
answer(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *arg)
{
	natsConnection_Publish(nc, natsMsg_GetReply(msg), natsMsg_GetData(msg),
	    natsMsg_GetDataLength(msg));
	natsMsg_Destroy(msg);
}

static void
request_reply(void)
{
	natsConnection *a = connection(), *b = connection();
	natsSubscription *sub;
	natsMsg *msg;

	TRY(natsConnection_Subscribe(&sub, b, "svc.echo", answer, NULL));
	TRY(natsConnection_Flush(b));
	for (int i = 0; i < 100; i++) {
		TRY(natsConnection_RequestString(&msg, a, "svc.echo", "hello", 10000));
		MUST(natsMsg_GetDataLength(msg) == 5);
		natsMsg_Destroy(msg);
	}
	MUST(natsConnection_RequestString(&msg, a, "svc.nobody", "", 10000) == NATS_NO_RESPONDERS);
	natsSubscription_Destroy(sub);
	natsConnection_Destroy(a);
	natsConnection_Destroy(b);
}

static void
queue_group(void)
{
	enum { MEMBERS = 4, TOTAL = 2000 };
	natsConnection *nc[MEMBERS], *a = connection();
	natsSubscription *sub[MEMBERS];
	int64_t seen, sum = 0;

	for (int i = 0; i < MEMBERS; i++) {
		nc[i] = connection();
		TRY(natsConnection_QueueSubscribeSync(&sub[i], nc[i], "jobs.>", "workers"));
		TRY(natsConnection_Flush(nc[i]));
	}
	for (int i = 0; i < TOTAL; i++)
		TRY(natsConnection_PublishString(a, "jobs.x", ""));
	TRY(natsConnection_Flush(a));
	for (int i = 0; i < MEMBERS; i++) {
		natsMsg *msg;

		/* What is on its way to a member that has fewer than its share. */
		for (seen = 0; natsSubscription_NextMsg(&msg, sub[i], sum + seen < TOTAL &&
		    seen < TOTAL / MEMBERS / 2 ? 10000 : 500) == NATS_OK; seen++)
			natsMsg_Destroy(msg);
		MUST(seen > TOTAL / MEMBERS / 2);
		sum += seen;
	}
	MUST(sum == TOTAL);
	for (int i = 0; i < MEMBERS; i++) {
		natsSubscription_Destroy(sub[i]);
		natsConnection_Destroy(nc[i]);
	}
	natsConnection_Destroy(a);
}

static void
headers(void)
{
	natsConnection *a = connection(), *b = connection();
	natsSubscription *sub;
	natsMsg *msg;
	const char *value;

	TRY(natsConnection_SubscribeSync(&sub, b, "h"));
	TRY(natsConnection_Flush(b));
	TRY(natsMsg_Create(&msg, "h", NULL, "body", 4));
	TRY(natsMsgHeader_Set(msg, "Color", "blue"));
	TRY(natsConnection_PublishMsg(a, msg));
	natsMsg_Destroy(msg);
	TRY(natsSubscription_NextMsg(&msg, sub, 10000));
	TRY(natsMsgHeader_Get(msg, "Color", &value));
	MUST(strcmp(value, "blue") == 0 && natsMsg_GetDataLength(msg) == 4);
	natsMsg_Destroy(msg);
	natsSubscription_Destroy(sub);
	natsConnection_Destroy(a);
	natsConnection_Destroy(b);
}

int
main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } checks[] = {
		{ "publish_subscribe", publish_subscribe },
		{ "request_reply", request_reply },
		{ "queue_group", queue_group },
		{ "headers", headers },
	};

	if (argc != 2)
		return 2;
	url = argv[1];
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		checks[i].run();
		printf("ok %s\n", checks[i].name);
		fflush(stdout);
	}
	nats_Close();
	return 0;
}
