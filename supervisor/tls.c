#include <sys/mman.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/memfd.h"
#include "common/records.h"
#include "supervisor/errors.h"
#include "supervisor/pem.h"
#include "supervisor/tls.h"

#define CHAIN_MOST	61440	/* messages.def: tls_certificate, tls_authority */
#define PART_MOST	49152	/* tls_revoked */

/* The document while it is made. */
struct making {
	struct tls_files *files;
	size_t		 next;		/* of the files: its record comes next */
	msgpack_sbuffer	 document, chain;
	const struct tls_file *file;	/* that is being read */
	uint64_t	*keys;
	char		*error;
	size_t		 size;
};

void
tls_files_init(struct tls_files *f)
{
	*f = (struct tls_files){ .named = -1 };
}

void
tls_files_free(struct tls_files *f)
{
	size_t i;

	for (i = 0; i < f->count; i++) {
		free(f->items[i].path);
		free(f->items[i].at);
		if (f->items[i].content != -1)
			close(f->items[i].content);
	}
	free(f->items);
	if (f->named != -1)
		close(f->named);
	tls_files_init(f);
}

/* ---- which there are */

static struct tls_stamp
stamp_of(const char *path)
{
	struct tls_stamp none = { .size = 0 };
	struct stat st;

	if (stat(path, &st) == -1)
		return none;
	return (struct tls_stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
}

static bool
time_equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
stamp_equal(const struct tls_stamp *a, const struct tls_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	    time_equal(a->written, b->written) && time_equal(a->changed, b->changed);
}

static char *
text_of(struct bytes b)
{
	return strndup(b.data, b.len);
}

/* A record of config's: one more file, not read yet, as it is now. */
static int
file_add(void *arg, const struct msg *m)
{
	struct tls_files *f = arg;
	struct tls_file *items, *file;

	if (m->type != MSG_tls_file)
		return 0;
	items = reallocarray(f->items, f->count + 1, sizeof(*items));
	if (items == NULL)
		return -ENOMEM;
	f->items = items;
	file = &items[f->count];
	*file = (struct tls_file){ .kind = (enum tls_file_kind)m->u.tls_file.kind, .content = -1,
	    .path = text_of(m->u.tls_file.path), .at = text_of(m->u.tls_file.at) };
	f->count++;
	if (file->path == NULL || file->at == NULL)
		return -ENOMEM;
	/* before it is opened: what is written to it meanwhile shows later */
	file->read = file->seen = stamp_of(file->path);
	return 0;
}

/* ---- what is in them */

/* What the real server puts before an error of each kind. */
static const char *const in_front[TLS_FILES] = {
	[TLS_FILE_CERTIFICATE] = "error parsing X509 certificate/key pair: ",
	[TLS_FILE_KEY] = "error parsing X509 certificate/key pair: ",
	[TLS_FILE_PASSWORD] = "error reading the password of a key: ",
	[TLS_FILE_AUTHORITY] = "",
	[TLS_FILE_REVOKED] = "",
};

__attribute__((format(printf, 3, 4)))
static int
fail(const struct making *m, int rc, const char *format, ...)
{
	char text[4608];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(m->error, m->size, "%s: %s%s", m->file->at, in_front[m->file->kind], text);
	return rc;
}

/* A regular file of at most TLS_FILE_MOST bytes, to read. Its descriptor or -errno with a sentence. */
static int
file_open(const struct making *m)
{
	const char *path = m->file->path;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd == -1)
		return fail(m, -errno, "open %s: %s", path, error_text(errno));
	if (fstat(fd, &st) == -1)
		st.st_mode = 0;
	if (S_ISREG(st.st_mode) && st.st_size <= TLS_FILE_MOST)
		return fd;
	close(fd);
	if (S_ISDIR(st.st_mode))
		return fail(m, -EISDIR, "read %s: %s", path, error_text(EISDIR));
	if (!S_ISREG(st.st_mode))
		return fail(m, -EINVAL, "read %s: not a regular file", path);
	return fail(m, -EFBIG, "read %s: it has more than %u bytes", path, TLS_FILE_MOST);
}

static int
records_failed(const struct making *m, int rc)
{
	return rc == 0 ? 0 : fail(m, rc, "%s: %s", m->file->path, error_text(-rc));
}

/* The key is on its way to the signer as it is. */
static int
secret_read(const struct making *m, struct tls_file *file)
{
	int fd = file_open(m);

	if (fd < 0)
		return fd;
	file->content = memfd_copy_sealed(file->kind == TLS_FILE_KEY ? "key" : "password", fd,
	    TLS_FILE_MOST);
	close(fd);
	if (file->content >= 0)
		return 0;
	fd = file->content;
	file->content = -1;
	return fail(m, fd, "read %s: %s", file->path,
	    fd == -ENODATA ? "it is empty" : error_text(-fd));
}

static int
chain_add(void *arg, struct bytes block)
{
	struct making *m = arg;

	if (m->chain.size + block.len > CHAIN_MOST)
		return fail(m, -EMSGSIZE, "%s: more than %d bytes of certificates", m->file->path,
		    CHAIN_MOST);
	if (msgpack_sbuffer_write(&m->chain, block.data, block.len) != 0)
		return records_failed(m, -ENOMEM);
	return 0;
}

static int
chain_end(struct making *m)
{
	struct msg out = { .type = MSG_tls_certificate, .u.tls_certificate = { .key = m->file->key,
	    .path = bytes_of(m->file->path), .chain = { m->chain.data, m->chain.size } } };
	int rc = records_failed(m, records_add(&m->document, &out));

	msgpack_sbuffer_clear(&m->chain);
	return rc;
}

static int
authority_add(void *arg, struct bytes block)
{
	struct making *m = arg;
	struct msg out = { .type = MSG_tls_authority, .u.tls_authority = {
	    .path = bytes_of(m->file->path), .certificate = block } };

	if (block.len > CHAIN_MOST)
		return fail(m, -EMSGSIZE, "%s: a certificate of more than %d bytes", m->file->path,
		    CHAIN_MOST);
	return records_failed(m, records_add(&m->document, &out));
}

static int
revoked_add(void *arg, struct bytes block)
{
	struct making *m = arg;
	struct msg out = { .type = MSG_tls_revoked, .u.tls_revoked.path = bytes_of(m->file->path) };
	size_t len;
	int rc = 0;

	for (; block.len > 0 && rc == 0; block.data += len, block.len -= len) {
		len = block.len < PART_MOST ? block.len : PART_MOST;
		out.u.tls_revoked.part = (struct bytes){ block.data, len };
		out.u.tls_revoked.last = len == block.len;
		rc = records_failed(m, records_add(&m->document, &out));
	}
	return rc;
}

/* There is nothing of the kind in it: what is there instead? */
static int
nothing_found(const struct making *m, struct bytes text)
{
	const char *path = m->file->path;

	if (m->file->kind == TLS_FILE_AUTHORITY)
		return fail(m, -EBADMSG, "%s: failed to parse root ca certificate", path);
	if (m->file->kind == TLS_FILE_REVOKED)
		return fail(m, -EBADMSG, "%s: no list of revoked certificates (X509 CRL) in it", path);
	if (!pem_has(text, ""))
		return fail(m, -EBADMSG, "%s: failed to find any PEM data in certificate input", path);
	return fail(m, -EBADMSG, "%s: failed to find certificate PEM data in certificate input%s", path,
	    pem_has(text, "PRIVATE KEY") ? ", but did find a private key; PEM inputs may have been switched" : "");
}

static int
text_read(struct making *m, struct bytes text)
{
	static pem_call *const adds[TLS_FILES] = { [TLS_FILE_CERTIFICATE] = chain_add,
	    [TLS_FILE_AUTHORITY] = authority_add, [TLS_FILE_REVOKED] = revoked_add };
	bool list = m->file->kind == TLS_FILE_REVOKED;
	size_t count;
	int rc;

	rc = pem_each(text, list ? "X509 CRL" : "CERTIFICATE", adds[m->file->kind], m, &count);
	if (rc == -EBADMSG)
		return fail(m, rc, "%s: a block of PEM in it is malformed", m->file->path);
	if (rc != 0)
		return rc == -ENOMEM ? records_failed(m, rc) : rc;
	if (count == 0)
		return nothing_found(m, text);
	return m->file->kind == TLS_FILE_CERTIFICATE ? chain_end(m) : 0;
}

/* All of fd, at most TLS_FILE_MOST bytes: it may have grown. The length or -errno. */
static ssize_t
bytes_read(int fd, char *buffer)
{
	size_t len = 0;
	ssize_t n;

	while (len <= TLS_FILE_MOST) {
		n = read(fd, buffer + len, TLS_FILE_MOST + 1 - len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		if (n == 0)
			return (ssize_t)len;
		len += (size_t)n;
	}
	return -EFBIG;
}

/* A private key may stand in the same file: nothing of it stays in memory. */
static int
public_read(struct making *m)
{
	size_t room = TLS_FILE_MOST + 1;
	int fd = file_open(m), rc;
	char *buffer;
	ssize_t n;

	if (fd < 0)
		return fd;
	buffer = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED) {
		close(fd);
		return records_failed(m, -ENOMEM);
	}
	(void)madvise(buffer, room, MADV_DONTDUMP);
	n = bytes_read(fd, buffer);
	close(fd);
	if (n < 0)
		rc = fail(m, (int)n, "read %s: %s", m->file->path, error_text((int)-n));
	else
		rc = text_read(m, (struct bytes){ buffer, (size_t)n });
	explicit_bzero(buffer, room);
	munmap(buffer, room);
	return rc;
}

/* ---- the document */

static void
context_add(struct tls_files *f, const struct msg_tls_context *context)
{
	if (context->use != TLS_CLIENTS)
		return;
	f->clients = true;
	f->first_only = context->first && context->fallback == 0;
	f->rate = context->rate;
}

/* A record of config's: it goes on as it is, or what is in the file in its place. */
static int
record_make(void *arg, const struct msg *in)
{
	struct making *m = arg;
	struct tls_file *file;

	if (in->type == MSG_tls_context)
		context_add(m->files, &in->u.tls_context);
	if (in->type != MSG_tls_file)
		return records_add(&m->document, in);
	file = &m->files->items[m->next++];
	m->file = file;
	if (file->kind == TLS_FILE_CERTIFICATE)
		++*m->keys;
	if (file->kind == TLS_FILE_CERTIFICATE || file->kind == TLS_FILE_KEY ||
	    file->kind == TLS_FILE_PASSWORD)
		file->key = *m->keys;
	if (file->kind == TLS_FILE_KEY || file->kind == TLS_FILE_PASSWORD)
		return secret_read(m, file);
	return public_read(m);
}

int
tls_files_read(struct tls_files *f, int named, uint64_t *keys, int *document, char *error,
    size_t size)
{
	struct making m = { .files = f, .keys = keys, .error = error, .size = size };
	const char *why;
	int rc = 0, fd;

	tls_files_free(f);
	f->named = named;
	msgpack_sbuffer_init(&m.document);
	msgpack_sbuffer_init(&m.chain);
	if (named != -1)
		rc = records_read(named, ROLE_CONFIG, ROLE_SUPERVISOR, file_add, f, &why);
	if (named != -1 && rc == 0)
		rc = records_read(named, ROLE_CONFIG, ROLE_SUPERVISOR, record_make, &m, &why);
	fd = rc == 0 ? records_seal(&m.document) : -1;
	if (fd >= 0)
		*document = fd;
	else if (rc == 0 || m.file == NULL)
		snprintf(error, size, "the TLS document: %s", error_text(rc == 0 ? -fd : -rc));
	msgpack_sbuffer_destroy(&m.document);
	msgpack_sbuffer_destroy(&m.chain);
	return rc == 0 && fd < 0 ? fd : rc;
}

/* ---- later */

enum tls_look
tls_files_look(struct tls_files *f)
{
	bool changed = false, moved = false;
	size_t i;

	for (i = 0; i < f->count; i++) {
		struct tls_file *file = &f->items[i];
		struct tls_stamp now = stamp_of(file->path);
		moved |= !stamp_equal(&now, &file->seen);
		changed |= !stamp_equal(&now, &file->read);
		file->seen = now;
	}
	return !changed ? TLS_SAME : moved ? TLS_SETTLING : TLS_CHANGED;
}

void
tls_files_tried(struct tls_files *f, const struct tls_files *tried)
{
	size_t i;

	for (i = 0; i < f->count && i < tried->count; i++)
		if (strcmp(f->items[i].path, tried->items[i].path) == 0)
			f->items[i].read = tried->items[i].read;
}
