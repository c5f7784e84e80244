#ifndef SUPERVISOR_FILES_H
#define SUPERVISOR_FILES_H
/* The pid file and the ports file. What a predecessor left is overwritten. */
#include <jansson.h>

struct supervisor;
struct listeners;

/* 0; -errno: error is a sentence. Nothing to do without the setting. */
int files_write_pid(struct supervisor *s, char *error, size_t size);
int files_write_ports(struct supervisor *s, char *error, size_t size);
/* Remove what was written; a pid file only while it has our number. */
void files_remove(struct supervisor *s);

/* {"nats":["nats://host:port",...],"monitoring":[...]}, or NULL: no memory. */
json_t *files_ports(const struct listeners *all);
#endif
