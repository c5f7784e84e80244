#include <unistd.h>
#include "common/records.h"
#include "supervisor/documents.h"

void
documents_init(struct documents *d)
{
	enum role role;

	for (role = 0; role < ROLES; role++)
		d->settings[role] = d->accounts[role] = -1;
	d->tls = -1;
}

static void
document_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
documents_close(struct documents *d)
{
	enum role role;

	for (role = 0; role < ROLES; role++) {
		document_close(&d->settings[role]);
		document_close(&d->accounts[role]);
	}
	document_close(&d->tls);
}

int
documents_empty(struct documents *d)
{
	msgpack_sbuffer nothing;
	enum role role;

	msgpack_sbuffer_init(&nothing);
	for (role = 0; role < ROLES; role++) {
		document_close(&d->accounts[role]);
		d->accounts[role] = records_seal(&nothing);
		if (d->accounts[role] < 0)
			return d->accounts[role];
	}
	document_close(&d->tls);
	d->tls = records_seal(&nothing);
	return d->tls < 0 ? d->tls : 0;
}

int
documents_write(struct documents *d, const struct settings *st)
{
	enum role role;

	for (role = ROLE_LOG; role < ROLES; role++) {
		document_close(&d->settings[role]);
		d->settings[role] = settings_write(st, role);
		if (d->settings[role] < 0)
			return d->settings[role];
	}
	return 0;
}

static void
document_swap(int *a, int *b)
{
	int fd = *a;

	if (*b < 0)
		return;
	*a = *b;
	*b = fd;
}

void
documents_take(struct documents *d, struct documents *from)
{
	enum role role;

	for (role = 0; role < ROLES; role++) {
		document_swap(&d->settings[role], &from->settings[role]);
		document_swap(&d->accounts[role], &from->accounts[role]);
	}
	document_swap(&d->tls, &from->tls);
}
