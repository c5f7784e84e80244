#ifndef NATS_INFO_H
#define NATS_INFO_H
/* INFO, as the server says it, and as a client may. */
#include <stdint.h>
#include "common/bytes.h"

/* The level of the 2.x line that we implement; clients gate features by it. */
#define NATS_VERSION		"2.15.2"
#define NATS_API_LEVEL		5
/* Our own. */
#define BULKHEAD_VERSION	"0.1.0"

struct nats_info {
	const char	*server_id, *server_name, *host;
	uint16_t	 port;
	bool		 headers, auth_required, tls_required, tls_verify, tls_available;
	uint32_t	 max_payload;
	uint64_t	 client_id;
	const char	*client_ip;		/* NULL: not said */
	const char	*nonce, *cluster;	/* NULL: not said */
	const char *const *connect_urls;	/* ends with NULL; NULL: not said */
	bool		 lame_duck, connect_info, account_is_system;
	const char	*remote_account;	/* with connect_info */
};

/*
 * "INFO {...} \r\n", one space before the line end, as the real server.
 * Keys in its order. A malloc'd string of *len bytes, or NULL: no memory.
 */
char *nats_info_line(const struct nats_info *info, size_t *len);

/* The line of the last one that was made, to make others from; zeros: none was. */
struct nats_info_form {
	struct nats_info of;		/* its texts are the form's */
	char		*line;
	size_t		 len, client;	/* where client_id stands */
};

/*
 * The same line as nats_info_line(), for a tenth of its work where it differs from
 * the last one in no more than client_id, client_ip and nonce.
 */
char *nats_info_line_as(struct nats_info_form *form, const struct nats_info *info, size_t *len);
void nats_info_form_free(struct nats_info_form *form);

/*
 * The JSON of an INFO that a client sent: nothing in it is used, but the 2.x
 * server reads it, and closes those it cannot read. Keys without regard to case,
 * unknown ones ignored, each known one of the kind it has in the real server.
 * 0, -EBADMSG, -ENOMEM.
 */
int nats_info_check(struct bytes json);
#endif
