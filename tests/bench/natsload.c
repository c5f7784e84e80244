/*
 * natsload - load generator and verifier for servers that speak the NATS client protocol.
 *
 * It uses no NATS client library.  Everything is built so that the tool costs much less CPU per
 * message than any server can: publishers write large batches of pre-rendered PUB frames in which
 * only an 8-byte tag (publisher id and sequence number) and, where wanted, the digits of the
 * subject are patched; receivers read 256 KiB at a time and step from frame to frame by the
 * declared length, looking at nothing of the payload but that tag.
 *
 * One thread ("worker") serves any number of connections with epoll; --threads 2 puts publishers
 * and subscribers on different threads.  The main thread only sets up, watches and reports, so no
 * measured time depends on its polling interval: workers stamp the time of the last event.
 *
 * Build:  gcc -std=c11 -O2 -Wall -Wextra -pthread -o natsload natsload.c
 *   TLS:  gcc -std=c11 -O2 -Wall -Wextra -pthread -DWITH_TLS -o natsload natsload.c -lssl -lcrypto
 *
 * Exit status: 0 all as expected; 1 the server reported an error, closed a connection, lost,
 * duplicated or reordered messages, or stopped making progress; 2 bad arguments.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

#define RBUF_SIZE   (256 * 1024)          /* read buffer of a worker */
#define RBUF_SLACK  (128 * 1024)          /* room in front of it for an unfinished frame head */
#define MAX_LINE    (64 * 1024)           /* longest control line accepted (INFO can be long) */
#define HEADROOM    8                     /* space for "PONG\r\n" in front of a batch */
#define TAG_LEN     8                     /* bytes of payload used by the sequence tag */
#define SEQ_BITS    40                    /* tag = publisher id << SEQ_BITS | sequence */
#define SEQ_MASK    ((UINT64_C(1) << SEQ_BITS) - 1)
#define MAX_SERVERS 16
#define MAX_PIDS    1024
#define QBITS       (UINT64_C(1) << 32)   /* messages per publisher a queue-group bitmap can hold */

enum mode { M_PUB, M_PUBSUB, M_REQREP, M_CONNS, M_SUBS, M_CHURN, M_SLOW, M_NONE };
static const char *const mode_names[] = {"pub", "pubsub", "reqrep", "conns", "subs", "churn", "slow"};

/* ------------------------------------------------------------------------------- options */

static struct {
    enum mode mode;
    struct { char host[256], port[16]; } server[MAX_SERVERS];
    int         nservers;
    const char *user, *pass, *token, *subject, *tls_ca, *tls_version;
    uint64_t    size, msgs, pubs, subs, conc, conns, count, wild, queue, subjects, rate, batch, threads;
    double      seconds, timeout, settle;
    bool        json, pairs, headers, verify, tls, resume, rst, msgs_set, subs_set;
    char        wildcard;                 /* 0, '*' or '>' */
    int         pid[64], npid;            /* --server-pid */
} opt = {
    .mode = M_NONE, .subject = "bench", .size = 128, .msgs = 1000000, .pubs = 1, .subs = 1, .conc = 1,
    .conns = 1, .count = 100000, .subjects = 1, .batch = 128 * 1024, .threads = 1, .timeout = 30,
    .settle = -1, .verify = true,
};

/* ---------------------------------------------------------------------------- small tools */

static _Atomic bool quit;                 /* workers leave their loops */
static _Atomic bool stop_publishing;      /* --seconds is over */
static _Atomic bool failed;               /* fail() was called; the first text is kept */
static char         fail_text[512];
static pthread_mutex_t fail_lock = PTHREAD_MUTEX_INITIALIZER;

static _Noreturn __attribute__((format(printf, 2, 3))) void die(int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("natsload: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(status);
}

/* Note a fatal error from any thread; the main thread prints it and exits with 1. */
static __attribute__((format(printf, 1, 2))) void fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    pthread_mutex_lock(&fail_lock);
    if (!atomic_load(&failed)) {
        vsnprintf(fail_text, sizeof fail_text, fmt, ap);
        atomic_store(&failed, true);
    }
    pthread_mutex_unlock(&fail_lock);
    va_end(ap);
}

static void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p) die(1, "out of memory");
    return p;
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR) ;
}

static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* A value another thread may read at any time, written by one thread only. */
typedef _Atomic uint64_t counter;
static counter done_reqs;
static inline uint64_t get(counter *c) { return atomic_load_explicit(c, memory_order_relaxed); }
static inline void set(counter *c, uint64_t v) { atomic_store_explicit(c, v, memory_order_relaxed); }

/* --------------------------------------------------------------------- latency histogram */

/* 64 linear steps in every power of two: at most 1.6 % error, any range, constant memory. */
#define HIST_SUB 64
static struct { uint64_t n, sum, max, bucket[60 * HIST_SUB]; } hist;   /* written by one thread only */

static size_t hist_index(uint64_t v)
{
    if (v < HIST_SUB) return v;
    int shift = 63 - __builtin_clzll(v) - 6;
    return (size_t)(shift + 1) * HIST_SUB + ((v >> shift) & (HIST_SUB - 1));
}

static void hist_add(uint64_t v)
{
    hist.bucket[hist_index(v)]++;
    hist.sum += v;
    hist.n++;
    if (v > hist.max) hist.max = v;
}

static void put_num(const char *key, double v, int digits);

static void put_quantile(const char *key, double q)
{
    uint64_t want = (uint64_t)(q * (double)hist.n), seen = 0, v = hist.max;
    for (size_t i = 0; i < sizeof hist.bucket / sizeof hist.bucket[0] && seen <= want; i++) {
        seen += hist.bucket[i];
        v = i < HIST_SUB ? i : (HIST_SUB + (i & (HIST_SUB - 1))) << (i / HIST_SUB - 1);
    }
    put_num(key, (double)min_u64(v, hist.max) / 1000.0, 1);
}

/* --------------------------------------------------- what the server processes have used */

struct usage { double cpu_ns, user_s, sys_s; uint64_t rss, pss, hwm; int procs; };

/* All processes in opt.pid and their descendants, found by one pass over /proc. */
static int server_tree(int *out)
{
    static struct { int pid, ppid; } all[65536];
    int n = 0, found = 0;
    DIR *d = opt.npid ? opendir("/proc") : NULL;
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d)) && n < 65536;) {
        if (!isdigit((unsigned char)e->d_name[0])) continue;
        char path[300], line[512];
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = fopen(path, "re");
        if (!f) continue;
        size_t k = fread(line, 1, sizeof line - 1, f);
        fclose(f);
        line[k] = 0;
        const char *p = strrchr(line, ')');        /* the name may hold blanks and brackets */
        if (p && sscanf(p + 1, " %*c %d", &all[n].ppid) == 1) all[n++].pid = atoi(e->d_name);
    }
    closedir(d);
    for (int i = 0; i < opt.npid; i++) out[found++] = opt.pid[i];
    for (int i = 0; i < found; i++)
        for (int j = 0; j < n && found < MAX_PIDS; j++)
            if (all[j].ppid == out[i]) {
                bool known = false;
                for (int k = 0; k < found; k++) known |= out[k] == all[j].pid;
                if (!known) out[found++] = all[j].pid;
            }
    return found;
}

static uint64_t proc_kib(int pid, const char *file, const char *key)
{
    char path[64], line[256];
    uint64_t v = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) {
            v = strtoull(line + strlen(key), NULL, 10) * 1024;
            break;
        }
    fclose(f);
    return v;
}

static struct usage server_usage(void)
{
    static int pids[MAX_PIDS];
    struct usage u = {0};
    u.procs = server_tree(pids);
    for (int i = 0; i < u.procs; i++) {
        clockid_t clk;
        struct timespec ts;
        if (!clock_getcpuclockid(pids[i], &clk) && !clock_gettime(clk, &ts))
            u.cpu_ns += (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
        char path[64], line[1024];
        snprintf(path, sizeof path, "/proc/%d/stat", pids[i]);
        FILE *f = fopen(path, "re");
        if (f) {
            size_t k = fread(line, 1, sizeof line - 1, f);
            fclose(f);
            line[k] = 0;
            const char *p = strrchr(line, ')');
            unsigned long long ut = 0, st = 0;
            if (p && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &ut, &st) == 2) {
                u.user_s += (double)ut / (double)sysconf(_SC_CLK_TCK);
                u.sys_s += (double)st / (double)sysconf(_SC_CLK_TCK);
            }
        }
        u.pss += proc_kib(pids[i], "smaps_rollup", "Pss:");
        u.hwm += proc_kib(pids[i], "status", "VmHWM:");
        u.rss += proc_kib(pids[i], "status", "VmRSS:");
    }
    return u;
}

static double own_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* ------------------------------------------------------------------------------ reporting */

static char human_line[8192], json_line[8192];

static __attribute__((format(printf, 2, 3))) void append(char *buf, const char *fmt, ...)
{
    size_t n = strlen(buf);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf + n, sizeof human_line - n, fmt, ap);
    va_end(ap);
}

static void put_str(const char *key, const char *v)
{
    append(human_line, " %s=%s", key, v);
    append(json_line, "%s\"%s\":\"", json_line[0] ? "," : "", key);
    for (; *v; v++) {
        if (*v == '"' || *v == '\\') append(json_line, "\\%c", *v);
        else if ((unsigned char)*v >= 0x20) append(json_line, "%c", *v);
    }
    append(json_line, "\"");
}

static void put_int(const char *key, uint64_t v)
{
    append(human_line, " %s=%llu", key, (unsigned long long)v);
    append(json_line, "%s\"%s\":%llu", json_line[0] ? "," : "", key, (unsigned long long)v);
}

static void put_num(const char *key, double v, int digits)
{
    append(human_line, " %s=%.*f", key, digits, v);
    append(json_line, "%s\"%s\":%.*f", json_line[0] ? "," : "", key, digits, v);
}

static void put_bool(const char *key, bool v)
{
    append(human_line, " %s=%s", key, v ? "yes" : "no");
    append(json_line, "%s\"%s\":%s", json_line[0] ? "," : "", key, v ? "true" : "false");
}

/* CPU of server and tool over the measured time, per `unit` (message, request, connection). */
static void put_cpu(const struct usage *a, const struct usage *b, double own_ns, double n, const char *unit)
{
    char key[64];
    if (opt.npid) {
        put_num("server_cpu_s", (b->cpu_ns - a->cpu_ns) / 1e9, 3);
        put_num("server_user_s", b->user_s - a->user_s, 2);
        put_num("server_sys_s", b->sys_s - a->sys_s, 2);
        snprintf(key, sizeof key, "server_cpu_ns_per_%s", unit);
        put_num(key, n > 0 ? (b->cpu_ns - a->cpu_ns) / n : 0, 1);
        put_int("server_rss_kib", b->rss / 1024);
        put_int("server_pss_kib", b->pss / 1024);
        put_int("server_peak_kib", b->hwm / 1024);
        put_int("server_procs", (uint64_t)b->procs);
    }
    snprintf(key, sizeof key, "tool_cpu_ns_per_%s", unit);
    put_num(key, n > 0 ? own_ns / n : 0, 1);
}

static int report(bool ok)
{
    put_bool("ok", ok);
    if (opt.json) printf("{\"mode\":\"%s\",%s}\n", mode_names[opt.mode], json_line);
    fprintf(opt.json ? stderr : stdout, "%s%s\n", mode_names[opt.mode], human_line);
    return ok ? 0 : 1;
}

/* ----------------------------------------------------------------------------- connections */

enum role { R_IDLE, R_PUB, R_SUB, R_COUNT, R_REQ, R_RESP };

/* Source of pre-rendered PUB frames of equal length. */
struct gen {
    char    *buf;                         /* HEADROOM, nframes * stride, 8 bytes for "PING\r\n" */
    size_t   stride, nframes, tag_off, idx_off;
    int      idx_digits;                  /* digits of the subject index, 0 = subject is fixed */
    uint64_t subjects, limit, seq, rng, expect;
    bool     random, finished;            /* finished: the closing PING has been queued */
};

struct conn {
    int       fd, id;
    enum role role;
    bool      want_out, pong_due, dead;
    struct worker *w;
    const char *out;                      /* bytes [out_off, out_len) remain to be written */
    size_t    out_off, out_len;
    char     *obuf;                       /* growing buffer for connections without a generator */
    size_t    obuf_cap;
    struct gen *gen;
    char     *stash;                      /* start of a frame whose head was not complete */
    size_t    stash_len, stash_cap;
    uint64_t  skip;                       /* bytes of the current payload still to come */
    uint64_t *next;                       /* per publisher: next sequence number expected */
    uint8_t **seen;                       /* queue group: per publisher bitmap of numbers seen */
    uint64_t  n_rx, gaps, dups;
    uint64_t  t_req, req_seq, req_limit;
    char     *req;                        /* pre-rendered request */
    size_t    req_len, req_tag;
    bool      req_open;
    counter   rx, tx, t_last, infos, pongs, t_pong;
#ifdef WITH_TLS
    SSL      *ssl;
#endif
};

struct worker {
    pthread_t thread;
    int       ep;
    struct conn **conn;
    size_t    nconn;
    char     *rbuf;
    uint64_t  t0;
};

#ifdef WITH_TLS
static SSL_CTX *tls_ctx;
static SSL_SESSION *tls_session;          /* --resume: what the server gave last */
static uint64_t tls_resumed;
#endif

/* read()/write() with TLS hidden; -1 with errno EAGAIN when nothing can be done now */
static ssize_t io_read(struct conn *c, void *buf, size_t len)
{
#ifdef WITH_TLS
    if (c->ssl) {
        int n = SSL_read(c->ssl, buf, (int)len);
        if (n > 0) return n;
        int e = SSL_get_error(c->ssl, n);
        if (e == SSL_ERROR_ZERO_RETURN) return 0;
        errno = e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
        return -1;
    }
#endif
    return recv(c->fd, buf, len, 0);
}

static ssize_t io_write(struct conn *c, const void *buf, size_t len)
{
#ifdef WITH_TLS
    if (c->ssl) {
        int n = SSL_write(c->ssl, buf, (int)len);
        if (n > 0) return n;
        int e = SSL_get_error(c->ssl, n);
        errno = e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
        return -1;
    }
#endif
    return send(c->fd, buf, len, MSG_NOSIGNAL);
}

static struct addrinfo *resolve(int server)
{
    static struct addrinfo *known[MAX_SERVERS];
    if (!known[server]) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        int e = getaddrinfo(opt.server[server].host, opt.server[server].port, &hints, &known[server]);
        if (e) die(1, "%s:%s: %s", opt.server[server].host, opt.server[server].port, gai_strerror(e));
    }
    return known[server];
}

static void json_escape(char *to, size_t cap, const char *s)
{
    size_t n = 0;
    for (; *s && n + 7 < cap; s++) {
        if (*s == '"' || *s == '\\') to[n++] = '\\', to[n++] = *s;
        else if ((unsigned char)*s < 0x20) n += (size_t)snprintf(to + n, cap - n, "\\u%04x", *s);
        else to[n++] = *s;
    }
    to[n] = 0;
}

/* "CONNECT {...}\r\nPING\r\n", rendered once */
static const char *connect_line(size_t *len)
{
    static char line[4096];
    static size_t n;
    if (!n) {
        char v[1024];
        n = (size_t)snprintf(line, sizeof line,
            "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1.0\",\"name\":\"natsload\","
            "\"protocol\":1,\"headers\":true,\"echo\":true,\"tls_required\":%s", opt.tls ? "true" : "false");
        const char *key[] = {"user", "pass", "auth_token"}, *val[] = {opt.user, opt.pass, opt.token};
        for (int i = 0; i < 3; i++)
            if (val[i]) {
                json_escape(v, sizeof v, val[i]);
                n += (size_t)snprintf(line + n, sizeof line - n, ",\"%s\":\"%s\"", key[i], v);
            }
        n += (size_t)snprintf(line + n, sizeof line - n, "}\r\nPING\r\n");
    }
    *len = n;
    return line;
}

static void conn_free(struct conn *c)
{
#ifdef WITH_TLS
    if (c->ssl) SSL_free(c->ssl);
#endif
    if (c->fd >= 0) close(c->fd);
    if (c->gen) free(c->gen->buf);
    free(c->gen);
    free(c->obuf);
    free(c->stash);
    free(c->next);
    free(c->req);
}

/* -------------------------------------------------------------------- generating publishes */

static void put_digits(char *at, int digits, uint64_t v)
{
    while (digits--) {
        at[digits] = (char)('0' + v % 10);
        v /= 10;
    }
}

static int digits_for(uint64_t n)
{
    int d = 1;
    for (n -= n > 0; n >= 10; n /= 10) d++;
    return d < 7 ? 7 : d;
}

/* "prefix" or "prefix.0000012": the subject index keeps one width so that all frames are equal. */
static struct gen *gen_new(const char *prefix, uint64_t subjects, bool indexed, uint64_t limit)
{
    struct gen *g = xcalloc(1, sizeof *g);
    char head[1024];
    static const char hdr[] = "NATS/1.0\r\nLoad: natsload\r\n\r\n";
    size_t hdr_len = opt.headers ? sizeof hdr - 1 : 0;
    int n = snprintf(head, sizeof head, "%s %s", opt.headers ? "HPUB" : "PUB", prefix);
    g->subjects = subjects;
    g->limit = limit;
    if (indexed) {
        g->idx_digits = digits_for(subjects);
        g->idx_off = (size_t)n + 1;
        n += snprintf(head + n, sizeof head - (size_t)n, ".%0*d", g->idx_digits, 0);
    }
    if (opt.headers) n += snprintf(head + n, sizeof head - (size_t)n, " %zu", hdr_len);
    n += snprintf(head + n, sizeof head - (size_t)n, " %llu\r\n%s", (unsigned long long)(opt.size + hdr_len),
                  opt.headers ? hdr : "");
    g->tag_off = (size_t)n;
    g->stride = (size_t)n + opt.size + 2;
    g->nframes = opt.batch / g->stride ? opt.batch / g->stride : 1;
    g->buf = xcalloc(1, HEADROOM + g->nframes * g->stride + 8);
    for (size_t i = 0; i < g->nframes; i++) {
        char *f = g->buf + HEADROOM + i * g->stride;
        memcpy(f, head, (size_t)n);
        memset(f + n, 'x', opt.size);
        memcpy(f + n + opt.size, "\r\n", 2);
    }
    g->rng = UINT64_C(88172645463325252);
    return g;
}

/* Make the next batch of at most max frames the connection's output. */
static void gen_fill(struct conn *c, uint64_t max)
{
    struct gen *g = c->gen;
    if (g->seq < g->limit && atomic_load_explicit(&stop_publishing, memory_order_relaxed)) g->limit = g->seq;
    uint64_t n = min_u64(min_u64(g->nframes, max), g->limit - g->seq);
    uint64_t tag = ((uint64_t)c->id << SEQ_BITS) + g->seq;
    char *f = g->buf + HEADROOM;
    for (uint64_t i = 0; i < n; i++, f += g->stride, tag++) {
        if (opt.size >= TAG_LEN) memcpy(f + g->tag_off, &tag, TAG_LEN);
        if (g->idx_digits) {
            uint64_t idx = (g->seq + i) % g->subjects;
            if (g->random) {
                g->rng ^= g->rng << 13, g->rng ^= g->rng >> 7, g->rng ^= g->rng << 17;
                idx = (uint64_t)(((unsigned __int128)g->rng * g->subjects) >> 64);
            }
            put_digits(f + g->idx_off, g->idx_digits, idx);
            g->expect += 1 + (idx < opt.wild);
        }
    }
    g->seq += n;
    char *start = g->buf + HEADROOM;
    if (c->pong_due) {
        start -= 6;
        memcpy(start, "PONG\r\n", 6);
        c->pong_due = false;
    }
    if (g->seq == g->limit && !g->finished) {
        memcpy(f, "PING\r\n", 6);
        f += 6;
        g->finished = true;
    }
    c->out = start;
    c->out_off = 0;
    c->out_len = (size_t)(f - start);
    set(&c->tx, g->seq);
}

/* -------------------------------------------------------------------------- writing, reading */

static void conn_dead(struct conn *c)
{
    if (!c->dead) epoll_ctl(c->w->ep, EPOLL_CTL_DEL, c->fd, NULL);
    c->dead = true;
}

static void want_output(struct conn *c, bool on)
{
    if (on == c->want_out || c->dead) return;
    struct epoll_event ev = {.events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(c->w->ep, EPOLL_CTL_MOD, c->fd, &ev);
    c->want_out = on;
}

static void append_bytes(struct conn *c, const void *p, size_t len)
{
    if (c->obuf_cap - c->out_len < len) {
        c->obuf_cap = c->obuf_cap * 2 + len + 4096;
        c->obuf = realloc(c->obuf, c->obuf_cap);
        if (!c->obuf) die(1, "out of memory");
    }
    memcpy(c->obuf + c->out_len, p, len);
    c->out_len += len;
}

/* Write what is queued; a generator's next batch (at most max frames) is made when none is. */
static void conn_write(struct conn *c, uint64_t max)
{
    if (c->dead) return;
    if (c->gen && c->out_off == c->out_len) gen_fill(c, max);
    else if (c->pong_due && !c->gen) {
        c->pong_due = false;
        append_bytes(c, "PONG\r\n", 6);
    }
    if (!c->gen) c->out = c->obuf;
    while (c->out_off < c->out_len) {
        size_t want = c->out_len - c->out_off;
        ssize_t n = io_write(c, c->out + c->out_off, want);
        if (n < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) {
                fail("connection %d: write: %s", c->id, strerror(errno));
                conn_dead(c);
            }
            break;
        }
        c->out_off += (size_t)n;
        if ((size_t)n < want) break;
    }
    bool pending = c->out_off < c->out_len;
    if (!pending && !c->gen) c->out_off = c->out_len = 0;
    want_output(c, pending || (c->gen && !c->gen->finished && !opt.rate));
}

static void send_request(struct conn *c)
{
    if (c->req_seq >= c->req_limit || atomic_load_explicit(&stop_publishing, memory_order_relaxed)) return;
    uint64_t tag = ((uint64_t)c->id << SEQ_BITS) + c->req_seq;
    memcpy(c->req + c->req_tag, &tag, TAG_LEN);
    append_bytes(c, c->req, c->req_len);
    c->req_open = true;
    c->t_req = now_ns();
}

/* Echo the tag to the reply subject, the word in front of the size. */
static void answer(struct conn *c, const char *line, const char *eol, const char *payload)
{
    static const char filler[4096];                /* zero bytes, good enough for an answer */
    const char *to = memrchr(line, ' ', (size_t)(eol - line)), *b = to;
    char num[32];
    while (b > line && b[-1] != ' ') b--;
    if (to - b < 8 || memcmp(b, "_INBOX.", 7)) {
        fail("request without a reply subject: %.*s", (int)(eol - line), line);
        return;
    }
    append_bytes(c, "PUB ", 4);
    append_bytes(c, b, (size_t)(to - b));
    append_bytes(c, num, (size_t)snprintf(num, sizeof num, " %llu\r\n", (unsigned long long)opt.size));
    append_bytes(c, payload, TAG_LEN);
    for (uint64_t left = opt.size - TAG_LEN, m; left; left -= m) {
        m = min_u64(left, sizeof filler);
        append_bytes(c, filler, (size_t)m);
    }
    append_bytes(c, "\r\n", 2);
}

/* One message has come; payload points to its first TAG_LEN bytes if it has as many. */
static inline void on_message(struct conn *c, const char *line, const char *eol, const char *payload, uint64_t size)
{
    uint64_t tag = 0;
    c->n_rx++;
    if (c->role == R_COUNT) return;
    if (size != opt.size) {
        fail("message of %llu bytes, expected %llu", (unsigned long long)size, (unsigned long long)opt.size);
        return;
    }
    if (!opt.verify || size < TAG_LEN) return;
    memcpy(&tag, payload, TAG_LEN);
    uint64_t seq = tag & SEQ_MASK, pub = tag >> SEQ_BITS;
    switch (c->role) {
    case R_SUB:
        if (pub >= opt.pubs) {
            fail("message with a tag that no publisher wrote: %016llx", (unsigned long long)tag);
        } else if (c->seen) {                      /* a queue group: once in all, rising per member */
            uint8_t bit = (uint8_t)(1u << (seq & 7));
            if (seq >= QBITS) fail("too many messages to verify a queue group");
            else if (__atomic_fetch_or(&c->seen[pub][seq >> 3], bit, __ATOMIC_RELAXED) & bit) c->dups++;
            if (seq < c->next[pub]) c->gaps++;
            c->next[pub] = seq + 1;
        } else if (seq == c->next[pub]) {
            c->next[pub]++;
        } else if (seq > c->next[pub]) {
            c->gaps++;
            c->next[pub] = seq + 1;
        } else {
            c->dups++;
        }
        break;
    case R_REQ:
        if (!c->req_open || pub != (uint64_t)c->id || seq != c->req_seq) {
            fail("requester %d: unexpected answer", c->id);
            break;
        }
        hist_add(now_ns() - c->t_req);
        set(&done_reqs, hist.n);
        c->req_open = false;
        c->req_seq++;
        if (!opt.rate) send_request(c);
        break;
    case R_RESP:
        answer(c, line, eol, payload);
        break;
    default:
        fail("message on a connection without subscriptions");
    }
}

/* Digits that end at e (exclusive), not before b; returns where they start. */
static inline const char *number_before(const char *b, const char *e, uint64_t *v)
{
    uint64_t scale = 1, n = 0;
    while (e > b && (unsigned char)(e[-1] - '0') < 10) {
        n += (uint64_t)(*--e - '0') * scale;
        scale *= 10;
    }
    *v = n;
    return e;
}

/* Consume complete frames and the heads of long ones; returns the bytes used. */
static size_t conn_parse(struct conn *c, const char *buf, size_t len)
{
    const char *p = buf, *end = buf + len;
    while (p < end && !c->dead) {
        if (c->skip) {
            size_t k = (size_t)min_u64(c->skip, (uint64_t)(end - p));
            c->skip -= k;
            p += k;
            continue;
        }
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl) {
            if (end - p > MAX_LINE) goto bad;
            break;
        }
        const char *eol = nl > p && nl[-1] == '\r' ? nl - 1 : nl, *body = nl + 1;
        if (*p == 'M' || *p == 'H') {
            uint64_t total, hdr = 0;
            const char *at = number_before(p, eol, &total);
            if (at == eol || at - p < 6) goto bad;
            if (*p == 'H') {
                const char *at2 = number_before(p, at - 1, &hdr);
                if (at2 == at - 1 || hdr > total) goto bad;
            }
            uint64_t need = hdr + min_u64(total - hdr, TAG_LEN), avail = (uint64_t)(end - body);
            if (avail < need) break;
            on_message(c, p, eol, body + hdr, total - hdr);
            total += 2;
            if (avail >= total) {
                p = body + total;
                if (p[-1] != '\n') goto bad;
            } else {
                c->skip = total - avail;
                p = end;
            }
            continue;
        }
        if (eol - p >= 4 && !memcmp(p, "PING", 4)) {
            c->pong_due = true;
        } else if (eol - p >= 4 && !memcmp(p, "PONG", 4)) {
            set(&c->t_pong, now_ns());
            set(&c->pongs, get(&c->pongs) + 1);
        } else if (*p == '-') {
            fail("server error on connection %d: %.*s", c->id, (int)min_u64((uint64_t)(eol - p), 300), p);
            conn_dead(c);
        } else if (eol - p >= 4 && !memcmp(p, "INFO", 4)) {
            set(&c->infos, get(&c->infos) + 1);
        } else if (*p != '+') {
            goto bad;
        }
        p = body;
    }
    return (size_t)(p - buf);
bad:
    fail("connection %d: not a valid frame: %.*s", c->id, (int)min_u64((uint64_t)(end - p), 60), p);
    conn_dead(c);
    return len;
}

static void conn_read(struct conn *c)
{
    char *buf = c->w->rbuf;
    bool again = false;
    if (c->dead) return;
    do {
        size_t have = c->stash_len;
        if (have) memcpy(buf, c->stash, have);
        ssize_t n = io_read(c, buf + have, RBUF_SIZE);
        if (n <= 0) {
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
            fail("connection %d: %s", c->id, n ? strerror(errno) : "closed by the server");
            conn_dead(c);
            return;
        }
        size_t len = have + (size_t)n, used = conn_parse(c, buf, len);
        c->stash_len = len - used;
        if (c->stash_len > c->stash_cap) {
            c->stash_cap = c->stash_len + 256;
            free(c->stash);
            c->stash = xcalloc(1, c->stash_cap);
        }
        if (c->stash_len > RBUF_SLACK) {
            fail("connection %d: frame head longer than %d bytes", c->id, RBUF_SLACK);
            conn_dead(c);
            return;
        }
        if (c->stash_len) memcpy(c->stash, buf + used, c->stash_len);
        set(&c->rx, c->n_rx);
        set(&c->t_last, now_ns());
#ifdef WITH_TLS
        again = c->ssl && SSL_pending(c->ssl) > 0;
#endif
    } while (again && !c->dead);
    if (c->pong_due || (!c->gen && c->out_off < c->out_len)) conn_write(c, 0);
}

/* ----------------------------------------------------------------- set-up, blocking sockets */

/* Send what is queued and read until the server has sent one more INFO or PONG (*what counts). */
static void exchange(struct conn *c, counter *what)
{
    uint64_t before = get(what), start = now_ns();
    while (!atomic_load(&failed) && (c->out_len || get(what) == before)) {
        if (c->out_len) conn_write(c, 0);
        else conn_read(c);
        if ((double)(now_ns() - start) > opt.timeout * 1e9)
            die(1, "connection %d: no answer within %.0f s", c->id, opt.timeout);
    }
    if (atomic_load(&failed)) die(1, "%s", fail_text);
}

/* Connect, read INFO, upgrade to TLS, send CONNECT, and wait for the first PONG. */
static void conn_open(struct conn *c, int id, enum role role, int server)
{
    static struct worker setup_worker = {.ep = -1};
    struct addrinfo *ai = resolve(server);
    if (!setup_worker.rbuf) setup_worker.rbuf = xcalloc(1, RBUF_SLACK + RBUF_SIZE);
    memset(c, 0, sizeof *c);
    c->id = id;
    c->role = role;
    c->w = &setup_worker;
    c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die(1, "socket: %s (connection %d; see ulimit -n)", strerror(errno), id);
    struct timeval tv = {.tv_sec = (time_t)opt.timeout + 1};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(c->fd, ai->ai_addr, ai->ai_addrlen) < 0)
        die(1, "connect %s:%s: %s", opt.server[server].host, opt.server[server].port, strerror(errno));
    exchange(c, &c->infos);
#ifdef WITH_TLS
    if (opt.tls) {
        c->ssl = SSL_new(tls_ctx);
        if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || SSL_connect(c->ssl) != 1)
            die(1, "TLS handshake failed: %s", ERR_reason_error_string(ERR_get_error()));
    }
#endif
    size_t n;
    const char *hello = connect_line(&n);
    append_bytes(c, hello, n);
    exchange(c, &c->pongs);
}

/* "SUB subject [queue] sid\r\n"; sent now and then, and at last by flush_setup(). */
static __attribute__((format(printf, 2, 3))) void queue_text(struct conn *c, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    append_bytes(c, line, (size_t)vsnprintf(line, sizeof line, fmt, ap));
    va_end(ap);
    while (c->out_len > 256 * 1024 && !c->dead) conn_write(c, 0);
}

static void flush_setup(struct conn *c)
{
    append_bytes(c, "PING\r\n", 6);
    exchange(c, &c->pongs);
}

/* ---------------------------------------------------------------------------------- workers */

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct epoll_event ev[256];
    w->t0 = now_ns();
    for (size_t i = 0; i < w->nconn; i++)          /* what came during set-up */
        if (w->conn[i]->role == R_REQ && !opt.rate) {
            send_request(w->conn[i]);
            conn_write(w->conn[i], 0);
        }
    while (!atomic_load_explicit(&quit, memory_order_relaxed)) {
        int n = epoll_wait(w->ep, ev, 256, opt.rate ? 1 : 100);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (ev[i].events & ~(uint32_t)EPOLLOUT) conn_read(c);
            if (ev[i].events & EPOLLOUT) conn_write(c, opt.rate ? 0 : UINT64_MAX);
        }
        if (opt.rate) {                            /* --rate: what is due by now, every millisecond */
            double due = (double)opt.rate / (double)opt.pubs * (double)(now_ns() - w->t0) / 1e9;
            for (size_t i = 0; i < w->nconn; i++) {
                struct conn *c = w->conn[i];
                if (c->gen && c->out_off == c->out_len && !c->gen->finished)
                    conn_write(c, due > (double)c->gen->seq ? (uint64_t)due - c->gen->seq : 0);
                /* requesters take turns, so that a pause of the server meets many of them */
                if (c->req && !c->req_open && due + (double)c->id / (double)opt.conc > (double)c->req_seq + 1) {
                    send_request(c);
                    conn_write(c, 0);
                }
            }
        }
    }
    return NULL;
}

static struct worker *workers;

/* Spread the connections over workers and start: publishers on the first, the others after it. */
static void workers_start(struct conn *conns, size_t n)
{
    workers = xcalloc(opt.threads, sizeof *workers);
    for (size_t i = 0; i < opt.threads; i++) {
        workers[i].ep = epoll_create1(EPOLL_CLOEXEC);
        workers[i].conn = xcalloc(n, sizeof(struct conn *));
        workers[i].rbuf = xcalloc(1, RBUF_SLACK + RBUF_SIZE);
    }
    for (size_t i = 0; i < n; i++) {
        struct conn *c = &conns[i];
        if (c->role == R_IDLE) continue;
        bool sender = c->role == R_PUB || c->role == R_REQ;
        size_t k = sender || opt.threads == 1 ? 0 : 1 + (size_t)c->id % (opt.threads - 1);
        c->w = &workers[k];
        c->w->conn[c->w->nconn++] = c;
        fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
        set(&c->pongs, 0);
        c->want_out = c->gen != NULL && !opt.rate;
        struct epoll_event ev = {.events = EPOLLIN | (c->want_out ? EPOLLOUT : 0), .data.ptr = c};
        if (epoll_ctl(c->w->ep, EPOLL_CTL_ADD, c->fd, &ev) < 0) die(1, "epoll_ctl: %s", strerror(errno));
    }
    for (size_t i = 0; i < opt.threads; i++)
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i])) die(1, "cannot start a thread");
}

static void workers_stop(void)
{
    atomic_store(&quit, true);
    for (size_t i = 0; i < opt.threads; i++) {
        pthread_join(workers[i].thread, NULL);
        close(workers[i].ep);
        free(workers[i].conn);
        free(workers[i].rbuf);
    }
}

/* The end of a mode with workers: say what went wrong, give everything back. */
static void finish(struct conn *conn, uint64_t n)
{
    if (atomic_load(&failed)) fprintf(stderr, "natsload: %s\n", fail_text);
    for (uint64_t i = 0; i < n; i++) conn_free(&conn[i]);
    free(conn);
    free(workers);
}

/* Messages of one publisher when --msgs is shared out; without --msgs, --seconds is the limit. */
static uint64_t share(uint64_t i, uint64_t parts)
{
    if (opt.seconds > 0 && !opt.msgs_set) return SEQ_MASK;
    return opt.msgs / parts + (i < opt.msgs % parts);
}

/* Routes and gateways need a moment to learn of new subscriptions. */
static void settle(double dflt)
{
    double s = opt.settle >= 0 ? opt.settle : dflt;
    if (s > 0) sleep_ns((uint64_t)(s * 1e9));
}

/* Time without progress; called in every polling loop. */
static bool stalled(uint64_t progress)
{
    static uint64_t last, since;
    uint64_t t = now_ns();
    if (progress != last || !since) last = progress, since = t;
    return (double)(t - since) > opt.timeout * 1e9;
}

/* ----------------------------------------------------- modes: pub, pubsub, subs and slow */

/* Whether the server side of the connection from local port `port` is still established. */
static int peer_established(int port, int server_port)
{
    static const char *const file[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    int found = 0;
    for (int i = 0; i < 2 && !found; i++) {
        char line[512];
        FILE *f = fopen(file[i], "re");
        if (!f) continue;
        while (fgets(line, sizeof line, f)) {
            unsigned lport, rport, st;
            if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%x %x", &lport, &rport, &st) == 3 &&
                lport == (unsigned)server_port && rport == (unsigned)port) {
                found = st == 1 ? 1 : -1;
                break;
            }
        }
        fclose(f);
    }
    return found;                                  /* 1 established, -1 closing, 0 not listed */
}

static int local_port(int fd, bool peer)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    if (peer ? getpeername(fd, (struct sockaddr *)&ss, &n) : getsockname(fd, (struct sockaddr *)&ss, &n)) return -1;
    return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
                                          : ((struct sockaddr_in *)&ss)->sin_port);
}

/* What the slow subscriber finds when it reads again: bytes, the server's last words, the end. */
static uint64_t drain_slow(struct conn *c, char *err, size_t cap, bool *closed)
{
    static char buf[65536 + 64];
    uint64_t total = 0;
    size_t keep = 0;
    struct timeval tv = {.tv_sec = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    *closed = false;
    err[0] = 0;
    for (ssize_t n; total < (UINT64_C(1) << 30);) {
        n = io_read(c, buf + keep, 65536);
        if (n <= 0) {
            *closed = n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
            break;
        }
        total += (uint64_t)n;
        size_t len = keep + (size_t)n;
        char *e = memmem(buf, len, "-ERR", 4);
        if (e) {
            size_t k = 0;
            while (e < buf + len && *e != '\r' && k + 1 < cap) err[k++] = *e++;
            err[k] = 0;
        }
        keep = len < 63 ? len : 63;
        memmove(buf, buf + len - keep, keep);
    }
    return total;
}

static void subject_prefix(char *to, size_t cap, uint64_t pair)
{
    if (opt.pairs) snprintf(to, cap, "%s.p%04llu", opt.subject, (unsigned long long)pair);
    else snprintf(to, cap, "%s", opt.subject);
}

static void subscribe_all(struct conn *c, uint64_t sub)
{
    char prefix[256], queue[32] = "";
    subject_prefix(prefix, sizeof prefix, sub);
    if (opt.queue) snprintf(queue, sizeof queue, " g%llu", (unsigned long long)(sub % opt.queue));
    if (opt.wildcard) queue_text(c, "SUB %s.%c%s 1\r\n", prefix, opt.wildcard, queue);
    else if (opt.subjects == 1) queue_text(c, "SUB %s%s 1\r\n", prefix, queue);
    else
        for (uint64_t k = 0; k < opt.subjects; k++)
            queue_text(c, "SUB %s.%0*llu%s %llu\r\n", prefix, digits_for(opt.subjects), (unsigned long long)k, queue,
                       (unsigned long long)(k + 1));
    flush_setup(c);
}

static int run_traffic(void)
{
    bool slow = opt.mode == M_SLOW, match = opt.mode == M_SUBS;
    uint64_t nsub = opt.mode == M_PUB ? 0 : match ? opt.conns : opt.subs, n = opt.pubs + nsub + slow;
    struct conn *conn = xcalloc(n, sizeof *conn), *sub = conn + opt.pubs, *lazy = slow ? &conn[n - 1] : NULL;
    struct usage before_subs = {0}, after_subs = {0};
    uint64_t t_sub0 = 0, t_sub1 = 0;
    int last = opt.nservers - 1;
    uint8_t **seen = NULL;                         /* [group][publisher] */

    if (opt.queue) {
        seen = xcalloc(opt.queue * opt.pubs, sizeof *seen);
        for (uint64_t i = 0; i < opt.queue * opt.pubs; i++) {
            seen[i] = mmap(NULL, QBITS / 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (seen[i] == MAP_FAILED) die(1, "no memory for the queue-group check");
        }
    }
    for (uint64_t i = 0; i < nsub; i++) {
        conn_open(&sub[i], (int)i, match ? R_COUNT : R_SUB, last);
        sub[i].next = xcalloc(opt.pubs, sizeof(uint64_t));
        if (opt.queue) sub[i].seen = seen + (i % opt.queue) * opt.pubs;
        if (!match) subscribe_all(&sub[i], i);
    }
    if (match) {                                   /* a.b.<i> spread over the connections, a.*.<i> too */
        settle(1);
        before_subs = server_usage();
        t_sub0 = now_ns();
        int d = digits_for(opt.count);
        for (uint64_t i = 0; i < opt.count + opt.wild; i++) {
            bool w = i >= opt.count;
            queue_text(&sub[i % nsub], "SUB a.%s.%0*llu %llu\r\n", w ? "*" : "b", d,
                       (unsigned long long)(w ? i - opt.count : i), (unsigned long long)(i + 1));
        }
        for (uint64_t i = 0; i < nsub; i++) flush_setup(&sub[i]);
        t_sub1 = now_ns();
        settle(3);
        after_subs = server_usage();
    }
    if (slow) {
        conn_open(lazy, (int)nsub, R_IDLE, last);
        subscribe_all(lazy, nsub);
    }
    for (uint64_t i = 0; i < opt.pubs; i++) {
        char prefix[256];
        conn_open(&conn[i], (int)i, R_PUB, 0);
        subject_prefix(prefix, sizeof prefix, i);
        conn[i].gen = match ? gen_new("a.b", opt.count, true, share(i, opt.pubs))
                            : gen_new(prefix, opt.subjects, opt.subjects > 1 || opt.wildcard, share(i, opt.pubs));
        conn[i].gen->random = match;
        conn[i].gen->rng += i * UINT64_C(0x9E3779B97F4A7C15);
    }
    if (!match) settle(opt.nservers > 1 ? 1 : 0);

    /* run */
    static int pids[MAX_PIDS];
    int npids = slow ? server_tree(pids) : 0, my_port = 0, srv_port = 0;
    bool watchable = false, dropped = false;
    double drop_s = 0;
    uint64_t drop_msgs = 0, peak = 0, rss_before = 0;
    if (slow) {
        my_port = local_port(lazy->fd, false);
        srv_port = local_port(lazy->fd, true);
        watchable = peer_established(my_port, srv_port) == 1;
        for (int i = 0; i < npids; i++) rss_before += proc_kib(pids[i], "status", "VmRSS:");
    }
    struct usage u0 = server_usage();
    double own0 = own_cpu_ns();
    uint64_t t0 = now_ns();
    bool incomplete = false;
    workers_start(conn, n);
    for (;;) {
        sleep_ns(slow ? 10000000 : 2000000);
        uint64_t t = now_ns(), tx = 0, rx = 0, expect = 0, pub_done = 0;
        if (opt.seconds > 0 && (double)(t - t0) >= opt.seconds * 1e9) atomic_store(&stop_publishing, true);
        for (uint64_t i = 0; i < opt.pubs; i++) {
            tx += get(&conn[i].tx);
            pub_done += get(&conn[i].pongs) > 0;
        }
        for (uint64_t i = 0; i < nsub; i++) rx += get(&sub[i].rx);
        if (slow) {
            uint64_t rss = 0;
            for (int i = 0; i < npids; i++) rss += proc_kib(pids[i], "status", "VmRSS:");
            peak = rss > peak ? rss : peak;
            char b;
            ssize_t k = dropped ? 1 : recv(lazy->fd, &b, 1, MSG_PEEK | MSG_DONTWAIT);
            if (!dropped && ((watchable && peer_established(my_port, srv_port) != 1) || k == 0)) {
                dropped = true;
                drop_s = (double)(t - t0) / 1e9;
                drop_msgs = tx;
            }
        }
        if (atomic_load(&failed)) break;
        if (pub_done == opt.pubs) {                /* all numbers are final now */
            expect = opt.queue ? tx * opt.queue : opt.pairs ? tx : tx * nsub;
            if (match)
                for (uint64_t i = expect = 0; i < opt.pubs; i++) expect += conn[i].gen->expect;
            if (rx >= expect) break;
        }
        if (stalled(tx + rx + pub_done)) {
            incomplete = true;
            break;
        }
    }
    uint64_t t_end = t0, t_pub = t0, tx = 0, rx = 0, gaps = 0, dups = 0, expect = 0, rx_min = UINT64_MAX;
    struct usage u1 = server_usage();
    workers_stop();
    double own1 = own_cpu_ns();
    for (uint64_t i = 0; i < opt.pubs; i++) {
        uint64_t t = get(&conn[i].t_pong);
        t_pub = t > t_pub ? t : t_pub;
        tx += conn[i].gen->seq;
        expect += conn[i].gen->expect;
    }
    for (uint64_t i = 0; i < nsub; i++) {
        uint64_t t = get(&sub[i].t_last);
        t_end = t > t_end ? t : t_end;
        rx += sub[i].n_rx;
        rx_min = sub[i].n_rx < rx_min ? sub[i].n_rx : rx_min;
        gaps += sub[i].gaps;
        dups += sub[i].dups;
    }
    if (!match) expect = opt.queue ? tx * opt.queue : opt.pairs ? tx : tx * nsub;
    if (!nsub || t_pub > t_end) t_end = t_pub;

    /* report */
    double secs = (double)(t_end - t0) / 1e9;
    bool ok = !incomplete && !atomic_load(&failed) && rx == expect && !gaps && !dups;
    put_int("size", opt.size);
    put_int("pubs", opt.pubs);
    put_int("subs", nsub);
    if (match) {
        double added = (double)(opt.count + opt.wild), sub_s = (double)(t_sub1 - t_sub0) / 1e9;
        put_int("subscriptions", opt.count + opt.wild);
        put_num("subscribe_s", sub_s, 4);
        put_num("subscribe_per_s", added / sub_s, 0);
        if (opt.npid) {
            put_num("subscribe_cpu_ns_each", (after_subs.cpu_ns - before_subs.cpu_ns) / added, 1);
            put_num("rss_bytes_per_sub", ((double)after_subs.rss - (double)before_subs.rss) / added, 1);
            put_num("pss_bytes_per_sub", ((double)after_subs.pss - (double)before_subs.pss) / added, 1);
        }
    }
    put_int("msgs", tx);
    put_num("secs", secs, 4);
    put_num("pub_per_s", secs > 0 ? (double)tx / secs : 0, 0);
    put_num("pub_mib_per_s", secs > 0 ? (double)tx * (double)opt.size / secs / 1048576 : 0, 1);
    if (nsub) {
        put_int("received", rx);
        put_int("expected", expect);
        put_num("deliver_per_s", secs > 0 ? (double)rx / secs : 0, 0);
        put_int("gaps", gaps);
        put_int("dups", dups);
    }
    put_cpu(&u0, &u1, own1 - own0, (double)tx, "msg");
    if (nsub > 1 && opt.npid) put_num("server_cpu_ns_per_delivery", rx ? (u1.cpu_ns - u0.cpu_ns) / (double)rx : 0, 1);
    if (slow) {
        char err[128];
        bool closed = false;
        uint64_t got = drain_slow(lazy, err, sizeof err, &closed);
        put_bool("dropped", dropped || closed);
        put_str("drop_seen", dropped ? "while it did not read" : closed ? "when it read again" : "never");
        put_num("dropped_after_s", drop_s, 3);
        put_int("dropped_after_msgs", drop_msgs);
        put_num("dropped_after_mib", (double)drop_msgs * (double)opt.size / 1048576, 1);
        put_int("rss_before_kib", rss_before / 1024);
        put_int("rss_peak_kib", peak / 1024);
        put_int("slow_bytes_read_after", got);
        put_str("slow_error", err);
        put_bool("others_kept_up", ok);
        put_int("others_min_received", nsub ? rx_min : 0);
    }
    if (incomplete)
        fprintf(stderr, "natsload: no progress for %.0f s: %llu of %llu messages received\n", opt.timeout,
                (unsigned long long)rx, (unsigned long long)expect);
    for (uint64_t i = 0; seen && i < opt.queue * opt.pubs; i++) munmap(seen[i], QBITS / 8);
    free(seen);
    finish(conn, n);
    return report(ok);
}

/* ----------------------------------------------------------------------------- mode: reqrep */

static int run_reqrep(void)
{
    uint64_t n = opt.conc + opt.subs;
    struct conn *conn = xcalloc(n, sizeof *conn);
    opt.pubs = opt.conc;
    for (uint64_t i = 0; i < opt.subs; i++) {      /* responders share a queue group */
        struct conn *c = &conn[opt.conc + i];
        conn_open(c, (int)i, R_RESP, opt.nservers - 1);
        queue_text(c, "SUB %s.req workers 1\r\n", opt.subject);
        flush_setup(c);
    }
    for (uint64_t i = 0; i < opt.conc; i++) {
        struct conn *c = &conn[i];
        char head[512];
        conn_open(c, (int)i, R_REQ, 0);
        queue_text(c, "SUB _INBOX.natsload.%llu.* 1\r\n", (unsigned long long)i);
        flush_setup(c);
        c->req_tag = (size_t)snprintf(head, sizeof head, "PUB %s.req _INBOX.natsload.%llu.r %llu\r\n", opt.subject,
                                      (unsigned long long)i, (unsigned long long)opt.size);
        c->req_len = c->req_tag + opt.size + 2;
        c->req = xcalloc(1, c->req_len);
        memcpy(c->req, head, c->req_tag);
        memset(c->req + c->req_tag, 'x', opt.size);
        memcpy(c->req + c->req_len - 2, "\r\n", 2);
        c->req_limit = share(i, opt.conc);
    }
    settle(opt.nservers > 1 ? 1 : 0);
    struct usage u0 = server_usage();
    double own0 = own_cpu_ns();
    uint64_t t0 = now_ns(), done = 0, want = opt.seconds > 0 && !opt.msgs_set ? UINT64_MAX : opt.msgs;
    bool incomplete = false;
    workers_start(conn, n);
    for (bool over = false; !over;) {
        sleep_ns(2000000);
        done = get(&done_reqs);
        over = done >= want || atomic_load(&failed);
        if (opt.seconds > 0 && (double)(now_ns() - t0) >= opt.seconds * 1e9)
            over = true;                           /* open requests are not counted */
        if (stalled(done)) over = incomplete = true;
    }
    struct usage u1 = server_usage();
    workers_stop();
    double own1 = own_cpu_ns();
    uint64_t t_end = t0;
    for (uint64_t i = 0; i < opt.conc; i++) t_end = get(&conn[i].t_last) > t_end ? get(&conn[i].t_last) : t_end;
    double secs = (double)(t_end - t0) / 1e9;
    put_int("size", opt.size);
    put_int("concurrent", opt.conc);
    put_int("responders", opt.subs);
    put_int("requests", hist.n);
    put_num("secs", secs, 4);
    put_num("req_per_s", secs > 0 ? (double)hist.n / secs : 0, 0);
    put_quantile("p50_us", 0.5);
    put_quantile("p90_us", 0.9);
    put_quantile("p99_us", 0.99);
    put_quantile("p999_us", 0.999);
    put_num("max_us", (double)hist.max / 1000, 1);
    put_num("avg_us", hist.n ? (double)hist.sum / (double)hist.n / 1000 : 0, 1);
    put_cpu(&u0, &u1, own1 - own0, (double)hist.n, "req");
    if (incomplete) fprintf(stderr, "natsload: no answer for %.0f s\n", opt.timeout);
    finish(conn, n);
    return report(!incomplete && !atomic_load(&failed));
}

/* ------------------------------------------------------------------------------ mode: conns */

static int run_conns(void)
{
    uint64_t n = opt.conns, per = opt.subs_set ? opt.subs : 0;
    struct conn *conn = xcalloc(n, sizeof *conn);
    settle(1);
    struct usage u0 = server_usage();
    uint64_t t0 = now_ns();
    for (uint64_t i = 0; i < n; i++) conn_open(&conn[i], (int)i, R_IDLE, (int)(i % (uint64_t)opt.nservers));
    uint64_t t1 = now_ns();
    settle(3);
    struct usage u1 = server_usage(), u2 = u1;
    uint64_t t2 = 0, t3 = 0;
    if (per) {
        t2 = now_ns();
        for (uint64_t i = 0; i < n; i++) {
            for (uint64_t k = 0; k < per; k++)
                queue_text(&conn[i], "SUB %s.c%06llu.s%04llu %llu\r\n", opt.subject, (unsigned long long)i,
                           (unsigned long long)k, (unsigned long long)k + 1);
            flush_setup(&conn[i]);
        }
        t3 = now_ns();
        settle(3);
        u2 = server_usage();
    }
    put_int("conns", n);
    put_int("subs_per_conn", per);
    put_num("open_s", (double)(t1 - t0) / 1e9, 4);
    put_num("open_per_s", (double)n / ((double)(t1 - t0) / 1e9), 0);
    if (opt.npid) {
        put_num("server_cpu_us_per_conn", (u1.cpu_ns - u0.cpu_ns) / 1e3 / (double)n, 1);
        put_int("server_rss_kib_before", u0.rss / 1024);
        put_int("server_rss_kib", u1.rss / 1024);
        put_int("server_pss_kib_before", u0.pss / 1024);
        put_int("server_pss_kib", u1.pss / 1024);
        put_num("rss_bytes_per_conn", ((double)u1.rss - (double)u0.rss) / (double)n, 0);
        put_num("pss_bytes_per_conn", ((double)u1.pss - (double)u0.pss) / (double)n, 0);
        put_int("server_procs", (uint64_t)u2.procs);
    }
    if (per) {
        put_num("subscribe_s", (double)(t3 - t2) / 1e9, 4);
        if (opt.npid) {
            put_int("server_pss_kib_with_subs", u2.pss / 1024);
            put_num("rss_bytes_per_sub", ((double)u2.rss - (double)u1.rss) / (double)(n * per), 1);
            put_num("pss_bytes_per_sub", ((double)u2.pss - (double)u1.pss) / (double)(n * per), 1);
        }
    }
    for (uint64_t i = 0; i < n; i++) conn_free(&conn[i]);
    free(conn);
    return report(true);
}

/* ------------------------------------------------------------------------------ mode: churn */

#ifdef WITH_TLS
/* A step of the handshake, behind INFO; true when it is done. */
static bool churn_shake(struct conn *c)
{
    if (!c->ssl) {
        c->ssl = SSL_new(tls_ctx);
        if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || (tls_session && !SSL_set_session(c->ssl, tls_session)))
            die(1, "cannot set up TLS");
        SSL_set_connect_state(c->ssl);
    }
    int n = SSL_do_handshake(c->ssl), e = SSL_get_error(c->ssl, n);
    if (n != 1 && e != SSL_ERROR_WANT_READ) die(1, "TLS handshake failed: %s", ERR_reason_error_string(ERR_get_error()));
    if (n == 1) tls_resumed += (uint64_t)SSL_session_reused(c->ssl);
    return n == 1;
}
#else
static bool churn_shake(struct conn *c) { (void)c; return true; }
#endif

#ifdef WITH_TLS
/* OpenSSL lets a session be resumed only if its connection did not just break off. */
static void keep_session(struct conn *c)
{
    SSL_SESSION *session = opt.resume ? SSL_get1_session(c->ssl) : NULL;
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN);
    if (!session || !SSL_SESSION_is_resumable(session)) {
        SSL_SESSION_free(session);
        return;
    }
    SSL_SESSION_free(tls_session);
    tls_session = session;
}
#endif

static void churn_close(struct conn *c)
{
#ifdef WITH_TLS
    if (c->ssl) keep_session(c);
#endif
    if (opt.rst) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    conn_free(c);
}

static void churn_open(struct worker *w, struct conn *c)
{
    struct addrinfo *ai = resolve(0);
    memset(c, 0, sizeof *c);
    c->w = w;
    c->t_req = now_ns();
    c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die(1, "socket: %s", strerror(errno));
    if (connect(c->fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS) die(1, "connect: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};   /* INFO proves the connection */
    if (epoll_ctl(w->ep, EPOLL_CTL_ADD, c->fd, &ev) < 0) die(1, "epoll_ctl: %s", strerror(errno));
}

static int run_churn(void)
{
    struct worker w = {.ep = epoll_create1(EPOLL_CLOEXEC), .rbuf = xcalloc(1, RBUF_SLACK + RBUF_SIZE)};
    struct conn *slot = xcalloc(opt.conc, sizeof *slot);
    size_t hello_len;
    const char *hello = connect_line(&hello_len);
    uint64_t goal = opt.seconds > 0 && !opt.msgs_set ? UINT64_MAX : opt.msgs, started = 0, open_slots = 0;
    struct usage u0 = server_usage();
    double own0 = own_cpu_ns();
    uint64_t t0 = now_ns(), t_end = t0, stop_at = opt.seconds > 0 ? t0 + (uint64_t)(opt.seconds * 1e9) : UINT64_MAX;
    for (; open_slots < opt.conc && started < goal; started++) churn_open(&w, &slot[open_slots++]);
    while (open_slots) {
        struct epoll_event ev[256];
        int n = epoll_wait(w.ep, ev, 256, 100);
        if (stalled(hist.n))
            die(1, "no progress for %.0f s after %llu connections", opt.timeout, (unsigned long long)hist.n);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (!opt.tls || !get(&c->infos) || c->req_open) conn_read(c);
            if (atomic_load(&failed)) die(1, "%s", fail_text);
            if (get(&c->infos) && !c->req_open && (!opt.tls || churn_shake(c))) {  /* req_open: CONNECT has been sent */
                c->req_open = true;
                append_bytes(c, hello, hello_len);
                conn_write(c, 0);
            }
            if (!get(&c->pongs)) continue;
            t_end = now_ns();
            hist_add(t_end - c->t_req);
            churn_close(c);
            if (started < goal && t_end < stop_at) {
                started++;
                churn_open(&w, c);
            } else {
                open_slots--;
            }
        }
    }
    double secs = (double)(t_end - t0) / 1e9, own1 = own_cpu_ns();
    settle(0.2);                                   /* the server's side of the last closes */
    struct usage u1 = server_usage();
    put_int("concurrent", opt.conc);
    put_int("connections", hist.n);
    put_num("secs", secs, 4);
    put_num("conn_per_s", secs > 0 ? (double)hist.n / secs : 0, 0);
    put_quantile("p50_us", 0.5);
    put_quantile("p99_us", 0.99);
    put_num("max_us", (double)hist.max / 1000, 1);
#ifdef WITH_TLS
    if (opt.tls) put_int("resumed", tls_resumed);
#endif
    put_cpu(&u0, &u1, own1 - own0, (double)hist.n, "conn");
    free(slot);
    free(w.rbuf);
    close(w.ep);
    return report(true);
}

/* ------------------------------------------------------------------------------------ main */

static void usage(FILE *f)
{
    fputs("usage: natsload MODE [options]\n"
"modes\n"
"  pub      publish without subscribers; time until the PONG after the last PUB\n"
"  pubsub   --pubs P publishers to --subs Q subscribers; every message checked\n"
"  reqrep   --conc C requesters, one request each at a time, --subs R responders\n"
"  conns    open --conns N idle connections, --subs K subscriptions on each; memory\n"
"  subs     --count N distinct subscriptions (and --wild W wildcards) on --conns C\n"
"           connections; memory; then publishes to random ones of them\n"
"  churn    connect, CONNECT, PING, PONG, close; --conc C at a time\n"
"  slow     like pubsub, plus one subscriber that never reads\n"
"options\n"
"  --servers H:P[,H:P...]  publishers use the first, subscribers the last [127.0.0.1:4222]\n"
"  --user U --pass P       or --token T\n"
"  --size BYTES            payload [128]; below 8 only counts are checked\n"
"  --msgs N                messages, requests or connections in all [1000000]\n"
"  --seconds S             publish for S seconds (with --msgs: whichever ends first)\n"
"  --pubs P --subs Q --conc C --conns N --count N --wild W\n"
"  --pairs                 publisher i to subscriber i on a subject of their own\n"
"  --queue G               subscriber i joins queue group i mod G; each group gets all once\n"
"  --subjects K            publish to K subjects in turn\n"
"  --wildcard star|full    subscribe with SUBJECT.* or SUBJECT.> instead\n"
"  --subject NAME          subject prefix [bench]\n"
"  --headers               publish with HPUB and a small header\n"
"  --rate R                at most R messages (reqrep: requests) a second in all\n"
"  --batch BYTES           bytes per write of a publisher [131072]\n"
"  --threads T             1: all connections in one thread; 2: publishers, subscribers; ...\n"
"  --no-verify             do not look at payloads\n"
"  --settle S              wait for subscriptions to spread, for memory to settle\n"
"  --timeout S             give up when nothing moves for S seconds [30]\n"
"  --rst                   churn: close with a reset instead of FIN\n"
"  --server-pid P[,P...]   report CPU and memory of these processes and their children\n"
"  --tls [--tls-ca FILE]   TLS after INFO (needs a build with -DWITH_TLS)\n"
"  --tls-version 1.2|1.3   that one alone; --resume: churn resumes the session of an earlier connection\n"
"  --json                  one JSON line on stdout, the human line on stderr\n", f);
}

static uint64_t arg_int(const char *name, const char *s, uint64_t lo, uint64_t hi)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    uint64_t mul = 1;
    if (end != s && (*end == 'k' || *end == 'K')) mul = 1000, end++;
    else if (end != s && (*end == 'm' || *end == 'M')) mul = 1000000, end++;
    if (!isdigit((unsigned char)*s) || *end || errno || v > UINT64_MAX / mul || v * mul < lo || v * mul > hi)
        die(2, "--%s: '%s' is not a whole number from %llu to %llu", name, s, (unsigned long long)lo, (unsigned long long)hi);
    return v * mul;
}

static double arg_secs(const char *name, const char *s)
{
    char *end;
    double v = strtod(s, &end);
    if (end == s || *end || !(v >= 0 && v <= 86400)) die(2, "--%s: '%s' is not a number of seconds", name, s);
    return v;
}

static void arg_servers(const char *s)
{
    char copy[4096], *save = NULL;
    if (strlen(s) >= sizeof copy) die(2, "--servers: too long");
    strcpy(copy, s);
    for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
        char *colon = strrchr(t, ':');
        if (opt.nservers == MAX_SERVERS) die(2, "--servers: more than %d", MAX_SERVERS);
        if (!colon || colon == t || !colon[1] || strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
            strlen(t) > 250)
            die(2, "--servers: '%s' is not host:port", t);
        *colon = 0;
        snprintf(opt.server[opt.nservers].host, sizeof opt.server[0].host, "%s", t);
        snprintf(opt.server[opt.nservers++].port, sizeof opt.server[0].port, "%s", colon + 1);
    }
    if (!opt.nservers) die(2, "--servers: empty");
}

static void arg_pids(const char *s)
{
    for (const char *p = s; *p;) {
        char *end;
        long v = strtol(p, &end, 10);
        if (end == p || v <= 0 || v > 4194304 || (*end && *end != ',') || opt.npid == 64)
            die(2, "--server-pid: '%s' is not a list of process ids", s);
        if (kill((pid_t)v, 0) < 0 && errno == ESRCH) die(2, "--server-pid: no process %ld", v);
        opt.pid[opt.npid++] = (int)v;
        p = *end ? end + 1 : end;
    }
    if (!opt.npid) die(2, "--server-pid: empty");
}

enum { O_SERVERS = 256, O_USER, O_PASS, O_TOKEN, O_SIZE, O_MSGS, O_SECONDS, O_PUBS, O_SUBS, O_CONC, O_CONNS, O_COUNT,
       O_WILD, O_PAIRS, O_QUEUE, O_SUBJECTS, O_WILDCARD, O_SUBJECT, O_HEADERS, O_RATE, O_BATCH, O_THREADS, O_NOVERIFY,
       O_SETTLE, O_TIMEOUT, O_RST, O_PID, O_TLS, O_TLSCA, O_TLSVERSION, O_RESUME, O_JSON, O_HELP };

static const struct option long_opts[] = {
    {"servers", 1, 0, O_SERVERS}, {"user", 1, 0, O_USER}, {"pass", 1, 0, O_PASS}, {"token", 1, 0, O_TOKEN},
    {"size", 1, 0, O_SIZE}, {"msgs", 1, 0, O_MSGS}, {"seconds", 1, 0, O_SECONDS}, {"pubs", 1, 0, O_PUBS},
    {"subs", 1, 0, O_SUBS}, {"conc", 1, 0, O_CONC}, {"conns", 1, 0, O_CONNS}, {"count", 1, 0, O_COUNT},
    {"wild", 1, 0, O_WILD}, {"pairs", 0, 0, O_PAIRS}, {"queue", 1, 0, O_QUEUE}, {"subjects", 1, 0, O_SUBJECTS},
    {"wildcard", 1, 0, O_WILDCARD}, {"subject", 1, 0, O_SUBJECT}, {"headers", 0, 0, O_HEADERS}, {"rate", 1, 0, O_RATE},
    {"batch", 1, 0, O_BATCH}, {"threads", 1, 0, O_THREADS}, {"no-verify", 0, 0, O_NOVERIFY}, {"settle", 1, 0, O_SETTLE},
    {"timeout", 1, 0, O_TIMEOUT}, {"rst", 0, 0, O_RST}, {"server-pid", 1, 0, O_PID}, {"tls", 0, 0, O_TLS},
    {"tls-ca", 1, 0, O_TLSCA}, {"tls-version", 1, 0, O_TLSVERSION}, {"resume", 0, 0, O_RESUME},
    {"json", 0, 0, O_JSON}, {"help", 0, 0, O_HELP}, {0, 0, 0, 0},
};

static void parse_args(int argc, char **argv)
{
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        usage(stdout);
        exit(0);
    }
    if (argc < 2) {
        usage(stderr);
        exit(2);
    }
    for (int i = 0; i < M_NONE; i++)
        if (!strcmp(argv[1], mode_names[i])) opt.mode = (enum mode)i;
    if (opt.mode == M_NONE) die(2, "unknown mode '%s' (try --help)", argv[1]);
    optind = 2;
    for (int o, at; at = optind, (o = getopt_long(argc, argv, "", long_opts, NULL)) != -1;) {
        const char *name = argv[at] + 2, *a = optarg;
        switch (o) {
        case O_SERVERS: opt.nservers = 0; arg_servers(a); break;
        case O_USER: opt.user = a; break;
        case O_PASS: opt.pass = a; break;
        case O_TOKEN: opt.token = a; break;
        case O_SIZE: opt.size = arg_int("size", a, 0, 64 << 20); break;
        case O_MSGS: opt.msgs = arg_int("msgs", a, 1, SEQ_MASK); opt.msgs_set = true; break;
        case O_SECONDS: opt.seconds = arg_secs("seconds", a); break;
        case O_PUBS: opt.pubs = arg_int("pubs", a, 1, 100000); break;
        case O_SUBS: opt.subs = arg_int("subs", a, 0, 100000); opt.subs_set = true; break;
        case O_CONC: opt.conc = arg_int("conc", a, 1, 100000); break;
        case O_CONNS: opt.conns = arg_int("conns", a, 1, 1000000); break;
        case O_COUNT: opt.count = arg_int("count", a, 1, 100000000); break;
        case O_WILD: opt.wild = arg_int("wild", a, 0, 100000000); break;
        case O_PAIRS: opt.pairs = true; break;
        case O_QUEUE: opt.queue = arg_int("queue", a, 1, 1000); break;
        case O_SUBJECTS: opt.subjects = arg_int("subjects", a, 1, 100000000); break;
        case O_WILDCARD:
            if (strcmp(a, "star") && strcmp(a, "full")) die(2, "--wildcard: '%s' is neither star nor full", a);
            opt.wildcard = *a == 's' ? '*' : '>';
            break;
        case O_SUBJECT:
            if (!*a || strlen(a) > 200 || strpbrk(a, " \t\r\n*>"))
                die(2, "--subject: '%s' is not a plain subject", a);
            opt.subject = a;
            break;
        case O_HEADERS: opt.headers = true; break;
        case O_RATE: opt.rate = arg_int("rate", a, 1, UINT64_C(1000000000)); break;
        case O_BATCH: opt.batch = arg_int("batch", a, 1, 256 << 20); break;
        case O_THREADS: opt.threads = arg_int("threads", a, 1, 256); break;
        case O_NOVERIFY: opt.verify = false; break;
        case O_SETTLE: opt.settle = arg_secs("settle", a); break;
        case O_TIMEOUT: opt.timeout = arg_secs("timeout", a); break;
        case O_RST: opt.rst = true; break;
        case O_PID: opt.npid = 0; arg_pids(a); break;
        case O_TLS: opt.tls = true; break;
        case O_TLSCA: opt.tls_ca = a; opt.tls = true; break;
        case O_TLSVERSION:
            if (strcmp(a, "1.2") && strcmp(a, "1.3")) die(2, "--tls-version: '%s' is neither 1.2 nor 1.3", a);
            opt.tls_version = a;
            opt.tls = true;
            break;
        case O_RESUME: opt.resume = opt.tls = true; break;
        case O_JSON: opt.json = true; break;
        case O_HELP: usage(stdout); exit(0);
        default: (void)name; exit(2);              /* getopt_long has said what is wrong */
        }
    }
    if (optind < argc) die(2, "unexpected argument '%s'", argv[optind]);
    if (!opt.nservers) arg_servers("127.0.0.1:4222");
    if (opt.pairs && (opt.pubs != opt.subs || opt.queue))
        die(2, "--pairs needs --pubs and --subs of equal number and no --queue");
    if (opt.queue > opt.subs) die(2, "--queue %llu needs at least as many --subs", (unsigned long long)opt.queue);
    if (opt.mode == M_PUB && opt.subs_set) die(2, "mode pub has no subscribers; use pubsub");
    if ((opt.mode == M_PUBSUB || opt.mode == M_REQREP) && !opt.subs)
        die(2, "mode %s needs --subs 1 or more", mode_names[opt.mode]);
    if (opt.mode == M_REQREP && opt.size < TAG_LEN) die(2, "mode reqrep needs --size %d or more", TAG_LEN);
    if (opt.mode == M_REQREP && (opt.headers || !opt.verify))
        die(2, "mode reqrep has no --headers and no --no-verify");
    if (opt.mode == M_SUBS && opt.wild > opt.count) die(2, "--wild may not exceed --count");
    if (opt.mode != M_SUBS && opt.wild) die(2, "--wild belongs to mode subs; see --wildcard");
    if (opt.mode == M_SLOW && (opt.pairs || opt.queue)) die(2, "mode slow has neither --pairs nor --queue");
    if (opt.mode == M_SLOW && !opt.seconds && !opt.msgs_set) opt.seconds = 15;
    if (opt.tls) {
#ifdef WITH_TLS
        tls_ctx = SSL_CTX_new(TLS_client_method());
        if (!tls_ctx) die(1, "cannot set up TLS");
        SSL_CTX_set_mode(tls_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        if (opt.tls_version) {
            int v = opt.tls_version[2] == '2' ? TLS1_2_VERSION : TLS1_3_VERSION;
            SSL_CTX_set_min_proto_version(tls_ctx, v);
            SSL_CTX_set_max_proto_version(tls_ctx, v);
        }
        if (opt.tls_ca) {
            if (SSL_CTX_load_verify_locations(tls_ctx, opt.tls_ca, NULL) != 1)
                die(2, "--tls-ca: cannot read certificates from %s", opt.tls_ca);
            SSL_CTX_set_verify(tls_ctx, SSL_VERIFY_PEER, NULL);
        }
#else
        die(2, "--tls: this build has no TLS (compile with -DWITH_TLS)");
#endif
    }
}

int main(int argc, char **argv)
{
    parse_args(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit rl;
    if (!getrlimit(RLIMIT_NOFILE, &rl)) {          /* as many descriptors as we may have */
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
        rlim_t need = opt.conns + opt.conc + opt.pubs + opt.subs + 64;
        if (need > rl.rlim_max) {
            rl.rlim_cur = rl.rlim_max = need;
            setrlimit(RLIMIT_NOFILE, &rl);         /* only root succeeds; socket() reports the rest */
        }
    }
    int rc;
    switch (opt.mode) {
    case M_REQREP: rc = run_reqrep(); break;
    case M_CONNS: rc = run_conns(); break;
    case M_CHURN: rc = run_churn(); break;
    default: rc = run_traffic();
    }
#ifdef WITH_TLS
    SSL_SESSION_free(tls_session);
    SSL_CTX_free(tls_ctx);
#endif
    return rc;
}
