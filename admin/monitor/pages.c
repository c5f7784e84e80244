#include "admin/monitor/pages.h"
#include "nats/info.h"

const char page_json[] = "application/json";
const char page_text[] = "text/plain; charset=utf-8";
const char page_html[] = "text/html; charset=utf-8";

const struct page page_index = { 200, page_html,
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head><title>bulkhead</title></head>\n"
    "<body>\n"
    "<h1>bulkhead " BULKHEAD_VERSION "</h1>\n"
    "<p>NATS " NATS_VERSION "</p>\n"
    "<ul>\n"
    "<li><a href=\"./varz\">General</a></li>\n"
    "<li><a href=\"./healthz\">Health probe</a></li>\n"
    "</ul>\n"
    "</body>\n"
    "</html>\n" };

const struct page page_not_found = { 404, page_text, "404 page not found\n" };
const struct page page_bad_method = { 405, page_text, "405 only GET and HEAD\n" };
const struct page page_too_long = { 414, page_text, "414 the query is too long\n" };
const struct page page_unavailable = { 503, page_text, "503 the statistics are not available now\n" };
const struct page page_failed = { 500, page_text, "500 the report could not be made\n" };
