/*
 * INFO without JSON being made for each client: the number and address of the
 * client stand together, with the nonce, and what is around them is kept.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include "nats/info.h"

#define MODEL_ID	1
#define MODEL_IP	"x"
/* The quotation marks of a text's own are escaped, so this is found nowhere else. */
#define MODEL_CLIENT	"\"client_id\":1,\"client_ip\":\"" MODEL_IP "\""
#define CLIENT_ROOM	(sizeof("\"client_id\":,\"client_ip\":\"\",\"nonce\":\"\"") + 20)

/* The texts of a form that are the same for many. */
static const size_t texts[] = {
#define AT(field)	offsetof(struct nats_info, field)
	AT(server_id), AT(server_name), AT(host), AT(cluster), AT(remote_account),
#undef AT
};
#define TEXTS	(sizeof(texts) / sizeof(texts[0]))

static const char *
text_at(const struct nats_info *info, size_t i)
{
	const char *text = *(const char *const *)(const void *)((const char *)info + texts[i]);

	return text == NULL ? "" : text;
}

/* What stands in JSON as it is. */
static bool
is_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
		    (*text >= '-' && *text <= ':') || *text == '_' || *text == '%'))
			return false;
	return true;
}

/* Does it differ from others as clients do, or may the line be made in the long way only? */
static bool
is_ordinary(const struct nats_info *info)
{
	return info->client_id != 0 && info->client_ip != NULL && info->client_ip[0] != '\0' &&
	    is_plain(info->client_ip) && (info->nonce == NULL || is_plain(info->nonce)) &&
	    (info->connect_urls == NULL || info->connect_urls[0] == NULL);
}

static bool
form_fits(const struct nats_info_form *form, const struct nats_info *info)
{
	const struct nats_info *of = &form->of;
	size_t i;

	if (form->line == NULL || of->port != info->port || of->max_payload != info->max_payload ||
	    of->headers != info->headers || of->auth_required != info->auth_required ||
	    of->tls_required != info->tls_required || of->tls_verify != info->tls_verify ||
	    of->tls_available != info->tls_available || of->lame_duck != info->lame_duck ||
	    of->connect_info != info->connect_info || of->account_is_system != info->account_is_system)
		return false;
	for (i = 0; i < TEXTS; i++)
		if (strcmp(text_at(of, i), text_at(info, i)) != 0)
			return false;
	return true;
}

void
nats_info_form_free(struct nats_info_form *form)
{
	size_t i;

	for (i = 0; form->line != NULL && i < TEXTS; i++)
		free(*(char **)(void *)((char *)&form->of + texts[i]));
	free(form->line);
	*form = (struct nats_info_form){ .line = NULL };
}

/* False: no memory. */
static bool
form_make(struct nats_info_form *form, const struct nats_info *info)
{
	struct nats_info model = *info;
	const char *client;
	bool whole = true;
	size_t i;

	nats_info_form_free(form);
	model.client_id = MODEL_ID;
	model.client_ip = MODEL_IP;
	model.nonce = NULL;
	if ((form->line = nats_info_line(&model, &form->len)) == NULL)
		return false;
	form->of = model;
	for (i = 0; i < TEXTS; i++)
		whole = (*(char **)(void *)((char *)&form->of + texts[i]) = strdup(text_at(info, i))) != NULL && whole;
	client = strstr(form->line, MODEL_CLIENT);
	if (!whole || client == NULL) {
		nats_info_form_free(form);
		return false;
	}
	form->client = (size_t)(client - form->line);
	return true;
}

char *
nats_info_line_as(struct nats_info_form *form, const struct nats_info *info, size_t *len)
{
	const char *nonce = info->nonce == NULL ? "" : info->nonce, *rest;
	size_t room, at;
	char *line;

	if (!is_ordinary(info) || (!form_fits(form, info) && !form_make(form, info)))
		return nats_info_line(info, len);
	room = form->len + CLIENT_ROOM + strlen(info->client_ip) + strlen(nonce);
	if ((line = malloc(room)) == NULL)
		return NULL;
	memcpy(line, form->line, form->client);
	at = form->client;
	at += (size_t)snprintf(line + at, room - at, "\"client_id\":%llu,\"client_ip\":\"%s\"%s%s%s",
	    (unsigned long long)info->client_id, info->client_ip,
	    *nonce == '\0' ? "" : ",\"nonce\":\"", nonce, *nonce == '\0' ? "" : "\"");
	rest = form->line + form->client + sizeof(MODEL_CLIENT) - 1;
	memcpy(line + at, rest, strlen(rest) + 1);
	*len = at + strlen(rest);
	return line;
}
