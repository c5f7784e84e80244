#ifndef MONITOR_PAGES_H
#define MONITOR_PAGES_H
/* What monitor says itself, without asking system. */
struct page { unsigned status; const char *type, *body; };

extern const char page_json[], page_text[], page_html[];	/* content types */
extern const struct page page_index, page_not_found, page_bad_method, page_too_long,
    page_unavailable, page_failed;
#endif
